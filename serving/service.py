"""The BentoML service: typed bulk calls, and the REST app mounted beside them, behind one gate.

    bentoml serve serving.service:Huitou        (or `huitou serve`, which sets everything up)

HUITOU_HOME names the home folder. Importing this module opens nothing; a worker opens its state when it starts.
"""

import asyncio
import contextlib
import datetime as dt
import gc
import json
import os
import shutil
from collections.abc import Awaitable, Callable
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, cast

# Before bentoml is imported: no telemetry, and one BLAS thread a worker.
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import bentoml
from pydantic import Field
from starlette.responses import Response

from serving.settings import place_from_environment

# BentoML's supervising process imports this module too and answers nothing: what a worker needs is imported by the worker.
if TYPE_CHECKING:
    from serving.runtime import Runtime

# BentoML 1.4 never cancels its per-request timer, so that every request's objects live this long: keep it short.
TIMEOUT_SECONDS = 5
# Full collections walk everything alive and stop the worker; what is loaded at the start is frozen, the rest is rarely full.
GC_THRESHOLDS = (50_000, 50, 1_000)

# The gate leaves its Call under this name in the scope of a request.
PASSED = "huitou"

MemberIds = Annotated[list[str], Field(min_length=1, max_length=1000, description="up to 1,000 member ids")]


def open_runtime() -> "Runtime":
    """The worker's state, as the environment describes it; the first worker brings the ledger up to date."""
    from serving.runtime import Runtime, brand_clock

    place = place_from_environment()
    Path(place.home).mkdir(parents=True, exist_ok=True)
    clock = brand_clock(place.settings.timezone, dt.datetime.now)
    today = os.environ.get("HUITOU_TODAY")
    if today:
        day = dt.date.fromisoformat(today)
        clock = _on_day(clock, day)
    return Runtime(place, clock, migrate=True)


def _on_day(clock: Callable[[], dt.datetime], day: dt.date) -> Callable[[], dt.datetime]:
    return lambda: dt.datetime.combine(day, clock().time())


class LazyRuntime:
    """Opens the runtime when it is first needed, once per process."""

    @cached_property
    def runtime(self) -> "Runtime":
        return open_runtime()

    def __call__(self) -> "Runtime":
        return self.runtime


runtime = LazyRuntime()


class LazyRest:
    """The REST app, built when the first request comes, so that importing the service stays cheap."""

    def __init__(self) -> None:
        self._app: Any = None
        self._hot: Any = None

    def app(self) -> Any:
        if self._app is None:
            from serving.app import rest_app
            from serving.routes.hot import HotRoutes

            self._hot = HotRoutes()
            self._app = rest_app(runtime, self._hot)
        return self._app

    def hot(self) -> Any:
        self.app()
        return self._hot.by_template()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app()(scope, receive, send)


rest = LazyRest()


def _finished(name: str, ctx: bentoml.Context, asked: Any) -> dict[str, Any]:
    """A typed call's answer, which is JSON already, or an error of ours, as a response that BentoML passes on as it is.

    The calls keep their declared type, which the typed client and the schema are made from.
    """
    from serving.access import call_of
    from serving.errors import ApiError, error_response
    from serving.typed_calls import answered

    try:
        body = answered(name, runtime(), call_of(ctx.request), asked)
    except ApiError as error:
        # BentoML writes its context's status over the response's.
        ctx.response.status_code = error.status
        return cast(dict[str, Any], error_response(error))
    return cast(dict[str, Any], Response(body, media_type="application/json"))


class LazyGate:
    """The gate, built with the first request."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._behind = app
        self._gate: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if PASSED in scope:
            # `application` put a gate in front of BentoML's middlewares already.
            await self._behind(scope, receive, send)
            return
        if self._gate is None:
            from serving.gate import Gate

            self._gate = Gate(self._behind, runtime, rest.app, rest.hot(), shortcuts())
        await self._gate(scope, receive, send)


@bentoml.service(
    name="huitou",
    workers=int(json.loads(os.environ.get("HUITOU_SERVING", "{}")).get("settings", {}).get("workers", 1)),
    traffic={"timeout": TIMEOUT_SECONDS},
    # Our own metrics name route templates; BentoML's would name every member's path.
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    # Traces would name every member's path too, and OpenTelemetry's middleware costs a third of a request unsampled.
    tracing={"sample_rate": 0.0, "excluded_urls": "."},
)
@bentoml.asgi_app(rest, path="/")
class Huitou:
    """Churn, timing, value and items in bulk; lists, cards and pages through the mounted app."""

    def __init__(self) -> None:
        from serving.logs import structured_logs

        structured_logs()
        runtime()
        rest.app()
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)

    @bentoml.on_startup
    async def start(self) -> None:
        """Begin watching for releases."""
        runtime().start()

    @bentoml.on_shutdown
    async def stop(self) -> None:
        """Write what waits."""
        await runtime().stop()

    @bentoml.api(route="/churn")
    async def churn(
        self,
        ctx: bentoml.Context,
        member_ids: MemberIds,
        horizon_days: Annotated[int | None, Field(ge=1, le=730)] = None,
        computed: Annotated[bool, Field(description="ask the model again instead of reading the release")] = False,
    ) -> dict[str, Any]:
        """Probability of no purchase within the horizon, per member."""
        asked = SimpleNamespace(member_ids=member_ids, horizon_days=horizon_days, computed=computed)
        if computed:
            # Milliseconds of arithmetic: other requests go on meanwhile.
            return await asyncio.to_thread(_finished, "churn", ctx, asked)
        return _finished("churn", ctx, asked)

    @bentoml.api(route="/next_purchase")
    async def next_purchase(self, ctx: bentoml.Context, member_ids: MemberIds) -> dict[str, Any]:
        """Probability of a return and the window of the next purchase, per member."""
        return _finished("next_purchase", ctx, SimpleNamespace(member_ids=member_ids))

    @bentoml.api(route="/value")
    async def value(self, ctx: bentoml.Context, member_ids: MemberIds) -> dict[str, Any]:
        """Expected net spend within the brand's horizon with its interval, per member."""
        return _finished("value", ctx, SimpleNamespace(member_ids=member_ids))

    @bentoml.api(route="/recommend")
    async def recommend(
        self,
        ctx: bentoml.Context,
        member_ids: MemberIds,
        slate: Annotated[str, Field(pattern="^(again|new|mixed)$")] = "mixed",
        n: Annotated[int, Field(ge=1, le=50)] = 10,
        store_id: str | None = None,
        personalised: bool = True,
    ) -> dict[str, Any]:
        """Items to recommend, per member."""
        asked = SimpleNamespace(member_ids=member_ids, slate=slate, n=n, store_id=store_id, personalised=personalised)
        return await asyncio.to_thread(_finished, "recommend", ctx, asked)


def keep_release_as_model(release: Path) -> str:
    """Copy a release into BentoML's model store and return its tag; a Bento that names the tag carries the release."""
    from serving.carried import FOLDER, MODEL

    tag = f"{MODEL}:{release.name.lower()}"
    with contextlib.suppress(bentoml.exceptions.NotFound):
        bentoml.models.delete(tag)
    with bentoml.models.create(tag, labels={"huitou": "release"}) as model:
        shutil.copytree(release, Path(model.path) / FOLDER)
    return tag


def shortcuts() -> dict[str, Any]:
    """The gate's own way to the typed calls, by path."""
    from serving.typed_calls import ANSWERS, shortcut

    apis = cast(Any, Huitou).apis  # the decorator made a Service of it
    return {f"/{name}": shortcut(name, apis[name].input_spec) for name in ANSWERS}


def application() -> LazyGate:
    """The whole service as one ASGI app, with the gate in front of everything of BentoML's: what `huitou serve` runs."""
    return LazyGate(cast(Any, Huitou).to_asgi(is_main=False))


Huitou.add_asgi_middleware(LazyGate)  # type: ignore[attr-defined]  # the decorator made a Service of it
