"""A member's row in, the card out; and who may see which member."""

import datetime as dt
from typing import Any

from outreach.ledger.consents import Standing
from outreach.ledger.live import Live
from outreach.member_words import churn_words, rhythm_reasons, stage_words, telling_reasons, window_words
from serving.access import Caller
from serving.errors import not_found
from serving.releases import Served
from serving.runtime import Runtime
from training.release import SCORED
from training.release_rows import WINDOW_PASSED, said_number

# A member on somebody's list within these days may be seen by that guide, though the member is another's or nobody's.
LISTED_DAYS = 14


def find_member(
    runtime: Runtime, caller: Caller, member_id: str, live: Live | None = None
) -> tuple[Served, int, dict[str, Any]]:
    """The release, the member's row and card, if the caller may see the member; 404 otherwise, whatever the cause."""
    served = runtime.served
    member_id = served.canonical(member_id)
    row = served.release.index(member_id)
    if row is None or (live or runtime.live.look()).member(member_id).forgotten:
        raise not_found("member", member_id)
    card = served.release.card(row)
    if not _may_see(runtime, caller, member_id, card):
        raise not_found("member", member_id)
    return served, row, card


def _may_see(runtime: Runtime, caller: Caller, member_id: str, card: dict[str, Any]) -> bool:
    if caller.role == "guide":
        if card.get("guide_id") == caller.subject:
            return True
        return any(task["guide_id"] == caller.subject for task in _recent_tasks(runtime, member_id))
    if caller.role == "manager":
        if card.get("store_id") == caller.store_id:
            return True
        return any(task["store_id"] == caller.store_id for task in _recent_tasks(runtime, member_id))
    return caller.role in ("operator", "admin", "app")


def _recent_tasks(runtime: Runtime, member_id: str) -> list[dict[str, Any]]:
    # Days of lists follow the release's day rather than the clock, so that an older release still shows its lists.
    day = min(runtime.now().date(), dt.date.fromisoformat(runtime.served.as_of))
    return runtime.ledger.tasks_of_member(member_id, day - dt.timedelta(days=LISTED_DAYS))


def member_answer(runtime: Runtime, caller: Caller, member_id: str) -> dict[str, Any]:
    """The card of GET /v1/members/{id}."""
    served, row, card = find_member(runtime, caller, member_id)
    member_id = served.canonical(member_id)
    standing = runtime.ledger.standing(member_id, runtime.now())
    numbers = own_numbers(served, row)
    band = label(served, "churn_band", row)
    answer: dict[str, Any] = {
        "member_id": member_id,
        **{
            name: card.get(name)
            for name in ("display_name", "level", "store_id", "guide_id", "is_friend", "birthday")
        },
        "registered_on": card.get("registered_on"),
        "tier": label(served, "tier", row),
        "stage": label(served, "stage", row),
        "stage_words": stage_words(label(served, "stage", row)),
        "churn_band": band,
        "churn_words": churn_words(
            band, *numbers.values(), horizon_days=int(served.release.manifest["horizon_days"])
        ),
        "window": window(served, row, runtime.now().date()),
        "preference": card.get("categories") or [],
        "reasons": rhythm_reasons(*numbers.values()),
        "last_visits": card.get("last_visits") or [],
        "last_contact": card.get("last_contact"),
        "timeline": timeline(runtime, member_id, card),
        "channels": channels(runtime, member_id, card, standing),
        "blocks": list(standing.blocks),
        "consents": standing.consents,
        "personalised": standing.personalised,
        **dict.fromkeys(SCORES),
        **versions(served, "churn", "curve"),
    }
    if caller.sees_scores:
        held = {name: prediction(served, name, row) for name in SCORES}
        answer |= {name: None if value is None else said_number(name, value) for name, value in held.items()}
    return answer


SCORES = (
    "churn_probability",
    "return_probability",
    "expected_spend_yuan",
    "expected_spend_low_yuan",
    "expected_spend_high_yuan",
)


def why_answer(runtime: Runtime, caller: Caller, member_id: str) -> dict[str, Any]:
    """The reasons behind a member's card, with the numbers that they use."""
    served, row, _ = find_member(runtime, caller, member_id)
    numbers = own_numbers(served, row)
    weighed = served.reasons(row) if served.release.kind[row] == SCORED else []
    return {
        "member_id": served.canonical(member_id),
        "reasons": telling_reasons(weighed, rhythm_reasons(*numbers.values())),
        "numbers": numbers,
        **versions(served, "churn", "curve"),
    }


def own_numbers(served: Served, row: int) -> dict[str, float | None]:
    """The numbers that the card's sentences use: days since, own mean gap, the gap of members like this, visits."""
    visits = prediction(served, "visits", row)
    return {
        "days_since": prediction(served, "recency_days", row),
        "own_gap_days": None if visits is None or visits < 2 else own_gap(served, row),
        "usual_gap_days": prediction(served, "gap_shrunk_days", row),
        "visits": visits,
    }


def own_gap(served: Served, row: int) -> float | None:
    """The member's own mean days between visits; None where the release's vectors do not know it."""
    if "gap_mean_days" not in served.columns:
        return None
    days = float(served.release.vectors[row, served.columns.index("gap_mean_days")])
    return days if days > 0 else None


def window(served: Served, row: int, today: dt.date) -> dict[str, Any]:
    """The next-purchase window as dates, none before today: T days from as_of is the day as_of + T − 1.

    Days that have passed since the release count as today; a window that has passed as a whole is none any more.
    """
    as_of = dt.date.fromisoformat(served.as_of)

    def day(name: str) -> dt.date | None:
        days = prediction(served, name, row)
        return None if days is None else as_of + dt.timedelta(days=max(round(days) - 1, 0))

    low, median, high = day("next_low_days"), day("next_median_days"), day("next_high_days")
    reason = label(served, "next_null_reason", row)
    if high is not None and high < today:
        low = median = high = None
        reason = WINDOW_PASSED
    low, median = (None if found is None else max(found, today) for found in (low, median))
    return {
        "low": low,
        "median": median,
        "high": high,
        "null_reason": reason or None,
        "sentence": window_words(low, median, high, reason, int(served.release.grid_days[-1])),
    }


def channels(runtime: Runtime, member_id: str, card: dict[str, Any], standing: Standing) -> list[str]:
    """Channels that are open now: a friend's chat unless refused; a call or an SMS only where it was granted.

    What was granted in the brand's own tables is known from the member's newest task, which lists the channels allowed.
    """
    newest = max(_recent_tasks(runtime, member_id), key=lambda task: task["date"], default=None)
    listed = (newest["payload"].get("allowed_channels") or []) if newest else []
    possible = ["wecom_1v1"] if card.get("is_friend") and "unfriended" not in standing.blocks else []
    possible += [
        name
        for name, purpose in (("call_human", "marketing_call"), ("sms", "marketing_sms"))
        if standing.said.get(purpose, name in listed)
    ]
    return standing.open_channels(possible)


def timeline(runtime: Runtime, member_id: str, card: dict[str, Any]) -> list[dict[str, Any]]:
    """Purchases and contacts in one line of time, newest first."""
    rows = [
        {"day": str(visit.get("day")), "kind": "purchase", "what": [_bought(i) for i in visit.get("items", [])]}
        for visit in card.get("last_visits") or []
    ]
    last = card.get("last_contact")
    if last:
        rows.append(
            {"day": str(last.get("day")), "kind": "contact", "what": [last.get("outcome") or last.get("channel")]}
        )
    rows += [
        {"day": outcome["at"].date().isoformat(), "kind": "contact", "what": [outcome["outcome"]]}
        for outcome in runtime.ledger.outcomes_of_member(member_id)
    ]
    return sorted(rows, key=lambda row: (str(row["day"]), str(row["kind"])), reverse=True)


def _bought(item: dict[str, Any]) -> str | None:
    """An item of a visit and how many of it, where there were several."""
    title = item.get("title") or item.get("item_id")
    pieces = round(item.get("qty") or 1)
    return f"{title} ×{pieces}" if title and pieces > 1 else title


def versions(served: Served, *tasks: str) -> dict[str, Any]:
    """model_version, as_of, source, fallback_reason."""
    return {"model_version": served.version, "as_of": served.as_of, **served.source(*tasks)}


def label(served: Served, name: str, row: int) -> str | None:
    """A label of the release; None where the release has no such column."""
    return served.release.label(name, row) if name in served.release.codes else None


def prediction(served: Served, name: str, row: int) -> float | None:
    """A number of the release; None where the release has no such column."""
    return served.release.prediction(name, row) if name in served.release.predictions else None
