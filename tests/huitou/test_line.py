"""The whole line as a user runs it: demo, then the verbs one by one on what it left."""

import dataclasses
import json
import sqlite3
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from huitou.daily import prediction_frame
from serving import bulk
from serving.access import Caller
from serving.answers.members import why_answer
from serving.runtime import Runtime
from serving.settings import Place, ServingSettings
from training.release import SCORED, BrokenRelease, Release, open_release

Huitou = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def release(finished_demo: Path) -> Release:
    return open_release(finished_demo / "releases/current")


def tasks_of(home: Path) -> list[tuple[str, str, str]]:
    with sqlite3.connect(home / "ledger.db") as db:
        rows = db.execute(
            "select task_id, member_id, guide_id from contact_task where state != 'replaced'"
        ).fetchall()
    return sorted(rows)


def test_the_demo_ends_with_a_release_and_lists(finished_demo: Path, release: Release) -> None:
    release.verify()
    assert release.manifest["scored"] > 0
    assert {m["source"] for m in release.manifest["models"].values()} <= {"model", "fallback"}
    tasks = tasks_of(finished_demo)
    assert tasks and len({member for _, member, _ in tasks}) == len(tasks)


def test_a_release_knows_whose_members_are_whose_and_what_they_own(release: Release) -> None:
    assert release.people is not None and release.items.sold is not None and release.items.own is not None
    for row in np.linspace(0, len(release.ids) - 1, 40).astype(int).tolist():
        card = release.card(row)
        for kind in ("guide", "store"):
            mine = release.people.of(kind, str(card[f"{kind}_id"]))
            assert (row in mine) == (card[f"{kind}_id"] is not None)
        assert release.friend is not None and bool(release.friend[row]) == card["is_friend"]
        last = card["last_contact"]
        known = -1 if last is None else int(np.datetime64(last["day"], "D").astype(int))
        assert release.contacted is not None and int(release.contacted[row]) == known
        owned = set(release.items.owned(row).tolist())
        again = set(release.items.slates["again"][row].tolist()) - {-1}
        bought = {item["item_id"] for visit in card["last_visits"] for item in visit["items"]}
        assert again <= owned and bought <= {release.items.item_ids[code] for code in owned}
        assert not owned & (set(release.items.slates["new"][row].tolist()) - {-1})
    assert release.held_out is not None and 0 < release.held_out.mean() < 0.15
    assert int(release.items.sold.sum()) >= len(release.items.own)


def test_a_release_says_what_each_task_has_and_needs(release: Release, finished_demo: Path) -> None:
    told = release.manifest["readiness"]
    assert set(told) == set(release.manifest["models"]) == {"curve", "value", "items"}
    for task, row in told.items():
        assert set(row["need"]) <= set(row["have"]), task
        assert all(isinstance(count, int) and count >= 0 for count in [*row["have"].values(), *row["need"].values()])
        met = all(row["have"][name] >= count for name, count in row["need"].items())
        assert met or row["fallback"], f"{task}: something lacks, so something plainer answers"
    scored = int(np.sum(np.asarray(release.kind) == 0))
    assert told["curve"]["have"]["members"] >= scored, "members who bought"
    card = json.loads((release.path / "models/curve/card.json").read_text())
    assert (told["curve"]["fallback"] or "weighted_blend") == card["rung"]


def test_a_release_says_what_made_its_item_lists_as_the_models_card_does(release: Release) -> None:
    card = json.loads((release.path / "models/items/items.json").read_text())["card"]
    told, items = release.manifest["item_methods"], release.manifest["models"]["items"]
    assert {key: told[key] for key in ("methods", "exceptions", "calibrated")} == {
        key: card[key] for key in ("methods", "exceptions", "calibrated")
    }
    assert items["source"] == card["source"] and (items["source"] == "model" or items["name"] == card["rung"])
    assert release.item_methods is not None and release.item_methods.shape == (len(release.ids), 3)
    own = np.asarray(release.items.rung) == 0
    for column, slate in enumerate(told["slates"]):
        names = set(np.array(told["names"])[np.asarray(release.item_methods)[own, column]].tolist())
        assert names <= {card["methods"][slate], *card["exceptions"].get(slate, {}).values()}


def test_every_scored_member_has_a_curve_that_falls_from_one(release: Release) -> None:
    scored = np.asarray(release.kind) == SCORED
    curves = np.asarray(release.curves)[scored]
    assert np.allclose(curves[:, 0], 1.0)
    assert (np.diff(curves, axis=1) <= 1e-6).all()
    assert np.isnan(np.asarray(release.curves)[~scored]).all()


def test_friend_loss_and_first_purchase_are_told_of_whom_they_are_about_or_say_why_not(release: Release) -> None:
    kind = np.asarray(release.kind)
    for name, about in (("friend_loss", kind < 2), ("first_purchase", kind == 1)):
        told = release.manifest["propensities"][name]
        known = np.isfinite(np.asarray(release.predictions[f"{name}_probability"]))
        assert not known[~about].any()
        assert known.any() == (told["source"] is not None)
        assert told["source"] == "model" or told["reason"]


def test_churn_probability_is_the_curve_at_the_horizon(release: Release) -> None:
    rows = np.flatnonzero(np.asarray(release.kind) == SCORED)[:200]
    read = release.survival_at(rows, release.manifest["horizon_days"])
    assert np.allclose(read, np.asarray(release.predictions["churn_probability"])[rows], atol=1e-4)


def test_who_buys_anyway_within_the_window_is_read_from_the_curve(release: Release) -> None:
    rows = np.flatnonzero(np.asarray(release.kind) == SCORED)
    week, fortnight = (prediction_frame(release, days).set_index("member_id") for days in (7, 14))
    assert week.index.tolist() == [release.ids[row].decode() for row in rows]
    anyway = week["buys_anyway_probability"]
    assert np.allclose(anyway, 1.0 - release.survival_at(rows, 7.0))
    assert anyway.between(0.0, 1.0).all() and anyway.nunique() > 10
    assert (fortnight["buys_anyway_probability"] >= anyway).all()
    assert (week["churn_probability"] <= 1.0 - anyway + 1e-6).all()


def test_a_member_is_found_by_id_and_a_stranger_is_not(release: Release) -> None:
    for row in (0, len(release.ids) // 2, len(release.ids) - 1):
        assert release.index(release.ids[row].decode()) == row
    assert release.index("nobody") is None
    assert release.index("x" * 500) is None


def test_a_card_shows_the_newest_visits_of_its_member(release: Release) -> None:
    row = int(np.flatnonzero(np.asarray(release.kind) == SCORED)[0])
    card = release.card(row)
    days = [visit["day"] for visit in card["last_visits"]]
    assert days and days == sorted(days, reverse=True)
    assert max(days) < release.manifest["as_of"]


def test_what_is_computed_on_request_is_what_the_release_holds(finished_demo: Path) -> None:
    place = Place(finished_demo, f"sqlite:///{finished_demo / 'ledger.db'}", "brand", ServingSettings())
    runtime = Runtime(place, datetime.now)
    release = runtime.served.release
    ids = [one.decode() for one in release.ids[np.asarray(release.kind) == SCORED][:50]]
    for days in (None, 20):
        read, computed = (
            [
                row["churn_probability"]
                for row in json.loads(bulk.churn(runtime, ids, days, computed=fresh))["results"]
            ]
            for fresh in (False, True)
        )
        assert computed == pytest.approx(read, abs=2e-6) and len(set(read)) > 10
    runtime.ledger.close()


def test_why_tells_the_models_own_reasons_kept_or_computed(finished_demo: Path) -> None:
    place = Place(finished_demo, f"sqlite:///{finished_demo / 'ledger.db'}", "brand", ServingSettings())
    runtime = Runtime(place, datetime.now)
    served = runtime.served
    release = served.release
    assert release.reason_parts is not None
    kept = np.flatnonzero(np.isfinite(release.reason_parts).all(axis=1))[:5].tolist()
    without = dataclasses.replace(release, reason_parts=np.full_like(release.reason_parts, np.nan))
    fresh = dataclasses.replace(served, release=without)
    somebody = Caller("t", "operator", "hq", "")
    told = set()
    for row in kept:
        held, computed = served.reasons(row), fresh.reasons(row)
        assert [g["code"] for g, _ in held] == [g["code"] for g, _ in computed]
        assert [p for _, p in held] == pytest.approx([p for _, p in computed], abs=1e-3)
        answer = why_answer(runtime, somebody, release.ids[row].decode())
        told |= {reason["code"] for reason in answer["reasons"]}
        assert not any("%" in reason["zh"] for reason in answer["reasons"])
        assert 1 <= len(answer["reasons"]) <= 3
        days = f"上次购买{answer['numbers']['days_since']:.0f}天前"
        assert all(days in one["zh"] for one in answer["reasons"] if one["code"] in ("RECENCY", "last_visit"))
    assert told & {"last_visit", "frequency", "trend", "spend", "regularity", "tenure"}
    runtime.ledger.close()


def test_no_member_is_named_in_what_training_tracked_and_keeps(finished_demo: Path, release: Release) -> None:
    ids = [one.decode() for one in release.ids[np.asarray(release.kind) == SCORED][::37]]
    assert len(ids) > 10
    files = [finished_demo / "mlflow.db"]
    files += [path for part in ("mlartifacts", "models") for path in (finished_demo / part).rglob("*")]
    held = [path.name for path in files if path.is_file() and any(i.encode() in path.read_bytes() for i in ids)]
    assert held == []
    ledger = b"".join(path.read_bytes() for path in finished_demo.glob("ledger.db*"))
    assert any(member.encode() in ledger for _, member, _ in tasks_of(finished_demo)), "the search does find ids"


def test_no_pickle_and_no_clear_phone_is_in_a_release(release: Release) -> None:
    for path in release.path.rglob("*"):
        assert path.suffix not in {".pkl", ".pickle", ".joblib"}, path


def test_a_changed_file_breaks_a_release(own_home: Path) -> None:
    folder = (own_home / "releases/current").resolve()
    (folder / "members/kind.npy").write_bytes(b"not an array")
    with pytest.raises(BrokenRelease, match=r"kind\.npy"):
        open_release(folder)


def test_running_the_night_again_changes_nothing(own_home: Path, huitou: Huitou) -> None:
    before = (tasks_of(own_home), (own_home / "releases/current").readlink())
    for _ in range(2):
        run = huitou("nightly", str(own_home / "demo-data"), "--home", str(own_home))
        assert run.returncode == 0, run.stdout + run.stderr
    assert (tasks_of(own_home), (own_home / "releases/current").readlink()) == before
    assert not list((own_home / "releases").glob("*.tmp"))


def test_a_roll_back_without_an_earlier_release_says_so(own_home: Path, huitou: Huitou) -> None:
    run = huitou("rollback", "--home", str(own_home))
    assert run.returncode == 2 and "no release before" in run.stderr


def test_roll_back_and_forth_between_two_releases(own_home: Path, huitou: Huitou) -> None:
    releases = own_home / "releases"
    newest = (releases / "current").readlink().name
    older = releases / "20200101-older"
    (releases / newest).rename(releases / "moving")
    (releases / "moving").rename(older)
    manifest = json.loads((older / "manifest.json").read_text())
    manifest |= {"release_id": older.name, "created_at": "2020-01-01T00:00:00+08:00"}
    (older / "manifest.json").write_text(json.dumps(manifest))
    run = huitou("release", str(own_home / "demo-data"), "--home", str(own_home))
    assert run.returncode == 0, run.stderr
    assert (releases / "current").readlink().name == newest
    assert huitou("rollback", "--home", str(own_home)).returncode == 0
    assert (releases / "current").readlink().name == older.name
    listed = huitou("releases", "--home", str(own_home)).stdout
    assert older.name in listed and newest in listed
    assert huitou("rollback", newest, "--home", str(own_home)).returncode == 0
    assert (releases / "current").readlink().name == newest


def test_lists_for_a_day_before_the_release_are_refused(own_home: Path, huitou: Huitou) -> None:
    run = huitou("lists", str(own_home / "demo-data"), "--home", str(own_home), "--date", "2020-01-01")
    assert run.returncode == 2 and "later day" in run.stderr


def test_the_schedule_names_both_jobs(huitou: Huitou) -> None:
    text = huitou("schedule", "--at", "03:15").stdout
    assert "15 3 * * *" in text and "nightly" in text and "promote" in text and "OnCalendar=*-*-* 03:15:00" in text
    assert huitou("schedule", "--at", "25:00").returncode == 2
