"""The member's card, recommendations, consents, events, export and deletion over HTTP."""

import dataclasses
import datetime as dt
from typing import Any

import numpy as np
import pytest
from house import House
from hypothesis import given, settings
from hypothesis import strategies as st
from small_brand import MEMBERS, NOW

from outreach.member_words import rhythm_reasons
from serving.answers.members import own_numbers, window
from serving.releases import Served
from serving.schemas import MemberAnswer, RecommendationAnswer, WhyAnswer
from training.reasons import GROUPS

SCORES = ("churn_probability", "return_probability", "expected_spend_yuan")


def items(house: House, member: str, query: str = "", role: str = "app") -> list[str]:
    answer = house.ask(role, "GET", f"/v1/members/{member}/recommendations{query}")
    assert answer.status_code == 200, answer.text
    return [item["item_id"] for item in answer.json()["items"]]


def test_the_card_shows_the_four_things_in_words_with_the_members_own_numbers(house: House) -> None:
    answer = house.ask("guide", "GET", "/v1/members/m01")
    card = MemberAnswer.model_validate(answer.json())
    assert card.churn_words.zh == "很久没来，需要关心：一般每32天来一次，这次已经61天没来"
    assert card.tier == "A" and card.preference[0].name == "护肤"
    assert str(card.window.median) == "2026-03-21", "20 days to the next purchase is the 20th day from as_of"
    assert card.model_version == "churn:3+items:1@r1" and card.source == "model"


def test_a_guide_never_sees_a_probability(house: House) -> None:
    for path in ("/v1/members/m01", "/v1/members/m01/recommendations", "/guide/members/m01"):
        text = house.ask("guide", "GET", path).text
        assert "0.88" not in text and "%" not in text.replace("100%", "")
    guide, chief = (house.ask(role, "GET", "/v1/members/m01").json() for role in ("guide", "admin"))
    assert all(guide[name] is None and chief[name] is not None for name in SCORES)


def test_a_minor_is_not_scored_and_gets_the_popular_list(house: House) -> None:
    card = house.ask("guide", "GET", "/v1/members/minor").json()
    assert card["tier"] is None and card["window"]["median"] is None
    assert items(house, "minor", "?store_id=s1&n=4") == ["i3", "i2", "i1", "i0"]


def test_each_slate_is_its_own_and_n_is_respected(house: House) -> None:
    again, new = items(house, "m01", "?list=again&n=3"), items(house, "m01", "?list=new&n=3")
    assert again == ["i0", "i1", "i2"] and new == ["i1", "i2", "i3"]
    answer = house.ask("guide", "GET", "/v1/members/m01/recommendations?list=again").json()
    assert RecommendationAnswer.model_validate(answer).items[0].due_days == 7
    for query in ("?n=0", "?n=51", "?n=x", "?list=all", "?personalised=maybe", "?price=1"):
        assert house.ask("app", "GET", f"/v1/members/m01/recommendations{query}").status_code == 400, query


def test_an_old_card_answers_as_the_member_it_was_merged_into(house: House) -> None:
    assert house.ask("guide", "GET", "/v1/members/old-card").json()["member_id"] == "m01"
    body = {"consents": [{"purpose": "personalised_recommendation", "state": "refused"}]}
    house.ask("app", "PUT", "/v1/members/old-card/consents", json=body)
    assert house.ask("app", "GET", "/v1/members/m01/recommendations").json()["fallback_reason"] == "opted_out"


def test_reasons_name_the_members_own_item_in_both_languages(house: House) -> None:
    item = house.ask("app", "GET", "/v1/members/m01/recommendations").json()["items"][0]
    assert item["reason"] == {"code": "because_bought", "zh": "因为买过玫瑰身体乳", "en": "Because of 玫瑰身体乳"}
    shown = house.ask("guide", "GET", "/v1/guides/g1/contact-list").json()["items"][0]["suggestions"]
    assert [one["why"]["en"] for one in shown] == ["Due again", "Because of 修护精华"]


def test_without_personalisation_everybody_gets_the_same_list(house: House) -> None:
    wanted = items(house, "m01", "?personalised=false&store_id=s1")
    assert wanted == items(house, "m05", "?personalised=false&store_id=s1")
    assert wanted == ["i3", "i2", "i1", "i0", "i4", "i5", "i6", "i7", "i8", "i9"], "the store's, then the brand's"
    body = {"consents": [{"purpose": "personalised_recommendation", "state": "refused"}]}
    house.ask("app", "PUT", "/v1/members/m01/consents", json=body)
    answer = house.ask("app", "GET", "/v1/members/m01/recommendations?store_id=s1").json()
    assert [item["item_id"] for item in answer["items"]] == wanted
    assert (answer["personalised"], answer["source"], answer["fallback_reason"]) == (False, "fallback", "opted_out")


def test_an_unknown_member_of_the_mini_program_gets_the_popular_list_and_a_reason(house: House) -> None:
    answer = house.ask("app", "GET", "/v1/members/new-today/recommendations").json()
    assert answer["fallback_reason"] == "unknown_member" and answer["items"][0]["item_id"] == "i0"


def test_what_is_sold_out_or_was_just_bought_is_left_out_on_the_next_call(house: House) -> None:
    stock = {"event_id": "s", "kind": "stock", "at": NOW.isoformat(), "store_id": "s1", "item_id": "i0", "qty": 0}
    order = {"event_id": "o", "kind": "order", "at": NOW.isoformat(), "member_id": "m01", "item_id": "i1"}
    posted = house.ask("app", "POST", "/v1/events", json={"events": [stock, order]}).json()
    assert [row["status"] for row in posted["results"]] == [201, 201]
    assert items(house, "m01", "?list=again&n=2&store_id=s1") == ["i2", "i3"]
    assert items(house, "m01", "?list=again&n=2") == ["i2", "i3"], "the member's own store is s1"
    assert items(house, "m01", "?list=again&n=2&store_id=s2") == ["i0", "i2"], "sold out in one store only"
    again = house.ask("app", "POST", "/v1/events", json=order | {"item_id": "i5"})
    assert again.status_code == 409


def test_what_was_shown_is_logged_in_its_final_order(house: House) -> None:
    answer = house.ask("app", "GET", "/v1/members/m02/recommendations?n=4").json()
    house.runtime.journal.flush()
    shown = house.ledger.exposures(NOW.date().replace(day=3))
    assert shown["items"].iloc[0] == [item["item_id"] for item in answer["items"]]
    assert shown["request_id"].iloc[0] == answer["request_id"]


def test_one_item_is_the_same_to_all_and_carries_no_price(house: House) -> None:
    """Whoever asks for whomever, however: an item is told with the same facts, and nothing about money is among them."""
    seen: dict[str, dict[str, Any]] = {}

    @given(
        member=st.sampled_from([*sorted(MEMBERS), "nobody"]),
        slate=st.sampled_from(["again", "new", "mixed"]),
        n=st.integers(1, 50),
        store=st.sampled_from([None, "s1", "s2"]),
        personalised=st.booleans(),
        basket=st.lists(st.sampled_from(["i0", "i4", "i9"]), unique=True),
        role=st.sampled_from(["app", "operator", "guide"]),
    )
    @settings(max_examples=60, deadline=None, database=None)
    def ask(member: str, role: str, **question: Any) -> None:
        question["list"], question["store_id"] = question.pop("slate"), question.pop("store")
        answer = house.ask(role, "POST", "/v1/recommendations", json={"member_id": member, **question})
        if role == "guide" and answer.status_code == 404:
            return  # somebody else's member
        assert answer.status_code == 200, answer.text
        for item in answer.json()["items"]:
            assert not any(
                word in name for name in item for word in ("price", "yuan", "discount", "coupon", "amount")
            )
            facts = {name: item[name] for name in ("title", "category")}
            assert seen.setdefault(item["item_id"], facts) == facts

    ask()
    assert len(seen) >= 8


def test_items_beside_an_item_and_an_unknown_item(house: House) -> None:
    similar = house.ask("app", "GET", "/v1/items/i0/similar?n=2").json()["items"]
    together = house.ask("analyst", "GET", "/v1/items/i0/bought-together?n=2").json()["items"]
    assert [i["item_id"] for i in similar] == ["i1", "i2"] and [i["item_id"] for i in together] == ["i4", "i3"]
    assert house.ask("app", "GET", "/v1/items/none/similar").status_code == 404


def test_a_member_can_have_everything_that_is_held(house: House) -> None:
    house.ask("guide", "GET", "/v1/members/m01")
    held = house.ask("operator", "GET", "/v1/members/m01/export").json()
    assert held["member"]["member_id"] == "m01"
    assert [task["task_id"] for task in held["ledger"]["contact_task"]] == ["T-g1-m01"]
    assert any(row["action"] == "member.view" for row in held["ledger"]["audit"])
    release = house.runtime.served.release
    row = release.index("m01")
    assert row is not None
    assert list(held["profile"]) == list(release.manifest["columns"])
    assert held["predictions"]["churn_probability"] == round(float(release.predictions["churn_probability"][row]), 6)
    assert held["labels"]["tier"] == release.label("tier", row) and held["curve"]["0"] == 1.0
    assert [item["item_id"] for item in held["item_lists"]["again"]] == [
        f"i{c}" for c in release.items.slates["again"][row]
    ]
    assert len(held["bought_items"]) == len(release.items.owned(row))


def test_what_was_noted_under_an_old_card_is_the_members_too(house: House) -> None:
    consent = {"purpose": "marketing_sms", "state": "refused", "source": "import", "at": NOW}
    house.ledger.put_consents([consent | {"member_id": "old-card"}])
    for name in ("m01", "old-card"):
        held = house.ask("operator", "GET", f"/v1/members/{name}/export").json()
        assert held["member"]["member_id"] == "m01"
        assert [row["purpose"] for row in held["ledger"]["consent"]] == ["marketing_sms"]


def test_a_forgotten_member_is_gone_from_every_answer_and_every_file(house: House) -> None:
    house.ask("guide", "GET", "/v1/members/m02")
    before = house.runtime.served.release
    owned = {m: before.items.owned(row).tolist() for row, m in enumerate(before.ids.astype(str).tolist())}
    receipt = house.ask("admin", "DELETE", "/v1/members/m02")
    assert receipt.status_code == 200, receipt.text
    assert receipt.json()["ledger"]["contact_task"] == 1 and receipt.json()["releases"] == {"r1": "r1.r2"}
    assert "m02" not in receipt.text
    assert house.ask("guide", "GET", "/v1/members/m02").status_code == 404
    assert house.ask("app", "GET", "/v1/members/m02/recommendations").json()["fallback_reason"] == "unknown_member"
    listed = house.ask("guide", "GET", "/v1/guides/g1/contact-list").json()["items"]
    assert [task["member_id"] for task in listed] == ["m01", "m03", "m04"]
    assert house.ask("admin", "DELETE", "/v1/members/m02").status_code == 404
    house.runtime.journal.flush()
    after = house.runtime.served.release
    assert after.people is not None and after.friend is not None and len(after.friend) == len(after.ids)
    del owned["m02"]
    assert {m: after.items.owned(row).tolist() for row, m in enumerate(after.ids.astype(str).tolist())} == owned
    mine = after.ids[after.people.of("guide", "g1")].astype(str).tolist()
    assert mine == ["m01", "m03", "m04", "minor"]
    left = [p for p in (house.home / "releases").rglob("*") if p.is_file() and b"m02" in p.read_bytes()]
    assert left == []
    if house.ledger.engine.dialect.name == "sqlite":
        for row in house.ledger.audit_trail():
            assert row["member_id"] != "m02"


@pytest.mark.parametrize("role", ["guide", "manager", "app", "analyst"])
def test_only_head_office_deletes_and_exports(house: House, role: str) -> None:
    assert house.ask(role, "DELETE", "/v1/members/m01").status_code == 403
    assert house.ask(role, "GET", "/v1/members/m01/export").status_code == 403


def test_every_stage_and_every_missing_window_has_words_in_both_languages() -> None:
    from outreach.member_words import stage_words, window_words
    from training.stages import STAGES

    assert all(stage_words(stage)["en"] != stage for stage in STAGES)  # type: ignore[index]
    assert window_words(None, None, None, "return_unlikely")["en"] == "a return is unlikely, no date is given"
    assert window_words(None, None, None, "return_unlikely", 180) == {
        "zh": "180天内回来的可能较小，不估计日期",
        "en": "a return within 180 days is unlikely, no date is given",
    }
    assert "data" in window_words(None, None, None, "not_enough_data")["en"]
    assert "passed" in window_words(None, None, None, "window_passed")["en"]


def test_one_purchase_long_ago_is_not_expected_back_within_the_brands_horizon(house: House) -> None:
    card = house.ask("guide", "GET", "/v1/members/m04").json()
    assert card["churn_words"] == {
        "zh": "近60天内不太会回来：只买过1次，120天前",
        "en": "not expected back within 60 days: one purchase, 120 days ago",
    }


def test_no_date_of_the_card_lies_before_today_when_nights_have_failed(house: House) -> None:
    """Told on the day as_of: 4, 20 and 50 days, which are the 5th, 21st of March and the 20th of April."""

    def window(day: dt.date) -> dict[str, Any]:
        house.clock.now = dt.datetime.combine(day, NOW.time())
        found: dict[str, Any] = house.ask("guide", "GET", "/v1/members/m01").json()["window"]
        return found

    def dates(found: dict[str, Any]) -> list[str | None]:
        return [found[name] for name in ("low", "median", "high")]

    assert dates(window(NOW.date())) == ["2026-03-05", "2026-03-21", "2026-04-20"]
    assert dates(window(dt.date(2026, 3, 10))) == ["2026-03-10", "2026-03-21", "2026-04-20"]
    late = window(dt.date(2026, 4, 20))
    assert dates(late) == ["2026-04-20"] * 3 and late["null_reason"] is None
    passed = window(dt.date(2026, 4, 21))
    assert dates(passed) == [None] * 3 and passed["null_reason"] == "window_passed"
    assert passed["sentence"]["en"] == "the expected dates have passed, no new ones are known yet"


def test_a_return_that_is_unlikely_is_so_within_the_days_that_the_release_looks_ahead(house: House) -> None:
    served = house.runtime.served
    release = served.release
    labels = {**release.manifest["labels"], "next_null_reason": ["return_unlikely"]}
    codes = {**release.codes, "next_null_reason": np.zeros(len(release.ids), np.uint8)}
    days = {f"next_{name}_days": np.full(len(release.ids), np.nan, np.float32) for name in ("low", "median", "high")}
    without = dataclasses.replace(
        release,
        manifest={**release.manifest, "labels": labels},
        codes=codes,
        predictions={**release.predictions, **days},
    )
    found = window(dataclasses.replace(served, release=without), 0, NOW.date())
    assert found["null_reason"] == "return_unlikely" and found["high"] is None
    assert found["sentence"]["en"] == "a return within 180 days is unlikely, no date is given"


def test_why_says_three_things_at_most_with_the_members_own_numbers(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = [{"code": group.code, "zh": group.name_zh, "en": group.name_en} for group in GROUPS]
    weighed = [(group, 1.0 - place / 10) for place, group in enumerate(groups)]
    monkeypatch.setattr(Served, "reasons", lambda served, row: weighed)
    answer = WhyAnswer.model_validate(house.ask("guide", "GET", "/v1/members/m01/why").json())
    assert [reason.code for reason in answer.reasons] == ["last_visit", "frequency", "trend"]
    assert "61 days ago, usually every 32 days" in answer.reasons[0].en and "9 visits" in answer.reasons[1].en
    assert answer.numbers == {"days_since": 61.0, "own_gap_days": 32.0, "usual_gap_days": 32.0, "visits": 9.0}
    monkeypatch.setattr(Served, "reasons", lambda served, row: [])
    once = WhyAnswer.model_validate(house.ask("guide", "GET", "/v1/members/m04/why").json())
    assert [reason.code for reason in once.reasons] == ["RECENCY", "FREQUENCY", "RHYTHM"]
    assert once.numbers["own_gap_days"] is None
    assert once.reasons[2].en == "members like this usually every 60 days"


def test_the_usual_gap_is_the_members_own_from_the_second_visit_on(house: House) -> None:
    served = house.runtime.served
    row = served.release.index("m06")
    assert row is not None
    vectors = np.array(served.release.vectors)
    vectors[row, served.columns.index("gap_mean_days")] = 116.0
    own = dataclasses.replace(served, release=dataclasses.replace(served.release, vectors=vectors))
    numbers = own_numbers(own, row)
    assert (numbers["own_gap_days"], numbers["usual_gap_days"]) == (116.0, 50.0)
    assert "平时约116天来一次" in [reason["zh"] for reason in rhythm_reasons(*numbers.values())]


def test_the_card_names_the_channels_that_the_list_was_allowed(house: House) -> None:
    assert house.ask("guide", "GET", "/v1/members/m01").json()["channels"] == ["wecom_1v1", "call_human"]
    refusal = {"purpose": "marketing_call", "state": "refused"}
    answer = house.ask("guide", "PUT", "/v1/members/m01/consents", json={"consents": [refusal]})
    assert answer.json()["channels"] == ["wecom_1v1"]
    assert house.ask("guide", "GET", "/v1/members/m01").json()["channels"] == ["wecom_1v1"]
