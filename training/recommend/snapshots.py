"""Purchases before a day in; the earlier days a ranker may learn from, with their label windows, out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.recommend.visits import Purchases, first_baskets

# A snapshot needs this share of the label members that the best one has; sparse days teach little.
LEAST_SHARE = 0.5
# Days looked at per snapshot; more do not change the choice.
DAYS_TRIED = 400


@dataclass(frozen=True)
class Snapshot:
    """Features know what happened before `day`; labels are first baskets with day <= bought < end, end <= the cut-off."""

    day: int
    end: int
    member: NDArray[np.int32]  # label pairs, sorted by member and item; members have history before `day`
    item: NDArray[np.int32]

    @property
    def members(self) -> NDArray[np.int32]:
        """Members with a label, sorted."""
        return np.unique(self.member)


def choose_snapshots(
    bought: Purchases, as_of: int, window_days: int, count: int = 3, enough_members: int = 6_000, most: int = 6
) -> list[Snapshot]:
    """Snapshots, newest first, with windows that end by `as_of`; no window overlaps that of the newest.

    Where the history is short, the window shrinks to a third of it. The newest snapshot, which judges, is the latest
    day with at least half as many label members as any day has. Each further one ends before the newest begins;
    these start a third of a window apart, so that a small brand teaches more: at least `count` - 1, then up to
    `most` - 1 until they hold `enough_members` label members.
    """
    known = bought.before(as_of)
    if len(known.day) == 0:
        return []
    opens = np.r_[True, (known.member[1:] != known.member[:-1]) | (known.day[1:] != known.day[:-1])]
    member, day = known.member[opens], known.day[opens]
    first = np.r_[True, member[1:] != member[:-1]]
    since = day[first][np.cumsum(first) - 1]  # the member's first day, on every visit
    window = max(1, min(window_days, (as_of - int(day.min())) // 3))
    days = np.unique(day)
    days = days[days <= as_of - window]
    if len(days) == 0:
        return []
    days = days[-DAYS_TRIED:] if len(days) <= 4 * DAYS_TRIED else days[:: -(-len(days) // DAYS_TRIED)]
    order = np.argsort(day, kind="stable")
    ranked = day[order]

    def labelled(start: int) -> int:
        rows = order[np.searchsorted(ranked, start) : np.searchsorted(ranked, start + window)]
        return len(np.unique(member[rows[since[rows] < start]]))

    sizes = np.array([labelled(int(start)) for start in days])
    found: list[Snapshot] = []
    limit, want = as_of, LEAST_SHARE * sizes.max()
    taught = 0
    while len(found) < count or (len(found) < most and taught < enough_members):
        able = np.flatnonzero((days + window <= limit) & (sizes >= max(want, 1)))
        if len(able) == 0:
            break
        start = int(days[able[-1]])
        found.append(_labelled(known, np.unique(member[since < start]), start, start + window))
        if len(found) > 1:
            taught += len(found[-1].members)
        # The first teacher ends where the judging window begins; the next ends a third of a window earlier.
        limit = start if len(found) == 1 else min(limit, start + window) - max(1, -(-window // 3))
        want = LEAST_SHARE / 2 * sizes.max()
    return found


def fresh_snapshots(bought: Purchases, newest: Snapshot, as_of: int) -> list[Snapshot]:
    """Snapshots a third and two thirds of a window after the newest one, whose windows are cut short at the cut-off.

    They know what sold until a few weeks ago and teach the baskets that followed. Who comes seldom is missing from
    them: they order a member's items, and are no measure of how many are bought.
    """
    known = bought.before(as_of)
    window = newest.end - newest.day
    days = sorted({newest.day + window // 3, newest.day + 2 * window // 3} - {newest.day})
    return [_labelled(known, np.unique(known.member[known.day < day]), day, min(day + window, as_of)) for day in days]


def _labelled(known: Purchases, members: NDArray[np.int32], start: int, end: int) -> Snapshot:
    """First baskets from start on and before end, of these members."""
    who, what = first_baskets(known, start, end)
    keep = np.isin(who, members)
    return Snapshot(start, end, who[keep], what[keep])
