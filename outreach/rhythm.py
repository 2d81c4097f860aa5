"""A shop's order history in, every member's purchase rhythm out: own cycle, whether still active, what will come anyway.

Gaps between purchases are Erlang-k with a member's own mean μ; after each day an active member lapses with a small
hazard d, and from then on only drops by at a small share of the old rate, ℓ = .03/μ.  log μ is normal over members
(weights on a grid, fitted by EM), k and d are the most likely ones; so the model needs no setting and no contact log.

Per member and grid point two weights are carried from purchase to purchase, A "active at the last one" and L "lapsed
before it" (a hidden Markov chain, forward pass).  Over a gap of g days

    A → A   f(g)·e^(−dg)                              f the Erlang density, S its survival
    A → L   ∫₀ᵍ d·e^(−ds)·S(s) ds · ℓ·e^(−ℓg/2)       lapsed meanwhile, then dropped by
    L → L   ℓ·e^(−ℓg)
    L → A   w·λ·e^(−λ(g − s))                         won back by contacts, w their chance, s their middle day, λ = k/μ

and the same without a last purchase tells P(active) in the open gap.  Without the lapsed state one purchase after a
year of silence would make a weekly buyer look like a slow one.  Who bought before the data begin was a customer when
they began: in that entry gap lapsing counts from then on.  (A member of the family of Platzer & Reutterer 2016,
Pareto/GGG, with k common to all members.)
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from features.errors import NotEnoughData

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

GRID_POINTS = 16
SHAPES = (1, 2, 3)
MEAN_LIVES_DAYS = (100.0, 150.0, 225.0, 340.0, 500.0, 750.0, 1150.0, 1700.0, 2600.0)
EM_STEPS = 20
# The spread of μ is a smooth thing; the fit looks at this many members at most.
FIT_MEMBERS = 2500
LEAST_MEMBERS = 100
# Who has lapsed still drops by at this share of the old rate.
LAPSED_RATE = 0.03
# A contact wins a lapsed member back with about this chance.
WIN_BACK = 0.04
# Who lapses within so many days is worth keeping, too.
SOON_DAYS = 60.0


@dataclass(frozen=True)
class Outlook:
    """What the rhythm says of each member on a morning.

    cycle_days: middle of what the own mean gap may be; active: P(not lapsed); buys_soon: P(purchase within the
    window); visits_90d: expected purchases in 90 days; stake_visits: expected visits that are lost if the member
    has lapsed, or does within two months.
    """

    cycle_days: Floats
    active: Floats
    buys_soon: Floats
    visits_90d: Floats
    stake_visits: Floats


@dataclass(frozen=True)
class Rhythm:
    """The fitted model of a brand: grid of mean gaps with weights, Erlang shape and lapsing hazard a day."""

    means_days: Floats
    weights: Floats
    shape: int
    lapse: float

    def prior(self, entry_days: Floats) -> Floats:
        """Log weights of the grid for members whose first known purchase lies `entry_days` before the data begin.

        That purchase is one of many that were not kept: it falls on a given day with probability 1/μ.
        """
        known = np.log(self.weights + 1e-30)[None, :]
        return np.asarray(known - np.where(entry_days[:, None] > 0, np.log(self.means_days), 0.0))

    def outlook(
        self,
        active: Floats,
        lapsed: Floats,
        since_days: Floats,
        before_days: Floats,
        window_days: int,
        *,
        won_back: Floats,
        won_ago: Floats,
        stake_days: float = 120.0,
        stake_max: float = 8.0,
    ) -> Outlook:
        """The outlook of members `since_days` after the last purchase.

        Args:
            active, lapsed: weights A and L at the last purchase, [n, grid].
            before_days: days of the open gap that lie before the data begin.
            won_back: w, the chance that the contacts since then won a lapsed member back; won_ago: days since their
                middle.
            stake_days, stake_max: at stake are the visits of so many days, at most so many of them.
        """
        # Days are whole numbers, so that many members share a pair of them.
        span = float(before_days.max(initial=0.0)) + 1.0
        pair, of = np.unique(since_days * span + before_days, return_inverse=True)
        t, before = np.floor(pair / span)[:, None], (pair % span)[:, None]
        rate = self.shape / self.means_days
        survival = _survival(t, rate, self.shape)
        drop = LAPSED_RATE / self.means_days
        still = active * (survival * np.exp(-self.lapse * (t - before)))[of]
        gone = _lapsed_in_gap(t, before, rate, self.shape, self.lapse) * np.exp(-drop * t / 2)
        gone = active * gone[of] + lapsed * np.exp(-drop * t)[of]
        on, asked = still, np.flatnonzero(won_back > 0)
        w = won_back[asked, None]
        on[asked] += gone[asked] * w * np.exp(-won_ago[asked, None] * rate)
        gone[asked] *= 1.0 - w
        total = (on.sum(axis=1) + gone.sum(axis=1))[:, None] + 1e-300
        on, gone = on / total, gone / total
        later = 1.0 - (_survival(t + window_days, rate, self.shape) / np.maximum(survival, 1e-300))[of]
        return Outlook(
            cycle_days=np.exp((on + gone) @ np.log(self.means_days)),
            active=on.sum(axis=1),
            buys_soon=(on * later).sum(axis=1) + gone @ (1.0 - np.exp(-window_days * drop)),
            visits_90d=on @ self._visits_90d(),
            stake_visits=(gone + on * (1.0 - np.exp(-SOON_DAYS * self.lapse)))
            @ np.minimum(stake_days / self.means_days, stake_max),
        )

    def bought(
        self,
        active: Floats,
        lapsed: Floats,
        gap_days: Floats,
        before_days: Floats,
        won_back: Floats,
        won_ago: Floats,
    ) -> tuple[Floats, Floats]:
        """(A, L) after a purchase `gap_days` after the last one, scaled to add up to 1; arguments as in `outlook`."""
        rate, drop = self.shape / self.means_days, LAPSED_RATE / self.means_days
        g, before = np.maximum(gap_days, 1.0)[:, None], before_days[:, None]
        log_f = self.shape * np.log(rate) + (self.shape - 1) * np.log(g) - rate * g - gammaln(self.shape)
        gone = active * _lapsed_in_gap(g, before, rate, self.shape, self.lapse) * np.exp(-drop * g / 2)
        gone = gone + lapsed * np.exp(-drop * g)
        w = won_back[:, None]
        on = active * np.exp(log_f - self.lapse * (g - before)) + gone * w * rate * np.exp(-rate * won_ago[:, None])
        off = gone * (1.0 - w) * drop
        total = (on + off).sum(axis=1, keepdims=True) + 1e-300
        return on / total, off / total

    def _visits_90d(self) -> Floats:
        alive_share = (1.0 - np.exp(-90.0 * self.lapse)) / (90.0 * self.lapse)
        return 90.0 / self.means_days * alive_share


def _survival(t: Floats, rate: Floats, shape: int) -> Floats:
    x = t * rate
    term, total = np.ones_like(x), np.ones_like(x)
    for j in range(1, shape):
        term = term * x / j
        total = total + term
    return total * np.exp(-x)


def _lapsed_in_gap(t: Floats, before: Floats, rate: Floats, shape: int, lapse: float) -> Floats:
    """Lapsed and silent within t days, the first `before` of which nobody lapsed in, [n, grid]."""
    within = _lapsed_within(t, rate, shape, lapse) - _lapsed_within(before, rate, shape, lapse)
    return np.maximum(np.exp(lapse * before) * within, 0.0)


def _open_gap(means: Floats, shape: int, lapse: float, since_days: Floats, before_days: Floats) -> Floats:
    """Log likelihood [n, grid] of the open gap; `before_days` of it lie before the data begin, and in them nobody lapsed."""
    rate = shape / means
    t, before = since_days[:, None], before_days[:, None]
    alive = _survival(t, rate, shape) * np.exp(-lapse * (t - before))
    return np.asarray(np.log(alive + _lapsed_in_gap(t, before, rate, shape, lapse) + 1e-300))


def _lapsed_within(t: Floats, rate: Floats, shape: int, lapse: float) -> Floats:
    """∫₀ᵗ d·e^(−ds)·S(s) ds: lapsed within t days and had not bought until then."""
    # d Σ_j λ^j/a^(j+1) · P(j+1, a t), P the regularised lower incomplete gamma: 1 − e^(−x) Σ_{i≤j} x^i/i!.
    a = lapse + rate
    x = a * t
    fade = np.exp(-x)
    gone = (1.0 - fade) / a
    term, tail = np.ones_like(x), np.ones_like(x)
    for j in range(1, shape):
        term = term * x / j
        tail = tail + term
        gone = gone + (rate / a) ** j / a * (1.0 - tail * fade)
    return np.asarray(lapse * gone)


def _normal(points: Floats, share: Floats) -> Floats:
    """The normal with the mean and variance of `share`, on the same points.

    Left free, the weights would call lapsed members slow ones: the two look alike until a slow one has come back.
    """
    centre = float(share @ points)
    spread = max(float(share @ (points - centre) ** 2), 0.01)
    weights = np.exp(-0.5 * (points - centre) ** 2 / spread)
    return np.asarray(weights / weights.sum())


def fit_rhythm(gaps: Floats, total_days: Floats, log_gaps: Floats, since_days: Floats, entry_days: Floats) -> Rhythm:
    """Fit from each buyer's number of gaps, their sum, the sum of their logs, and days since the last purchase
    and days that the first purchase lies before the data begin (0 where it lies within).

    Raises NotEnoughData under 100 members with two purchases or more.
    """
    repeat = int((gaps > 0).sum())
    if repeat < LEAST_MEMBERS:
        raise NotEnoughData(
            f"orders: {repeat} members with two purchases or more, at least {LEAST_MEMBERS} are needed for a rhythm; "
            "send a longer history"
        )
    # Members in a fixed order that no row order can change, thinned evenly.
    order = np.lexsort((entry_days, log_gaps, since_days, total_days, gaps))
    order = order[:: max(1, len(order) // FIT_MEMBERS)]
    gaps, total_days, log_gaps = gaps[order], total_days[order], log_gaps[order]
    since_days, entry_days = since_days[order], entry_days[order]
    mean = total_days[gaps > 0] / gaps[gaps > 0]
    low, high = max(1.0, float(np.quantile(mean, 0.01)) * 0.7), float(np.quantile(mean, 0.99)) * 6.0
    grid = np.exp(np.linspace(np.log(low), np.log(max(high, low * 4)), GRID_POINTS))
    best: tuple[float, Rhythm] | None = None
    for shape in SHAPES:
        for life in MEAN_LIVES_DAYS:
            lapse = 1.0 / life
            rate = shape / grid
            opened = _open_gap(grid, shape, lapse, since_days, np.where(gaps > 0, 0.0, entry_days))
            opened = opened - np.where(entry_days[:, None] > 0, np.log(grid), 0.0)
            # Days lived on from the entry to the last purchase without lapsing.
            lived = np.where(gaps > 0, total_days - entry_days, 0.0)
            own = (shape - 1) * log_gaps - gaps * gammaln(shape) - lived * lapse
            log_like = np.outer(gaps * shape, np.log(rate)) - np.outer(total_days, rate) + opened + own[:, None]
            top = log_like.max(axis=1, keepdims=True)
            like = np.exp(log_like - top)
            weights = np.full(GRID_POINTS, 1.0 / GRID_POINTS)
            for _ in range(EM_STEPS):
                post = like * weights
                share = (post / post.sum(axis=1, keepdims=True)).mean(axis=0)
                weights = _normal(np.log(grid), share)
            value = float((np.log(like @ weights) + top[:, 0]).sum())
            if best is None or value > best[0]:
                best = (value, Rhythm(grid, weights, shape, lapse))
    assert best is not None
    return best[1]
