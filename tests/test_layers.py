"""The rooms import in one direction only."""

import ast
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
            if library in _imported(path)
        }
        assert found <= homes, f"{library} is imported in {sorted(found - homes)}"


def _imported(path: Path) -> set[str]:
    """Names of the packages that a module imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names
