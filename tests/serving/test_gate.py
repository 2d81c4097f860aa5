"""Errors in one shape, limits, headers, sessions, metrics and logs."""

import asyncio
import io
import json
import logging
import re
from typing import Any

import pytest
from house import SHARED, House
from small_brand import NOW

from serving.gate import Limited, Pace
from serving.logs import JsonLines
from serving.settings import ServingSettings


def assert_error(answer: Any, status: int, code: str) -> None:
    """The one shape of an error."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"error"} and set(answer.json()["error"]) == {"code", "message", "detail"}
    assert answer.json()["error"]["code"] == code


def test_every_kind_of_error_has_the_one_shape(house: House) -> None:
    assert_error(house.ask("guide", "GET", "/nowhere"), 404, "not_found")
    assert_error(house.ask("guide", "PATCH", "/v1/rules"), 405, "method_not_allowed")
    assert_error(house.ask("guide", "POST", "/v1/contact-outcomes", content=b"{"), 400, "invalid_request")
    assert_error(
        house.ask("guide", "POST", "/v1/contact-outcomes", json={"outcome": "bribed"}), 400, "invalid_request"
    )
    assert_error(house.ask(None, "GET", "/v1/model"), 401, "unauthenticated")
    assert_error(house.ask("guide", "GET", "/v1/rules"), 403, "forbidden")
    assert_error(house.ask("guide", "GET", "/v1/members/zz"), 404, "not_found")


def test_a_rejected_value_is_not_said_back(house: House) -> None:
    answer = house.ask("guide", "POST", "/v1/contact-outcomes", json={"event_id": "13912345678" * 20})
    assert answer.status_code == 400 and "13912345678" not in answer.text


def test_a_fault_of_ours_says_no_more_than_its_request(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(house.ledger, "rules", broken)
    answer = house.ask("admin", "GET", "/v1/rules")
    assert_error(answer, 500, "internal_error")
    assert "secret" not in answer.text


def test_without_the_ledger_the_process_lives_and_everything_else_says_to_wait(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = house.ledger.engine.dialect.loaded_dbapi.OperationalError("the server closed the connection")

    def away(*_: object, **__: object) -> None:
        raise gone

    with monkeypatch.context() as patched:
        patched.setattr(house.ledger, "revisions", away)
        assert house.ask("guide", "GET", "/livez").status_code == 200
        assert house.ask(None, "GET", "/metrics").status_code == 200
        assert house.ask(None, "GET", "/static/app.css").status_code == 200
        for role, path in ((None, "/readyz"), ("guide", "/v1/guides/g1/contact-list"), ("guide", "/v1/members/m01")):
            answer = house.ask(role, "GET", path)
            assert answer.status_code == 503 and answer.json()["error"]["code"] == "ledger_away", path
            assert answer.headers["retry-after"]
    with monkeypatch.context() as patched:
        # It goes away in the middle of an answer.
        patched.setattr(house.ledger, "outcomes_of_member", away)
        answer = house.ask("guide", "GET", "/v1/members/m01")
        assert answer.status_code == 503 and answer.json()["error"]["code"] == "ledger_away"
    assert house.ask("guide", "GET", "/v1/members/m01").status_code == 200


def test_a_large_body_is_refused_announced_or_not(house: House) -> None:
    body = b"[" + b" " * 1_000_001
    assert_error(house.ask("guide", "POST", "/v1/contact-outcomes", content=body), 413, "body_too_large")

    async def streamed() -> int:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b" " * 600_000, "more_body": True}

        limited = Limited(receive, {}, ServingSettings().body_limit_bytes)
        await limited()
        try:
            await limited()
        except Exception as error:
            return int(getattr(error, "status", 0))
        return 0

    assert asyncio.run(streamed()) == 413


def test_who_asks_too_often_waits_and_others_do_not(house: House) -> None:
    assert SHARED.gate is not None
    SHARED.gate.pace = Pace(clock=lambda: 0.0)
    limit = house.runtime.settings.requests_per_minute
    statuses = {house.ask("guide", "GET", "/v1/guides/g1/contact-list").status_code for _ in range(limit)}
    assert statuses == {200}
    slow = house.ask("guide", "GET", "/v1/guides/g1/contact-list")
    assert_error(slow, 429, "too_many_requests")
    assert int(slow.headers["retry-after"]) >= 1
    assert house.ask("other_guide", "GET", "/v1/guides/g3/contact-list").status_code == 200


def test_a_bucket_fills_again_with_time() -> None:
    now = 0.0
    pace = Pace(clock=lambda: now)
    assert [pace.wait("a", 2) for _ in range(2)] == [0.0, 0.0]
    assert pace.wait("a", 2) == pytest.approx(30.0)
    now = 31.0
    assert pace.wait("a", 2) == 0.0


def test_pages_load_nothing_from_elsewhere_and_allow_no_inline_script(house: House) -> None:
    for path in ("/guide", "/manager", "/how-it-works", "/docs", "/guide/members/m01"):
        answer = house.ask("manager" if path == "/manager" else "guide", "GET", path)
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        addresses = re.findall(r"""(?:src|href|action)=["']([^"']+)""", answer.text)
        assert addresses and all(a.startswith(("/", "#", "?")) and not a.startswith("//") for a in addresses)
        assert not re.search(r"<script(?![^>]*(src=|application/json))|\sstyle=|\son\w+=", answer.text)
        assert answer.headers["x-frame-options"] == "DENY" and answer.headers["cache-control"] == "no-store"


def test_the_whole_page_of_a_guide_is_small(house: House) -> None:
    page = house.ask("guide", "GET", "/guide", headers={"Accept-Encoding": "identity"})
    sizes = {"/guide": len(page.content)}
    for address in set(re.findall(r'"(/static/[^"]+)"', page.text)):
        answer = house.ask(None, "GET", address, headers={"Accept-Encoding": "identity"})
        assert answer.status_code == 200 and "immutable" in answer.headers["cache-control"]
        sizes[address] = len(answer.content)
    per_task = len(page.content) / 4
    assert sum(sizes.values()) + 16 * per_task < 100_000, sizes


def test_a_session_is_a_cookie_that_no_script_reads_and_that_changes_nothing_from_elsewhere(house: House) -> None:
    signed = house.client.request("POST", "/session", json={"token": house.tokens["guide"]})
    cookie = signed.headers["set-cookie"]
    assert signed.json() == {"role": "guide", "home": "/guide"}
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie
    headers = {"Cookie": f"huitou={house.tokens['guide']}"}
    assert "王*0" in house.client.request("GET", "/guide", headers=headers).text
    body = {"event_id": "c", "task_id": "T-g1-m01", "outcome": "sent", "at": NOW.isoformat()}
    forged = house.client.request("POST", "/v1/contact-outcomes", headers=headers, json=body)
    assert_error(forged, 403, "forbidden")
    own = house.client.request(
        "POST", "/v1/contact-outcomes", headers=headers | {"X-Requested-With": "huitou"}, json=body
    )
    assert own.status_code == 201
    assert house.client.request("POST", "/session", json={"token": house.tokens["app"]}).status_code == 401


def test_a_members_name_cannot_become_markup(house: House) -> None:
    task = house.ledger.tasks_of_guide("g1", NOW.date())[0]
    assert "<" not in task["payload"]["text_zh"]
    evil = [
        {
            "list_id": "L-x",
            "guide_id": "g1",
            "store_id": "s1",
            "capacity": 1,
            "digest": "x",
            "excluded": {},
            "tasks": [{"task_id": "T-x", "rank": 1, "member_id": "m01", "text_zh": "<script>alert(1)</script>"}],
        }
    ]
    house.ledger.save_lists(NOW.date(), evil, run_id="x", at=NOW)
    page = house.ask("guide", "GET", "/guide").text
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page


def test_metrics_name_templates_and_never_ids(house: House) -> None:
    house.ask("guide", "GET", "/v1/members/m01")
    house.ask("guide", "GET", "/v1/members/zz")
    house.ask("guide", "GET", "/wp-admin/m01")
    text = house.ask(None, "GET", "/metrics").text
    assert 'huitou_requests_total{method="GET",route="/v1/members/{member_id}",status="200"} 1.0' in text
    assert 'route="(unknown)",status="404"' in text and "m01" not in text and "wp-admin" not in text
    assert "huitou_release_age_days 0.0" in text


def test_logs_are_json_without_ids_tokens_phone_numbers_or_rejected_values() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    log = logging.getLogger("test.logs")
    log.propagate = False
    log.addHandler(handler)
    try:
        raise ValueError("input_value='m0042'")
    except ValueError:
        log.exception(
            "GET /v1/members/m0042/why by ht_abcdefghijkl from 13912345678",
            extra={"route": "/v1/members/{member_id}"},
        )
    line = json.loads(stream.getvalue())
    assert line["error"] == "ValueError" and line["route"] == "/v1/members/{member_id}"
    assert not any(word in stream.getvalue() for word in ("m0042", "ht_abc", "139123"))


def test_the_description_is_served_from_our_own_files_and_names_roles(house: House) -> None:
    schema = house.ask(None, "GET", "/openapi.json").json()
    assert schema["paths"]["/v1/rules"]["put"]["x-roles"] == ["admin", "operator"]
    assert "422" not in json.dumps(schema)
    page = house.ask(None, "GET", "/docs").text
    assert "/v1/contact-outcomes" in page and "https://" not in page.replace("https://json-schema.org", "")


def test_rules_are_checked_and_an_unknown_one_lists_the_known(house: House) -> None:
    wrong = house.ask("operator", "PUT", "/v1/rules", json={"rules": {"price": 1}})
    assert_error(wrong, 400, "invalid_request")
    assert "monthly_cap" in wrong.json()["error"]["detail"]["known"]
    for name, value in {"monthly_cap": "x", "quiet_hours": [9, 21], "urged": [{"price": 1}], "notice": 3}.items():
        refused = house.ask("operator", "PUT", "/v1/rules", json={"rules": {name: value}})
        assert_error(refused, 400, "invalid_request")
        assert name in refused.json()["error"]["message"]
    said = {"monthly_cap": 2, "urged": ["m01"], "quiet_hours": [21, 9], "gap_days": None}
    assert house.ask("operator", "PUT", "/v1/rules", json={"rules": said}).json()["rules"] == said
    assert house.ask("operator", "PUT", "/v1/rules", json={"rules": {"notice": "今天盘点"}}).json()["rules"]["notice"]
    assert "今天盘点" in house.ask("guide", "GET", "/guide").text


def test_readiness_and_the_experiment_say_what_is_missing(house: House) -> None:
    tasks = {row["task"]: row for row in house.ask("guide", "GET", "/v1/readiness").json()["tasks"]}
    assert tasks["churn"]["need"] == {"members": 1000} and tasks["items"]["fallback"] == "popularity"
    summary = house.ask("analyst", "GET", "/v1/experiments/contact/summary").json()
    assert summary["status"] == "not_enough_data" and summary["have"]["listed"] == 7
    house.ledger.save_report("contact_experiment", NOW.date(), {"difference_yuan": 1.5})
    assert house.ask("analyst", "GET", "/v1/experiments/contact/summary").json()["result"] == {"difference_yuan": 1.5}


def test_no_field_of_the_interface_is_a_price_a_discount_or_a_coupon(house: House) -> None:
    """What money there is, is what a member spent or a contact is worth: nothing could tell two members two prices."""
    schema = house.ask(None, "GET", "/openapi.json").json()
    fields = {
        (name, field)
        for name, shape in schema["components"]["schemas"].items()
        for field in shape.get("properties", {})
    }
    assert not [one for one in fields if any(word in one[1] for word in ("price", "discount", "coupon", "amount"))]
    assert all("spend" in field or field == "score_yuan" for _, field in fields if "yuan" in field)
    items = [shape for name, shape in schema["components"]["schemas"].items() if name in ("ItemSaid", "Suggestion")]
    assert len(items) == 2 and not any("yuan" in field for shape in items for field in shape["properties"])


def test_the_summary_of_what_was_shown_is_the_newest_and_counts_while_there_is_none(house: House) -> None:
    path = "/v1/experiments/recommendations/summary"
    for _ in range(3):
        house.ask("app", "GET", "/v1/members/m01/recommendations")
    house.runtime.journal.flush()
    before = house.ask("analyst", "GET", path).json()
    assert (before["status"], before["have"], before["result"]) == ("not_enough_data", {"lists_shown": 3}, None)
    report = {"seen_by_members": {"lists": 40, "click_rate": 0.1}}
    house.ledger.save_report("recommendations", NOW.date(), report)
    after = house.ask("operator", "GET", path).json()
    assert (after["status"], after["have"], after["result"]) == ("measured", {"lists_shown": 40}, report)
    assert house.ask("guide", "GET", path).status_code == 403
