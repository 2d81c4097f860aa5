"""A shop's own records in, day by day, the standing of every member out: what a contact policy may look at.

The book is fed with what a brand really has - orders, contacts sent, friends lost, signals - and never with a truth.
It keeps running sums, so that a day over thousands of members costs a millisecond; the same quantities come from the
contract tables in a daily run (see `outreach.inputs`).  Members are positions 0 … n−1, days are whole numbers.
"""

import copy
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from outreach.inputs import NEVER, PRIOR_VISITS
from outreach.score import Standing

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

# Half-life of the decayed spend that stands for the last months, days.
SPEND_HALF_LIFE = 60.0


@dataclass
class Book:
    """Running records of n members up to the morning of `day`."""

    guide: Ints
    signals: Floats  # [n, s] standard scores: activity and replies first
    margin: float
    contact_cost_yuan: float
    capacity: int  # tasks a guide can do a day
    day: int
    fatigue_half_life_days: float = 14.0
    # Filled by the records.
    last: Ints = field(init=False)
    visits: Floats = field(init=False)
    log_gaps: Floats = field(init=False)
    spend: Floats = field(init=False)
    recent_spend: Floats = field(init=False)
    friend: Bools = field(init=False)
    fatigue: Floats = field(init=False)
    last_contact: Floats = field(init=False)
    contacts: list[tuple[int, Ints]] = field(init=False)
    orders: list[tuple[Ints, Ints, Floats]] = field(init=False)  # (day, member, spend) of each entry
    unfriended: list[tuple[int, Ints]] = field(init=False)

    def __post_init__(self) -> None:
        n = len(self.guide)
        self.last = np.full(n, -(10**6), dtype=np.int64)
        self.visits, self.log_gaps, self.spend = np.zeros(n), np.zeros(n), np.zeros(n)
        self.recent_spend, self.fatigue = np.zeros(n), np.zeros(n)
        self.friend = np.ones(n, dtype=bool)
        self.last_contact = np.full(n, -NEVER)
        self.contacts, self.orders, self.unfriended = [], [], []

    def copy(self) -> "Book":
        """The same records, to be carried on by another policy."""
        twin = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray | list):
                setattr(twin, name, value.copy())
        return twin

    def __len__(self) -> int:
        return len(self.guide)

    def write(self, day: int, buyers: Ints, spend_yuan: Floats, contacted: Ints, unfriended: Ints) -> None:
        """Enter a day's orders (one row per member), contacts sent and friends lost."""
        self.recent_spend *= 0.5 ** (1.0 / SPEND_HALF_LIFE)
        self.fatigue *= 0.5 ** (1.0 / self.fatigue_half_life_days)
        again = buyers[self.visits[buyers] > 0]
        self.log_gaps[again] += np.log(np.maximum(day - self.last[again], 1))
        self.last[buyers] = day
        self.visits[buyers] += 1
        self.spend[buyers] += spend_yuan
        self.recent_spend[buyers] += spend_yuan
        self.fatigue[contacted] += 1.0
        self.last_contact[contacted] = day
        self.friend[unfriended] = False
        self.orders.append((np.full(len(buyers), day, dtype=np.int64), buyers, spend_yuan))
        self.contacts.append((day, contacted))
        self.unfriended.append((day, unfriended))
        self.day = day + 1

    def past_orders(self) -> tuple[Ints, Ints, Floats]:
        """All orders entered so far: day, member, spend."""
        if not self.orders:
            return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
        day, member, spend = (np.concatenate(column) for column in zip(*self.orders, strict=True))
        return day, member, spend

    # ---- what the records say this morning ---------------------------------------------------------------------
    def days_since(self) -> Floats:
        return (self.day - self.last).astype(np.float64)

    def usual_cycle(self) -> float:
        """The brand's middle cycle: median of the members' log-mean gaps, members with two gaps or more."""
        known = self.visits >= 3
        if not known.any():
            return 60.0
        return float(np.exp(np.median(self.log_gaps[known] / (self.visits[known] - 1))))

    def cycle(self) -> Floats:
        """Log-mean gap, shrunk to the brand's with weight min(n, 6) / (min(n, 6) + 2)."""
        gaps = np.maximum(self.visits - 1, 0)
        own = self.log_gaps / np.maximum(gaps, 1)
        weight = np.minimum(gaps, 6) / (np.minimum(gaps, 6) + 2)
        return np.exp(weight * own + (1 - weight) * np.log(self.usual_cycle()))

    def basket(self) -> Floats:
        """Mean order, shrunk to the brand's mean order of a middling member with the weight of two orders."""
        seen = self.visits > 0
        usual = float(np.median(self.spend[seen] / self.visits[seen])) if seen.any() else 0.0
        return (self.spend + PRIOR_VISITS * usual) / (self.visits + PRIOR_VISITS)

    def history(self) -> Floats:
        """[n, 6] columns for purchase models: days since, visits, cycle, lateness, basket, recent spend."""
        since, cycle = self.days_since(), self.cycle()
        return np.column_stack([since, self.visits, cycle, since / cycle, self.basket(), self.recent_spend])

    def contacts_within(self, days: int) -> Ints:
        """Contacts of each member in the last `days` days."""
        count = np.zeros(len(self), dtype=np.int64)
        for day, who in reversed(self.contacts):
            if self.day - day > days:
                break
            count[who] += 1
        return count

    def standing(self, churn: Floats, buys_anyway: Floats) -> Standing:
        """The standing of every member, with what the brand's churn model says of them."""
        return Standing(
            days_since=self.days_since(),
            cycle_days=self.cycle(),
            visits=self.visits,
            basket_yuan=self.basket(),
            churn=churn,
            buys_anyway=buys_anyway,
            # Activity and replies are what the words mean: how readily a member answers.
            engagement=self.signals[:, 0] + 0.8 * self.signals[:, 1],
            fatigue=self.fatigue.copy(),
            signals=self.signals,
        )


def write_history(book: Book, day: Ints, member: Ints, spend: Floats) -> None:
    """Enter many orders at once: the same sums as day by day."""
    order = np.lexsort((day, member))
    d, m, s = day[order], member[order], spend[order]
    same = np.r_[False, m[1:] == m[:-1]]
    gap = np.where(same, d - np.r_[0, d[:-1]], 1)
    n = len(book)
    book.visits += np.bincount(m, minlength=n)
    book.spend += np.bincount(m, weights=s, minlength=n)
    book.log_gaps += np.bincount(m, weights=np.where(same, np.log(np.maximum(gap, 1)), 0.0), minlength=n)
    np.maximum.at(book.last, m, d)
    book.recent_spend += np.bincount(m, weights=s * 0.5 ** ((book.day - 1 - d) / SPEND_HALF_LIFE), minlength=n)
    book.orders.append((d, m, s))
