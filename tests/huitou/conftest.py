"""One small demo, made once: the whole line from simulated tables to contact lists."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # shop_days, a module of this folder

MEMBERS = 1_200


def run_huitou(*arguments: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """Run the command line as a user would."""
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "COLUMNS": "160"}
    return subprocess.run(
        [sys.executable, "-m", "huitou", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.fixture(scope="session")
def finished_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Home of a finished demo. Read only: copy it with `own_home` before changing anything."""
    home = tmp_path_factory.mktemp("demo") / "home"
    run = run_huitou("demo", "--no-serve", "--members", str(MEMBERS), "--home", str(home))
    assert run.returncode == 0, run.stdout + run.stderr
    return home


@pytest.fixture
def own_home(finished_demo: Path, tmp_path: Path) -> Path:
    """A copy of the finished demo that a test may change."""
    return Path(shutil.copytree(finished_demo, tmp_path / "home", symlinks=True))


@pytest.fixture
def huitou() -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """The command line, run as a user would."""
    return run_huitou
