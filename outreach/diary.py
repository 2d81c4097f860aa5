"""Each morning's draw in, the rows that the effect is learned from out: who could have been listed, with what chance.

A diary keeps the listed and twice as many of the others, drawn at random, each with its share kept; what they bought
and whether they left is read from the book when the window has passed.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from outreach.book import Book
from outreach.score import Standing
from outreach.uplift import LogRows

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

OTHERS_PER_LISTED = 2
# A friend lost within so many days of a contact is put down to it, above what is lost anyway.
FRIEND_DAYS = 3


@dataclass(frozen=True)
class Page:
    """One morning: positions of the members kept, their standing then, and the draw."""

    day: int
    member: Ints
    standing: Standing
    listed: Bools
    propensity: Floats
    kept_share: Floats
    chances: NDArray[np.float32]  # P(listed that day) of every member, 0 where out of the question
    everyone: Ints  # all who were listed, those certain to be included


class Diary:
    """Pages of a log, in the order of the days."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.pages: list[Page] = []

    def copy(self) -> "Diary":
        twin = copy.copy(self)
        twin.pages = list(self.pages)
        return twin

    def write(self, book: Book, standing: Standing, pool: Ints, pi: Floats, listed: Ints) -> None:
        """Keep a morning: `pool` could have been listed with `pi`; certain rows (0 or 1) teach nothing and are left."""
        chances = np.zeros(len(book), dtype=np.float32)
        chances[pool] = pi
        open_ = (pi > 0) & (pi < 1)
        pool, pi = pool[open_], pi[open_]
        taken = np.isin(pool, listed)
        others = np.flatnonzero(~taken)
        r = np.random.default_rng([self.seed, 77, book.day + 100_000])
        n = min(len(others), OTHERS_PER_LISTED * max(int(taken.sum()), 1))
        kept = np.r_[np.flatnonzero(taken), np.sort(r.choice(others, n, replace=False))]
        share = np.full(len(kept), n / max(len(others), 1))
        rows = pool[kept]
        self.pages.append(Page(book.day, rows, standing.at(rows), taken[kept], pi[kept], share, chances, listed))

    def _alone(self, book: Book, window_days: int) -> tuple[Callable[[Page], Bools], Callable[[Page], Floats]]:
        """Of a page's rows: whether nobody listed the member again within the window, and the chance of that."""
        first = self.pages[0].day
        days = self.pages[-1].day - first + 1
        # Running sums over days of log(1 − chance) and of listings; a day without a page lists nobody.
        stay = np.zeros((days + 1, len(book)), dtype=np.float32)
        taken = np.zeros((days + 1, len(book)), dtype=np.int16)
        for page in self.pages:
            stay[page.day - first + 1] = np.log1p(-np.minimum(page.chances, 0.999))
            taken[page.day - first + 1][page.everyone] = 1
        stay, taken = np.cumsum(stay, axis=0), np.cumsum(taken, axis=0, dtype=np.int16)

        def span(page: Page) -> tuple[int, int]:
            return page.day - first + 1, min(page.day - first + window_days, days)

        def alone(page: Page) -> Bools:
            a, b = span(page)
            return np.asarray(taken[b, page.member] == taken[a, page.member])

        def chance(page: Page) -> Floats:
            # As each day's chance is known on that day, the product is what the draw made of it.
            a, b = span(page)
            return np.exp((stay[b, page.member] - stay[a, page.member]).astype(np.float64))

        return alone, chance

    def rows(self, book: Book, window_days: int) -> LogRows | None:
        """All rows whose window has passed by the book's day; None where there are none."""
        pages = [page for page in self.pages if page.day + window_days <= book.day]
        if not pages:
            return None
        day, member, _ = book.past_orders()
        bought, gone, done = [], [], []
        contacted = dict(book.contacts)
        alone, stay = self._alone(book, window_days)
        free, chance_free = [], []
        left_on = np.full(len(book), 10**9, dtype=np.int64)
        for when, who in book.unfriended:
            left_on[who] = when
        order = np.argsort(day, kind="stable")
        day, member = day[order], member[order]
        for page in pages:
            a, b = np.searchsorted(day, [page.day, page.day + window_days])
            hit = np.zeros(len(book), dtype=bool)
            hit[member[a:b]] = True
            bought.append(hit[page.member])
            done.append(page.listed & np.isin(page.member, contacted.get(page.day, [])))
            gone.append((left_on[page.member] >= page.day) & (left_on[page.member] < page.day + FRIEND_DAYS))
            free.append(alone(page))
            chance_free.append(stay(page))
        standing = Standing(
            **{f.name: np.concatenate([getattr(page.standing, f.name) for page in pages]) for f in fields(Standing)}
        )
        members = np.concatenate([page.member for page in pages])
        return LogRows(
            member=members,
            standing=standing,
            listed=np.concatenate([page.listed for page in pages]),
            propensity=np.concatenate([page.propensity for page in pages]),
            kept_share=np.concatenate([page.kept_share for page in pages]),
            bought=np.concatenate(bought),
            done=np.concatenate(done),
            unfriended=np.concatenate(gone),
            alone=np.concatenate(free),
            chance_alone=np.concatenate(chance_free),
        )
