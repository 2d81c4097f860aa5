"""The two routes that are asked most: a guide's list, and a member's recommendations.

The gate answers them directly (`hot_routes`), without routing twice; `routes` describes the same functions to the REST app
and its OpenAPI file.
"""

from typing import Annotated
from urllib.parse import parse_qs

import orjson
from fastapi import Path, Query, Request, Response

from serving.access import Call, call_of
from serving.answers.lists import ListShelf, check_guide, list_date
from serving.answers.slates import MOST, SLATES, count_of, flag_of, recommendations
from serving.errors import ApiError
from serving.gate import JSON, Answer, Hot, Scope
from serving.routes.shared import State, audit, router
from serving.runtime import Runtime
from serving.schemas import ContactListAnswer, Id, RecommendationAnswer, Slate

LIST = "/v1/guides/{guide_id}/contact-list"
RECOMMENDATIONS = "/v1/members/{member_id}/recommendations"
routes = router("every day")


class HotRoutes:
    """The functions behind the two routes, and the lists they keep ready."""

    def __init__(self) -> None:
        self._shelf = ListShelf()

    def by_template(self) -> dict[str, Hot]:
        """Template -> the function that answers it."""
        return {LIST: self.contact_list, RECOMMENDATIONS: self.recommend}

    def contact_list(self, runtime: Runtime, scope: Scope, call: Call) -> Answer:
        """A guide's list as bytes, or 304 where the caller has it already."""
        query = _query(scope, {"date"})
        guide_id = call.values["guide_id"]
        check_guide(runtime, call.who, guide_id)
        date = list_date(runtime, call.live, guide_id, query.get("date"))
        body, etag, tasks = self._shelf.list_bytes(runtime, call.live, call.who, guide_id, date)
        headers = [(b"etag", etag.encode()), (b"cache-control", b"private, no-cache")]
        if _matches(scope, etag):
            return 304, headers, b""
        runtime.metrics.list_size.observe(tasks)
        audit(runtime, call, "list.view", detail=f"{guide_id} {date}")
        return 200, [JSON, (b"content-length", str(len(body)).encode()), *headers], body

    def recommend(self, runtime: Runtime, scope: Scope, call: Call) -> Answer:
        """Items for a member as bytes."""
        query = _query(scope, {"list", "n", "store_id", "personalised"})
        slate = query.get("list", "mixed")
        if slate not in SLATES:
            raise ApiError(400, "invalid_request", f"list must be one of {list(SLATES)}", {"list": slate[:40]})
        answer = recommendations(
            runtime,
            call.live,
            call.who,
            call.values["member_id"],
            slate=slate,
            n=count_of(query.get("n")),
            store_id=query.get("store_id"),
            personalised=flag_of("personalised", query.get("personalised"), True),
            request_id=call.request_id,
        )
        body = orjson.dumps(answer)
        audit(runtime, call, "member.recommendations", call.values["member_id"])
        return 200, [JSON, (b"content-length", str(len(body)).encode())], body


@routes.get(LIST, response_model=ContactListAnswer, responses={304: {"description": "unchanged"}})
def contact_list(
    guide_id: Annotated[Id, Path()],
    request: Request,
    runtime: State,
    date: Annotated[str | None, Query(description="YYYY-MM-DD; the newest day with a list by default")] = None,
) -> Response:
    """A guide's contact list of a day, with an ETag. Members who opted out since are gone from it."""
    return _response(request.app.state.hot.contact_list(runtime, request.scope, call_of(request)))


@routes.get(RECOMMENDATIONS, response_model=RecommendationAnswer)
def recommend(
    member_id: Annotated[Id, Path()],
    request: Request,
    runtime: State,
    slate: Annotated[Slate, Query(alias="list", description="buy again, new for the member, or both")] = "mixed",
    n: Annotated[int, Query(ge=1, le=MOST)] = 10,
    store_id: Annotated[
        Id | None,
        Query(description="leaves out what this store has none of; by default the caller's store, else the member's"),
    ] = None,
    personalised: Annotated[bool, Query(description="false gives the list that is equal for all")] = True,
) -> Response:
    """Items for a member. Without personalisation, or after an opt-out, the store's popular list."""
    return _response(request.app.state.hot.recommend(runtime, request.scope, call_of(request)))


def _response(answer: Answer) -> Response:
    status, headers, body = answer
    return Response(body, status, {name.decode(): value.decode() for name, value in headers})


def _query(scope: Scope, known: set[str]) -> dict[str, str]:
    raw: bytes = scope["query_string"]
    if not raw:
        return {}
    try:
        values = parse_qs(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=20)
    except ValueError as error:
        raise ApiError(400, "invalid_request", "the query cannot be read") from error
    unknown = sorted(set(values) - known)
    if unknown:
        raise ApiError(400, "invalid_request", f"unknown query {unknown}; known: {sorted(known)}")
    if any("\x00" in found[-1] for found in values.values()):
        raise ApiError(400, "invalid_request", "a query may not hold a null character")
    return {name: found[-1] for name, found in values.items()}


def _matches(scope: Scope, etag: str) -> bool:
    for name, value in scope["headers"]:
        if name == b"if-none-match":
            return etag in [part.strip().removeprefix("W/") for part in value.decode("latin-1").split(",")]
    return False
