"""Recommendations with a basket, an item being looked at, and what happened since the night."""

import datetime as dt
from typing import Any

import pytest
from house import House
from small_brand import NOW

from serving.schemas import RecommendationAnswer


def ask(house: House, role: str = "app", **body: Any) -> dict[str, Any]:
    answer = house.ask(role, "POST", "/v1/recommendations", json=body)
    assert answer.status_code == 200, answer.text
    RecommendationAnswer.model_validate(answer.json())
    return dict(answer.json())


def ids(answer: dict[str, Any]) -> list[str]:
    return [item["item_id"] for item in answer["items"]]


def tell(house: House, kind: str, item: str, member: str = "m01", days_ago: int = 0, **more: Any) -> None:
    at = (house.clock.now - dt.timedelta(days=days_ago)).isoformat()
    body = {
        "event_id": f"{kind}{item}{member}{days_ago}",
        "kind": kind,
        "at": at,
        "item_id": item,
        "member_id": member,
    }
    assert house.ask("app", "POST", "/v1/events", json=body | more).status_code == 200


def test_what_goes_with_the_basket_moves_up_and_the_basket_itself_is_not_shown(house: House) -> None:
    plain = ask(house, member_id="m01", n=6)
    assert ids(plain) == ["i2", "i3", "i4", "i5", "i6", "i7"] and {i["rung"] for i in plain["items"]} == {"own"}
    answer = ask(house, member_id="m01", n=6, basket=["i4"], item_id="i8")
    assert not {"i4", "i8"} & set(ids(answer)) and answer["personalised"]
    assert answer["context"] == ["i8", "i4"] and answer["unknown_items"] == []
    joined = {item["item_id"]: item for item in answer["items"] if item["rung"] == "context"}
    assert "i9" in joined and joined["i9"]["reason"]["zh"] == "常与眼部凝露一起买"
    assert ids(answer).index("i5") < ids(answer).index("i3"), "i5 is bought with i4"


def test_a_list_to_buy_again_is_only_put_in_another_order(house: House) -> None:
    plain, asked = (ask(house, member_id="m01", list="again", n=10, basket=basket) for basket in ([], ["i0", "i3"]))
    assert set(ids(asked)) == set(ids(plain)) - {"i0", "i3"}
    assert {item["rung"] for item in asked["items"]} == {"own"}


def test_without_a_member_the_basket_speaks_and_then_the_store(house: House) -> None:
    answer = ask(house, basket=["i4", "nothing"], store_id="s1", n=10)
    assert (answer["member_id"], answer["personalised"], answer["fallback_reason"]) == (None, False, "no_member")
    assert answer["unknown_items"] == ["nothing"] and answer["context"] == ["i4"]
    rungs = [item["rung"] for item in answer["items"]]
    assert rungs == sorted(rungs, key=["context", "store", "brand"].index) and set(rungs) == {
        "context",
        "store",
        "brand",
    }
    assert len(ids(answer)) == 9 and answer["short"] == 1 and answer["why_short"], (
        "there are ten items, one is in the basket"
    )
    assert ids(ask(house, member_id="nobody", basket=["i4"], store_id="s1", n=5)) == ids(answer)[:5]


def test_what_was_bought_or_brought_back_vanishes_on_the_next_call(house: House) -> None:
    assert "i2" in ids(ask(house, member_id="m01", list="again"))
    tell(house, "order", "i2")
    tell(house, "return", "i1")
    for slate in ("again", "new", "mixed"):
        assert not {"i1", "i2"} & set(ids(ask(house, member_id="m01", list=slate, n=10))), slate
        assert not {"i1", "i2"} & set(ids_of_get(house, slate)), slate
    assert "i2" in ids(ask(house, member_id="m02", list="again")), "others see it"


def ids_of_get(house: House, slate: str) -> list[str]:
    return ids(house.ask("app", "GET", f"/v1/members/m01/recommendations?list={slate}&n=10").json())


def test_a_consumable_comes_back_when_it_is_due_and_says_in_how_many_days(house: House) -> None:
    tell(house, "order", "i3")
    assert "i3" not in ids(ask(house, member_id="m01", list="again"))
    house.clock.now = NOW + dt.timedelta(days=14)
    assert "i3" not in ids(ask(house, member_id="m01", list="again")), "it lasts 20 days"
    house.clock.now = NOW + dt.timedelta(days=15)
    again = {item["item_id"]: item for item in ask(house, member_id="m01", list="again")["items"]}
    assert again["i3"]["due_days"] == 5, "of its 20 days 15 are over"
    assert "i3" not in ids(ask(house, member_id="m01", list="new", n=10)), "bought once, it is not new"


def again_of(house: House, member: str = "m01") -> dict[str, Any]:
    return {item["item_id"]: item for item in ask(house, member_id=member, list="again", n=10)["items"]}


def test_three_pieces_last_three_cycles(house: House) -> None:
    tell(house, "order", "i3", qty=3)
    tell(house, "order", "i3", "m02", qty=0.2)
    tell(house, "order", "i3", "m03", qty=10**6)
    for days, back in ((14, set()), (15, {"m02"}), (52, {"m02"}), (53, {"m01", "m02"}), (358, {"m01", "m02", "m03"})):
        house.clock.now = NOW + dt.timedelta(days=days)
        assert {member for member in ("m01", "m02", "m03") if "i3" in again_of(house, member)} == back, days
    house.clock.now = NOW + dt.timedelta(days=53)
    assert again_of(house)["i3"]["due_days"] == 7 and again_of(house, "m02")["i3"]["due_days"] == 0


def test_days_until_it_is_due_are_those_from_today(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = [{"code": "due", "zh": "到期复购，约{days}天后用完", "en": "Due again in about {days} days"}] * 2
    monkeypatch.setitem(house.runtime.served.__dict__, "item_reasons", reasons)
    tell(house, "view", "i9", "m02")
    for member in ("m01", "m02"):
        for days, left, said in ((0, 7, "约7天后用完"), (3, 4, "约4天后用完"), (7, 0, ""), (30, 0, "")):
            house.clock.now = NOW + dt.timedelta(days=days)
            item = again_of(house, member)["i2"]
            assert item["due_days"] == left
            assert item["reason"]["zh"] == ("到期复购，" + said).rstrip("，"), (member, days)
    house.clock.now = NOW
    tell(house, "order", "i3")
    for days, left, said in ((15, 5, "到期复购，约5天后用完"), (20, 0, "到期复购"), (40, 0, "到期复购")):
        house.clock.now = NOW + dt.timedelta(days=days)
        assert (again_of(house)["i3"]["due_days"], again_of(house)["i3"]["reason"]["zh"]) == (left, said)


def test_what_was_only_bought_before_is_called_due_once_it_is(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    bought = {"code": "bought_before", "zh": "买过的商品", "en": "Bought before"}
    reasons = [bought, *house.runtime.served.item_reasons]
    monkeypatch.setitem(house.runtime.served.__dict__, "item_reasons", reasons)
    assert again_of(house)["i2"]["reason"]["zh"] == "到期复购，约7天后用完"
    items = house.runtime.served.release.items
    monkeypatch.setitem(items.__dict__, "due_days", items.due_days + 10)
    house.runtime.served.__dict__["_reasons"].clear()
    assert again_of(house)["i2"]["reason"]["zh"] == "买过的商品"
    house.clock.now = NOW + dt.timedelta(days=12)
    assert again_of(house)["i2"]["reason"]["zh"] == "到期复购，约5天后用完"


def test_an_item_without_a_cycle_rests_for_a_month_and_a_returned_one_for_half_a_year(house: House) -> None:
    tell(house, "order", "i0", "m01", 31)
    assert "i0" in ids(ask(house, member_id="m01", list="again"))
    tell(house, "order", "i0", "m01", 29)
    assert "i0" not in ids(ask(house, member_id="m01", list="again"))
    tell(house, "return", "i1", "m01", 100)
    assert "i1" not in ids(ask(house, member_id="m01", list="again"))
    tell(house, "return", "i2", "m01", 200)
    assert "i2" in ids(ask(house, member_id="m01", list="again"))
    tell(house, "order", "i1", "m01", 60)
    assert "i1" in ids(ask(house, member_id="m01", list="again")), "bought again since, and long ago"


def test_what_was_viewed_since_the_night_is_folded_in_and_stays(house: House) -> None:
    before = ids(ask(house, member_id="m01", n=6))
    tell(house, "view", "i6")
    after = ask(house, member_id="m01", n=6)
    assert ids(after).index("i6") < before.index("i6"), "what was looked at moves up"
    assert ids(after).index("i7") < before.index("i7"), "and what is like it"
    tell(house, "view", "i0", "m02", 30)
    assert ids(ask(house, member_id="m02", n=6)) == ["i3", "i4", "i5", "i6", "i7", "i8"], (
        "the release knows of that time"
    )


def test_an_event_of_an_old_card_counts_for_the_member(house: House) -> None:
    tell(house, "order", "i2", "old-card")
    assert "i2" not in ids(ask(house, member_id="m01", list="again"))
    assert "i2" not in ids(ask(house, member_id="old-card", list="again"))


def test_rules_and_stock_hold_for_the_context_too(house: House) -> None:
    rules = {"only": {"not": {"is": ["item_id", "i9"]}}, "pins": [{"item_id": "i4", "place": 0}]}
    house.ask("operator", "PUT", "/v1/rules", json={"rules": {"recommendations": rules}})
    stock = {"event_id": "s", "kind": "stock", "at": NOW.isoformat(), "store_id": "s1", "item_id": "i5", "qty": 0}
    house.ask("app", "POST", "/v1/events", json=stock)
    found = ask(house, member_id="m01", item_id="i8", store_id="s1", n=10)
    assert not {"i9", "i5", "i8"} & set(ids(found))
    assert (found["items"][0]["item_id"], found["items"][0]["rung"]) == ("i4", "pin")
    assert ids(ask(house, member_id="m01", basket=["i4"], n=1)) != ["i4"], "a pin does not sell what is in the basket"


@pytest.mark.parametrize("how", ["asked", "opted_out", "minor", "bulk"])
def test_without_personalisation_nothing_about_the_member_or_the_basket_shows(house: House, how: str) -> None:
    popular = ids(ask(house, personalised=False, store_id="s1", n=10))
    assert popular == ["i3", "i2", "i1", "i0", "i4", "i5", "i6", "i7", "i8", "i9"]
    tell(house, "order", "i3")
    tell(house, "view", "i8")
    question: dict[str, Any] = {"basket": ["i4"], "item_id": "i8", "store_id": "s1", "n": 10}
    if how == "asked":
        assert ids(ask(house, member_id="m01", personalised=False, **question)) == popular
        assert ids(ask(house, personalised=False, **question)) == popular
        path = "/v1/members/m01/recommendations?personalised=false&store_id=s1&n=10"
        assert ids(house.ask("app", "GET", path).json()) == popular
    elif how == "opted_out":
        body = {"consents": [{"purpose": "personalised_recommendation", "state": "refused"}]}
        house.ask("app", "PUT", "/v1/members/m01/consents", json=body)
        house.ask("app", "PUT", "/v1/members/newcomer/consents", json=body)
        for member in ("m01", "newcomer"):
            answer = ask(house, member_id=member, **question)
            assert ids(answer) == popular and answer["fallback_reason"] == "opted_out" and answer["context"] == []
    elif how == "minor":
        answer = ask(house, member_id="minor", **question)
        assert ids(answer) == popular and answer["fallback_reason"] == "not_scored"
    else:
        import json

        from serving import bulk
        from serving.access import Caller

        who = Caller("t", "app", "mini-program", "")
        answer = bulk.recommend(
            house.runtime,
            who,
            ["m01", "m05", "nobody"],
            slate="new",
            n=10,
            store_id="s1",
            request_id="r",
            personalised=False,
        )
        assert [ids(row) for row in json.loads(answer)["results"]] == [popular] * 3


def test_a_guide_asks_for_own_members_only_and_gets_no_scores(house: House) -> None:
    assert house.ask("guide", "POST", "/v1/recommendations", json={"member_id": "m07"}).status_code == 404
    assert house.ask("manager", "POST", "/v1/recommendations", json={"member_id": "m07"}).status_code == 404
    assert all(item["score"] is None for item in ask(house, "guide", member_id="m01")["items"])
    ask(house, "guide", basket=["i1"])
    seen = [(row["action"], row["member_id"]) for row in house.trail() if row["role"] == "guide"]
    assert seen == [("member.recommendations", "m01"), ("recommendations", "")]


@pytest.mark.parametrize(
    "body",
    [{"n": 0}, {"n": 51}, {"basket": ["i"] * 51}, {"list": "all"}, {"price": 3}, {"member_id": ""}, {"basket": "i1"}],
)
def test_a_question_that_does_not_fit_is_refused(house: House, body: dict[str, Any]) -> None:
    answer = house.ask("app", "POST", "/v1/recommendations", json=body)
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "invalid_request"


def test_items_beside_an_item_obey_rules_and_stock_and_say_what_is_missing(house: House) -> None:
    rules = {"only": {"not": {"is": ["item_id", "i2"]}}, "pins": [{"item_id": "i9", "place": 0}]}
    house.ask("operator", "PUT", "/v1/rules", json={"rules": {"recommendations": rules}})
    stock = {"event_id": "s", "kind": "stock", "at": NOW.isoformat(), "store_id": "s1", "item_id": "i1", "qty": 0}
    house.ask("app", "POST", "/v1/events", json=stock)
    for path, wanted in (("similar", ["i3", "i4"]), ("bought-together", ["i4", "i3"])):
        answer = house.ask("app", "GET", f"/v1/items/i0/{path}?store_id=s1&n=4").json()
        assert ids(answer) == wanted and answer["short"] == 2, path
        assert answer["why_short"] == "rules_and_stock_leave_too_few"
        assert {item["rung"] for item in answer["items"]} == {"similar" if path == "similar" else "together"}
    assert "i1" in ids(house.ask("app", "GET", "/v1/items/i0/similar").json()), "in another store there is some"
    wide = house.ask("app", "GET", "/v1/items/i5/similar?n=9").json()
    assert wide["short"] == 5 and wide["why_short"] == "too_few_known"
