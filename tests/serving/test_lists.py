"""The guide's day over HTTP: the list, outcomes, undo, opt-outs."""

from typing import Any

import pytest
from house import House
from small_brand import NOW

from serving.schemas import ContactListAnswer

LIST = "/v1/guides/g1/contact-list"


def outcome(member: str, word: str, event: str, guide: str = "g1") -> dict[str, Any]:
    return {
        "event_id": event,
        "task_id": f"T-{guide}-{member}",
        "outcome": word,
        "at": NOW.isoformat(),
        "channel": "wecom_1v1",
    }


def members(house: House, role: str = "guide") -> list[str]:
    return [task["member_id"] for task in house.ask(role, "GET", LIST).json()["items"]]


def test_a_guide_sees_todays_list_in_its_order_with_reason_items_and_draft(house: House) -> None:
    answer = house.ask("guide", "GET", LIST)
    assert answer.status_code == 200
    found = ContactListAnswer.model_validate(answer.json())
    assert [task.member_id for task in found.items] == ["m01", "m02", "m03", "m04"]
    first = found.items[0]
    assert first.reason and "61天没来" in first.reason.zh and first.draft and first.suggestions[0].title == "舒缓面霜"
    assert (first.display_name, first.tier, first.stage, first.last_purchase) == ("王*0", "A", "沉默", "2025-12-31")
    assert found.excluded == {"gap": 5, "holdout": 2} and found.progress.total == 4


def test_scores_and_propensities_are_for_head_office_only(house: House) -> None:
    for role, sees in (("guide", False), ("manager", False), ("operator", True), ("admin", True)):
        task = house.ask(role, "GET", LIST).json()["items"][0]
        assert (task["propensity"] == 0.5) is sees and (task["score_yuan"] is not None) is sees
        assert (task["components"] is not None) is sees


def test_a_list_has_an_etag_that_changes_with_an_outcome(house: House) -> None:
    first = house.ask("guide", "GET", LIST)
    tag = first.headers["etag"]
    again = house.ask("guide", "GET", LIST, headers={"If-None-Match": tag})
    assert again.status_code == 304 and again.content == b""
    house.ask("guide", "POST", "/v1/contact-outcomes", json=outcome("m01", "sent", "e1"))
    assert house.ask("guide", "GET", LIST, headers={"If-None-Match": tag}).status_code == 200


def test_an_outcome_sent_twice_is_noted_once_and_another_body_is_a_conflict(house: House) -> None:
    statuses = [
        house.ask("guide", "POST", "/v1/contact-outcomes", json=body).status_code
        for body in (outcome("m01", "sent", "e1"), outcome("m01", "sent", "e1"), outcome("m01", "replied", "e1"))
    ]
    assert statuses == [201, 200, 409]
    assert house.ask("guide", "GET", "/v1/contact-tasks/T-g1-m01").json()["task"]["state"] == "sent"


def test_a_batch_of_five_hundred_has_a_status_per_row(house: House) -> None:
    rows = [outcome("m01", "sent", f"e{i}") for i in range(498)]
    rows += [outcome("m07", "sent", "other", guide="g3"), outcome("m01", "replied", "e0")]
    answer = house.ask("guide", "POST", "/v1/contact-outcomes", json={"outcomes": rows})
    assert answer.status_code == 200
    statuses = [row["status"] for row in answer.json()["results"]]
    assert statuses[:498] == [201] * 498 and statuses[498:] == [404, 409]
    again = house.ask("guide", "POST", "/v1/contact-outcomes", json={"outcomes": rows[:498]}).json()
    assert {row["status"] for row in again["results"]} == {200}
    too_many = house.ask("guide", "POST", "/v1/contact-outcomes", json={"outcomes": rows[:498] + rows[:3]})
    assert too_many.status_code == 400


@pytest.mark.parametrize("word", ["do_not_contact", "unfriended", "complaint", "wrong_person"])
def test_who_asks_not_to_be_contacted_is_gone_from_the_next_list_and_back_after_undo(house: House, word: str) -> None:
    house.ask("guide", "POST", "/v1/contact-outcomes", json=outcome("m02", word, "e1"))
    assert members(house) == ["m01", "m03", "m04"]
    assert house.ask("guide", "GET", LIST).json()["removed"] == [{"reason": word, "count": 1}]
    assert house.ask("guide", "DELETE", "/v1/contact-outcomes/e1").json()["state"] == "pending"
    assert members(house) == ["m01", "m02", "m03", "m04"]


def test_an_outcome_can_be_taken_back_for_half_an_hour(house: House) -> None:
    house.ask("guide", "POST", "/v1/contact-outcomes", json=outcome("m02", "sent", "e1"))
    house.clock.now = NOW.replace(hour=12)
    late = house.ask("guide", "DELETE", "/v1/contact-outcomes/e1")
    assert late.status_code == 409 and late.json()["error"]["code"] == "too_late"
    assert house.ask("manager", "DELETE", "/v1/contact-outcomes/e1").status_code == 200


def test_refusing_personalisation_empties_the_members_model_tasks_on_the_next_call(house: House) -> None:
    body = {"consents": [{"purpose": "personalised_recommendation", "state": "refused"}]}
    assert house.ask("app", "PUT", "/v1/members/m03/consents", json=body).json()["personalised"] is False
    assert members(house) == ["m01", "m02", "m04"]


def test_a_channel_that_was_refused_is_not_offered_and_none_left_means_no_task(house: House) -> None:
    def refuse(purpose: str) -> None:
        body = {"consents": [{"purpose": purpose, "state": "withdrawn"}]}
        assert house.ask("app", "PUT", "/v1/members/m01/consents", json=body).status_code == 200

    refuse("marketing_wecom")
    assert house.ask("guide", "GET", LIST).json()["items"][0]["channels"] == ["call_human"]
    refuse("marketing_call")
    assert "m01" not in members(house)


def test_who_bought_today_or_was_reached_by_another_guide_leaves_the_list(house: House) -> None:
    order = {"event_id": "o1", "kind": "order", "at": NOW.isoformat(), "member_id": "m01", "item_id": "i1"}
    assert house.ask("app", "POST", "/v1/events", json=order).status_code == 200
    assert members(house) == ["m02", "m03", "m04"]
    assert house.ask("guide", "GET", LIST).json()["removed"] == [{"reason": "bought_since", "count": 1}]


def test_live_state_only_removes_so_that_the_order_stays_as_logged(house: House) -> None:
    before = house.ask("operator", "GET", LIST).json()["items"]
    house.ask("guide", "POST", "/v1/contact-outcomes", json=outcome("m02", "do_not_contact", "e1"))
    after = house.ask("operator", "GET", LIST).json()["items"]
    kept = [(t["task_id"], t["rank"], t["propensity"]) for t in before if t["member_id"] != "m02"]
    assert [(t["task_id"], t["rank"], t["propensity"]) for t in after] == kept


def test_new_lists_are_made_by_a_job_asked_for_once(house: House) -> None:
    body = {"date": "2026-03-03", "store": "s1", "reason": "two guides fell ill", "idempotency_key": "k1"}
    first = house.ask("manager", "POST", "/v1/contact-lists:regenerate", json=body)
    assert first.status_code == 202 and first.headers["location"] == f"/v1/jobs/{first.json()['job_id']}"
    assert (
        house.ask("manager", "POST", "/v1/contact-lists:regenerate", json=body).json()["job_id"]
        == first.json()["job_id"]
    )
    other = house.ask("manager", "POST", "/v1/contact-lists:regenerate", json=body | {"reason": "another"})
    assert other.status_code == 409
    assert house.ask("manager", "GET", first.headers["location"]).json()["state"] == "waiting"
    assert (
        house.ask("manager", "POST", "/v1/contact-lists:regenerate", json=body | {"store": "s2"}).status_code == 403
    )
    missing = house.ask("operator", "GET", "/v1/guides/g1/contact-list?date=2026-03-03")
    assert missing.status_code == 409 and missing.headers["retry-after"], "the list is being built"
    for other_list in ("g3/contact-list?date=2026-03-03", "g1/contact-list?date=2026-03-04", "g9/contact-list"):
        answer = house.ask("operator", "GET", f"/v1/guides/{other_list}")
        assert answer.status_code == 404, "nobody is making this one"


def test_a_guide_without_a_list_is_told_so(house: House) -> None:
    assert house.ask("guide", "GET", f"{LIST}?date=2026-03-01").status_code == 404
    wrong = house.ask("guide", "GET", f"{LIST}?date=soon")
    assert wrong.status_code == 400 and "YYYY-MM-DD" in wrong.json()["error"]["message"]


def test_a_manager_hands_tasks_over_and_the_other_guide_may_see_the_member(house: House) -> None:
    assert house.ask("manager", "PUT", "/v1/guides/g1/leave", json={"since": "2026-03-02"}).json()["on_leave"]
    moved = house.ask(
        "manager", "POST", "/v1/contact-tasks:reassign", json={"task_ids": ["T-g2-m05"], "guide_id": "g1"}
    )
    assert moved.json()["moved"] == 1
    assert "m05" in members(house)
    assert house.ask("guide", "GET", "/v1/members/m05").status_code == 200
    abroad = house.ask(
        "manager", "POST", "/v1/contact-tasks:reassign", json={"task_ids": ["T-g2-m06"], "guide_id": "g3"}
    )
    assert abroad.status_code == 404, "a manager cannot hand members to another store"
    rows = {g["guide_id"]: g for g in house.ask("manager", "GET", "/v1/stores/s1/guides").json()["guides"]}
    assert rows["g1"]["on_leave"] and rows["g1"]["tasks"] == 5 and not rows["g2"]["on_leave"]
    assert not house.ask("manager", "DELETE", "/v1/guides/g1/leave").json()["on_leave"]
