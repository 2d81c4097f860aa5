"""Baskets as known on a day in; the same purchases as plain arrays with visit numbers, ages and days since, out.

A visit is one member-day. `age` counts a member's visits backwards (0 = the latest before the cut-off), `days` counts
days before the cut-off. Rows are sorted by member, day and item, so the order of input rows changes nothing.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from training.items import purchase_matrix


@dataclass(frozen=True)
class Purchases:
    """One row per member, day and item. `day` is days since 1970-01-01; members and items are codes."""

    member: NDArray[np.int32]
    day: NDArray[np.int32]
    item: NDArray[np.int32]
    qty: NDArray[np.float32]
    spend_yuan: NDArray[np.float32]

    def take(self, rows: NDArray[Any]) -> "Purchases":
        """The rows of a mask or index array."""
        return Purchases(self.member[rows], self.day[rows], self.item[rows], self.qty[rows], self.spend_yuan[rows])

    def before(self, day: int) -> "Purchases":
        """What happened before a day (days since 1970-01-01)."""
        return self.take(self.day < day)

    @staticmethod
    def sorted(member: Any, day: Any, item: Any, qty: Any, spend_yuan: Any) -> "Purchases":
        """Rows in any order, made unique and sorted by member, day, item; quantities and spend are summed."""
        member, day, item = (np.asarray(x, np.int64) for x in (member, day, item))
        order = np.lexsort((item, day, member))
        member, day, item = member[order], day[order], item[order]
        new = np.ones(len(member), bool)
        new[1:] = (member[1:] != member[:-1]) | (day[1:] != day[:-1]) | (item[1:] != item[:-1])
        start = np.flatnonzero(new)
        sums = [
            np.add.reduceat(np.asarray(x, np.float64)[order], start) if len(start) else np.zeros(0)
            for x in (qty, spend_yuan)
        ]
        return Purchases(
            member[start].astype(np.int32),
            day[start].astype(np.int32),
            item[start].astype(np.int32),
            sums[0].astype(np.float32),
            sums[1].astype(np.float32),
        )


@dataclass(frozen=True)
class Visits:
    """Purchases before a cut-off with visit numbers: `member`, `item`, `visit` (0 = first), `age` (0 = latest), `days`."""

    as_of: int
    n_members: int
    n_items: int
    bought: Purchases
    visit: NDArray[np.int32]
    age: NDArray[np.int32]
    days: NDArray[np.float32]
    n_visits: NDArray[np.int32]
    first_row: NDArray[np.int64]  # rows of member m: first_row[m]:first_row[m + 1]

    @property
    def member(self) -> NDArray[np.int32]:
        """Member code of each row."""
        return self.bought.member

    @property
    def item(self) -> NDArray[np.int32]:
        """Item code of each row."""
        return self.bought.item

    def matrix(self, weight: NDArray[Any] | None = None) -> sparse.csr_matrix:
        """Members × items; without a weight the number of visits that hold the item."""
        return purchase_matrix(self.member, self.item, weight, (self.n_members, self.n_items))

    def popularity(self) -> NDArray[np.float64]:
        """Number of baskets that hold each item."""
        return np.bincount(self.item, minlength=self.n_items).astype(np.float64)


def visits_before(bought: Purchases, as_of: int, n_members: int, n_items: int) -> Visits:
    """Purchases before `as_of` (days since 1970-01-01), numbered by visit."""
    known = bought.before(as_of)
    member, day = known.member, known.day
    opens = np.ones(len(member), bool)  # a row that opens a visit
    opens[1:] = (member[1:] != member[:-1]) | (day[1:] != day[:-1])
    number = np.cumsum(opens) - 1
    n_visits = np.bincount(member[opens], minlength=n_members).astype(np.int32)
    first_visit = np.r_[0, np.cumsum(n_visits)]
    visit = (number - first_visit[member]).astype(np.int32)
    first_row = np.searchsorted(member, np.arange(n_members + 1))
    return Visits(
        as_of=as_of,
        n_members=n_members,
        n_items=n_items,
        bought=known,
        visit=visit,
        age=(n_visits[member] - 1 - visit).astype(np.int32),
        days=(as_of - day).astype(np.float32),
        n_visits=n_visits,
        first_row=first_row,
    )


def first_baskets(bought: Purchases, start: int, end: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """(member, item) of every member's first basket with start <= day < end, sorted by member and item."""
    inside = bought.take((bought.day >= start) & (bought.day < end))
    if len(inside.member) == 0:
        return np.zeros(0, np.int32), np.zeros(0, np.int32)
    opens = np.r_[True, inside.member[1:] != inside.member[:-1]]
    first_day = inside.day[np.flatnonzero(opens)][np.cumsum(opens) - 1]
    keep = inside.day == first_day
    return inside.member[keep], inside.item[keep]
