"""The worker's state in, the REST app out: routes, pages, one error shape, and an OpenAPI file that names roles."""

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from features.errors import InputError
from serving.access import ROUTES
from serving.errors import ApiError, answer_api_error, error_response, ledger_away
from serving.routes import bulk, hot, items, lists, members, operation, pages
from serving.runtime import Runtime

TITLE = "Huitou 回头"
ABOUT = (
    "Who of a brand's members will come back, when, for what, and whom a guide should contact today. "
    "Every answer says its model_version, as_of and source; errors have one shape."
)


def rest_app(runtime: Callable[[], Runtime], hot_routes: hot.HotRoutes) -> FastAPI:
    """The REST app. `runtime` is called per request, so that building the app opens nothing."""
    app = FastAPI(
        title=TITLE, description=ABOUT, version=version("huitou"), docs_url=None, redoc_url=None, openapi_url=None
    )
    app.state.runtime = runtime
    app.state.hot = hot_routes
    for module in (hot, lists, members, items, bulk, operation, pages):
        app.include_router(module.routes)
    app.add_exception_handler(ApiError, answer_api_error)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(InputError, _answer_input)
    app.add_exception_handler(Exception, _answer_fault)
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = named_roles(plain())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # the way FastAPI is extended
    return app


def named_roles(schema: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI file with each route's roles, and 400 instead of FastAPI's 422."""
    roles = {(route.method.lower(), route.template): route.roles for route in ROUTES}
    schema["components"].setdefault("securitySchemes", {})["token"] = {"type": "http", "scheme": "bearer"}
    for path, methods in schema["paths"].items():
        for method, said in methods.items():
            said["responses"].pop("422", None)
            allowed = roles[method, path]
            said["x-roles"] = sorted(allowed) if allowed else ["anyone"]
            if allowed:
                said["security"] = [{"token": []}]
    for unused in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(unused, None)
    return schema


async def _answer_validation(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # Where and what, never the value: it may hold somebody's data.
    detail = [{"where": ".".join(map(str, one["loc"])), "what": one["msg"]} for one in error.errors()[:20]]
    return error_response(
        ApiError(400, "invalid_request", "the request does not fit the interface; see /docs", detail)
    )


async def _answer_http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    codes = {404: "not_found", 405: "method_not_allowed"}
    code = codes.get(error.status_code, "invalid_request" if error.status_code < 500 else "internal_error")
    return error_response(ApiError(error.status_code, code, str(error.detail)))


async def _answer_input(_: Request, error: Exception) -> Response:
    return error_response(ApiError(400, "invalid_request", str(error)))


async def _answer_fault(request: Request, error: Exception) -> Response:
    if request.app.state.runtime().ledger.is_away(error):
        return error_response(ledger_away())
    # The gate logs what it was; the caller learns the request's id from the header.
    return error_response(ApiError(500, "internal_error", "something failed on our side"))
