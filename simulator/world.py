"""World parameters and a seed in, a shop whose members really answer to contacts out, stepped day by day.

What happens is drawn from random numbers of (seed, day) that no policy can shift, so the policies of one seed meet
the same members on the same days and their differences are paired.  What a shop may see is in `Day` and `Members`;
the truth is in `World.truth`, for the oracle and for tests only.
"""

import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.world_file import SIGNALS, Loadings, WorldParameters

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

# Seed words that keep the making of a world apart from its days.
_BIRTH, _DAY = 999, 1


@dataclass(frozen=True)
class Members:
    """What the shop knows of its members on day 0: their guide and their signals [members, 5] as it sees them."""

    guide: Ints
    signals: Floats
    signal_names: tuple[str, ...] = SIGNALS


@dataclass(frozen=True)
class Day:
    """What the shop learns in the evening: who bought for how much, who was contacted, who is no longer a friend."""

    day: int
    buyers: Ints
    spend_yuan: Floats
    contacted: Ints
    unfriended: Ints


@dataclass(frozen=True)
class Truth:
    """The true worth of a contact today, per member, yuan: gain + keep − unfollow − cost."""

    gain: Floats
    keep: Floats
    unfollow: Floats
    cost: float

    @property
    def total(self) -> Floats:
        return self.gain + self.keep - self.unfollow - self.cost


class World:
    """One brand with known truth.  `World(p, seed)` has lived through its burn-in; its orders are in `past`."""

    def __init__(self, parameters: WorldParameters, seed: int) -> None:
        self.p, self.seed = parameters, seed
        p, n = parameters, parameters.world.members
        r = np.random.default_rng([seed, _BIRTH])
        true_signals = r.standard_normal((n, len(SIGNALS)))
        self.guide = r.integers(0, p.world.guides, n)
        self.cycle = np.clip(_lognormal(r, p.purchases.cycle_median_days, p.purchases.cycle_sigma, n), 2.0, 3000.0)
        self.log_basket = np.log(p.purchases.basket_median_yuan) + p.purchases.basket_sigma * r.standard_normal(n)
        z = (
            p.affinity.intercept
            + true_signals @ _vector(p.affinity.loadings)
            + p.affinity.noise * r.standard_normal(n)
        )
        self.affinity = 1.0 / (1.0 + np.exp(-z))
        self.dog = true_signals @ _vector(p.dogs.loadings) + p.dogs.noise * r.standard_normal(n) > p.dogs.threshold
        self.lapse = 1.0 / _lognormal(r, p.purchases.lifetime_days, p.purchases.lifetime_sigma, n)
        self.unfollow_factor = np.exp(
            p.unfollow.sigma * r.standard_normal(n) + true_signals @ _vector(p.unfollow.loadings)
        ) * np.where(self.dog, p.dogs.unfollow_factor, 1.0)
        self.members = Members(self.guide, true_signals + p.affinity.blur * r.standard_normal(true_signals.shape))
        # State.
        self.since = r.random(n) * self.cycle * 1.2
        self.active = np.ones(n, dtype=bool)
        self.friend = np.ones(n, dtype=bool)
        self.fatigue = np.zeros(n)
        self.push = np.zeros(n)  # added hazard while a contact works
        self.push_days = np.zeros(n, dtype=np.int64)
        self.kept_days = np.zeros(n, dtype=np.int64)
        self.day = -p.world.burn_in_days
        first = np.exp(self.log_basket + p.purchases.basket_noise * r.standard_normal(n))
        # Everyone's latest purchase before the data begin; whole days, as a shop would know it.
        members, days, spend = [np.arange(n)], [self.day - 1 - np.floor(self.since).astype(np.int64)], [first]
        no_one = np.zeros(0, dtype=np.int64)
        for _ in range(p.world.burn_in_days):
            today = self.step(no_one)
            members.append(today.buyers)
            days.append(np.full(len(today.buyers), today.day))
            spend.append(today.spend_yuan)
        self.past = (np.concatenate(members), np.concatenate(days), np.concatenate(spend))
        self.friend[:] = True
        self.unfriended_value_yuan = 0.0
        self.revenue_yuan = 0.0
        self.contacts = 0

    def copy(self) -> "World":
        """The same world at the same moment, to be lived on by another policy."""
        twin = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                setattr(twin, name, value.copy())
        return twin

    # ---- what is true ------------------------------------------------------------------------------------------
    def added_probability(self) -> Floats:
        """Added purchase probability of a contact today over the days that it works."""
        knots = np.asarray(self.p.response.shape)
        shape = np.interp(self.since / self.cycle, knots[:, 0], knots[:, 1])
        shape = shape * np.where(self.active, 1.0, self.p.response.lapsed_share)
        p = self.p.response.p_max * self.affinity * shape * np.exp(-self.p.fatigue.decay * self.fatigue)
        return np.where(self.dog, self.p.dogs.effect * p, p)

    def unfollow_probability(self) -> Floats:
        """P(a contact today loses the friend)."""
        u = self.p.unfollow
        return np.minimum(0.5, u.base * self.unfollow_factor * np.exp(u.growth * self.fatigue))

    def hazard(self) -> Floats:
        """P(purchase today) is 1 − e^(−hazard): Erlang-2 with mean `cycle` while active, a trickle when lapsed."""
        rate = 2.0 / self.cycle
        alive = rate * rate * self.since / (1.0 + rate * self.since)
        return np.where(self.active, alive, self.p.purchases.lapsed_rate / self.cycle)

    def mean_basket(self) -> Floats:
        return np.exp(self.log_basket + self.p.purchases.basket_noise**2 / 2)

    def friend_value(self) -> Floats:
        """Margin lost with a friend, yuan."""
        u = self.p.unfollow
        return u.spend_loss * self.mean_basket() / self.cycle * u.value_days * self.p.world.margin

    def truth(self) -> Truth:
        """The myopic worth of a contact: it looks at this contact alone, with every parameter known.

        Gain is cut by up to 35 % for purchases that would have come within the month anyway; keep is 120 days of
        margin times the chance that the contact wins a lapsed member back or stops an active one from lapsing.
        """
        r = self.p.response
        basket, margin = self.mean_basket(), self.p.world.margin
        anyway = 1.0 - np.exp(-self.hazard() * r.effect_days)
        early = 1.0 - 0.35 * np.minimum(1.0, 30.0 / self.cycle)
        gain = self.added_probability() * (1.0 - anyway) * basket * margin * early
        saved = np.where(
            self.active,
            r.retention * self.affinity * r.retention_days * self.lapse,
            r.reactivation * self.affinity * np.exp(-self.p.fatigue.decay * self.fatigue),
        )
        keep = np.where(self.dog, 0.0, saved * basket / self.cycle * 120.0 * margin)
        return Truth(gain, keep, self.unfollow_probability() * self.friend_value(), self.p.world.contact_cost_yuan)

    # ---- a day -------------------------------------------------------------------------------------------------
    def step(self, listed: Ints, *, all_done: bool = False) -> Day:
        """Live one day with these members on the lists; `all_done` = no guide skips (mass messages)."""
        p, n = self.p, len(self.cycle)
        r = np.random.default_rng([self.seed, _DAY, self.day + 100_000])
        u, z = r.random((6, n)), r.standard_normal(n)
        self.fatigue *= 0.5 ** (1.0 / p.fatigue.half_life_days)
        before = self.friend.copy()
        contacted = np.zeros(0, dtype=np.int64)
        if len(listed):
            listed = listed[self.friend[listed]]
            contacted = listed if all_done else listed[u[4][listed] < self._done()[listed]]
            self._contact(contacted, u)
        self.friend &= u[5] >= 1.0 - (1.0 - p.unfollow.spontaneous_180d) ** (1.0 / 180.0)
        hazard = np.maximum(0.0, self.hazard() + np.where(self.push_days > 0, self.push, 0.0))
        hazard = hazard * np.where(self.friend, 1.0, 1.0 - p.unfollow.spend_loss)
        buys = u[0] < 1.0 - np.exp(-hazard)
        spend = np.exp(self.log_basket + p.purchases.basket_noise * z)[buys]
        self.since = np.where(buys, 0.0, self.since + 1.0)
        self.push_days = np.where(buys, 0, np.maximum(self.push_days - 1, 0))
        lapse = self.lapse * np.where(self.kept_days > 0, 1.0 - p.response.retention * self.affinity, 1.0)
        self.kept_days = np.maximum(self.kept_days - 1, 0)
        self.active &= u[2] >= lapse
        today = Day(self.day, np.flatnonzero(buys), spend, contacted, np.flatnonzero(before & ~self.friend))
        if self.day >= 0:
            self.revenue_yuan += float(spend.sum())
            self.contacts += len(contacted)
            self.unfriended_value_yuan += float(self.friend_value()[today.unfriended].sum())
        self.day += 1
        return today

    def _done(self) -> Floats:
        """P(a guide really contacts a listed member): those who look active and bought lately are done first."""
        g = self.p.guides
        if g.cherry_pick == 0.0:
            return np.full(len(self.cycle), 1.0 - g.skip)
        look = self.members.signals[:, 0] - np.minimum(self.since / self.cycle, 4.0)
        rank = np.empty(len(look))
        rank[np.argsort(look, kind="stable")] = (np.arange(len(look)) + 0.5) / len(look)
        return (1.0 - g.skip) * (1.0 - g.cherry_pick * (1.0 - rank))

    def _contact(self, who: Ints, u: Floats) -> None:
        r = self.p.response
        added, lost = self.added_probability()[who], self.unfollow_probability()[who]
        self.push[who] = -np.log(1.0 - np.clip(added, -0.9, 0.95)) / r.effect_days
        self.push_days[who] = r.effect_days
        self.kept_days[who] = np.where(self.dog[who], 0, r.retention_days)
        back = r.reactivation * self.affinity[who] * np.exp(-self.p.fatigue.decay * self.fatigue[who])
        won = who[~self.active[who] & (u[3][who] < back) & ~self.dog[who]]
        self.active[won] = True
        self.fatigue[who] += 1.0
        self.friend[who[u[1][who] < lost]] = False


def _vector(loadings: Loadings) -> Floats:
    return np.array([getattr(loadings, name) for name in SIGNALS])


def _lognormal(r: np.random.Generator, median: float, sigma: float, n: int) -> Floats:
    return np.asarray(median * np.exp(sigma * r.standard_normal(n)))
