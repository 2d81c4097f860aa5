"""Killed at any point, a night loses nothing: the old release answers, and running again completes the work."""

import os
import signal
import sqlite3
import subprocess
import sys
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

NIGHT = """
import importlib, os, signal, sys
point, count, data, home = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
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
    if getattr(module, parts[-1], None) is inner and module is not owner:
        setattr(module, parts[-1], deadly)
import huitou.nightly, huitou.pipeline, huitou.daily
for module in (huitou.nightly, huitou.pipeline, huitou.daily):
    if getattr(module, parts[-1], None) is inner:
        setattr(module, parts[-1], deadly)
from huitou.cli import main
main(["nightly", data, "--home", home], standalone_mode=False)
"""


def night(home: Path, point: str = "os.getcwdb", count: int = -1) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", NIGHT, point, str(count), str(home / "demo-data"), str(home)],
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=300,
    )


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
    for point, count in POINTS:
        run = night(own_home, point, count)
        assert run.returncode in (-signal.SIGKILL, 0), f"{point}: {run.stderr}"
        killed += run.returncode == -signal.SIGKILL
        serving = (releases / "current").readlink().name
        assert serving in (old.name, wanted_name), point
        assert len(open_release(releases / serving).ids) > 0, point
        made = lists_of(own_home)
        assert made in ([], wanted_lists), f"{point}: a day's lists are there as a whole or not at all"
    assert killed >= 12, f"only {killed} of the points were reached"
    run = night(own_home)
    assert run.returncode == 0, run.stderr
    assert (releases / "current").readlink().name == wanted_name
    assert open_release(releases / wanted_name).manifest["files"] == wanted
    assert lists_of(own_home) == wanted_lists
    assert not list(releases.glob("*.tmp"))
