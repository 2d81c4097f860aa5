"""Rules for items that head office sets hold on the next call, for every route that recommends."""

import json
import shutil
from typing import Any

import numpy as np
import pytest
from house import House
from hypothesis import given, settings
from hypothesis import strategies as st
from small_brand import write_small_release

from serving import bulk
from serving.access import Caller
from serving.answers.slates import first_allowed
from training.recommend.rules import Compiled, Rung, apply_rules

OFF = {"is": ["item_id", "i0", "i2"]}


def put(house: House, rules: dict[str, Any]) -> Any:
    return house.ask("operator", "PUT", "/v1/rules", json={"rules": {"recommendations": rules}})


def answer_of(house: House, query: str = "?list=again&n=3", member: str = "m01") -> dict[str, Any]:
    answer = house.ask("app", "GET", f"/v1/members/{member}/recommendations{query}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def shown(house: House, query: str = "?list=again&n=3", member: str = "m01") -> list[str]:
    return [item["item_id"] for item in answer_of(house, query, member)["items"]]


@pytest.mark.parametrize(
    ("rules", "wanted"),
    [
        ({}, ["i0", "i1", "i2"]),
        ({"only": {"not": OFF}}, ["i1", "i3", "i4"]),
        ({"pins": [{"item_id": "i9", "place": 1}]}, ["i0", "i9", "i1"]),
        ({"weights": [{"condition": {"is": ["item_id", "i4"]}, "factor": 10}]}, ["i4", "i0", "i1"]),
        ({"weights": [{"condition": {"is": ["item_id", "i0"]}, "factor": 0.01}]}, ["i1", "i2", "i3"]),
        ({"caps": [{"attribute": "category_l1", "most": 2}]}, ["i0", "i1"]),
    ],
    ids=["none", "filter", "pin", "boost", "bury", "cap"],
)
def test_the_next_call_obeys_a_rule(house: House, rules: dict[str, Any], wanted: list[str]) -> None:
    assert shown(house) == ["i0", "i1", "i2"]
    assert put(house, rules).status_code == 200
    answer = answer_of(house)
    assert [item["item_id"] for item in answer["items"]] == wanted
    assert [item["rank"] for item in answer["items"]] == list(range(1, len(wanted) + 1))
    assert answer["short"] == 3 - len(wanted)
    assert answer["why_short"] == ("rules_and_stock_leave_too_few" if answer["short"] else None)
    assert put(house, {}).status_code == 200
    assert shown(house) == ["i0", "i1", "i2"], "taken back, the rule is gone on the next call"


def test_the_popular_list_and_the_bulk_call_obey_the_same_rules(house: House) -> None:
    put(house, {"only": {"not": OFF}})
    assert shown(house, "?personalised=false&store_id=s1&n=3") == ["i3", "i1", "i4"]
    who = Caller("t", "app", "mini-program", "")
    answer = bulk.recommend(house.runtime, who, ["m01", "nobody"], slate="again", n=2, store_id=None, request_id="r")
    rows = json.loads(answer)["results"]
    assert [[item["item_id"] for item in row["items"]] for row in rows] == [["i1", "i3"], ["i1", "i3"]]


def test_a_pin_never_shows_what_is_sold_out_just_bought_or_over(house: House) -> None:
    pins = [{"item_id": "i9", "place": 0}, {"item_id": "i8", "place": 1, "ends": "2026-03-01"}]
    put(house, {"pins": pins})
    assert shown(house, "?list=again&n=2&store_id=s1") == ["i9", "i0"], "the pin of i8 ended yesterday"
    stock = {
        "event_id": "s",
        "kind": "stock",
        "at": "2026-03-02T10:00:00",
        "store_id": "s1",
        "item_id": "i9",
        "qty": 0,
    }
    order = {"event_id": "o", "kind": "order", "at": "2026-03-02T10:00:00", "member_id": "m02", "item_id": "i9"}
    house.ask("app", "POST", "/v1/events", json={"events": [stock, order]})
    assert shown(house, "?list=again&n=2&store_id=s1") == ["i0", "i1"]
    assert "i9" not in shown(house, "?list=again&n=2", "m02")


def test_places_that_the_own_list_leaves_are_filled_with_popular_items_or_counted(house: House) -> None:
    answer = answer_of(house, "?list=mixed&n=10")
    assert len({item["item_id"] for item in answer["items"]}) == 10 and answer["short"] == 0
    assert {item["reason"]["code"] for item in answer["items"][6:]} == {"POPULAR"}
    again = answer_of(house, "?list=again&n=10")
    assert len(again["items"]) == 6 and again["short"] == 4, "what was never bought is not filled in"


def test_rules_that_leave_nothing_of_the_own_list_say_so(house: House) -> None:
    put(house, {"only": {"is": ["item_id", "i9"]}})
    answer = answer_of(house)
    assert (answer["source"], answer["fallback_reason"]) == ("fallback", "nothing_allowed")
    assert [item["item_id"] for item in answer["items"]] == ["i9"] and answer["short"] == 2


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        ({"only": {"is": ["list_yuan", "9.9"]}}, "list_yuan"),
        ({"only": {"not": {"any": [{"is": ["price", "1"]}]}}}, "price"),
        ({"price": 9.9}, "price"),
        ({"pins": [{"item_id": "i1", "place": 0, "price": 9.9}]}, "price"),
        ({"caps": [{"attribute": "paid_yuan", "most": 1}]}, "paid_yuan"),
        ({"weights": [{"condition": {"is": ["colour", "red"]}, "factor": 2}]}, "colour"),
        ({"weights": [{"condition": OFF, "factor": 0}]}, "factor"),
        ({"pins": [{"item_id": "i99", "place": 0}]}, "i99"),
        ({"pins": [{"item_id": "i1", "place": 0, "ends": "soon"}]}, "soon"),
        ({"pins": "i1"}, "pins"),
        ({"only": []}, "rules.condition"),
        ({"only": {"all": 3}}, "recommendations"),
    ],
)
def test_a_rule_about_money_or_one_that_does_not_fit_is_refused_by_name(
    house: House, rules: dict[str, Any], named: str
) -> None:
    answer = put(house, rules)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"] == "invalid_request" and named in answer.json()["error"]["message"]
    assert house.ledger.rules() == {}
    assert shown(house) == ["i0", "i1", "i2"]


def test_rules_are_compiled_once_a_change_and_not_once_a_call(house: House) -> None:
    put(house, {"only": {"not": OFF}})
    shown(house)
    before = house.runtime.shop_rules.compilations
    for _ in range(5):
        shown(house)
    assert house.runtime.shop_rules.compilations == before
    put(house, {"only": OFF})
    assert shown(house) == ["i0", "i2"]
    assert house.runtime.shop_rules.compilations == before + 1


def test_a_new_release_gets_the_rules_too_and_a_pin_that_it_does_not_know_is_left_out(house: House) -> None:
    put(house, {"only": {"not": OFF}, "pins": [{"item_id": "i9", "place": 0}]})
    folder = write_small_release(house.home / "releases", "r2")
    assert folder.is_dir() and house.runtime.look()
    assert shown(house) == ["i9", "i1", "i3"]
    kept = house.ledger.rules()["recommendations"]
    kept["pins"].append({"item_id": "i99", "place": 1})
    house.ledger.put_rules({"recommendations": kept}, actor="t", at=house.clock.now)
    assert shown(house) == ["i9", "i1", "i3"]
    shutil.rmtree(folder)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_the_short_way_of_a_list_is_that_of_the_rules(data: st.DataObject) -> None:
    items, n = 12, data.draw(st.integers(1, 8))
    codes = np.array(data.draw(st.lists(st.integers(-1, items - 1), max_size=12)), np.int32)
    hidden = frozenset(data.draw(st.sets(st.integers(0, items - 1), max_size=5)))
    allowed = np.array(data.draw(st.lists(st.booleans(), min_size=items, max_size=items)))
    rules = Compiled(allowed, np.ones(items), (), ())
    short, long = (
        first_allowed(codes, n, rules, hidden),
        apply_rules([Rung.of("own", codes)], n, rules, hidden=hidden),
    )
    assert short.codes.tolist() == long.codes.tolist() and short.scores.tolist() == long.scores.tolist()
    assert (short.rungs, short.short) == (long.rungs, long.short)
