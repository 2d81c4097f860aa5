"""A member and a store in, items to show out: the release's lists under the shop's rules, without what was just bought."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from outreach.ledger.live import Live
from serving.access import Caller
from serving.answers.members import find_member, versions
from serving.errors import ApiError, not_found
from serving.releases import Served
from serving.runtime import Runtime
from training.recommend.rules import Compiled, Rung, apply_rules
from training.release import NEVER_SCORED

SLATES = ("again", "new", "mixed")
MOST = 50
# What is said where nothing allowed is left for some of the n places.
WHY_SHORT = "rules_and_stock_leave_too_few"
PINNED = {"code": "PINNED", "zh": "本店推荐", "en": "picked by the shop"}
POPULAR = {"code": "POPULAR", "zh": "本店热销", "en": "popular here"}


def recommendations(
    runtime: Runtime,
    live: Live,
    caller: Caller,
    member_id: str,
    *,
    slate: str = "mixed",
    n: int = 10,
    store_id: str | None = None,
    personalised: bool = True,
    request_id: str = "",
) -> dict[str, Any]:
    """The answer of GET /v1/members/{id}/recommendations; logs what it shows.

    Not personalised (asked for, opted out, a minor, an unknown member) means: the store's popular list, equal for all.
    """
    served = runtime.served
    release = served.release
    at = runtime.now()
    member_id = served.canonical(member_id)
    row = release.index(member_id)
    if caller.role in ("guide", "manager"):
        served, row, _ = find_member(runtime, caller, member_id, live)
        release = served.release
    reason = None
    now = live.member(member_id)
    if row is None or now.forgotten:
        reason = "unknown_member"
    elif not personalised:
        reason = "not_personalised"
    elif not now.standing(at).personalised:
        reason = "opted_out"
    elif release.kind[row] == NEVER_SCORED:
        reason = "not_scored"
    rules = runtime.shop_rules.compiled(runtime.ledger, live, served, at.date())
    sold_out = _codes(served, live.sold_out(store_id)) if store_id else set()
    items: list[dict[str, Any]] = []
    short = n
    if reason is None and row is not None:
        hidden = sold_out | _codes(served, now.bought)
        items, short = _own(served, row, slate, n, rules, hidden, store_id or "", caller.sees_scores)
        if not items:
            known = bool((release.items.slates[slate][row] >= 0).any())
            reason = "nothing_allowed" if known else "no_history"
    if reason is not None:
        # The same for everybody who is not personalised: the store asked for, not the member's own.
        items, short = _popular(served, n, rules, sold_out, store_id or "")
    answer = {
        "request_id": request_id,
        "member_id": member_id,
        "slate": slate,
        "personalised": reason is None,
        "store_id": store_id,
        "items": items,
        "short": short,
        "why_short": WHY_SHORT if short else None,
        **versions(served, "items"),
    }
    if reason is not None:
        answer |= {"source": "fallback", "fallback_reason": reason}
    runtime.metrics.answered("items", answer["source"])
    runtime.journal.exposure(
        {
            "request_id": request_id,
            "at": at,
            "member_id": member_id,
            "store_id": store_id or "",
            "slate": slate,
            "personalised": reason is None,
            "release_id": release.release_id,
            "items": [item["item_id"] for item in items],
        }
    )
    return answer


def _own(
    served: Served, row: int, slate: str, n: int, rules: Compiled, hidden: set[int], store_id: str, scores: bool
) -> tuple[list[dict[str, Any]], int]:
    """The member's own list under the shop's rules, and how many places stay empty; popular items fill what is left.

    The list to buy again is not filled up: what was never bought does not belong there.
    """
    arrays = served.release.items
    codes = arrays.slates[slate][row]
    own = Rung.of("own", codes)
    if len(own.codes) == 0:
        return [], n

    def ladder() -> Iterator[Rung]:
        yield own
        if slate == "mixed":
            yield served.popular_rung(store_id)
        elif slate == "new":
            popular = served.popular_rung(store_id)
            unknown = ~np.isin(popular.codes, arrays.slates["again"][row])
            yield Rung(popular.name, popular.codes[unknown], popular.scores[unknown])

    shown = apply_rules(ladder(), n, rules, hidden=hidden)
    reasons, points = arrays.reasons[slate][row], arrays.scores[slate][row]
    places = {code: place for place, code in enumerate(codes.tolist()) if code >= 0}
    items: list[dict[str, Any]] = []
    for code, rung in zip(shown.codes.tolist(), shown.rungs, strict=True):
        item = item_said(served, code, len(items) + 1)
        place = places.get(code)
        if place is None:
            item["reason"] = PINNED if rung == "pin" else POPULAR
        else:
            due = int(arrays.due_days[row][place]) if slate == "again" else -1
            item["due_days"] = None if due == -1 else due
            because = int(arrays.because[slate][row][place])
            item["reason"] = served.item_reason(int(reasons[place]), because, item["due_days"])
            if scores:
                item["score"] = float(points[place])
        items.append(item)
    return items, shown.short


def _popular(
    served: Served, n: int, rules: Compiled, hidden: set[int], store_id: str
) -> tuple[list[dict[str, Any]], int]:
    shown = apply_rules([served.popular_rung(store_id)], n, rules, hidden=hidden)
    items = [
        item_said(served, code, rank) | {"reason": PINNED if rung == "pin" else POPULAR}
        for rank, (code, rung) in enumerate(zip(shown.codes.tolist(), shown.rungs, strict=True), 1)
    ]
    return items, shown.short


def _codes(served: Served, item_ids: Iterable[str]) -> set[int]:
    code_of = served.release.items.code_of
    return {code_of[item_id] for item_id in item_ids if item_id in code_of}


def item_said(served: Served, code: int, rank: int) -> dict[str, Any]:
    """An item as every item list shows it. No price: one item has one price, and it is not ours to say."""
    return {**served.items_said[code], "rank": rank, "reason": None, "due_days": None, "score": None}


def related(runtime: Runtime, item_id: str, which: str, n: int) -> dict[str, Any]:
    """Items similar to, or bought together with, an item."""
    served = runtime.served
    arrays = served.release.items
    code = arrays.code_of.get(item_id)
    if code is None:
        raise not_found("item", item_id)
    codes = [c for c in getattr(arrays, which)[code].tolist() if c >= 0 and c not in served.switched_off]
    return {
        "item_id": item_id,
        "items": [item_said(served, c, rank) for rank, c in enumerate(codes[:n], 1)],
        **versions(served, "items"),
    }


def count_of(said: str | None, default: int = 10) -> int:
    """`n` of a query: 1 to 50."""
    if said is None:
        return default
    if not said.isascii() or not said.isdigit() or not 1 <= int(said[:6]) <= MOST:
        raise ApiError(400, "invalid_request", f"n must be a whole number from 1 to {MOST}", {"n": said[:40]})
    return int(said)


def flag_of(name: str, said: str | None, default: bool) -> bool:
    """A yes or no of a query."""
    if said is None:
        return default
    if said.lower() not in ("true", "false", "1", "0"):
        raise ApiError(400, "invalid_request", f"{name} must be true or false", {name: said[:40]})
    return said.lower() in ("true", "1")
