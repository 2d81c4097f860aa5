"""A shop's own records in, day by day, the standing of every member out: what a contact policy may look at.

The book is fed with what a brand really has - orders, contacts sent, friends lost, signals - and never with a truth.
It keeps running sums, so that a day over thousands of members costs a millisecond; the same quantities come from the
contract tables in a daily run (see `outreach.inputs`).  Members are positions 0 … n−1, days are whole numbers.
"""

import copy
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from outreach.effect_model import logistic
from outreach.inputs import NEVER, PRIOR_VISITS
from outreach.rhythm import Outlook, Rhythm, fit_rhythm
from outreach.rhythm_filter import RhythmFilter
from outreach.score import Standing
from outreach.settings import ContactSettings

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

# Half-life of the decayed spend that stands for the last months, days.
SPEND_HALF_LIFE = 60.0
# Weight of replies beside activity.
REPLIES_WEIGHT = 0.8


@dataclass
class Book:
    """Running records of n members up to the morning of `day`."""

    guide: Ints
    signals: Floats  # [n, s] standard scores: activity and replies first
    margin: float
    contact_cost_yuan: float
    capacity: int  # tasks a guide can do a day
    day: int
    begins: int  # first day of the data
    fatigue_half_life_days: float = 14.0
    # Filled by the records.
    last: Ints = field(init=False)
    visits: Floats = field(init=False)
    first: Ints = field(init=False)
    log_gaps: Floats = field(init=False)
    log_spend: Floats = field(init=False)
    log_spend_squares: Floats = field(init=False)
    spend: Floats = field(init=False)
    recent_spend: Floats = field(init=False)
    friend: Bools = field(init=False)
    fatigue: Floats = field(init=False)
    last_contact: Floats = field(init=False)
    contacts: list[tuple[int, Ints]] = field(init=False)
    orders: list[tuple[Ints, Ints, Floats]] = field(init=False)  # (day, member, spend) of each entry
    unfriended: list[tuple[int, Ints]] = field(init=False)
    followed: tuple[RhythmFilter, int, int] | None = field(init=False, default=None)  # with entries read so far

    def __post_init__(self) -> None:
        n = len(self.guide)
        self.last = np.full(n, -(10**6), dtype=np.int64)
        self.visits, self.log_gaps, self.spend = np.zeros(n), np.zeros(n), np.zeros(n)
        self.first = np.full(n, 10**6, dtype=np.int64)
        self.log_spend, self.log_spend_squares = np.zeros(n), np.zeros(n)
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
        if self.followed is not None:
            twin.followed = (self.followed[0].copy(), *self.followed[1:])
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
        self.first[buyers] = np.minimum(self.first[buyers], day)
        logs = np.log(np.maximum(spend_yuan, 0.01))
        self.log_spend[buyers] += logs
        self.log_spend_squares[buyers] += logs**2
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

    def gaps(self) -> tuple[Floats, Floats]:
        """Number of gaps between purchases and their sum in days."""
        return np.maximum(self.visits - 1, 0), np.where(self.visits > 0, (self.last - self.first), 0).astype(
            np.float64
        )

    def basket(self) -> Floats:
        """Expected order, yuan: log-normal, shrunk by as much as the brand's own orders say (empirical Bayes).

        Within- and between-member variance of log spend come from members with two orders or more.
        """
        n, seen = self.visits, self.visits > 0
        if not seen.any():
            return np.zeros(len(self))
        mean = self.log_spend / np.maximum(n, 1)
        many = n >= 2
        if many.sum() < 30:
            usual = float(np.median(self.spend[seen] / n[seen]))
            return (self.spend + PRIOR_VISITS * usual) / (n + PRIOR_VISITS)
        inner = np.maximum(self.log_spend_squares[many] - n[many] * mean[many] ** 2, 0.0)
        within = float(inner.sum() / (n[many] - 1).sum())
        centre = float(np.average(mean[seen], weights=n[seen] / (n[seen] + 2)))
        between = max(float(np.mean((mean[many] - centre) ** 2 - within / n[many])), 1e-4)
        weight = n / (n + within / between)
        middle = weight * mean + (1 - weight) * centre
        return np.exp(middle + (1 - weight) * between / 2 + within / 2)

    def contacts_within(self, days: int) -> Ints:
        """Contacts of each member in the last `days` days."""
        count = np.zeros(len(self), dtype=np.int64)
        for day, who in reversed(self.contacts):
            if self.day - day > days:
                break
            count[who] += 1
        return count

    def entry_days(self) -> Floats:
        """Days that the first known purchase lies before the data begin."""
        return np.maximum(self.begins - self.first, 0).astype(np.float64)

    def follow(self, rhythm: Rhythm) -> RhythmFilter:
        """The rhythm's filter, run through every order and contact entered so far."""
        if self.followed is None or self.followed[0].rhythm is not rhythm:
            self.followed = (RhythmFilter(rhythm, self.begins, len(self)), 0, 0)
        followed, orders, contacts = self.followed
        for day, who, _ in self.orders[orders:]:
            # A contact comes before the purchases of its day.
            contacts = self._enter_contacts(followed, contacts, int(day.max()) if len(day) else self.begins)
            followed.history(day, who)
        contacts = self._enter_contacts(followed, contacts, np.inf)
        self.followed = (followed, len(self.orders), contacts)
        return followed

    def _enter_contacts(self, followed: RhythmFilter, place: int, until: float) -> int:
        """Enter the contacts from `place` on, up to a day; returns the place of the first one left."""
        for day, who in self.contacts[place:]:
            if day > until:
                break
            followed.contact(day, who, logistic(self.engagement()[who]))
            place += 1
        return place

    def engagement(self) -> Floats:
        """Activity and replies are what the words mean: how readily a member answers."""
        return np.asarray(self.signals[:, 0] + REPLIES_WEIGHT * self.signals[:, 1])

    def standing(self, rhythm: Rhythm, settings: ContactSettings) -> tuple[Standing, Outlook]:
        """The standing of every member with what the brand's rhythm says of them."""
        since = self.days_since()
        outlook = self.follow(rhythm).outlook(
            self.day,
            settings.window_days,
            stake_days=settings.retention_days,
            stake_max=settings.retention_visits_max,
        )
        standing = Standing(
            days_since=since,
            cycle_days=outlook.cycle_days,
            visits=self.visits.copy(),
            basket_yuan=self.basket(),
            churn=1.0 - outlook.active,
            stake_visits=outlook.stake_visits,
            buys_anyway=outlook.buys_soon,
            engagement=self.engagement(),
            fatigue=self.fatigue.copy(),
            signals=self.signals,
        )
        return standing, outlook


def rhythm_of(book: Book) -> Rhythm:
    """Fit the brand's rhythm on the book so far."""
    seen = book.visits > 0
    gaps, total = book.gaps()
    return fit_rhythm(gaps[seen], total[seen], book.log_gaps[seen], book.days_since()[seen], book.entry_days()[seen])


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
    logs = np.log(np.maximum(s, 0.01))
    book.log_spend += np.bincount(m, weights=logs, minlength=n)
    book.log_spend_squares += np.bincount(m, weights=logs**2, minlength=n)
    np.maximum.at(book.last, m, d)
    np.minimum.at(book.first, m, d)
    book.recent_spend += np.bincount(m, weights=s * 0.5 ** ((book.day - 1 - d) / SPEND_HALF_LIFE), minlength=n)
    book.orders.append((d, m, s))
