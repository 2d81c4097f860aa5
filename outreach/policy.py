"""A shop's book on a morning in, today's listed members out: the contact policies that can be held against each other.

none, random, blast, churn, rfm, value_at_risk and propensity are what shops do today; cold and mixed are ours.  All of
them see the same book and obey the same gap and caps, the blast apart.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from outreach.arms import Hashes, hash_ids, held_out, salt_word, uniform
from outreach.book import Book
from outreach.constraints import default_gap
from outreach.diary import Diary
from outreach.propensities import inclusion_probabilities, segment_starts
from outreach.rhythm import Outlook, Rhythm
from outreach.score import Standing, cold_score
from outreach.selection import madow
from outreach.settings import ContactSettings
from outreach.uplift import MixedEffect, fit_mixed

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

# How often the mixed policy reads its log again, days.
REFIT_DAYS = 20


@dataclass
class Morning:
    """What every policy may ask of a morning; the standing is worked out when first asked for."""

    book: Book
    rhythm: Rhythm
    settings: ContactSettings
    seed: int

    @cached_property
    def _read(self) -> tuple[Standing, Outlook]:
        return self.book.standing(self.rhythm, self.settings)

    @property
    def standing(self) -> Standing:
        return self._read[0]

    @property
    def outlook(self) -> Outlook:
        return self._read[1]

    def eligible(self, gap_days: float | None = None) -> Bools:
        """Friends who may be contacted today: gap, monthly cap, not just bought."""
        book, s = self.book, self.settings
        may = book.friend & (book.days_since() >= s.just_bought_days)
        guides = int(book.guide.max()) + 1
        count = np.bincount(book.guide[may], minlength=guides).astype(np.float64)
        gap = default_gap(count, np.full(guides, float(book.capacity)), s)[book.guide]
        may &= book.day - book.last_contact >= (gap if gap_days is None else gap_days)
        return may & (book.contacts_within(30) < s.contacts_30d_max)


@dataclass(frozen=True)
class Choice:
    """Today's list: members, and for a drawn list the pool and its propensities."""

    listed: Ints
    pool: Ints | None = None
    propensity: Floats | None = None
    to_all: bool = False  # a mass message that no guide can skip


class Policy:
    """A rule that makes the list of a morning; it may keep what it learned between mornings."""

    def __init__(self, name: str, score: Callable[[Morning], Floats]) -> None:
        self.name, self.score = name, score

    def choose(self, morning: Morning) -> Choice:
        """The best by score within each guide's capacity."""
        return Choice(top_of(self.score(morning), morning.eligible(), morning.book))

    def learn(self, morning: Morning) -> None:
        """Read the log again; most policies have nothing to learn."""


def top_of(score: Floats, eligible: Bools, book: Book) -> Ints:
    """The best `capacity` of each guide; ties to the smaller position."""
    pool = np.flatnonzero(eligible)
    order = pool[np.lexsort((pool, -score[pool], book.guide[pool]))]
    starts = segment_starts(book.guide[order])
    place = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
    return order[place < book.capacity]


def draw(score: Floats, pool: Ints, morning: Morning, settings: ContactSettings, weight: Floats | None) -> Choice:
    """A soft list with exact propensities over `pool` (any order)."""
    book = morning.book
    pool = pool[np.lexsort((pool, book.guide[pool]))]
    if not len(pool):
        return Choice(pool, pool, np.zeros(0))
    starts = segment_starts(book.guide[pool])
    pi = inclusion_probabilities(
        score[pool],
        starts,
        np.full(len(starts), book.capacity),
        epsilon=settings.epsilon,
        tau=settings.tau,
        weight=None if weight is None else weight[pool],
        tie=-pool.astype(np.float64),
    )
    words = (morning.seed, book.day)
    dice = uniform(pool.astype(np.uint64), salt_word("order", *words))
    start = uniform(book.guide[pool[starts]].astype(np.uint64), salt_word("start", *words))
    return Choice(pool[madow(pi, starts, dice, start)], pool, pi)


class Nobody(Policy):
    def __init__(self) -> None:
        super().__init__("none", lambda morning: np.zeros(len(morning.book)))

    def choose(self, morning: Morning) -> Choice:
        return Choice(np.zeros(0, dtype=np.int64))


class Blast(Policy):
    """A mass message to a third of all friends every day, so that each is reached every third day; no caps."""

    def __init__(self) -> None:
        super().__init__("blast", lambda morning: np.zeros(len(morning.book)))

    def choose(self, morning: Morning) -> Choice:
        friends = np.flatnonzero(morning.book.friend)
        return Choice(friends[friends % 3 == morning.book.day % 3], to_all=True)


class Drawn(Policy):
    """Our own policies: a score, a soft draw, frequency arms and holdout as the settings say, and a diary."""

    def __init__(
        self,
        name: str,
        settings: ContactSettings,
        *,
        diary: Diary | None = None,
        learns: bool = False,
        arms: bool = False,
        holdout: bool = False,
    ) -> None:
        super().__init__(name, self._score)
        self.settings, self.diary, self.learns, self.arms, self.holdout = settings, diary, learns, arms, holdout
        self.effect: MixedEffect | None = None
        self._hashes: Hashes | None = None
        self._last_fit: int | None = None

    def _score(self, morning: Morning) -> Floats:
        if self.effect is None:
            return cold_score(morning.standing, self.settings).total
        return self.effect.score(morning.standing, self.settings).total

    def learn(self, morning: Morning) -> None:
        if not self.learns or self.diary is None:
            return
        if self._last_fit is not None and morning.book.day - self._last_fit < REFIT_DAYS:
            return
        if self._last_fit is not None and self.settings.epsilon == 0:
            return  # a list that leaves nothing to chance teaches nothing new
        self._last_fit = morning.book.day
        rows = self.diary.rows(morning.book, self.settings.window_days)
        if rows is not None:
            self.effect = fit_mixed(rows, self.settings, morning.seed)

    def choose(self, morning: Morning) -> Choice:
        self.learn(morning)
        book = morning.book
        if self._hashes is None:
            self._hashes = hash_ids([f"m{i:07d}" for i in range(len(book))])
        score, may = self._score(morning), morning.eligible()
        if self.holdout:
            may &= ~held_out(self._hashes, self.settings)
        if self.effect is not None and self.settings.floor_yuan is not None:
            may &= score >= self.settings.floor_yuan
        weight = None
        if self.arms:
            u = uniform(self._hashes, salt_word("arm", self.settings.salt))
            edges = np.cumsum(np.asarray(self.settings.arm_shares) / sum(self.settings.arm_shares))[:-1]
            weight = np.asarray(self.settings.arm_weights)[np.searchsorted(edges, u, side="right")]
        if self.settings.epsilon == 0 and weight is None:
            return Choice(top_of(score, may, book))
        choice = draw(score, np.flatnonzero(may), morning, self.settings, weight)
        if self.diary is not None and choice.pool is not None and choice.propensity is not None:
            self.diary.write(book, morning.standing, choice.pool, choice.propensity, choice.listed)
        return choice


def churn_risk(morning: Morning) -> Floats:
    """P(no purchase within the brand's horizon H), at the rate expected of the next 90 days."""
    return np.exp(-morning.outlook.visits_90d * morning.settings.horizon_days / 90.0)


def value_at_risk(morning: Morning) -> Floats:
    """P(churn) × expected spend of the next 90 days: what many tools call value at risk."""
    return churn_risk(morning) * morning.outlook.visits_90d * morning.standing.basket_yuan


SCORES: dict[str, Callable[[Morning], Floats]] = {
    "random": lambda m: np.random.default_rng([m.seed, 5, m.book.day + 100_000]).random(len(m.book)),
    "churn": churn_risk,
    "rfm": lambda m: m.book.recent_spend,
    "value_at_risk": value_at_risk,
    "propensity": lambda m: m.standing.buys_anyway * m.standing.basket_yuan,
}
POLICIES = ("none", "random", "blast", "churn", "rfm", "value_at_risk", "propensity", "cold", "mixed", "oracle")
# Our own policies with all the safety of a live shop: exploration, holdout, and for the log phase the arms.
DEFAULTS = ("cold_default", "mixed_default")


def explorer(settings: ContactSettings, seed: int) -> Drawn:
    """The policy of the log: the cold score with wide exploration, frequency arms and the holdout."""
    wide = replace(settings, epsilon=settings.exploring_epsilon)
    return Drawn("explorer", wide, diary=Diary(seed), arms=True, holdout=True)


def make_policy(name: str, settings: ContactSettings, diary: Diary | None) -> Policy:
    """A policy by name; `diary` is the log that ours may learn from."""
    if name == "none":
        return Nobody()
    if name == "blast":
        return Blast()
    if name in SCORES:
        return Policy(name, SCORES[name])
    if name == "cold":
        return Drawn(name, replace(settings, epsilon=0.0))
    if name == "cold_default":
        return Drawn(name, settings, holdout=True)
    log = diary.copy() if diary is not None else Diary(0)
    if name == "mixed":
        # As with cold, the order itself is judged: what exploring on costs is told by mixed_default.
        settings = replace(settings, epsilon=0.0)
    return Drawn(name, settings, diary=log, learns=True, holdout=name == "mixed_default")
