"""The typed bulk calls as the OpenAPI file describes them; in the service BentoML's routes of the same names come first."""

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from serving.access import Call
from serving.routes.shared import Asked, State, router
from serving.runtime import Runtime
from serving.schemas import (
    ChurnAnswer,
    ChurnPost,
    MembersPost,
    NextPurchaseAnswer,
    RecommendAnswer,
    RecommendPost,
    ValueAnswer,
)
from serving.typed_calls import answered

routes = router("bulk")


@routes.post("/churn", response_model=ChurnAnswer)
async def churn(body: ChurnPost, runtime: State, call: Asked) -> Response:
    """Probability of no purchase within the horizon, per member."""
    return await _said("churn", runtime, call, body)


@routes.post("/next_purchase", response_model=NextPurchaseAnswer)
async def next_purchase(body: MembersPost, runtime: State, call: Asked) -> Response:
    """Probability of a return and the window of the next purchase, per member."""
    return await _said("next_purchase", runtime, call, body)


@routes.post("/value", response_model=ValueAnswer)
async def value(body: MembersPost, runtime: State, call: Asked) -> Response:
    """Expected net spend within the brand's horizon with its interval, per member."""
    return await _said("value", runtime, call, body)


@routes.post("/recommend", response_model=RecommendAnswer)
async def recommend(body: RecommendPost, runtime: State, call: Asked) -> Response:
    """Items to recommend, per member."""
    return await _said("recommend", runtime, call, body)


async def _said(name: str, runtime: Runtime, call: Call, body: Any) -> Response:
    return Response(await run_in_threadpool(answered, name, runtime, call, body), media_type="application/json")
