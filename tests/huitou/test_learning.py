"""The log that the real ledger keeps teaches what the judge's own diary teaches; a short log leaves the cold score."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from shop_days import START, ShopDays

from huitou.experiment import measure_lists
from huitou.learning import learned_effect, read_log
from outreach import diary, learning_log
from outreach.arms import hash_ids, held_out
from outreach.ledger import Ledger
from outreach.lists import plan_lists
from outreach.settings import ContactSettings
from outreach.uplift import fit_mixed
from simulator.world import World
from simulator.world_file import read_world

DAYS = 60
SETTINGS = ContactSettings(arms_until=START + dt.timedelta(DAYS), holdout_share=0.05)
NAMES = tuple(f"signal_{i}" for i in range(5))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShopDays]:
    """Sixty days of a small shop of a known world, both logs keeping everybody; read only."""
    changes = {"world.members": 2400, "world.guides": 6, "world.capacity": 10, "world.burn_in_days": 200}
    url = f"sqlite:///{tmp_path_factory.mktemp('learning') / 'ledger.db'}"
    shop = ShopDays(World(read_world("footwear-due", changes), 3), Ledger(url, brand_id="b"), SETTINGS)
    with pytest.MonkeyPatch.context() as patch:
        for module in (diary, learning_log):
            patch.setattr(module, "OTHERS_PER_LISTED", 10_000)
        shop.live(DAYS)
    yield shop
    shop.ledger.close()


def test_the_ledger_tells_what_the_diary_tells(shop: ShopDays) -> None:
    day = START + dt.timedelta(DAYS)
    mine = read_log(shop.tables(), shop.ledger, day, SETTINGS, NAMES)
    theirs = shop.diary.rows(shop.book, SETTINGS.window_days)
    assert mine is not None and theirs is not None
    # The same members, chances, purchases, friends lost, and whether they were left alone.
    columns = ("listed", "propensity", "kept_share", "bought", "done", "unfriended", "alone", "chance_alone")

    def ordered(rows, member):  # type: ignore[no-untyped-def]
        frame = pd.DataFrame({"member": member} | {c: getattr(rows, c) for c in columns})
        return frame.sort_values("member", kind="stable", ignore_index=True)  # in the order of days

    whole = day - dt.timedelta(SETTINGS.window_days - 1)
    members = np.sort(pd.unique(shop.ledger.learning_rows(whole)["member_id"]))
    place = {member: i for i, member in enumerate(shop.ids)}
    ours = ordered(mine, np.array([place[m] for m in members])[mine.member])
    other = ordered(theirs, theirs.member)
    assert len(ours) == len(other) > 20_000 and ours["listed"].sum() > 2000
    for name in ("member", "listed", "kept_share", "bought", "done", "unfriended", "alone"):
        np.testing.assert_array_equal(ours[name], other[name])
    for name in ("propensity", "chance_alone"):
        np.testing.assert_allclose(ours[name], other[name], rtol=1e-4)


def test_both_logs_teach_nearly_the_same_effect(shop: ShopDays) -> None:
    day = START + dt.timedelta(DAYS)
    learned = learned_effect(shop.tables(), shop.ledger, day, SETTINGS, NAMES, seed=0)
    theirs = shop.diary.rows(shop.book, SETTINGS.window_days)
    assert theirs is not None
    judged = fit_mixed(theirs, SETTINGS, 0)
    assert learned.effect is not None and judged is not None and learned.policy == "mixed"
    standing = shop.book.standing(shop.rhythm, SETTINGS)[0]
    a, b = (effect.score(standing, SETTINGS).total for effect in (learned.effect, judged))
    assert np.corrcoef(a, b)[0, 1] > 0.97
    assert learned.effect.weights[0] == pytest.approx(judged.weights[0], abs=0.15)


def test_the_effect_is_kept_between_nights_and_says_what_it_rests_on(shop: ShopDays) -> None:
    day, tables = START + dt.timedelta(DAYS), shop.tables()
    first = learned_effect(tables, shop.ledger, day, SETTINGS, NAMES, seed=0)
    later = learned_effect(tables, shop.ledger, day + dt.timedelta(2), SETTINGS, NAMES, seed=0)
    assert later.fitted_on == first.fitted_on == day and later.effect is not None
    np.testing.assert_array_equal(later.effect.weights, first.effect.weights)  # type: ignore[union-attr]
    assert f"{first.listed_rows} listed" in later.why and later.listed_rows > 2000
    plan = plan_lists(replace(shop.inputs(day), policy_version=later.policy), day, SETTINGS, 1, effect=later.effect)
    assert {one.fallback for one in plan.lists} == {"none"} and plan.lists[0].policy_version == "mixed"


def test_a_short_log_stays_cold_and_says_why(tmp_path: Path) -> None:
    changes = {"world.members": 300, "world.guides": 2, "world.capacity": 8, "world.burn_in_days": 150}
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", brand_id="b")
    shop = ShopDays(World(read_world("footwear-due", changes), 1), ledger, SETTINGS)
    shop.live(3)
    day = START + dt.timedelta(3)
    found = learned_effect(shop.tables(), ledger, day, SETTINGS, NAMES, seed=0)
    assert found.effect is None and found.policy == "cold"
    assert f"{found.listed_rows} listed" in found.why and "2000 of each are needed" in found.why
    assert 0 < found.listed_rows <= 48
    ledger.close()


def test_forced_tasks_and_the_holdout_never_enter_the_log(shop: ShopDays) -> None:
    rows = shop.ledger.learning_rows(START + dt.timedelta(DAYS))
    held = set(shop.ids[held_out(hash_ids(shop.ids), SETTINGS)])
    assert not held & set(rows["member_id"])
    tasks = shop.ledger.listed(START + dt.timedelta(DAYS))
    forced = tasks[tasks["forced"].astype(bool)]
    assert len(forced) > 50, "the shop makes care tasks"
    both = rows.merge(forced, on=["date", "member_id"])
    assert both.empty and (rows["propensity"] < 1).all()


def test_a_forgotten_member_leaves_no_row_to_learn_from(shop: ShopDays, tmp_path: Path) -> None:
    import shutil

    path = Path(str(shop.ledger.engine.url.database))
    with shop.ledger.reading():
        copy = shutil.copy(path, tmp_path / "copy.db")
    for suffix in ("-wal", "-shm"):
        if Path(f"{path}{suffix}").exists():
            shutil.copy(f"{path}{suffix}", tmp_path / f"copy.db{suffix}")
    ledger = Ledger(f"sqlite:///{copy}", brand_id="b")
    day = START + dt.timedelta(DAYS)
    member = ledger.learning_rows(day)["member_id"].iloc[0]
    gone = ledger.forget(member, at=dt.datetime.combine(day, dt.time()))
    assert gone["learning_row"] >= 1 and member not in set(ledger.learning_rows(day)["member_id"])
    ledger.close()


def test_the_lists_are_measured_against_the_holdout_once_a_week_is_over(shop: ShopDays) -> None:
    tables, day = shop.tables(), START + dt.timedelta(DAYS)
    assert measure_lists(tables, shop.ledger, START + dt.timedelta(3), SETTINGS) is None
    found = measure_lists(tables, shop.ledger, day, SETTINGS)
    assert found is not None and shop.ledger.newest_report("contact_experiment") == (day, found)
    held = held_out(hash_ids(shop.ids), SETTINGS)
    assert found["held_out_members"] == held.sum() and found["listed_members"] == (~held).sum()
    # The spend of both groups and the friends lost beside it, worked out again from what the shop did.
    orders = pd.concat(shop.orders)
    spent = orders[orders["order_time"] < pd.Timestamp(day)].groupby("member_id")["paid_yuan"].sum()
    spent = spent.reindex(shop.ids).fillna(0.0).to_numpy()
    assert found["revenue_listed_yuan"] == pytest.approx(spent[~held].mean())
    assert found["revenue_held_out_yuan"] == pytest.approx(spent[held].mean())
    assert found["friends_lost_listed"] == pytest.approx((~shop.book.friend)[~held].mean())
    assert found["friends_lost_held_out"] == pytest.approx((~shop.book.friend)[held].mean())
    assert not found["enough"] and found["members_needed"] > held.sum()
