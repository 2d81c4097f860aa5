"""What every route needs: the worker's state, the caller, an answer as JSON, and the note that somebody looked."""

from collections.abc import Mapping
from typing import Annotated, Any

import orjson
from fastapi import Depends, Request
from fastapi.routing import APIRouter
from starlette.responses import Response

from serving.access import Call, call_of
from serving.runtime import Runtime
from serving.schemas import ErrorAnswer

SAID = {
    400: "the request is not understood",
    401: "no valid token",
    403: "the role may not do this",
    404: "there is no such thing, or it is somebody else's",
    409: "it cannot be done now",
    413: "the body is too large",
    429: "too many requests",
    503: "no release is loaded, or the ledger cannot be reached",
}


def router(tag: str) -> APIRouter:
    """A router whose routes say which errors they may answer."""
    errors: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorAnswer, "description": said} for status, said in SAID.items()
    }
    return APIRouter(tags=[tag], responses=errors)


def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime()
    return runtime


State = Annotated[Runtime, Depends(_runtime)]
Asked = Annotated[Call, Depends(call_of)]


def said(answer: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Plain data as a JSON response."""
    return Response(orjson.dumps(answer, default=str), status, dict(headers or {}), "application/json")


def audit(runtime: Runtime, call: Call, action: str, member_id: str = "", detail: str | None = None) -> None:
    """Note who saw or did what."""
    runtime.journal.audit(
        {
            "at": runtime.now(),
            "actor": call.who.token_id,
            "role": call.who.role,
            "action": action,
            "member_id": member_id,
            "detail": detail,
        }
    )
