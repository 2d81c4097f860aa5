"""Whom to tell about an item: own members only, within what each allows, best first, and no probability for a guide."""

import datetime as dt
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from house import House
from small_brand import AS_OF, MEMBERS, NOW

from serving.answers.telling import interested
from serving.releases import Served


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


def changed(served: Served, manifest: dict[str, Any] | None = None, methods: Any = None, **items: Any) -> Served:
    """The same release with other item arrays, or other words on which method made each list."""
    release = served.release
    said = {**release.manifest, **(manifest or {})}
    there = replace(release.items, **items)
    return Served(replace(release, manifest=said, items=there, item_methods=methods), served.stores, served.guides)


def order_of(served: Served, code: int, passed: int = 0) -> list[str]:
    found = interested(served, np.arange(len(served.release.ids)), code, passed)
    return [served.release.ids[row].decode() for row in found.rows]


def lists_of(rows: dict[int, list[int]]) -> Any:
    codes = np.full((9, 6), -1, np.int32)
    for row, items in rows.items():
        codes[row, : len(items)] = items
    return codes


@pytest.fixture
def mixed_scales(house: House) -> Served:
    """Item 4 stands on lists of every kind: rows 0 to 3 may buy it again, 4 and 5 have it as new, 6 is served by the
    ladder, 7 owns item 5, which is close to it. The minor is row 8."""
    scores = np.full((9, 6), 0.01, np.float32)
    scores[3, 0], new = 0.9, np.full((9, 6), 40.0, np.float32)
    new[5] = 60.0
    due = np.full((9, 6), -1, np.int16)
    due[2, 1], due[3, 0] = 5, 6
    own: list[list[int]] = [[4], [1, 4], [1, 4], [4], [], [], [], [5], []]
    return changed(
        house.runtime.served,
        slates={
            "again": lists_of({0: [4], 1: [1, 4], 2: [1, 4], 3: [4]}),
            "new": lists_of({4: [4], 5: [2, 4], 6: [4]}),
            "mixed": lists_of({}),
        },
        scores={"again": scores, "new": new, "mixed": scores},
        due_days=due,
        rung=np.array([0, 0, 0, 0, 0, 0, 1, 0, 0], np.uint8),
        own_at=np.cumsum([0, *map(len, own)]).astype(np.int64),
        own=np.concatenate(own).astype(np.int32),
    )


def test_scores_of_different_scales_are_never_compared(mixed_scales: Served) -> None:
    # Due first, then by place on the list to buy again; then as new, by place; then near; the ladder's popular list last.
    assert order_of(mixed_scales, 4) == ["m04", "m03", "m01", "m02", "m05", "m06", "m08", "m07"]


def test_probabilities_order_members_within_a_slate(mixed_scales: Served) -> None:
    said = {"slates": ["again", "new", "mixed"], "names": ["popularity", "ranker"]}
    said |= {"methods": dict.fromkeys(said["slates"], "ranker"), "calibrated": {"again": True, "new": True}}
    scores = {**mixed_scales.release.items.scores}
    scores["again"] = scores["again"].copy()
    scores["again"][1, 1] = 0.5
    scores["again"][2, 1] = 0.95
    methods = np.ones((9, 3), np.uint8)
    methods[4, 1] = 0  # what a plain recommender counted stands beside a probability
    served = changed(mixed_scales, {"item_methods": said}, methods, scores=scores)
    assert order_of(served, 4)[:4] == ["m03", "m04", "m02", "m01"]
    assert order_of(served, 4)[4:6] == ["m05", "m06"], "not all are probabilities: the place counts"
    methods[6, 1] = 0  # the ladder's list is no reason not to compare the others'
    methods[4, 1] = 1
    assert order_of(changed(served, None, methods), 4)[4:6] == ["m06", "m05"]


def test_who_is_due_changes_with_the_days(mixed_scales: Served) -> None:
    due = mixed_scales.release.items.due_days.copy()
    due[2, 1], due[3, 0], due[1, 1] = 20, 20, 9
    served = changed(mixed_scales, due_days=due)
    assert order_of(served, 4)[:4] == ["m01", "m04", "m02", "m03"]
    assert order_of(served, 4, passed=2)[:4] == ["m02", "m01", "m04", "m03"]


def test_closeness_is_the_place_in_each_of_the_two_tables(house: House) -> None:
    similar = np.full((10, 20), -1, np.int32)
    similar[9, :3] = [1, 2, 3]
    together = np.full((10, 4), -1, np.int32)
    together[9, :2] = [-1, 4]  # what leads nowhere keeps its place
    own: list[list[int]] = [[3], [4], [1], [2], [3, 4], [], [], [], []]
    nothing = lists_of({})
    served = changed(
        house.runtime.served,
        similar=similar,
        together=together,
        slates={"again": nothing, "new": nothing, "mixed": nothing},
        own_at=np.cumsum([0, *map(len, own)]).astype(np.int64),
        own=np.concatenate(own).astype(np.int32),
    )
    found = interested(served, np.arange(9), 9)
    assert dict(zip(found.rows.tolist(), found.score.tolist(), strict=True)) == pytest.approx(
        {2: 1 / 2, 1: 1 / 3, 3: 1 / 3, 4: 1 / 3, 0: 1 / 4}
    )
    assert order_of(served, 9) == ["m03", "m02", "m04", "m05", "m01"]


def test_who_bought_it_just_before_the_release_rests(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    release = house.runtime.served.release
    items = release.items
    due = items.due_days.copy()
    due[2, 1] = 12  # m03 has i3 for another 12 days
    due[1, 2] = due[3, 0] = -1  # nobody knows how long m02's and m04's last
    due[0, 3] = 6
    recency = release.predictions["recency_days"].copy()
    cards = {}
    for row, days, item in ((0, 10, "i3"), (1, 25, "i3"), (3, 25, "i8")):
        recency[row] = days
        day = (AS_OF - dt.timedelta(days=days)).isoformat()
        cards[row] = {"last_visits": [{"day": day, "items": [{"item_id": item}]}]}
    monkeypatch.setitem(items.__dict__, "due_days", due)
    monkeypatch.setitem(release.predictions, "recency_days", recency)
    monkeypatch.setattr(type(release), "card", lambda self, row: cards.get(row, {}))
    answer = told(house)
    assert names(answer) == ["m04"] and answer["left_out"] == {"just_bought": 3}
    house.clock.now = NOW + dt.timedelta(days=3)  # m01 has three left of sixteen days
    assert names(told(house)) == ["m01", "m04"]
    house.clock.now = NOW + dt.timedelta(days=6)
    assert names(told(house)) == ["m03", "m01", "m04", "m02"], "m03's is due within a week, m02's month is over"


def test_the_days_told_are_those_from_today(house: House) -> None:
    assert told(house)["members"][0]["due_days"] == 7
    house.clock.now = NOW + dt.timedelta(days=3)
    assert {member["due_days"] for member in told(house)["members"]} == {4}
    house.clock.now = NOW + dt.timedelta(days=9)
    assert {member["due_days"] for member in told(house)["members"]} == {0}


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
