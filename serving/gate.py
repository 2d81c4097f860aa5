"""The one middleware in front of both doors: who calls, may they, how often, how large; then headers, metrics, errors.

Plain ASGI, because every request pays for it. It knows a request's route before anything else does: metrics and logs name
templates and never ids, and unknown paths never reach the code behind.
"""

import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

import orjson

from outreach.ledger.live import Live
from serving.access import BULK, Call, Caller, Doors, Route
from serving.errors import ApiError, error_body, ledger_away
from serving.runtime import Runtime

log = logging.getLogger("huitou.gate")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Answer = tuple[int, list[tuple[bytes, bytes]], bytes]
Hot = Callable[[Runtime, Scope, Call], Answer]
Shortcut = Callable[[Runtime, Call, bytes], bytes | Awaitable[bytes] | None]

COOKIE = "huitou"
# A browser sends this header only from our own page's script: a cookie alone may not change anything.
PAGE_HEADER = b"x-requested-with"
# The programs' roles call for many members at once; a person taps.
PROGRAMS = frozenset({"app", "analyst", "operator", "admin"})
PROGRAM_FACTOR = 100

SECURITY = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        b"manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
]
# Answered without asking the ledger: whether the process lives must not depend on whether the database does.
WITHOUT_LEDGER = frozenset({"/livez", "/metrics", "/static/{name}"})
JSON = (b"content-type", b"application/json")
NO_STORE = (b"cache-control", b"no-store")


class Gate:
    """ASGI middleware.

    Args:
        app: what stands behind: BentoML's app with both doors.
        runtime: gives the worker's state.
        rest: the REST app, for paths that BentoML would answer itself (health, metrics).
        hot: templates answered right here, without routing twice: template -> function.
        shortcuts: typed calls whose plain JSON bodies are answered right here: template -> function; what takes long is
            awaited, what the function does not understand (None) goes BentoML's way.
    """

    def __init__(
        self,
        app: App,
        runtime: Callable[[], Runtime],
        rest: Callable[[], App],
        hot: Mapping[str, Hot],
        shortcuts: Mapping[str, Shortcut] | None = None,
    ) -> None:
        self.app, self.runtime, self.rest, self.hot, self.shortcuts = app, runtime, rest, hot, shortcuts or {}
        self.doors = Doors()
        self.pace = Pace()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1000})
                return
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        runtime = self.runtime()
        head_only = scope["method"] == "HEAD"
        method = "GET" if head_only else scope["method"]
        route, values = self.doors.find(method, scope["path"])
        request_id = secrets.token_hex(8)
        status = 500
        answered = False

        async def send_on(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status, answered = message["status"], True
                message = {**message, "headers": dressed(message.get("headers", ()), request_id)}
            elif head_only:
                message = {**message, "body": b""}
            await send(message)

        template = route.template if route else "(unknown)"
        try:
            if route is None:
                raise self._no_route(method, scope["path"])
            if head_only:
                scope = {**scope, "method": "GET"}
            headers = dict(scope["headers"])
            limited = Limited(receive, headers, runtime.settings.body_limit_bytes)
            live = runtime.live.nothing if template in WITHOUT_LEDGER else runtime.live.look()
            caller = self._caller(runtime, live, scope, {} if template in WITHOUT_LEDGER else headers, route)
            call = scope["huitou"] = Call(request_id, route, values, caller, live)
            hot = self.hot.get(template)
            if hot is not None:
                code, extra, body = hot(runtime, scope, call)
                await send_on({"type": "http.response.start", "status": code, "headers": extra})
                await send_on({"type": "http.response.body", "body": body})
            elif template in self.shortcuts and headers.get(b"content-type") == b"application/json":
                whole = await read_whole(limited)
                finished = self.shortcuts[template](runtime, call, whole.body)
                if finished is None:
                    await self.app(scope, whole, Reshaped(send_on))
                else:
                    if not isinstance(finished, bytes):
                        finished = await finished
                    length = (b"content-length", str(len(finished)).encode())
                    await send_on({"type": "http.response.start", "status": 200, "headers": [JSON, length]})
                    await send_on({"type": "http.response.body", "body": finished})
            elif template in BULK:
                await self.app(scope, limited, Reshaped(send_on))
            else:
                await self.rest()(scope, limited, send_on)
        except ApiError as error:
            if answered:
                raise
            await _answer(send_on, error)
        except Exception as error:
            # The client sees a code and the request's id; the log has the rest.
            log.exception("a request failed", extra={"route": template, "request_id": request_id})
            if not answered:
                fault = ApiError(500, "internal_error", "something failed on our side")
                await _answer(send_on, ledger_away() if runtime.ledger.is_away(error) else fault)
        finally:
            runtime.metrics.observe(method, template, status, time.perf_counter() - started)

    def _no_route(self, method: str, path: str) -> ApiError:
        allowed = self.doors.methods_of(path)
        if allowed:
            return ApiError(
                405,
                "method_not_allowed",
                f"{method} is not answered here; {allowed} are",
                None,
                {"allow": ", ".join(allowed)},
            )
        return ApiError(404, "not_found", "no such path; /docs lists them")

    def _caller(
        self, runtime: Runtime, live: Live, scope: Scope, headers: Mapping[bytes, bytes], route: Route
    ) -> Caller | None:
        """Who calls, after every reason to refuse: 401, 403, 429, 503."""
        token, from_cookie = _token(headers)
        caller = None
        if token:
            holder = live.holder(token, runtime.now())
            if holder is not None:
                caller = Caller(holder.token_id, holder.role, holder.subject, holder.store_id)
        client = scope.get("client") or ("unknown", 0)
        wait = self.pace.wait(
            caller.token_id if caller else f"address:{client[0]}",
            runtime.settings.requests_per_minute * (PROGRAM_FACTOR if caller and caller.role in PROGRAMS else 1),
        )
        if wait > 0:
            raise ApiError(
                429, "too_many_requests", "too many requests; wait", None, {"retry-after": str(int(wait) + 1)}
            )
        if route.roles is None:
            return caller
        if caller is None:
            raise ApiError(
                401,
                "unauthenticated",
                "a valid token is needed: Authorization: Bearer …",
                None,
                {"www-authenticate": "Bearer"},
            )
        if caller.role not in route.roles:
            raise ApiError(403, "forbidden", f"role {caller.role} may not do this")
        if from_cookie and scope["method"] not in ("GET", "HEAD") and headers.get(PAGE_HEADER) != b"huitou":
            raise ApiError(403, "forbidden", "a change from a page needs the header X-Requested-With: huitou")
        if runtime.journal.full:
            raise ApiError(
                503, "journal_full", "the audit trail cannot be written at the moment", None, {"retry-after": "5"}
            )
        return caller


class Limited:
    """A receive that stops at the body limit with 413, whether or not a length was announced."""

    def __init__(self, receive: Receive, headers: Mapping[bytes, bytes], limit: int) -> None:
        self._receive, self._limit, self._seen = receive, limit, 0
        announced = headers.get(b"content-length", b"0")
        if not announced.isdigit():
            raise ApiError(400, "bad_length", "Content-Length must be a number")
        if int(announced) > limit:
            raise self._too_large()

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._seen += len(message.get("body", b""))
            if self._seen > self._limit:
                raise self._too_large()
        return message

    def _too_large(self) -> ApiError:
        return ApiError(413, "body_too_large", f"a body may have at most {self._limit} bytes")


class Whole:
    """A receive that gives a body that was read already, and then whatever comes."""

    def __init__(self, body: bytes, last: Message, receive: Receive) -> None:
        self.body, self._last, self._receive = body, last, receive
        self._given = False

    async def __call__(self) -> Message:
        if self._given:
            return await self._receive()
        self._given = True
        return {**self._last, "body": self.body} if self._last["type"] == "http.request" else self._last


async def read_whole(receive: Receive) -> Whole:
    """The body of a request, in one piece."""
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        return Whole(message.get("body", b""), message, receive)
    parts = [message.get("body", b"")]
    while message["type"] == "http.request" and message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))
    return Whole(b"".join(parts), message, receive)


class Reshaped:
    """A send that gives BentoML's errors the one shape."""

    CODES: Mapping[int, str] = {
        400: "invalid_request",
        404: "not_found",
        415: "unsupported_media_type",
        504: "timeout",
    }

    def __init__(self, send: Send) -> None:
        self._send = send
        self._status = 0
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] >= 400:
            self._status = message["status"]
            return
        if self._status and message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if not message.get("more_body"):
                await _answer(self._send, self._reshaped())
            return
        await self._send(message)

    def _reshaped(self) -> ApiError:
        try:
            said = orjson.loads(self._body)
        except orjson.JSONDecodeError:
            said = {}
        said = said[0] if isinstance(said, list) and said else said
        ours = said.get("error") if isinstance(said, dict) else None
        if isinstance(ours, dict):
            return ApiError(self._status, ours["code"], ours["message"], ours["detail"])
        detail = said.get("detail") if isinstance(said, dict) else None
        text = str(said.get("error", "")) if isinstance(said, dict) else ""
        if self._status >= 500 and self._status != 504:
            return ApiError(self._status, "internal_error", "something failed on our side")
        return ApiError(
            self._status, self.CODES.get(self._status, "refused"), text or "the request was refused", detail
        )


class Pace:
    """A bucket of requests per caller: `per_minute` at once at most, filled evenly."""

    # Buckets of callers not seen for a while are dropped when there are more than this.
    KEPT = 10_000

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait(self, who: str, per_minute: int) -> float:
        """Seconds to wait before the next request of `who`; 0 counts this one."""
        now = self._clock()
        left, seen = self._buckets.get(who, (float(per_minute), now))
        left = min(left + (now - seen) * per_minute / 60.0, float(per_minute))
        if left < 1.0:
            self._buckets[who] = (left, now)
            return (1.0 - left) * 60.0 / per_minute
        if len(self._buckets) > self.KEPT:
            self._buckets.clear()
        self._buckets[who] = (left - 1.0, now)
        return 0.0


def dressed(headers: Any, request_id: str) -> list[tuple[bytes, bytes]]:
    """Response headers with the security headers, the request's id, and no caching unless the answer says otherwise."""
    own = [(bytes(name).lower(), bytes(value)) for name, value in headers]
    named = {name for name, _ in own}
    own += [pair for pair in SECURITY if pair[0] not in named]
    own.append((b"x-request-id", request_id.encode()))
    if b"cache-control" not in named:
        own.append(NO_STORE)
    return own


def _token(headers: Mapping[bytes, bytes]) -> tuple[str, bool]:
    """The token of a request and whether it came by cookie."""
    said = headers.get(b"authorization", b"")
    if said[:7].lower() == b"bearer ":
        return said[7:].strip().decode("latin-1"), False
    if b"cookie" in headers:
        try:
            jar = SimpleCookie(headers[b"cookie"].decode("latin-1"))
        except CookieError:
            return "", False
        if COOKIE in jar:
            return jar[COOKIE].value, True
    return "", False


async def _answer(send: Send, error: ApiError) -> None:
    body = error_body(error.code, error.message, error.detail)
    headers = [JSON, (b"content-length", str(len(body)).encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in error.headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
