"""Whose members are whose, and what members own: one slice each, true by hand, and true after somebody is forgotten."""

import itertools
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.recommend.facts import cycle_days, owned_items
from training.recommend.own_items import own_items
from training.recommend.visits import Purchases, visits_before
from training.release_people import (
    owner_frame,
    people_of,
    read_people,
    rewrite_people,
    without_row,
    write_people,
)

FRAME = pd.DataFrame(
    {
        "guide_id": ["g2", "g1", None, "g1", "g2"],
        "store_id": ["s1", "s1", "s2", None, "s1"],
        "is_friend": [True, False, False, True, True],
        "held_out": [False, True, False, False, False],
        "contacted_day": [20_000, -1, -1, 7, -1],
    }
)


def test_a_guides_and_a_stores_members_are_found_at_once() -> None:
    people = people_of(FRAME)
    assert people.of("guide", "g1").tolist() == [1, 3] and people.of("guide", "g2").tolist() == [0, 4]
    assert people.of("store", "s1").tolist() == [0, 1, 4] and people.of("store", "s2").tolist() == [2]
    assert people.of("guide", "nobody").tolist() == [] and people.of("store", "g1").tolist() == []
    nobody = people_of(FRAME.assign(guide_id=None, store_id=None))
    assert nobody.of("guide", "g1").tolist() == []


def test_the_index_comes_back_from_a_folder_and_without_a_forgotten_member(tmp_path: Path) -> None:
    (tmp_path / "members").mkdir()
    write_people(tmp_path, FRAME)
    assert read_people(tmp_path).of("store", "s1").tolist() == [0, 1, 4]
    assert np.load(tmp_path / "members/friend.npy").tolist() == [1, 0, 0, 1, 1]
    assert np.load(tmp_path / "members/contacted.npy").tolist() == [20_000, -1, -1, 7, -1]
    rewrite_people(tmp_path, 1)
    left = read_people(tmp_path)
    assert left.of("guide", "g1").tolist() == [2] and left.of("store", "s1").tolist() == [0, 3]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from(["x", "y", None])), min_size=1),
    st.integers(0, 99),
)
def test_taking_a_member_out_equals_never_having_had_one(owners: list[tuple[str, str]], pick: int) -> None:
    frame = pd.DataFrame(owners, columns=["guide_id", "store_id"], dtype=object)
    row = pick % len(frame)
    left = without_row(people_of(frame), row)
    fresh = people_of(frame.drop(index=row).reset_index(drop=True))
    for kind, names in (("guide", "ab"), ("store", "xy")):
        for name in names:
            assert left.of(kind, name).tolist() == fresh.of(kind, name).tolist()


def test_the_store_of_a_member_is_the_guides_then_the_home_then_where_they_joined() -> None:
    members = pd.DataFrame(
        {"member_id": ["a", "b", "c"], "home_store_id": ["s1", "s2", None], "register_store_id": ["s9", "s9", "s3"]}
    )
    owners = pd.DataFrame({"member_id": ["a"], "guide_id": ["g1"], "store_id": ["s5"], "is_friend": [True]})
    found = owner_frame(members, owners, ["c", "a", "b"])
    assert found["store_id"].tolist() == ["s3", "s5", "s2"]
    assert found["is_friend"].tolist() == [False, True, False]
    assert found["guide_id"].isna().tolist() == [True, False, True]


def test_what_members_own_is_theirs_in_any_order_asked_for() -> None:
    bought = Purchases.sorted([0, 0, 2, 2, 2], [1, 3, 1, 2, 5], [4, 1, 0, 4, 4], np.ones(5), np.ones(5))
    own = own_items(visits_before(bought, 10, 3, 5))
    at, codes = owned_items(own, np.array([2, -1, 0, 1]))
    assert [codes[a:b].tolist() for a, b in itertools.pairwise(at)] == [[0, 4], [], [1, 4], []]


def test_an_item_with_a_steady_pace_has_a_cycle_and_others_have_none() -> None:
    days = np.tile(np.arange(0, 150, 30), 10)
    member = np.repeat(np.arange(10), 5)
    bought = Purchases.sorted(
        np.r_[member, [0, 1]], np.r_[days, [3, 70]], np.r_[np.zeros(50), [1, 1]], np.ones(52), np.ones(52)
    )
    told = cycle_days(own_items(visits_before(bought, 151, 10, 3)))
    assert told[0] == pytest.approx(30, abs=1) and np.isnan(told[1:]).all()
    empty = SimpleNamespace(n_items=2, item=np.zeros(0, int), pace_days=np.zeros(0), has_cycle=np.zeros(2, bool))
    assert np.isnan(cycle_days(empty)).all()  # type: ignore[arg-type]
