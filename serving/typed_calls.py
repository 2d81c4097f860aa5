"""The typed bulk calls: what each answers, whether BentoML's dispatcher asks or the gate does.

BentoML's way from a request to a typed call (three routers, a signature, a context, a second response) takes longer than
the answer. So the gate reads a plain JSON body with BentoML's own input model and answers at once; whatever that model
refuses, and every other content type, goes BentoML's way and is answered, or refused, there.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError

from serving import bulk
from serving.access import Call
from serving.gate import Shortcut
from serving.routes.shared import audit
from serving.runtime import Runtime

# Members for whom the model or the rules are asked on the spot; more of them are answered beside the other requests.
FEW = 20

Answer = Callable[[Runtime, Call, Any], bytes]


def churn(runtime: Runtime, call: Call, asked: Any) -> bytes:
    """POST /churn."""
    return bulk.churn(runtime, asked.member_ids, asked.horizon_days, computed=asked.computed)


def next_purchase(runtime: Runtime, call: Call, asked: Any) -> bytes:
    """POST /next_purchase."""
    return bulk.next_purchase(runtime, asked.member_ids)


def value(runtime: Runtime, call: Call, asked: Any) -> bytes:
    """POST /value."""
    return bulk.value(runtime, asked.member_ids)


def recommend(runtime: Runtime, call: Call, asked: Any) -> bytes:
    """POST /recommend."""
    return bulk.recommend(
        runtime,
        call.who,
        asked.member_ids,
        slate=asked.slate,
        n=asked.n,
        store_id=asked.store_id,
        personalised=asked.personalised,
        request_id=call.request_id,
    )


ANSWERS: Mapping[str, Answer] = {
    "churn": churn,
    "next_purchase": next_purchase,
    "value": value,
    "recommend": recommend,
}


def answered(name: str, runtime: Runtime, call: Call, asked: Any) -> bytes:
    """The answer of a typed call, noted in the audit trail by how many members were asked for."""
    body = ANSWERS[name](runtime, call, asked)
    audit(runtime, call, f"bulk.{name}", detail=f"{len(asked.member_ids)} members")
    return body


def takes_long(name: str, runtime: Runtime, asked: Any) -> bool:
    """Whether an answer takes so many milliseconds that other requests should go on meanwhile."""
    if name == "recommend":
        return len(asked.member_ids) > FEW
    if name == "churn" and asked.computed:
        return len(asked.member_ids) > FEW or not runtime.served.can_compute_at_once
    return False


def shortcut(name: str, model: type[BaseModel]) -> Shortcut:
    """The gate's way to a typed call whose input model BentoML made; None where BentoML has to see the request."""

    def answer(runtime: Runtime, call: Call, body: bytes) -> bytes | Awaitable[bytes] | None:
        try:
            # orjson reads a body in less than half of the time; what it refuses, BentoML may refuse in its own words.
            asked: Any = model.model_validate(orjson.loads(body))
        except (ValidationError, orjson.JSONDecodeError):
            return None
        if takes_long(name, runtime, asked):
            return asyncio.to_thread(answered, name, runtime, call, asked)
        return answered(name, runtime, call, asked)

    return answer
