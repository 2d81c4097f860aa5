"""Whom to tell about an item: own members only, within what each allows, best first, and no probability for a guide."""

import datetime as dt
from typing import Any

import numpy as np
import pytest
from house import House
from small_brand import MEMBERS, NOW

from serving.answers.telling import interested


def told(house: House, role: str = "guide", item: str = "i3", query: str = "") -> dict[str, Any]:
    answer = house.ask(role, "GET", f"/v1/items/{item}/members{query}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def names(answer: dict[str, Any]) -> list[str]:
    return [member["member_id"] for member in answer["members"]]


def test_a_guide_hears_of_own_members_best_first_and_without_probabilities(house: House) -> None:
    answer = told(house)
    # i3 stands first on the list of m04 (again), then of m03; m01 and m02 have it further down.
    assert names(answer) == ["m04", "m03", "m02", "m01"] and answer["why_none"] is None
    assert {MEMBERS[name][0] for name in names(answer)} == {"g1"}
    assert all(member["score"] is None for member in answer["members"])
    assert answer["members"][0]["channels"] == ["wecom_1v1"] and answer["members"][0]["due_days"] == 7
    assert answer["members"][0]["reason"]["zh"] and answer["members"][0]["display_name"]
    assert names(told(house, query="?n=2")) == ["m04", "m03"]


def test_a_manager_asks_for_the_store_and_head_office_names_whom_it_means(house: House) -> None:
    store = told(house, "manager")
    assert {MEMBERS[name][1] for name in names(store)} == {"s1"} and "m05" in names(store)
    assert names(told(house, "manager", query="?guide_id=g1")) == names(told(house))
    chief = told(house, "operator", query="?store_id=s1")
    assert names(chief) == names(store) and all(member["score"] > 0 for member in chief["members"] if member["score"])
    assert any(member["score"] for member in chief["members"])
    assert house.ask("operator", "GET", "/v1/items/i3/members").status_code == 400


@pytest.mark.parametrize(
    ("role", "query"),
    [("guide", "?guide_id=g3"), ("guide", "?store_id=s2"), ("manager", "?guide_id=g3"), ("manager", "?store_id=s2")],
)
def test_members_of_others_are_not_told_of(house: House, role: str, query: str) -> None:
    answer = house.ask(role, "GET", f"/v1/items/i3/members{query}")
    assert answer.status_code == 404 and answer.json()["error"]["code"] == "not_found"


def test_other_roles_are_refused_and_an_unknown_item_is_not_there(house: House) -> None:
    for role in ("app", "analyst"):
        assert house.ask(role, "GET", "/v1/items/i3/members").status_code == 403
    assert house.ask("guide", "GET", "/v1/items/none/members").status_code == 404


def test_who_may_not_be_contacted_is_counted_by_reason_and_not_named(house: House) -> None:
    def consent(member: str, purpose: str, state: str) -> None:
        body = {"consents": [{"purpose": purpose, "state": state}]}
        assert house.ask("app", "PUT", f"/v1/members/{member}/consents", json=body).status_code == 200

    consent("m01", "personalised_recommendation", "refused")
    consent("m02", "marketing_wecom", "refused")
    order = {"event_id": "o", "kind": "order", "at": NOW.isoformat(), "member_id": "m03", "item_id": "i3"}
    house.ask("app", "POST", "/v1/events", json=order)
    house.ledger.block("m04", "do_not_contact", "x", NOW, None)
    answer = told(house)
    assert names(answer) == [] and answer["considered"] == 4 and answer["why_none"] == "nobody_may_be_told"
    assert answer["left_out"] == {"blocked": 1, "opted_out": 1, "just_bought": 1, "no_channel": 1}
    consent("m02", "marketing_call", "granted")
    assert [(m["member_id"], m["channels"]) for m in told(house)["members"]] == [("m02", ["call_human"])]


def test_the_held_out_the_minor_and_the_lately_contacted_are_left_alone(house: House) -> None:
    store = told(house, "manager")
    assert "m06" not in names(store) and store["left_out"]["holdout"] == 1 and "minor" not in names(store)
    outcome = {"event_id": "e", "task_id": "T-g1-m01", "outcome": "sent", "at": NOW.isoformat()}
    assert house.ask("guide", "POST", "/v1/contact-outcomes", json=outcome).status_code == 201
    assert "m01" not in names(told(house)) and told(house)["left_out"] == {"contacted_lately": 1}
    assert told(house, "operator", query="?store_id=s2")["left_out"] == {"contacted_lately": 1}
    house.clock.now = NOW + dt.timedelta(days=8)
    assert "m08" in names(told(house, "operator", query="?store_id=s2"))
    assert "m01" in names(told(house))
    house.ledger.put_rules({"gap_days": 14}, actor="t", at=NOW)
    assert "m01" not in names(told(house)), "the shop's own gap holds"


def test_an_item_that_is_not_sold_now_is_told_to_nobody(house: House) -> None:
    stock = {"event_id": "s", "kind": "stock", "at": NOW.isoformat(), "store_id": "s1", "item_id": "i3", "qty": 0}
    house.ask("app", "POST", "/v1/events", json=stock)
    assert told(house)["why_none"] == "not_sold_now" and told(house)["members"] == []
    rules = {"only": {"not": {"is": ["item_id", "i5"]}}}
    house.ask("operator", "PUT", "/v1/rules", json={"rules": {"recommendations": rules}})
    assert told(house, item="i5")["why_none"] == "not_sold_now"


def test_a_look_is_in_the_audit_trail(house: House) -> None:
    told(house)
    rows = [(row["action"], row["member_id"], row["detail"]) for row in house.trail()][-5:]
    assert rows[0] == ("item.members", "", "i3 4")
    assert rows[1:] == [("member.listed_for_item", member, "i3") for member in ("m04", "m03", "m02", "m01")]


def test_the_arrays_find_what_a_loop_over_the_members_finds(house: House) -> None:
    served = house.runtime.served
    release = served.release
    rows = np.arange(len(release.ids))
    for code in range(len(release.items.item_ids)):
        near = [
            c for pair in zip(release.items.similar[code], release.items.together[code], strict=True) for c in pair
        ]
        wanted = {}
        for row in rows.tolist():
            if release.kind[row] == 2:
                continue
            on = [code in release.items.slates[name][row].tolist() for name in ("again", "new")]
            owned = set(release.items.owned(row).tolist())
            if any(on):
                wanted[row] = on.index(True)
            elif code not in owned and owned & set(near):
                wanted[row] = 2
        found = interested(served, rows, code)
        assert dict(zip(found.rows.tolist(), found.slate.tolist(), strict=True)) == wanted
        assert sorted(found.slate.tolist(), key=lambda slate: slate == 2) == found.slate.tolist()
