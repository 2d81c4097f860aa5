"""What a worker of the service carries: nothing that only training needs, so that it starts soon and stays small."""

import subprocess
import sys

HEAVY = ("pandas", "pyarrow", "duckdb", "ibis", "scipy", "sklearn", "lightgbm", "implicit", "mlflow", "alembic")


def test_a_worker_starts_without_the_libraries_of_training() -> None:
    code = "import sys, serving.service, serving.app, serving.gate, serving.bulk; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert set(HEAVY) & set(run.stdout.split()) == set()


def test_the_supervising_process_imports_no_more_than_it_needs() -> None:
    code = "import sys, serving.service; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert {"sqlalchemy", "numpy", "fastapi", *HEAVY} & set(run.stdout.split()) == set()
