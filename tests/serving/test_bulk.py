"""Bulk calls: an id is found in a batch as it is found alone, and a batch says what its members say one by one."""

import asyncio
import dataclasses
import datetime
import json
from typing import Any

import numpy as np
import pytest
from house import House
from small_brand import MEMBERS, NOW

from serving import bulk
from serving.access import Call, Caller, Doors
from serving.answers.members import window
from serving.releases import Served
from serving.service import shortcuts
from training import release_rows

ODD = ["m01\0", "\0", "", "m0", "m011", "x" * 500, "zz", "会员", "old-card", "a"]


def said(body: bytes) -> list[dict[str, Any]]:
    """The rows of an answer."""
    rows: list[dict[str, Any]] = json.loads(body)["results"]
    return rows


def test_an_id_is_found_in_a_batch_as_it_is_found_alone(house: House) -> None:
    release = house.runtime.served.release
    ids = [*MEMBERS, *ODD]
    for batch in (ids, [*MEMBERS, "zz"], ["m01"] * 3, ["m01", 'q"uote', "back\\slash"], ["a\0b", "m02"]):
        for known in (release, dataclasses.replace(release, by_hash=None)):
            places = bulk.places_of(known, batch)
            assert [None if place < 0 else place for place in places.tolist()] == [release.index(m) for m in batch]


def test_a_number_that_is_not_there_is_null_and_none_has_more_digits_than_a_model_knows() -> None:
    column = release_rows.numbers(np.array([0.25, np.nan, 1e-7, 1 / 3], np.float32), 6)
    assert [json.loads(text) for text in column] == [0.25, None, 0.0, 0.333333]


@pytest.mark.parametrize("task", ["churn", "value", "next_purchase"])
def test_the_text_that_a_release_holds_ready_is_what_would_be_written(
    house: House, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is asked for, in one call or several, known, unknown or not scored, by the present or an old card."""
    served = house.runtime.served
    assert served.release.ready_rows
    bare = Served(dataclasses.replace(served.release, ready_rows={}, by_hash=None), served.stores, served.guides)
    call = getattr(bulk, task)
    for ids in ([*MEMBERS], ["m01"] * 3, [*MEMBERS, *ODD], ["zz"], ["minor"], ["old-card", "m02"], ['q"', "m01"]):
        given = (ids, None) if task == "churn" else (ids,)
        held = call(house.runtime, *given)
        with monkeypatch.context() as patched:
            patched.setattr(house.runtime.releases, "_served", bare)
            written = call(house.runtime, *given)
        assert json.loads(held) == json.loads(written)


@pytest.mark.parametrize("task", ["churn", "value", "next_purchase"])
def test_a_batch_says_what_its_members_say_one_by_one_and_in_the_order_asked(house: House, task: str) -> None:
    def rows(ids: list[str]) -> Any:
        given = (ids, 60) if task == "churn" else (ids,)
        return said(getattr(bulk, task)(house.runtime, *given))

    ids = ["m05", "nobody", "m01", "minor", "m05", "old-card"]
    assert rows(ids) == [rows([member_id])[0] for member_id in ids]
    assert [row["error"] is None for row in rows(ids)] == [True, False, True, False, True, True]


def test_a_value_row_carries_the_tier_and_numbers_of_the_member(house: House) -> None:
    release = house.runtime.served.release
    row = release.index("m03")
    assert row is not None
    found = said(bulk.value(house.runtime, ["m03"]))[0]
    assert found["tier"] == release.label("tier", row) == "B"
    assert found["horizon_days"] == release.manifest["horizon_days"], "the spend is of these days"
    assert found["expected_spend_yuan"] == round(release.prediction("expected_spend_yuan", row) or 0.0, 2)


@pytest.mark.parametrize("late_days", [0, 9, 50, 51])
def test_the_dates_of_a_batch_are_those_of_the_cards(house: House, late_days: int) -> None:
    served = house.runtime.served
    house.clock.now = NOW + datetime.timedelta(days=late_days)
    members = [member_id for member_id in MEMBERS if member_id != "minor"]
    passed = False
    for member_id, found in zip(members, said(bulk.next_purchase(house.runtime, members)), strict=True):
        row = served.release.index(member_id)
        assert row is not None
        card = window(served, row, house.runtime.now().date())
        for name in ("low", "median", "high"):
            assert found[name] == (None if card[name] is None else card[name].isoformat())
            assert found[name] is None or found[name] >= house.clock.now.date().isoformat()
        assert found["null_reason"] == card["null_reason"]
        passed |= found["null_reason"] == "window_passed"
    assert passed == (late_days >= 50)


def test_other_requests_go_on_while_items_for_many_are_made(house: House) -> None:
    """The gate gets something to wait for where many members are asked about, and the answer itself where few are."""
    answer = shortcuts()["/recommend"]
    caller = Caller("t", "analyst", "ana", "")
    route, _ = Doors().find("POST", "/recommend")
    assert route is not None
    call = Call("r", route, {}, caller, house.runtime.live.look())
    few = answer(house.runtime, call, json.dumps({"member_ids": ["m01", "m02"], "n": 3}).encode())
    many = answer(house.runtime, call, json.dumps({"member_ids": ["m01", "m02"] * 400, "n": 3}).encode())
    assert isinstance(few, bytes) and not isinstance(many, bytes) and many is not None

    async def waited() -> bytes:
        return await many

    assert json.loads(asyncio.run(waited()))["answered"] == 800
    assert len(json.loads(few)["results"]) == 2
