"""Every error of the service in one shape: {"error": {"code", "message", "detail"}}."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response


class ApiError(Exception):
    """An answer other than success: the status, a code for programs, a sentence for people, and details."""

    def __init__(
        self, status: int, code: str, message: str, detail: Any = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.detail = status, code, message, detail
        self.headers = dict(headers or {})


def not_found(what: str, name: str) -> ApiError:
    """404: there is no such thing, or it is somebody else's; the answer is the same for both."""
    return ApiError(404, "not_found", f"no {what} {name!r} here")


def ledger_away() -> ApiError:
    """503: the ledger cannot be reached, and without it nobody can be let in and nothing kept back."""
    return ApiError(
        503, "ledger_away", "the ledger cannot be reached at the moment; try again", None, {"retry-after": "5"}
    )


def error_body(code: str, message: str, detail: Any = None) -> bytes:
    """The one shape."""
    return orjson.dumps({"error": {"code": code, "message": message, "detail": detail}}, default=str)


def error_response(error: ApiError) -> Response:
    """An ApiError as a response."""
    body = error_body(error.code, error.message, error.detail)
    return Response(body, error.status, error.headers, "application/json")


async def answer_api_error(_: Request, error: Exception) -> Response:
    """FastAPI's handler for ApiError."""
    assert isinstance(error, ApiError)
    return error_response(error)
