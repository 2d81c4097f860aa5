"""A member's events in; out: what must not be shown for now, what to fold into the list, and when what was bought is due.

The release knows purchases before its as_of. Events since then are folded in; older ones only keep an item away until it
is due again, because the shop may have told us of an order long before it reached the tables.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from outreach.ledger.live import Happened
from serving.releases import Served
from training.recommend.rules import RETURN_REST_DAYS

# Shown again this many days before it is used up, but never in the first three quarters of its cycle.
DUE_WITHIN_DAYS, LEAST_REST = 7.0, 0.75
# Bought, and it has no cycle: not shown again for so many days, and not before the release knows of the purchase.
REST_DAYS = 30
# What was bought lasts as many cycles as pieces, for as long as a day of use may be told at all.
LONGEST_DAYS = 365.0
# Items of events that are folded in, the newest first; older ones say little beside a whole history.
MOST_RECENT = 20


@dataclass(frozen=True, slots=True)
class Since:
    """Item codes: `hidden` just bought or returned; `bought` in any event; `recent` of events since the release, newest first; `due` days from
    today until what was bought since is used up, where it has a cycle (0: due or overdue); `passed` days from the release's as_of to today."""

    hidden: frozenset[int]
    bought: frozenset[int]
    recent: tuple[int, ...]
    due: dict[int, int]
    passed: int = 0

    def due_days(self, code: int, told: int) -> int:
        """Days from today until an item is used up, 0 = due or overdue, -1 = not known; told: the same from as_of."""
        if code in self.due:
            return self.due[code]
        return told if told < 0 else max(told - self.passed, 0)


NOTHING = Since(frozenset(), frozenset(), (), {})


def days_passed(served: Served, today: dt.date) -> int:
    """Days from the release's as_of to today, at least 0."""
    return max((today - served.as_of_day).days, 0)


def rest_days(lasts: float) -> float:
    """Days after a purchase until the item is shown again; lasts: days until it is used up, NaN without a cycle."""
    return max(lasts - DUE_WITHIN_DAYS, LEAST_REST * lasts) if lasts == lasts else REST_DAYS


def reason_today(served: Served, code: int, due: int | None) -> int:
    """A reason's code as of today: an item that was only bought before says that it is due once it is."""
    reasons = served.item_reasons
    if due is None or due > DUE_WITHIN_DAYS or code >= len(reasons) or reasons[code]["code"] != "bought_before":
        return code
    return next((place for place, reason in enumerate(reasons) if reason["code"] == "due"), code)


def since_release(served: Served, happened: Sequence[Happened], at: dt.datetime) -> Since:
    """What a member's events (newest first) mean for a list made now."""
    passed = days_passed(served, at.date())
    if not happened:
        return Since(frozenset(), frozenset(), (), {}, passed) if passed else NOTHING
    code_of, cycles = served.release.items.code_of, served.release.items.cycle_days
    as_of, today = served.as_of_day, at.date()
    last: dict[int, Happened] = {}
    recent: dict[int, None] = {}
    for event in happened:
        code = code_of.get(event.item_id)
        if code is None:
            continue
        if event.at.date() >= as_of and event.kind != "return":
            recent.setdefault(code)
        if event.kind != "view":
            last.setdefault(code, event)
    hidden: set[int] = set()
    due: dict[int, int] = {}
    for code, event in last.items():
        days = (today - event.at.date()).days
        cycle = float(cycles[code]) if cycles is not None else float("nan")
        # A piece more lasts a cycle more; weighed goods and what was told without a quantity count as one piece.
        lasts = min(cycle * max(event.qty, 1.0), max(cycle, LONGEST_DAYS))
        if event.kind == "return":
            if days < RETURN_REST_DAYS:
                hidden.add(code)
        elif cycle == cycle:  # not NaN: it has a cycle
            if days < rest_days(lasts):
                hidden.add(code)
            if event.at.date() >= as_of:
                due[code] = max(round(lasts) - days, 0)
        elif days < REST_DAYS or event.at.date() >= as_of:
            hidden.add(code)
    return Since(frozenset(hidden), frozenset(last), tuple(recent)[:MOST_RECENT], due, passed)
