"""An item and a guide's or a store's members in; out: whom to tell about it, within what each member allows.

Everything by member is an array operation over the slice of the release that holds the guide's or the store's members; the
ledger is asked about the best of them in a few statements. Cards are read for the members shown.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from outreach.ledger.live import Live
from outreach.settings import ContactSettings
from serving.access import Caller
from serving.answers.happened import DUE_WITHIN_DAYS, LEAST_REST, days_passed, reason_today, rest_days
from serving.answers.lists import check_guide, store_of_guide
from serving.answers.members import versions
from serving.errors import ApiError, not_found
from serving.releases import Served
from serving.runtime import Runtime
from training.release import NEVER_SCORED, Release

# Members asked about at a time, best first, and the most that are looked at for one question.
AT_ONCE, MOST_LOOKED_AT = 500, 2_000
# Without a rule of the shop, nobody is told anything so soon after the last contact.
REST_DAYS = ContactSettings().gap_min_days
INTEREST = {"code": "interest", "zh": "可能感兴趣", "en": "May be interested"}
NEAR = {"code": "because_bought", "zh": "买过相近的{item}", "en": "Bought {item}, which is close to it"}


@dataclass(frozen=True)
class Interested:
    """Rows of members whom an item may interest, best first; where each was found: slate again or new with its place, or
    the code of an own item close to it. All arrays are of one length."""

    rows: NDArray[np.int64]
    slate: NDArray[np.int8]  # 0 again, 1 new, 2 close to an own item
    place: NDArray[np.int64]  # in the slate; the code of the own item where slate is 2
    score: NDArray[np.float64]
    due: NDArray[np.int64]  # days from today until it is used up: 0 due or overdue, -1 not known or not on again


SLATES = ("again", "new")


def members_for_item(
    runtime: Runtime,
    live: Live,
    caller: Caller,
    item_id: str,
    *,
    n: int,
    guide_id: str | None = None,
    store_id: str | None = None,
) -> dict[str, Any]:
    """The answer of GET /v1/items/{id}/members: the own members of a guide, or those of a manager's store.

    Head office names the guide or the store. Only members who may be contacted, want to be given things chosen by a
    model, are not held out and did not just buy the item; rules, shelf and stock hold for the item itself.
    """
    served = runtime.served
    release = served.release
    code = release.items.code_of.get(item_id)
    if code is None:
        raise not_found("item", item_id)
    if release.people is None:
        raise ApiError(
            409, "older_release", "this release does not say whose members are whose; `huitou release` does"
        )
    guide_id, store_id = _scope(runtime, caller, guide_id, store_id)
    rows = np.asarray(
        release.people.of("guide", guide_id) if guide_id else release.people.of("store", store_id or "")
    )
    answer: dict[str, Any] = {
        "item_id": item_id,
        "title": served.items_said[code]["title"],
        "guide_id": guide_id,
        "store_id": store_id,
        "members": [],
        "considered": 0,
        "left_out": {},
        "why_none": None,
        **versions(served, "items"),
    }
    today = runtime.now().date()
    rules = runtime.shop_rules.compiled(runtime.ledger, live, served, today)
    stock = live.sold_out(store_id) if store_id else ()
    if not rules.allowed[code] or item_id in stock:
        return answer | {"why_none": "not_sold_now"}
    found = interested(served, rows, code, days_passed(served, today))
    answer["considered"] = len(found.rows)
    told, channels, left_out = _allowed(runtime, item_id, found, n)
    answer["left_out"] = {reason: count for reason, count in left_out.items() if count}
    answer["members"] = [
        _member(served, caller, code, found, at, rank) | {"channels": open_}
        for rank, (at, open_) in enumerate(zip(told, channels, strict=True), 1)
    ]
    if not told:
        answer["why_none"] = "nobody_may_be_told" if len(found.rows) else "no_interest"
    return answer


def _scope(
    runtime: Runtime, caller: Caller, guide_id: str | None, store_id: str | None
) -> tuple[str | None, str | None]:
    """Whose members are asked about, and the store whose stock counts; 404 for another's, 400 where nobody is named."""
    if caller.role == "guide":
        guide_id, own = guide_id or caller.subject, caller.store_id or None
        if guide_id != caller.subject:
            raise not_found("guide", guide_id)
        if store_id not in (None, own):
            raise not_found("store", str(store_id))
        return guide_id, own or store_of_guide(runtime, guide_id)
    if caller.role == "manager":
        if store_id not in (None, caller.store_id):
            raise not_found("store", str(store_id))
        store_id = caller.store_id
    if guide_id is not None:
        check_guide(runtime, caller, guide_id)
        return guide_id, store_id or store_of_guide(runtime, guide_id)
    if store_id is None:
        raise ApiError(400, "invalid_request", "name whose members are meant: guide_id or store_id")
    return None, store_id


def interested(served: Served, rows: NDArray[Any], code: int, passed: int = 0) -> Interested:
    """The members among `rows` on whose lists an item stands, `passed` days after the release's as_of.

    First who may buy it again, of them first those for whom it is due; then those to whom it is new; then owners of
    something close to it; last those whose list is a popular one of their store, level or brand. Scores order only
    where they are probabilities: of other methods they are counts of their own scale, and the place orders instead.
    """
    release = served.release
    arrays = release.items
    rows = np.asarray(rows, np.int64)
    allowed = np.asarray(release.kind)[rows] != NEVER_SCORED
    rows = rows[allowed]
    slate, place, score = np.full(len(rows), -1, np.int8), np.zeros(len(rows), np.int64), np.zeros(len(rows))
    strength = np.zeros(len(rows))  # orders members within a slate
    rungs = release.manifest.get("item_rungs") or ("own",)
    ladder = np.array([name != "own" for name in rungs])[np.minimum(arrays.rung[rows], len(rungs) - 1)]
    for number, name in enumerate(SLATES):
        hit = arrays.slates[name][rows] == code
        on = hit.any(axis=1) & (slate < 0)
        at = hit.argmax(axis=1)
        slate[on], place[on] = number, at[on]
        score[on] = arrays.scores[name][rows[on], at[on]]
        strength[on] = score[on] if served.item_methods.all_chances(name, rows[on & ~ladder]) else -at[on]
    worth = np.zeros(len(arrays.item_ids))
    for near in (arrays.similar[code], arrays.together[code]):
        there = np.flatnonzero(near >= 0)
        np.maximum.at(worth, near[there], 1.0 / (there + 2.0))
    if arrays.own_at is not None and arrays.own is not None and worth.any():
        start = np.asarray(arrays.own_at)[rows]
        size = np.asarray(arrays.own_at)[rows + 1] - start
        first = np.cumsum(size) - size
        of = np.repeat(np.arange(len(rows)), size)
        owned = np.asarray(arrays.own)[np.repeat(start - first, size) + np.arange(size.sum())]
        close = np.flatnonzero(worth[owned] > 0)
        # The closest own item of each member, first of equals.
        order = close[np.lexsort((owned[close], -worth[owned[close]], of[close]))]
        lead = order[np.r_[True, of[order][1:] != of[order][:-1]]] if len(order) else order
        has = np.zeros(len(rows), bool)
        has[of[owned == code]] = True  # owns it already, and it is not due: not told by what is close to it
        lead = lead[(slate[of[lead]] < 0) & ~has[of[lead]]]
        slate[of[lead]], place[of[lead]], score[of[lead]] = 2, owned[lead], worth[owned[lead]]
        strength[of[lead]] = worth[owned[lead]]
    due = np.full(len(rows), -1, np.int64)
    again = np.flatnonzero(slate == 0)
    due[again] = arrays.due_days[rows[again], place[again]]
    due = np.where(due >= 0, np.maximum(due - passed, 0), -1)
    is_due = (due >= 0) & (due <= DUE_WITHIN_DAYS)
    there = np.flatnonzero(slate >= 0)
    there = there[np.lexsort([key[there] for key in (rows, -strength, ~is_due, slate, ladder)])]
    return Interested(rows[there], slate[there], place[there], score[there], due[there])


def _allowed(
    runtime: Runtime, item_id: str, found: Interested, n: int
) -> tuple[list[int], list[list[str]], dict[str, int]]:
    """Places in `found` of the first n who may be told, the channels open to each, and who was left out why."""
    release, at = runtime.served.release, runtime.now()
    passed = days_passed(runtime.served, at.date())
    gap = runtime.ledger.rules().get("gap_days")
    rest = at - dt.timedelta(days=REST_DAYS if gap is None else float(gap))
    since = dt.datetime.combine(runtime.served.as_of_day, dt.time())
    left_out = dict.fromkeys(("holdout", "blocked", "opted_out", "just_bought", "contacted_lately", "no_channel"), 0)
    told: list[int] = []
    channels: list[list[str]] = []
    for start in range(0, min(len(found.rows), MOST_LOOKED_AT), AT_ONCE):
        rows = found.rows[start : start + AT_ONCE]
        ids = release.ids[rows].astype(str)
        names = ids.tolist()
        closed = runtime.ledger.closed(names, at)
        friend = np.ones(len(rows), bool) if release.friend is None else np.asarray(release.friend)[rows] == 1
        chat = friend & ~_isin(ids, closed.no_chat)
        calls = _isin(ids, closed.calls)
        lately = _isin(ids, runtime.ledger.touched_by_others(names, "", rest))
        if release.contacted is not None:
            lately |= np.asarray(release.contacted)[rows] >= (rest.date() - dt.date(1970, 1, 1)).days
        bought = _isin(ids, runtime.ledger.buyers_since(item_id, names, since))
        bought |= _rests(release, item_id, found, slice(start, start + AT_ONCE), passed)
        left = np.ones(len(rows), bool)
        for reason, who in (
            (
                "holdout",
                np.zeros(len(rows), bool) if release.held_out is None else np.asarray(release.held_out)[rows] == 1,
            ),
            ("blocked", _isin(ids, closed.blocked)),
            ("opted_out", _isin(ids, closed.impersonal)),
            ("just_bought", bought),
            ("contacted_lately", lately),
            ("no_channel", ~chat & ~calls),
        ):
            left_out[reason] += int((left & who).sum())
            left &= ~who
        for place in np.flatnonzero(left)[: n - len(told)].tolist():
            told.append(start + place)
            channels.append(["wecom_1v1"] * bool(chat[place]) + ["call_human"] * bool(calls[place]))
        if len(told) == n:
            break
    return told, channels, left_out


def _rests(release: Release, item_id: str, found: Interested, part: slice, passed: int) -> NDArray[np.bool_]:
    """Who of a part of `found` bought the item so shortly before as_of that it is not due yet.

    The days until it is used up say so; of who bought anything lately, the last visits on the card say when, and how
    long the purchase lasts follows from both.
    """
    rows, due = found.rows[part], found.due[part]
    rests = due > DUE_WITHIN_DAYS
    recency = release.predictions.get("recency_days")
    if recency is None:
        return rests
    # days < LEAST_REST * (days + due), solved for the days since the purchase.
    within = np.where(due >= 0, due * LEAST_REST / (1 - LEAST_REST), rest_days(float("nan")))
    lately = (found.slate[part] == 0) & ~rests & (np.asarray(recency)[rows] + passed < within)
    as_of = dt.date.fromisoformat(str(release.manifest["as_of"]))
    for at in np.flatnonzero(lately).tolist():
        days = [
            (as_of - dt.date.fromisoformat(visit["day"])).days + passed
            for visit in release.card(int(rows[at])).get("last_visits") or ()
            if any(item["item_id"] == item_id for item in visit["items"])
        ]
        rests[at] = min(days, default=within[at]) < within[at]
    return rests


def _isin(ids: NDArray[Any], some: Any) -> NDArray[np.bool_]:
    return np.isin(ids, np.array(sorted(some), dtype=str)) if some else np.zeros(len(ids), bool)


def _member(served: Served, caller: Caller, code: int, found: Interested, at: int, rank: int) -> dict[str, Any]:
    release, row = served.release, int(found.rows[at])
    arrays, card = release.items, release.card(int(found.rows[at]))
    place, due, score = int(found.place[at]), None, None
    if found.slate[at] == 2:
        title = served.items_said[place]["title"] or arrays.item_ids[place]
        reason = {"code": NEAR["code"], **{name: NEAR[name].format(item=title) for name in ("zh", "en")}}
    else:
        slate = SLATES[int(found.slate[at])]
        due = None if found.due[at] < 0 else int(found.due[at])
        because = int(arrays.because[slate][row][place])
        said = reason_today(served, int(arrays.reasons[slate][row][place]), due)
        reason = served.item_reason(said, because, due) or INTEREST
        score = float(found.score[at]) if caller.sees_scores else None
    visits = card.get("last_visits") or []
    return {
        "member_id": release.ids[row].decode(),
        "rank": rank,
        "display_name": card.get("display_name"),
        "guide_id": card.get("guide_id"),
        "reason": reason,
        "due_days": due,
        "last_purchase": str(visits[0].get("day")) if visits else None,
        "score": score,
    }
