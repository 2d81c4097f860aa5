"""Bulk calls: an id is found in a batch as it is found alone, and a batch says what its members say one by one."""

from typing import Any

import pytest
from house import House
from small_brand import MEMBERS

from serving import bulk
from serving.answers.members import window

ODD = ["m01\0", "\0", "", "m0", "m011", "x" * 500, "zz", "会员", "old-card", "a"]


def test_an_id_is_found_in_a_batch_as_it_is_found_alone(house: House) -> None:
    release = house.runtime.served.release
    ids = [*MEMBERS, *ODD]
    assert bulk.places_of(release, ids) == [release.index(member_id) for member_id in ids]
    assert bulk.places_of(release, ["m01"] * 3) == [release.index("m01")] * 3


@pytest.mark.parametrize("task", ["churn", "value", "next_purchase"])
def test_a_batch_says_what_its_members_say_one_by_one_and_in_the_order_asked(house: House, task: str) -> None:
    def rows(ids: list[str]) -> Any:
        given = (ids, 60) if task == "churn" else (ids,)
        return getattr(bulk, task)(house.runtime, *given)["results"]

    ids = ["m05", "nobody", "m01", "minor", "m05", "old-card"]
    assert rows(ids) == [rows([member_id])[0] for member_id in ids]
    assert [row["error"] is None for row in rows(ids)] == [True, False, True, False, True, True]


def test_a_value_row_carries_the_tier_and_numbers_of_the_member(house: House) -> None:
    release = house.runtime.served.release
    row = release.index("m03")
    assert row is not None
    said = bulk.value(house.runtime, ["m03"])["results"][0]
    assert said["tier"] == release.label("tier", row) == "B"
    assert said["expected_spend_yuan"] == release.prediction("expected_spend_yuan", row)


def test_the_dates_of_a_batch_are_those_of_the_cards(house: House) -> None:
    served = house.runtime.served
    members = [member_id for member_id in MEMBERS if member_id != "minor"]
    for member_id, said in zip(members, bulk.next_purchase(house.runtime, members)["results"], strict=True):
        row = served.release.index(member_id)
        assert row is not None
        card = window(served, row)
        for name in ("low", "median", "high"):
            assert said[name] == card[name].isoformat()
        assert said["null_reason"] == card["null_reason"]
