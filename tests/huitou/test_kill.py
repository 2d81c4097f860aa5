"""Killed at any point, a night loses nothing: the old release answers, and running again completes the work."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from training.release import open_release

# Each is a function that the night goes through; the process kills itself when that function is entered the n-th
# time. Together they stand before, between and after every write that a night makes.
POINTS = [
    ("features.tables.open_tables", 1),
    ("features.history.build_history", 1),
    ("training.scoring.score", 1),
    ("training.cards.member_cards", 1),
    ("numpy.save", 1),
    ("numpy.save", 6),
    ("numpy.save", 20),
    ("shutil.copytree", 1),
    ("training.release_writer.sign", 1),
    ("training.release_writer._flush", 1),
    ("training.release_writer._proven", 1),
    ("pathlib.Path.rename", 1),
    ("pathlib.Path.replace", 1),
    ("training.release_writer.prune_releases", 1),
    ("outreach.lists.plan_lists", 1),
    ("outreach.ledger.ledger.Ledger.save_lists", 1),
    ("outreach.ledger.ledger.Ledger._save_one", 2),
]

# Imports everything once, then forks a child for each point; a line of JSON tells what was left after each death.
DRIVER = """
import importlib, json, os, signal, sys
from datetime import datetime
from pathlib import Path

import huitou.daily, huitou.nightly, huitou.pipeline
from huitou.config import load_config
from huitou.nightly import nightly

home, points = Path(sys.argv[1]), json.loads(sys.argv[2])

def arm(point, count):
    parts = point.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            owner = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        break
    for name in parts[cut:-1]:
        owner = getattr(owner, name)
    inner, calls = getattr(owner, parts[-1]), [0]

    def deadly(*args, **kwargs):
        calls[0] += 1
        if calls[0] == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return inner(*args, **kwargs)

    setattr(owner, parts[-1], deadly)
    for module in list(sys.modules.values()):
        if getattr(module, parts[-1], None) is inner:
            setattr(module, parts[-1], deadly)

for point, count in points:
    child = os.fork()
    if child == 0:
        try:
            if point:
                arm(point, count)
            config = load_config(home=str(home), input=str(home / "demo-data"))
            nightly(config, now=datetime.now().astimezone())
        except BaseException as error:
            print(json.dumps({"point": point, "error": repr(error)}), flush=True)
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    current = (home / "releases/current").readlink().name
    print(json.dumps({"point": point, "killed": killed, "clean": status == 0, "current": current}), flush=True)
"""


def nights(home: Path, points: list[tuple[str, int]]) -> Iterator[dict[str, object]]:
    """Run a night for each point, one after another; yields what the driver tells after each."""
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(home), json.dumps(points)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert driver.stdout is not None
    for line in driver.stdout:
        yield json.loads(line)
    assert driver.wait(timeout=60) == 0


def lists_of(home: Path) -> list[tuple[str, str]]:
    with sqlite3.connect(home / "ledger.db") as db:
        return sorted(db.execute("select guide_id, member_id from contact_task where state != 'replaced'").fetchall())


@pytest.mark.slow
def test_a_night_killed_anywhere_keeps_the_old_release_and_is_completed_by_the_next_run(own_home: Path) -> None:
    """Start from a brand whose release and lists are those of an older, smaller history."""
    releases = own_home / "releases"
    wanted_name = (releases / "current").readlink().name
    wanted_lists = lists_of(own_home)
    wanted = open_release(releases / wanted_name).manifest["files"]
    old = releases / "20200101-old"
    (releases / wanted_name).rename(old)
    (releases / "current").unlink()
    (releases / "current").symlink_to(old.name)
    with sqlite3.connect(own_home / "ledger.db") as db:
        for table in ("contact_task", "contact_list"):
            db.execute(f"delete from {table}")
    killed = 0
    for told in nights(own_home, POINTS):
        assert "error" not in told, told
        assert told["killed"] or told["clean"], told
        killed += bool(told["killed"])
        serving = str(told["current"])
        assert serving in (old.name, wanted_name), told
        assert len(open_release(releases / serving).ids) > 0, told
        made = lists_of(own_home)
        assert made in ([], wanted_lists), f"{told}: a day's lists are there as a whole or not at all"
    assert killed >= 12, f"only {killed} of the points were reached"
    (told,) = nights(own_home, [("", 0)])
    assert told["clean"], told
    assert (releases / "current").readlink().name == wanted_name
    assert open_release(releases / wanted_name).manifest["files"] == wanted
    assert lists_of(own_home) == wanted_lists
    assert not list(releases.glob("*.tmp"))
