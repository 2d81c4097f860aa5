"""Events and rules in; what is loaded, what is ready, what contact brings in; health and metrics."""

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from outreach.ledger.events import EXPOSURE_REPORT
from outreach.list_rules import LIST_RULES, check_list_rule
from serving.answers.shop_rules import NAME as RECOMMENDATIONS
from serving.answers.shop_rules import check_rules
from serving.errors import ApiError
from serving.metrics import CONTENT_TYPE
from serving.routes.lists import local
from serving.routes.shared import Asked, State, audit, router, said
from serving.runtime import Runtime
from serving.schemas import (
    EventAnswer,
    EventBatch,
    EventNoted,
    EventPost,
    ModelAnswer,
    ReadinessAnswer,
    RulesAnswer,
    RulesPut,
    SummaryAnswer,
)

routes = router("operation")
NEEDED = {
    "order": ("member_id",),
    "return": ("member_id",),
    "view": ("member_id", "item_id"),
    "stock": ("store_id", "item_id", "qty"),
}
STATUS = {"created": 201, "known": 200, "conflict": 409}
# Rules that head office may set beside those of the lists, with the kind of value each takes.
OTHER_RULES: dict[str, type] = {"notice": str, RECOMMENDATIONS: dict}
RULES = (*LIST_RULES, *OTHER_RULES)
# A holdout and listed members from which a difference can begin to be measured.
SUMMARY_NEEDS = {"held_out": 200, "listed": 2_000}


@routes.post("/v1/events", response_model=EventAnswer)
async def note_events(body: EventPost | EventBatch, runtime: State, call: Asked) -> Response:
    """Note purchases, returns, views and stock as they happen: a buyer leaves today's list, a sold-out item every list."""
    posted = body.events if isinstance(body, EventBatch) else [body]
    for event in posted:
        missing = [name for name in NEEDED[event.kind] if getattr(event, name) is None]
        if missing:
            raise ApiError(
                400, "invalid_request", f"a {event.kind} event needs {missing}", {"event_id": event.event_id}
            )
    bodies = [event.model_dump() | {"at": local(event.at, runtime)} for event in posted]
    if runtime.releases.ready:
        # What was bought with an old card is the member's who has it now.
        for one in bodies:
            if one["member_id"] is not None:
                one["member_id"] = runtime.served.canonical(one["member_id"])
    statuses = await run_in_threadpool(runtime.ledger.note_events, bodies, received_at=runtime.now())
    audit(runtime, call, "events.post", detail=f"{len(posted)} events")
    rows = [EventNoted(event_id=e.event_id, status=STATUS[s]) for e, s in zip(posted, statuses, strict=True)]
    if isinstance(body, EventPost) and rows[0].status == 409:
        raise ApiError(409, "conflict", "this event_id was used for another event")
    return said(EventAnswer(results=rows).model_dump())


@routes.get("/v1/rules", response_model=RulesAnswer)
def get_rules(runtime: State) -> Response:
    """The rules in force."""
    return said({"rules": runtime.ledger.rules()})


@routes.put("/v1/rules", response_model=RulesAnswer)
def put_rules(body: RulesPut, runtime: State, call: Asked) -> Response:
    """Set rules; unknown ones are refused. Items follow `recommendations` from the next call on, lists the rest when
    they are next made: in the night, or when they are asked for anew."""
    unknown = sorted(set(body.rules) - set(RULES))
    if unknown:
        raise ApiError(400, "invalid_request", f"unknown rules {unknown}", {"known": sorted(RULES)})
    for name, value in body.rules.items():
        if name in LIST_RULES:
            check_list_rule(name, value)
        elif not isinstance(value, OTHER_RULES[name]):
            raise ApiError(400, "invalid_request", f"rule {name} has the wrong type", {"found": type(value).__name__})
    if RECOMMENDATIONS in body.rules:
        check_rules(body.rules[RECOMMENDATIONS], runtime.served, runtime.now().date())
    runtime.ledger.put_rules(body.rules, actor=call.who.token_id, at=runtime.now())
    audit(runtime, call, "rules.put", detail=",".join(sorted(body.rules)))
    return said({"rules": runtime.ledger.rules()})


@routes.get("/v1/experiments/contact/summary", response_model=SummaryAnswer)
def contact_summary(runtime: State) -> Response:
    """What contact brings in against the holdout, as the nightly run measured it; until then, what is missing."""
    held = runtime.ledger.holdout()
    have = {"held_out": int(held["until"].isna().sum()), **runtime.ledger.count_listed()}
    report = runtime.ledger.newest_report("contact_experiment")
    return said(
        {
            "status": "measured" if report else "not_enough_data",
            "date": report[0] if report else None,
            "have": have,
            "need": SUMMARY_NEEDS,
            "result": report[1] if report else None,
        }
    )


@routes.get("/v1/experiments/recommendations/summary", response_model=SummaryAnswer)
def recommendation_summary(runtime: State) -> Response:
    """What was shown and what came of it: click-through, acceptance, and what exploring more or less would bring.

    Recomputed from the exposure log in the night or by `huitou exposures`; until then, what is missing.
    """
    report = runtime.ledger.newest_report(EXPOSURE_REPORT)
    return said(
        {
            "status": "measured" if report else "not_enough_data",
            "date": report[0] if report else None,
            # Up to a thousand are counted while nothing was summed up yet.
            "have": {
                "lists_shown": report[1]["seen_by_members"]["lists"] if report else runtime.ledger.count_exposures()
            },
            "need": {"lists_shown": 1},
            "result": report[1] if report else None,
        }
    )


@routes.get("/v1/readiness", response_model=ReadinessAnswer)
def readiness(runtime: State) -> Response:
    """For each task: what the data have, what the model needs, and which fallback serves meanwhile."""
    served = runtime.served
    known: dict[str, Any] = served.release.manifest.get("readiness", {})
    tasks = []
    for task in sorted({*known, *served.sources}):
        source = served.sources.get(task, {})
        fallback = source.get("name") if source.get("source") == "fallback" else None
        tasks.append(
            {
                "task": task,
                "source": source.get("source") or "model",
                "have": known.get(task, {}).get("have"),
                "need": known.get(task, {}).get("need"),
                "fallback": known.get(task, {}).get("fallback") or fallback,
                "reason": source.get("reason") or known.get(task, {}).get("why"),
            }
        )
    return said({"release_id": served.release.release_id, "tasks": tasks})


@routes.get("/v1/model", response_model=ModelAnswer)
def model(runtime: State) -> Response:
    """Which release answers, how old it is, and which model or fallback serves each task."""
    return said(model_answer(runtime))


def model_answer(runtime: Runtime) -> dict[str, Any]:
    """What GET /v1/model says."""
    served = runtime.served
    manifest = served.release.manifest
    return {
        "release_id": served.release.release_id,
        "model_version": served.version,
        "as_of": served.as_of,
        "created_at": str(manifest.get("created_at", "")),
        "horizon_days": int(manifest["horizon_days"]),
        "members": len(served.release.ids),
        "models": served.sources,
        "age_days": runtime.age_days,
        "stale": runtime.age_days > runtime.settings.stale_after_days,
    }


@routes.get("/livez", response_model=dict[str, str])
def livez() -> Response:
    """The process answers."""
    return said({"status": "alive"})


@routes.get("/readyz", response_model=dict[str, Any])
def readyz(runtime: State) -> Response:
    """A release is loaded and the ledger can be read; says when the features are stale."""
    if not runtime.releases.ready:
        raise ApiError(503, "no_release", "no release is loaded yet", {"refused": runtime.releases.refused})
    runtime.ledger.revisions()
    said_of = model_answer(runtime)
    kept = {name: said_of[name] for name in ("release_id", "as_of", "age_days", "stale")}
    return said({"status": "ready", **kept, "refused": runtime.releases.refused})


@routes.get("/metrics")
def metrics(runtime: State) -> Response:
    """Prometheus metrics."""
    return Response(runtime.metrics.text(), media_type=CONTENT_TYPE)
