"""Every route, every role: who gets in, who is told 403, and that nothing of another's shows."""

from typing import Any

import pytest
from house import WHO, House
from small_brand import NOW

from serving.access import ROUTES, Doors, Route
from serving.app import rest_app
from serving.routes.hot import HotRoutes

BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/v1/contact-outcomes"): {
        "event_id": "walk",
        "task_id": "T-g1-m01",
        "outcome": "sent",
        "at": NOW.isoformat(),
    },
    ("POST", "/v1/contact-lists:regenerate"): {
        "date": "2026-03-02",
        "store": "s1",
        "reason": "walk",
        "idempotency_key": "walk",
    },
    ("POST", "/v1/contact-tasks:reassign"): {"task_ids": ["T-g1-m02"], "guide_id": "g2"},
    ("PUT", "/v1/guides/{guide_id}/leave"): {"since": "2026-03-02"},
    ("PUT", "/v1/members/{member_id}/consents"): {"consents": [{"purpose": "marketing_sms", "state": "refused"}]},
    ("POST", "/v1/events"): {"event_id": "walk", "kind": "order", "at": NOW.isoformat(), "member_id": "m08"},
    ("PUT", "/v1/rules"): {"rules": {"monthly_cap": 2}},
    ("POST", "/v1/recommendations"): {"member_id": "m01", "basket": ["i1"], "item_id": "i2", "n": 3},
    ("POST", "/session"): {"token": "ht_nobody"},
    **{
        ("POST", f"/{call}"): {"member_ids": ["m01", "zz"]}
        for call in ("churn", "next_purchase", "value", "recommend")
    },
}
IDS = {
    "guide_id": "g1",
    "task_id": "T-g1-m01",
    "event_id": "nothing",
    "job_id": "nothing",
    "store_id": "s1",
    "member_id": "m01",
    "item_id": "i1",
    "name": "app.css",
}
# BentoML's own description of the typed calls is BentoML's to answer.
REST = [route for route in ROUTES if route.template != "/schema.json"]


def walk(house: House, route: Route, role: str | None) -> Any:
    options: dict[str, Any] = {}
    if (route.method, route.template) in BODIES:
        options["json"] = BODIES[route.method, route.template]
    return house.ask(role, route.method, route.template.format(**IDS), **options)


def test_the_table_names_exactly_the_routes_that_there_are() -> None:
    app = rest_app(lambda: None, HotRoutes())  # type: ignore[arg-type, return-value]
    described = {(method.upper(), path) for path, methods in app.openapi()["paths"].items() for method in methods}
    assert described == {(route.method, route.template) for route in REST}


def test_every_route_lets_in_the_roles_of_the_table_and_no_other(house: House) -> None:
    for route in sorted(REST, key=lambda r: r.method == "DELETE"):
        for role in (None, *WHO):
            status = walk(house, route, role).status_code
            allowed = route.roles is None or (role or "").removeprefix("other_") in route.roles
            where = f"{route.method} {route.template} as {role}: {status}"
            if not allowed:
                assert status == (401 if role is None else 403), where
            elif route.template != "/session":
                assert status not in (401, 403) or role == "manager", where
            assert status < 500, where


@pytest.mark.parametrize(
    "path",
    [
        "/v1/guides/g1/contact-list",
        "/v1/contact-tasks/T-g1-m01",
        "/v1/members/m01",
        "/v1/members/m01/why",
        "/v1/members/m01/recommendations",
    ],
)
def test_another_guides_member_is_not_there(house: House, path: str) -> None:
    stranger, nobody = house.ask("other_guide", "GET", path), path.replace("m01", "zz").replace("g1", "g9")
    assert stranger.status_code == 404
    missing = house.ask("other_guide", "GET", nobody)
    assert missing.status_code == 404
    assert stranger.json()["error"]["code"] == missing.json()["error"]["code"] == "not_found"


def test_a_guide_cannot_note_or_undo_or_refuse_for_anothers_member(house: House) -> None:
    body = BODIES["POST", "/v1/contact-outcomes"]
    assert house.ask("guide", "POST", "/v1/contact-outcomes", json=body).status_code == 201
    assert house.ask("other_guide", "POST", "/v1/contact-outcomes", json=body | {"event_id": "x"}).status_code == 404
    assert house.ask("other_guide", "DELETE", "/v1/contact-outcomes/walk").status_code == 404
    consents = BODIES["PUT", "/v1/members/{member_id}/consents"]
    assert house.ask("other_guide", "PUT", "/v1/members/m01/consents", json=consents).status_code == 404


def test_a_manager_sees_the_own_store_only(house: House) -> None:
    for path in (
        "/v1/members/m07",
        "/v1/guides/g3/contact-list",
        "/v1/stores/s2/guides",
        "/v1/contact-tasks/T-g3-m07",
    ):
        assert house.ask("manager", "GET", path).status_code == 404, path
    assert house.ask("manager", "GET", "/v1/members/m05").status_code == 200


def test_a_guide_may_note_a_refusal_but_not_a_consent(house: House) -> None:
    body = {"consents": [{"purpose": "marketing_sms", "state": "granted"}]}
    assert house.ask("guide", "PUT", "/v1/members/m01/consents", json=body).status_code == 403
    assert house.ask("app", "PUT", "/v1/members/m01/consents", json=body).status_code == 200


def test_a_revoked_an_expired_and_an_invented_token_are_refused_alike(house: House) -> None:
    holder = house.ledger.holder(house.tokens["guide"], NOW)
    assert holder is not None
    house.ledger.revoke_token(holder.token_id, at=NOW)
    revoked = house.ask("guide", "GET", "/v1/model")
    invented = house.client.request("GET", "/v1/model", headers={"Authorization": "Bearer ht_invented"})
    assert revoked.status_code == invented.status_code == 401
    assert revoked.json() == invented.json() and revoked.headers["www-authenticate"] == "Bearer"


def test_every_view_of_a_member_is_in_the_audit_trail(house: House) -> None:
    house.ask("guide", "GET", "/v1/members/m01")
    house.ask("guide", "GET", "/v1/members/m01/why")
    house.ask("guide", "GET", "/v1/members/m01/recommendations")
    house.ask("guide", "GET", "/v1/guides/g1/contact-list")
    house.ask("guide", "GET", "/v1/contact-tasks/T-g1-m01")
    house.ask("guide", "GET", "/guide/members/m01")
    seen = [row["action"] for row in house.trail() if row["role"] == "guide"]
    wanted = ["member.view", "member.why", "member.recommendations", "list.view", "task.view", "member.view"]
    assert seen == wanted
    assert all(house.tokens["guide"] not in str(row) for row in house.trail())


def test_doors_are_found_by_shape_and_unknown_ones_are_not() -> None:
    doors = Doors()
    route, values = doors.find("GET", "/v1/members/m 1/why")
    assert route is not None and values == {"member_id": "m 1"}
    assert doors.find("GET", "/v1/members//why") == (None, {})
    assert doors.find("GET", "/docs.json")[0] is None
    assert doors.methods_of("/v1/rules") == ["GET", "PUT"]
