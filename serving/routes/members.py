"""A member's card, the reasons, consents, export and deletion."""

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from serving.answers.deletion import forget_member
from serving.answers.export import export_answer
from serving.answers.members import channels, find_member, member_answer, why_answer
from serving.errors import ApiError, not_found
from serving.routes.lists import local
from serving.routes.shared import Asked, State, audit, router, said
from serving.schemas import ConsentsAnswer, ConsentsPut, ForgetAnswer, Id, MemberAnswer, WhyAnswer

routes = router("members")
# What a guide may note for a member: a refusal. Only the member (the app) or head office grants.
WIDENING = "granted"


@routes.get("/v1/members/{member_id}", response_model=MemberAnswer)
def member(member_id: Id, runtime: State, call: Asked) -> Response:
    """The card: preference, tier, churn band and next-purchase window, with reasons, last purchases and contacts."""
    answer = member_answer(runtime, call.who, member_id)
    audit(runtime, call, "member.view", member_id)
    runtime.metrics.answers.labels("member", answer["source"]).inc()
    return said(answer)


@routes.get("/v1/members/{member_id}/why", response_model=WhyAnswer)
def why(member_id: Id, runtime: State, call: Asked) -> Response:
    """Why the card says what it says, in the member's own numbers."""
    answer = why_answer(runtime, call.who, member_id)
    audit(runtime, call, "member.why", member_id)
    return said(answer)


@routes.put("/v1/members/{member_id}/consents", response_model=ConsentsAnswer)
def put_consents(member_id: Id, body: ConsentsPut, runtime: State, call: Asked) -> Response:
    """Note what a member agreed to or refused; it holds from the next call on."""
    card: dict[str, Any] = {}
    member_id = runtime.served.canonical(member_id)
    if call.who.role != "app":
        _, _, card = find_member(runtime, call.who, member_id)
    elif runtime.ledger.is_forgotten(member_id):
        raise not_found("member", member_id)
    elif (row := runtime.served.release.index(member_id)) is not None:
        card = runtime.served.release.card(row)
    if call.who.role in ("guide", "manager") and any(one.state == WIDENING for one in body.consents):
        raise ApiError(403, "forbidden", "a guide may note a refusal; a consent comes from the member")
    now = runtime.now()
    rows = [
        one.model_dump()
        | {"member_id": member_id, "at": min(local(one.at, runtime), now) if one.at else now, "source": call.who.role}
        for one in body.consents
    ]
    runtime.ledger.put_consents(rows)
    audit(runtime, call, "member.consents", member_id, ",".join(f"{r['purpose']}={r['state']}" for r in rows)[:500])
    standing = runtime.ledger.standing(member_id, now)
    answer = {
        "member_id": member_id,
        "consents": standing.consents,
        "personalised": standing.personalised,
        "channels": channels(runtime, member_id, card, standing),
    }
    return said(answer)


@routes.get("/v1/members/{member_id}/export")
def export(member_id: Id, runtime: State, call: Asked) -> dict[str, object]:
    """Everything held about a member: the card, what models read and said of them, item lists and every ledger row."""
    find_member(runtime, call.who, member_id)
    audit(runtime, call, "member.export", member_id)
    runtime.journal.flush()
    return export_answer(runtime, call.who, member_id)


@routes.delete("/v1/members/{member_id}", response_model=ForgetAnswer)
async def delete(member_id: Id, runtime: State, call: Asked) -> Response:
    """Forget a member: ledger rows at once, the releases rewritten, a keyed mark that keeps them out of later inputs."""
    receipt = await run_in_threadpool(forget_member, runtime, member_id)
    audit(runtime, call, "member.forget", detail=receipt["receipt_id"])
    return said(receipt)
