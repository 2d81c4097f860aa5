"""A shop's order history in, every member's purchase rhythm out: own cycle, whether still active, what will come anyway.

Gaps between purchases are Erlang-k with a member's own mean μ; after each day an active member lapses with a small
hazard d.  log μ is normal over members (weights on a grid, fitted by EM), k and d are the most likely ones; so the model needs no setting and no contact log.  With n gaps that sum to T days and t days since the last
purchase, a member's likelihood is

    (k/μ)^(nk) · e^(−kT/μ) · e^(−dT) · [ S(t)·e^(−dt) + ∫₀ᵗ d·e^(−ds)·S(s) ds ],   S(t) = e^(−λt) Σ_{j<k} (λt)^j/j!, λ = k/μ

where the first term in brackets is "still active", the second "lapsed meanwhile".  (The family of Platzer & Reutterer
2016, Pareto/GGG, with k common to all members.)
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
MEAN_LIVES_DAYS = (150.0, 300.0, 600.0, 1200.0, 2400.0)
EM_STEPS = 20
# The spread of μ is a smooth thing; the fit looks at this many members at most.
FIT_MEMBERS = 2500
LEAST_MEMBERS = 100
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

    def posterior(
        self, gaps: Floats, total_days: Floats, since_days: Floats, prior: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """(weights over the grid, P(active) on the grid, survival of the open gap), each [n, grid]."""
        rate = self.shape / self.means_days
        # Days are whole numbers, so that many members share one.
        days, of = np.unique(since_days, return_inverse=True)
        opened, active, survival = _open_gap(self.means_days, self.shape, self.lapse, days)
        log_post = prior + np.outer(gaps * self.shape, np.log(rate)) - np.outer(total_days, rate) + opened[of]
        log_post -= log_post.max(axis=1, keepdims=True)
        post = np.exp(log_post)
        return post / post.sum(axis=1, keepdims=True), active[of], survival[of]

    def outlook(
        self,
        gaps: Floats,
        total_days: Floats,
        since_days: Floats,
        window_days: int,
        prior: Floats,
        *,
        stake_days: float = 120.0,
        stake_max: float = 8.0,
    ) -> Outlook:
        """The outlook of members with `gaps` gaps that sum to `total_days`, `since_days` after the last purchase.

        At stake are the visits of `stake_days`, at most `stake_max` of them.
        """
        post, active, survival = self.posterior(gaps, total_days, since_days, prior)
        on = post * active
        days, of = np.unique(since_days, return_inverse=True)
        later = _survival(days[:, None] + window_days, self.shape / self.means_days, self.shape)[of]
        return Outlook(
            cycle_days=np.exp(post @ np.log(self.means_days)),
            active=on.sum(axis=1),
            buys_soon=(on * (1.0 - later / np.maximum(survival, 1e-300))).sum(axis=1),
            visits_90d=on @ self._visits_90d(),
            stake_visits=(post - on * np.exp(-SOON_DAYS * self.lapse))
            @ np.minimum(stake_days / self.means_days, stake_max),
        )

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


def _open_gap(means: Floats, shape: int, lapse: float, since_days: Floats) -> tuple[Floats, Floats, Floats]:
    """Of the open gap, each [n, grid]: log likelihood, P(active) and the survival S(t)."""
    rate = shape / means
    t = since_days[:, None]
    survival = _survival(t, rate, shape)
    alive = survival * np.exp(-lapse * t)
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
    both = alive + lapse * gone + 1e-300
    return np.log(both), alive / both, survival


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
            opened = _open_gap(grid, shape, lapse, since_days)[0]
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
