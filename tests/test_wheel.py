"""The wheel works where nothing else of this repository is."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_wheel_installs_in_an_empty_environment_and_tells_its_verbs(tmp_path: Path) -> None:
    uv = ROOT / ".uv/bin/uv" if (ROOT / ".uv/bin/uv").exists() else shutil.which("uv")
    if uv is None:
        pytest.skip("uv is missing; `make install` puts it into .uv")

    def run(*command: object) -> str:
        environment = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONPATH")}
        done = subprocess.run(
            [str(part) for part in command], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    source = tmp_path / "source"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".venv", ".uv", ".git", "home", ".*_cache"))
    run(uv, "build", "--wheel", "--out-dir", tmp_path / "dist", source)
    wheel = next((tmp_path / "dist").glob("huitou-*.whl"))
    run(uv, "venv", "--python", "3.11", tmp_path / "empty")
    run(uv, "pip", "install", "--python", tmp_path / "empty/bin/python", wheel)
    told = run(tmp_path / "empty/bin/huitou", "--help")
    for verb in ("check", "train", "promote", "release", "nightly", "demo"):
        assert verb in told
    simulated = tmp_path / "brand"
    run(tmp_path / "empty/bin/huitou", "simulate", simulated, "--preset", "beauty", "--members", 50, "--days", 90)
    assert (simulated / "members.parquet").is_file()
