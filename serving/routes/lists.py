"""Tasks, outcomes, regenerating lists, jobs, and the people of a store."""

import datetime as dt
from zoneinfo import ZoneInfo

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from outreach.ledger.outcomes import Noted
from serving.access import Call, Caller
from serving.answers.lists import check_guide, find_task, may_touch, removals, store_of_guide, task_answer
from serving.answers.stores import store_guides
from serving.errors import ApiError, not_found
from serving.routes.shared import Asked, State, audit, router, said
from serving.runtime import Runtime
from serving.schemas import (
    Id,
    JobAnswer,
    LeaveAnswer,
    LeavePut,
    OutcomeAnswer,
    OutcomeBatch,
    OutcomeNoted,
    OutcomePost,
    ReassignAnswer,
    ReassignPost,
    RegeneratePost,
    StoreGuides,
    TaskAnswer,
)

routes = router("lists")
STATUS = {"created": 201, "known": 200, "conflict": 409, "unknown_task": 404, "undone": 200}
REGENERATE = "regenerate_lists"


@routes.get("/v1/contact-tasks/{task_id}", response_model=TaskAnswer)
def contact_task(task_id: Id, runtime: State, call: Asked) -> Response:
    """A task, what came of it, and why it is off the list if it is."""
    task = find_task(runtime, call.who, task_id)
    audit(runtime, call, "task.view", task["member_id"])
    standings = runtime.ledger.standings([task["member_id"]], runtime.now())
    outcomes = [o for o in runtime.ledger.outcomes_of_member(task["member_id"]) if o["task_id"] == task_id]
    answer = {
        "task": task_answer(runtime.served, call.who, task, standings[task["member_id"]]),
        "outcomes": outcomes,
        "removed": removals(runtime, task["guide_id"], [task], standings).get(task_id),
    }
    return said(answer)


@routes.post(
    "/v1/contact-outcomes",
    response_model=OutcomeAnswer,
    responses={201: {"model": OutcomeAnswer, "description": "one outcome, noted"}},
)
async def note_outcomes(body: OutcomePost | OutcomeBatch, runtime: State, call: Asked) -> Response:
    """Note one outcome or up to 500; sending any of them again is safe. Each row has its own status.

    A body of one outcome also answers with that row's status.
    """
    posted = body.outcomes if isinstance(body, OutcomeBatch) else [body]
    results = await run_in_threadpool(_note, runtime, call, posted)
    status = 200 if isinstance(body, OutcomeBatch) else results[0].status
    if status in (404, 409):
        error = results[0].error
        assert error is not None
        raise ApiError(status, error.code, error.message)
    return said(OutcomeAnswer(results=results).model_dump(), status)


def _note(runtime: Runtime, call: Call, posted: list[OutcomePost]) -> list[OutcomeNoted]:
    tasks = runtime.ledger.tasks_by_id({one.task_id for one in posted})
    mine = [one for one in posted if one.task_id in tasks and may_touch(call.who, tasks[one.task_id])]
    bodies = [one.model_dump() | {"at": local(one.at, runtime)} for one in mine]
    noted = iter(runtime.ledger.note_outcomes(bodies, received_at=runtime.now()) if bodies else ())
    own = {id(one) for one in mine}
    answers = [next(noted) if id(one) in own else Noted("unknown_task", one.event_id, one.task_id) for one in posted]
    for one, answer in zip(posted, answers, strict=True):
        if answer.status == "created":
            runtime.metrics.outcomes.labels(one.outcome).inc()
            audit(runtime, call, f"outcome.{one.outcome}", tasks[one.task_id]["member_id"], one.task_id)
    return [noted_row(answer) for answer in answers]


def noted_row(noted: Noted) -> OutcomeNoted:
    """A ledger's answer to an outcome as the interface says it."""
    errors = {
        "conflict": {"code": "conflict", "message": "this event_id was used for another outcome"},
        "unknown_task": {"code": "not_found", "message": "no such task here"},
    }
    return OutcomeNoted.model_validate(
        {
            "event_id": noted.event_id,
            "status": STATUS[noted.status],
            "task_id": noted.task_id,
            "state": noted.state,
            "error": errors.get(noted.status),
        }
    )


@routes.delete("/v1/contact-outcomes/{event_id}", response_model=OutcomeNoted)
def undo_outcome(event_id: Id, runtime: State, call: Asked) -> Response:
    """Take an outcome back, soon after it was noted; what it did to the member is undone as well."""
    known = runtime.ledger.outcome(event_id)
    task = runtime.ledger.task(known["task_id"]) if known else None
    if known is None or task is None or not may_touch(call.who, task):
        raise not_found("outcome", event_id)
    limit = dt.timedelta(minutes=runtime.settings.undo_minutes)
    if known["undone_at"] is None and runtime.now() - known["received_at"] > limit and call.who.role == "guide":
        raise ApiError(409, "too_late", f"an outcome can be taken back for {runtime.settings.undo_minutes} minutes")
    undone = runtime.ledger.undo_outcome(event_id, at=runtime.now())
    assert undone is not None
    audit(runtime, call, "outcome.undo", task["member_id"], task["task_id"])
    return said(noted_row(undone).model_dump())


@routes.post("/v1/contact-lists:regenerate", status_code=202, response_model=JobAnswer)
def regenerate(body: RegeneratePost, runtime: State, call: Asked) -> Response:
    """Ask for new lists of a day. A job does it; tasks that were started stay, only un-started ones are replaced."""
    if call.who.role == "manager" and body.store != call.who.store_id:
        raise ApiError(403, "forbidden", "a manager may only ask for the own store: set store")
    if body.guides and body.store:
        for guide_id in body.guides:
            if store_of_guide(runtime, guide_id) != body.store:
                raise not_found("guide", guide_id)
    request = body.model_dump(mode="json", exclude={"idempotency_key"})
    job, agrees = runtime.ledger.ask_job(
        REGENERATE, request, idempotency_key=body.idempotency_key, actor=call.who.token_id, at=runtime.now()
    )
    if not agrees:
        raise ApiError(
            409, "conflict", "this idempotency_key was used for another request", {"job_id": job["job_id"]}
        )
    audit(runtime, call, "lists.regenerate", detail=job["job_id"])
    return said(_job(job), 202, {"Location": f"/v1/jobs/{job['job_id']}"})


@routes.get("/v1/jobs/{job_id}", response_model=JobAnswer)
def job_state(job_id: Id, runtime: State, call: Asked) -> Response:
    """What became of a job."""
    job = runtime.ledger.job(job_id)
    if job is None or (call.who.role == "manager" and job["requested_by"] != call.who.token_id):
        raise not_found("job", job_id)
    return said(_job(job))


@routes.get("/v1/stores/{store_id}/guides", response_model=StoreGuides)
def guides_of_store(store_id: Id, runtime: State, call: Asked, date: dt.date | None = None) -> Response:
    """The guides of a store with how far each is with the day's list."""
    _check_store(call.who, store_id)
    return said(store_guides(runtime, store_id, date))


@routes.post("/v1/contact-tasks:reassign", response_model=ReassignAnswer)
def reassign(body: ReassignPost, runtime: State, call: Asked) -> Response:
    """Hand un-started tasks to another guide of the store."""
    for task_id in body.task_ids:
        find_task(runtime, call.who, task_id)
    check_guide(runtime, call.who, body.guide_id)
    moved = runtime.ledger.hand_over(body.task_ids, body.guide_id)
    audit(runtime, call, "tasks.reassign", detail=f"{moved} to {body.guide_id}"[:500])
    return said({"moved": moved, "guide_id": body.guide_id})


@routes.put("/v1/guides/{guide_id}/leave", response_model=LeaveAnswer)
def set_leave(guide_id: Id, body: LeavePut, runtime: State, call: Asked) -> Response:
    """Put a guide on leave; the answer names the tasks that wait for another guide."""
    check_guide(runtime, call.who, guide_id)
    if body.until is not None and body.until < body.since:
        raise ApiError(400, "invalid_request", "until must not be before since")
    runtime.ledger.set_leave(guide_id, body.since, body.until, actor=call.who.token_id)
    audit(runtime, call, "guide.leave", detail=guide_id)
    return said(_leave(runtime, guide_id))


@routes.delete("/v1/guides/{guide_id}/leave", response_model=LeaveAnswer)
def end_leave(guide_id: Id, runtime: State, call: Asked) -> Response:
    """End a guide's leave today."""
    check_guide(runtime, call.who, guide_id)
    runtime.ledger.end_leave(guide_id, runtime.now().date() - dt.timedelta(days=1))
    audit(runtime, call, "guide.back", detail=guide_id)
    return said(_leave(runtime, guide_id))


def local(at: dt.datetime, runtime: Runtime) -> dt.datetime:
    """A time as the brand's clock shows it; a time without zone is taken as it is."""
    if at.tzinfo is None:
        return at
    try:
        return at.astimezone(ZoneInfo(runtime.settings.timezone)).replace(tzinfo=None)
    except OverflowError as error:
        raise ApiError(400, "invalid_request", "at is out of range") from error


def _leave(runtime: Runtime, guide_id: str) -> dict[str, object]:
    today = runtime.now().date()
    day = runtime.ledger.newest_date(guide_id, today)
    tasks = runtime.ledger.tasks_of_guide(guide_id, day) if day else []
    return {
        "guide_id": guide_id,
        "on_leave": guide_id in runtime.ledger.on_leave(today),
        "waiting_tasks": [task["task_id"] for task in tasks if task["state"] == "pending"],
    }


def _check_store(caller: Caller, store_id: str) -> None:
    if caller.role == "manager" and caller.store_id != store_id:
        raise not_found("store", store_id)


def _job(job: dict[str, object]) -> dict[str, object]:
    return {name: job[name] for name in JobAnswer.model_fields}
