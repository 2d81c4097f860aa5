"""A guide and a day in, the contact list out: as it was made, minus whoever may no longer be contacted."""

import datetime as dt
import hashlib
from collections import Counter, OrderedDict
from collections.abc import Mapping
from typing import Any

import orjson

from outreach.ledger.consents import LASTING, Standing
from outreach.ledger.live import Live
from serving.access import Caller
from serving.answers.members import label
from serving.errors import ApiError, not_found
from serving.releases import Served
from serving.runtime import Runtime

# Lists kept ready per worker. A list of 20 tasks is some 25 kB.
KEPT = 500
# The kinds of live state that a list is made from.
BEHIND_A_LIST = ("lists", "outcomes", "consents", "events")
# States in which a task still waits to be done.
WAITING = ("pending",)


class ListShelf:
    """Finished lists as bytes, each good as long as nothing was written that could change it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Any, ...], tuple[bytes, str, int]] = OrderedDict()

    def list_bytes(
        self, runtime: Runtime, live: Live, caller: Caller, guide_id: str, date: dt.date
    ) -> tuple[bytes, str, int]:
        """The list as JSON, its ETag, and how many tasks it shows."""
        now = runtime.now()
        # Blocks end by the clock: a list is rebuilt at least every minute.
        minute = now.replace(second=0, microsecond=0)
        release_id = runtime.served.release.release_id
        key = (guide_id, date, caller.sees_scores, release_id, minute, live.stamp(*BEHIND_A_LIST))
        kept = self._kept.get(key)
        if kept is None:
            answer = contact_list(runtime, caller, guide_id, date)
            body = orjson.dumps(answer, default=str)
            kept = self._kept[key] = (body, f'"{hashlib.sha256(body).hexdigest()[:32]}"', len(answer["items"]))
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return kept


def check_guide(runtime: Runtime, caller: Caller, guide_id: str) -> None:
    """404 unless the caller may see this guide's lists."""
    if caller.role == "guide" and caller.subject == guide_id:
        return
    if caller.role == "manager" and store_of_guide(runtime, guide_id) == caller.store_id:
        return
    if caller.role in ("operator", "admin"):
        return
    raise not_found("guide", guide_id)


def store_of_guide(runtime: Runtime, guide_id: str) -> str | None:
    """A guide's store: as the release knows it, else as their newest list says."""
    if runtime.releases.ready and guide_id in runtime.served.guides:
        store_id = runtime.served.guides[guide_id].get("store_id")
        return None if store_id is None else str(store_id)
    day = runtime.ledger.newest_date(guide_id, dt.date.max)
    head = runtime.ledger.list_head(guide_id, day) if day else None
    return head["store_id"] if head else None


def store_of_caller(runtime: Runtime, caller: Caller) -> str | None:
    """The store that the caller works in; None for head office and the mini-program."""
    if caller.store_id:
        return caller.store_id
    return store_of_guide(runtime, caller.subject) if caller.role == "guide" else None


def list_date(runtime: Runtime, live: Live, guide_id: str | None, said: str | None) -> dt.date:
    """The day asked for, or the newest day that has a list. Raises 400 for what is no date, 404 where there is none."""
    if said:
        try:
            return dt.date.fromisoformat(said)
        except ValueError as error:
            raise ApiError(400, "invalid_request", f"date must be YYYY-MM-DD, found {said[:40]!r}") from error
    newest = live.newest_date(guide_id, runtime.now().date())
    if newest is None:
        raise _no_list(runtime, guide_id or "", None)
    return newest


def contact_list(runtime: Runtime, caller: Caller, guide_id: str, date: dt.date) -> dict[str, Any]:
    """The list of GET /v1/guides/{id}/contact-list."""
    head = runtime.ledger.list_head(guide_id, date)
    tasks = runtime.ledger.tasks_of_guide(guide_id, date)
    if head is None and not tasks:
        raise _no_list(runtime, guide_id, date)
    served = runtime.served
    shown, removed = [], Counter[str]()
    standings = runtime.ledger.standings([task["member_id"] for task in tasks], runtime.now())
    reasons = removals(runtime, guide_id, tasks, standings)
    events = runtime.ledger.newest_events([t["task_id"] for t in tasks if t["state"] not in WAITING])
    for task in tasks:
        reason = reasons.get(task["task_id"])
        if reason is None:
            event = {"outcome_event_id": events.get(task["task_id"])}
            shown.append(task_answer(served, caller, task, standings[task["member_id"]]) | event)
        else:
            removed[reason] += 1
    head = head or {
        **dict.fromkeys(("policy_version", "model_versions", "capacity", "eligible", "fallback")),
        "list_id": tasks[0]["list_id"],
        "guide_id": guide_id,
        "store_id": tasks[0]["store_id"],
        "version": 0,
        "generated_at": dt.datetime.combine(date, dt.time()),
        "excluded": {},
    }
    names = [
        "list_id",
        "guide_id",
        "store_id",
        "version",
        "generated_at",
        "policy_version",
        "capacity",
        "eligible",
        "excluded",
        "fallback",
    ]
    return {
        **{name: head[name] for name in names},
        "model_versions": head["model_versions"] or {"release": served.version},
        "date": date,
        "removed": [{"reason": reason, "count": count} for reason, count in sorted(removed.items())],
        "progress": {"done": sum(t["state"] not in WAITING for t in shown), "total": len(shown)},
        "items": shown,
    }


def removals(
    runtime: Runtime, guide_id: str, tasks: list[dict[str, Any]], standings: Mapping[str, Standing]
) -> dict[str, str]:
    """task_id -> why it is off the list by now. Live state only removes; the order of the others stays as logged."""
    if not tasks:
        return {}
    members = [task["member_id"] for task in tasks]
    morning = dt.datetime.combine(tasks[0]["date"], dt.time())
    bought = runtime.ledger.bought(members, morning)
    touched = runtime.ledger.touched_by_others(members, guide_id, morning)
    found = {}
    for task in tasks:
        member = task["member_id"]
        reason = lasting_reason(standings[member], task)
        if reason is None and task["state"] in WAITING:
            if standings[member].blocks:
                reason = standings[member].blocks[0]
            elif member in bought:
                reason = "bought_since"
            elif member in touched:
                reason = "contacted_by_other"
        if reason is not None:
            found[task["task_id"]] = reason
    return found


def lasting_reason(standing: Standing, task: dict[str, Any]) -> str | None:
    """Why a task is off the list whatever its state: the member said so for good."""
    for kind in LASTING:
        if kind in standing.blocks:
            return kind
    if not standing.said.get("service", True):
        return "service_refused"
    if not standing.personalised and not task["forced"]:
        return "opted_out"
    possible = task["payload"].get("allowed_channels") or []
    if possible and not standing.open_channels(possible):
        return "no_consent"
    return None


def task_answer(served: Served, caller: Caller, task: dict[str, Any], standing: Standing) -> dict[str, Any]:
    """A task as the interface shows it; scores only to those who may see them."""
    said = task["payload"]
    row = served.release.index(task["member_id"])
    card: dict[str, Any] = {} if row is None else served.release.card(row)
    visits = card.get("last_visits") or []
    answer = {
        **{name: task[name] for name in ("task_id", "list_id", "guide_id", "store_id", "member_id", "date", "rank")},
        "display_name": card.get("display_name"),
        "task_type": task["task_type"],
        "reason_code": task["reason_code"],
        "reason": _words(said, "text"),
        "draft": _words(said, "draft"),
        "evidence": said.get("evidence") or {},
        "suggestions": [_suggested(served, item) for item in said.get("suggestions") or []],
        "channels": standing.open_channels(said.get("allowed_channels") or []),
        "tier": None if row is None else label(served, "tier", row),
        "stage": None if row is None else label(served, "stage", row),
        "churn_band": None if row is None else label(served, "churn_band", row),
        "last_purchase": str(visits[0].get("day")) if visits else None,
        "last_contact": said.get("last_contact"),
        "contacts_30d": said.get("contacts_30d"),
        "expires_at": said.get("expires_at"),
        "state": task["state"],
        "state_at": task["state_at"],
        "outcome_event_id": None,
        "score_yuan": None,
        "propensity": None,
        "components": None,
    }
    if caller.sees_scores:
        answer |= {
            "score_yuan": task["score_yuan"],
            "propensity": task["propensity"],
            "components": said.get("components"),
        }
    return answer


def find_task(runtime: Runtime, caller: Caller, task_id: str) -> dict[str, Any]:
    """A task that the caller may see; 404 otherwise."""
    task = runtime.ledger.task(task_id)
    if task is None or not may_touch(caller, task):
        raise not_found("task", task_id)
    return task


def may_touch(caller: Caller, task: dict[str, Any]) -> bool:
    """Whether a task is the caller's: a guide's own, a manager's store's, anyone's for head office."""
    if caller.role == "guide":
        return bool(task["guide_id"] == caller.subject)
    if caller.role == "manager":
        return bool(task["store_id"] == caller.store_id)
    return caller.role in ("operator", "admin")


def _no_list(runtime: Runtime, guide_id: str, date: dt.date | None) -> ApiError:
    if any(
        _makes(runtime, job["request"], guide_id, date) for job in runtime.ledger.running_jobs("regenerate_lists")
    ):
        return ApiError(409, "being_built", "the list is being built", None, {"Retry-After": "10"})
    when = f"of {date}" if date else "so far"
    return ApiError(404, "not_found", f"no list {when} for guide {guide_id!r}")


def _makes(runtime: Runtime, request: Mapping[str, Any], guide_id: str, date: dt.date | None) -> bool:
    """Whether a job that was asked for makes this guide's list of this day (of any day where none is named)."""
    if date is not None and request.get("date") != date.isoformat():
        return False
    if request.get("guides"):
        return guide_id in request["guides"]
    return not request.get("store") or request["store"] == store_of_guide(runtime, guide_id)


def _suggested(served: Served, item: dict[str, Any]) -> dict[str, Any]:
    """A suggestion with its reason in both languages, where the release knows the sentence."""
    why = item.get("why")
    both = served.both_languages(why) if isinstance(why, str) and why else why
    return {"item_id": item.get("item_id"), "title": item.get("title"), "why": both or None}


def _words(said: dict[str, Any], name: str) -> dict[str, str] | None:
    zh = said.get(f"{name}_zh")
    return None if zh is None else {"zh": zh, "en": said.get(f"{name}_en") or zh}
