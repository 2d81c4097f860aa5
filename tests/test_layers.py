"""The rooms import in one direction only."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_imports_go_one_way() -> None:
    tool = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_only_tracking_names_mlflow_and_only_the_service_names_bentoml() -> None:
    allowed = {"mlflow": {"training/tracking.py"}, "bentoml": {"serving/service.py"}}
    for library, homes in allowed.items():
        found = {
            path.relative_to(ROOT).as_posix()
            for room in ("features", "training", "outreach", "serving", "simulator")
            for path in (ROOT / room).rglob("*.py")
            if any(
                line.lstrip().startswith((f"import {library}", f"from {library}"))
                for line in path.read_text(encoding="utf-8").splitlines()
            )
        }
        assert found <= homes, f"{library} is imported in {sorted(found - homes)}"
