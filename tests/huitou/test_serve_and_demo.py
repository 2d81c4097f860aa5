"""A port that is taken is told at once and in one line; whoever ends a demo ends its service too."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from huitou.config import load_config
from outreach.ledger import Ledger


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield int(holder.getsockname()[1])


@pytest.mark.parametrize("verb", ["demo", "serve"])
def test_a_taken_port_is_told_before_anything_is_done(
    verb: str, taken: int, tmp_path: Path, huitou: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    home = tmp_path / "home"
    run = huitou(verb, "--home", str(home), "--port", str(taken))
    assert run.returncode == 2
    assert f"error: cannot listen on 127.0.0.1:{taken}: Address already in use" in run.stderr
    assert "--port" in run.stderr
    assert "Traceback" not in run.stderr
    assert not home.exists()


def test_a_host_of_another_machine_is_told(
    tmp_path: Path, huitou: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    run = huitou("serve", "--home", str(tmp_path / "home"), "--host", "192.0.2.1")
    assert run.returncode == 2
    assert "error: cannot listen on 192.0.2.1:3000" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_ending_a_demo_ends_its_service(own_home: Path, ending: signal.Signals) -> None:
    place = load_config(home=str(own_home)).place
    with sqlite3.connect(own_home / "ledger.db") as db:
        guide, store = db.execute("select guide_id, store_id from contact_task limit 1").fetchone()
    ledger = Ledger(place.ledger_url, brand_id=place.brand_id)
    token = ledger.create_token("guide", subject=guide, store_id=store, at=load_config().now())
    ledger.close()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    program = (
        "import sys; from pathlib import Path; from huitou.commands.demo import show_page; "
        "show_page(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])"
    )
    demo = subprocess.Popen(
        [sys.executable, "-c", program, str(own_home), str(port), guide, token],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert demo.stdout is not None
    for line in demo.stdout:
        if "#token=" in line:
            break
    else:
        raise AssertionError(f"no address was told; exit code {demo.wait()}")
    demo.send_signal(ending)  # to the demo alone, not to its service
    assert demo.wait(timeout=60) == 0
    for _ in range(50):
        try:
            os.killpg(demo.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.2)
    else:
        os.killpg(demo.pid, signal.SIGKILL)
        raise AssertionError("something of the demo is still running")
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
