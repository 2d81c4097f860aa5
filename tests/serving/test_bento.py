"""The Bento is built from this folder with the release of the day, and serves where there is no source and no home."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from small_brand import AS_OF, NOW, write_small_release

from outreach.ledger import Ledger
from serving.settings import Place, ServingSettings

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_bento_is_built_and_serves_from_another_folder(tmp_path: Path) -> None:
    home = tmp_path / "home"
    write_small_release(home / "releases")
    empty = tmp_path / "elsewhere"
    place = Place(empty, f"sqlite:///{empty / 'ledger.db'}", "brand", ServingSettings(workers=1))
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        **place.as_environment(),
        "BENTOML_HOME": str(tmp_path / "bentos"),
        "BENTOML_DO_NOT_TRACK": "True",
        "HUITOU_TODAY": AS_OF.isoformat(),
    }
    built = subprocess.run(
        [sys.executable, "-m", "huitou", "bento", str(ROOT), "--home", str(home)],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    bento = next(path for path in (tmp_path / "bentos/bentos/huitou").iterdir() if path.is_dir())
    assert (bento / "src/serving/service.py").is_file() and "carries: huitou_release:r1" in built.stdout
    assert not list(bento.rglob("*.db")) and not list(bento.rglob("tests"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    log = (tmp_path / "serve.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "bentoml", "serve", str(bento), "--host", "127.0.0.1", "--port", str(port)],
        env=environment,
        cwd=tmp_path,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        for _ in range(300):
            try:
                answer = httpx.get(f"http://127.0.0.1:{port}/readyz")
                if answer.status_code == 200:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.2)
        else:
            raise AssertionError((tmp_path / "serve.log").read_text())
        assert answer.json()["status"] == "ready"
        assert httpx.get(f"http://127.0.0.1:{port}/guide").status_code == 200
        ledger = Ledger(place.ledger_url)
        token = ledger.create_token("analyst", at=NOW)
        ledger.close()
        for kind in ("application/json", "application/json; charset=utf-8"):
            told = httpx.post(
                f"http://127.0.0.1:{port}/value",
                content=b'{"member_ids": ["m05", "zz"]}',
                headers={"Authorization": f"Bearer {token}", "Content-Type": kind},
            )
            assert told.status_code == 200 and told.json()["answered"] == 1, told.text
        assert httpx.post(f"http://127.0.0.1:{port}/value", json={"member_ids": ["m05"]}).status_code == 401
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)
