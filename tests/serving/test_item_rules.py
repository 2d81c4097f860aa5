"""Rules for items that head office sets hold on the next call, for every route that recommends."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from house import House
from hypothesis import given, settings
from hypothesis import strategies as st
from small_brand import write_small_release

from serving import bulk
from serving.access import Caller
from serving.answers.lists import store_of_guide
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


def serve(house: House, *, size: int = 10, off: Sequence[int] = (), last: dict[int, str] | None = None) -> None:
    """Serve the small release with more items, some of them not sellable or with a last day on sale."""
    served = house.runtime.served
    items = served.release.items
    more = [{**items.catalogue[0], "item_id": f"i{code}", "category_l1": "新"} for code in range(10, size)]
    rows = [{**row, "off_shelf_date": (last or {}).get(code)} for code, row in enumerate([*items.catalogue, *more])]
    none = np.full((len(more), items.similar.shape[1]), -1, np.int32)
    wider = replace(
        items,
        item_ids=tuple(row["item_id"] for row in rows),
        catalogue=tuple(rows),
        similar=np.concatenate([items.similar, none]),
        together=np.concatenate([items.together, none]),
        sold=np.arange(size, dtype=np.int32) % 500 + 1,  # all were sold: none is tried by chance
        sellable=(~np.isin(np.arange(size), off)).astype(np.uint8),
        cycle_days=np.full(size, np.nan, np.float32),
    )
    manifest = {**served.release.manifest, "release_id": f"{size}{off}{last}"}
    release = replace(served.release, items=wider, manifest=manifest)
    house.runtime.releases._served = replace(served, release=release)


@pytest.mark.parametrize("how", [{"off": (2, 3)}, {"last": {2: "2026-03-01", 3: "2026-02-28", 4: "2026-03-02"}}])
def test_what_is_not_on_sale_is_shown_in_no_way(house: House, how: dict[str, Any]) -> None:
    serve(house, **how)
    put(house, {"pins": [{"item_id": "i2", "place": 0}]})
    found = {
        "own": shown(house, "?list=again&n=10"),
        "new": shown(house, "?list=new&n=10", "m05"),
        "mixed": shown(house, "?list=mixed&n=10"),
        "popular": shown(house, "?personalised=false&store_id=s1&n=10"),
        "unknown": shown(house, "?n=10", "nobody"),
    }
    body = {"basket": ["i0", "i1"], "n": 10}
    found["context"] = [
        one["item_id"] for one in house.ask("app", "POST", "/v1/recommendations", json=body).json()["items"]
    ]
    for path in ("similar", "bought-together"):
        answer = house.ask("app", "GET", f"/v1/items/i0/{path}?n=10").json()
        found[path] = [one["item_id"] for one in answer["items"]]
    for name, ids in found.items():
        assert ids and not {"i2", "i3"} & set(ids), (name, ids)
    assert "i4" in found["similar"] and "i4" in found["popular"], "the last day on sale is one"
    told = house.ask("guide", "GET", "/v1/items/i3/members").json()
    assert told["why_none"] == "not_sold_now"


def test_a_narrow_filter_is_filled_from_the_whole_catalogue(house: House) -> None:
    serve(house, size=1_000, off=range(900, 990))
    put(house, {"only": {"is": ["category_l1", "新"]}})
    sell_out(house, "i499", "s1")
    wanted = ["i999", "i498", "i998", "i497", "i997"]  # by baskets ever; i499 is sold out
    for query in ("?list=mixed&n=5&store_id=s1", "?list=new&n=5&store_id=s1", "?personalised=false&n=5&store_id=s1"):
        answer = answer_of(house, query)
        assert [item["item_id"] for item in answer["items"]] == wanted, query
        assert {item["rung"] for item in answer["items"]} == {"catalogue"}
        assert answer["items"][0]["reason"] == {"code": "on_sale", "zh": "本品牌在售", "en": "on sale in the brand"}
        assert (answer["short"], answer["why_short"]) == (0, None)
    before = house.runtime.shop_rules.compilations
    assert len(shown(house, "?personalised=false&n=50")) == 50
    assert house.runtime.shop_rules.compilations == before, "the order of the catalogue is kept with the rules"


def test_a_short_list_says_truly_why(house: House) -> None:
    assert answer_of(house, "?list=again&n=10")["why_short"] == "too_few_known", "six items were ever bought"
    assert answer_of(house, "?list=new&n=10")["why_short"] == "too_few_known", "there are four others"
    assert answer_of(house, "?n=11")["why_short"] == "too_few_known", "there are ten items"
    put(house, {"only": {"not": OFF}})
    assert answer_of(house, "?list=again&n=5")["why_short"] == "rules_and_stock_leave_too_few"
    assert answer_of(house, "?n=10")["why_short"] == "rules_and_stock_leave_too_few"


def sell_out(house: House, item: str, store: str) -> None:
    one = {"event_id": f"{item}{store}", "kind": "stock", "at": "2026-03-02T10:00:00", "store_id": store}
    assert house.ask("app", "POST", "/v1/events", json=one | {"item_id": item, "qty": 0}).status_code == 200


def test_stock_holds_without_being_asked_for_and_the_answer_says_whose(house: House) -> None:
    sell_out(house, "i1", "s1")
    sell_out(house, "i2", "s2")
    answer = answer_of(house)  # the mini-program: the member's own store
    assert (answer["store_id"], [item["item_id"] for item in answer["items"]]) == ("s1", ["i0", "i2", "i3"])
    asked = answer_of(house, "?list=again&n=3&store_id=s2")
    assert (asked["store_id"], [item["item_id"] for item in asked["items"]]) == ("s2", ["i0", "i1", "i3"])
    # A guide's own store counts, whoever is asked about.
    said = house.ask("other_guide", "POST", "/v1/recommendations", json={"member_id": "m07", "n": 10}).json()
    assert said["store_id"] == "s2" and "i2" not in [item["item_id"] for item in said["items"]]
    beside = house.ask("guide", "GET", "/v1/items/i0/similar").json()
    assert beside["store_id"] == "s1" and "i1" not in [item["item_id"] for item in beside["items"]]
    rows = bulk.recommend(
        house.runtime,
        Caller("t", "app", "mini", ""),
        ["m01", "m07", "nobody"],
        slate="mixed",
        n=3,
        store_id=None,
        request_id="r",
    )
    assert [row["store_id"] for row in json.loads(rows)["results"]] == ["s1", "s2", None]


@pytest.mark.parametrize("opted_out", [False, True])
def test_without_personalisation_the_own_store_of_a_member_changes_nothing(house: House, opted_out: bool) -> None:
    sell_out(house, "i1", "s1")
    sell_out(house, "i2", "s2")
    query = "?n=10" if opted_out else "?n=10&personalised=false"
    if opted_out:
        body = {"consents": [{"purpose": "personalised_recommendation", "state": "refused"}]}
        for member in ("m01", "m07"):
            house.ask("app", "PUT", f"/v1/members/{member}/consents", json=body)
    answers = [answer_of(house, query, member) for member in ("m01", "m07")]
    assert [one["store_id"] for one in answers] == [None, None]
    assert answers[0]["items"] == answers[1]["items"] and len(answers[0]["items"]) == 10
    said = house.ask("guide", "GET", f"/v1/members/m01/recommendations{query}").json()
    assert said["store_id"] == "s1" and "i1" not in [item["item_id"] for item in said["items"]]


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


def test_a_guide_without_a_store_stands_in_none(house: House) -> None:
    assert store_of_guide(house.runtime, "g1") == "s1"
    house.runtime.served.guides["g1"]["store_id"] = None
    assert store_of_guide(house.runtime, "g1") is None
