"""A log with propensities and another policy's propensities in, what that policy would have earned out - or a refusal.

Two estimates with 95 % intervals over members: self-normalised inverse propensity (SNIPS; Swaminathan & Joachims 2015)
and doubly robust (Dudík, Langford & Li 2011).  With an effective sample below 5 % of the rows nothing is answered: a
handful of rows with giant weights is no evidence.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.errors import InputError, NotEnoughData

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

LEAST_EFFECTIVE_SHARE = 0.05
BOOTSTRAPS = 400


@dataclass(frozen=True)
class Logged:
    """Member-days of a log: aligned arrays.

    member: code, for intervals; listed: what the log did; propensity: P(listed) it did it with; reward: what came
    (yuan or a purchase); model_listed, model_not: an outcome model's guess of the reward with and without a contact.
    """

    member: Ints
    listed: Bools
    propensity: Floats
    reward: Floats
    model_listed: Floats | None = None
    model_not: Floats | None = None


@dataclass(frozen=True)
class Estimate:
    """Mean reward per member-day under the other policy, with a 95 % interval from a bootstrap over members."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class OffPolicy:
    """Both estimates and what they rest on."""

    snips: Estimate
    doubly_robust: Estimate
    effective_rows: float
    rows: int
    largest_weight: float


def evaluate(log: Logged, target: Floats, seed: int) -> OffPolicy:
    """Value of listing each row with probability `target`; refused under 5 % effective sample size.

    Raises InputError for propensities of 0 or 1 (forced rows teach nothing) and NotEnoughData for a refusal.
    """
    n = len(log.member)
    outside = int(((log.propensity <= 0) | (log.propensity >= 1)).sum())
    if outside:
        raise InputError(
            f"log.propensity: expected values strictly between 0 and 1, found {outside} of {n} rows outside; "
            "leave forced tasks out of the log"
        )
    if len(target) != n or ((target < 0) | (target > 1)).any():
        raise InputError(f"target: expected {n} probabilities, one per row of the log; found {len(target)}")
    taken = np.where(log.listed, log.propensity, 1 - log.propensity)
    wanted = np.where(log.listed, target, 1 - target)
    weight = wanted / taken
    effective = float(weight.sum() ** 2 / np.maximum((weight**2).sum(), 1e-300))
    if effective < LEAST_EFFECTIVE_SHARE * n:
        raise NotEnoughData(
            f"log: {n} rows amount to {effective:.0f} for this policy, under {LEAST_EFFECTIVE_SHARE:.0%}; "
            "explore more, or ask about a policy closer to the one that made the log"
        )
    mu1 = log.model_listed if log.model_listed is not None else np.zeros(n)
    mu0 = log.model_not if log.model_not is not None else np.zeros(n)
    guess = np.where(log.listed, mu1, mu0)
    robust = target * mu1 + (1 - target) * mu0 + weight * (log.reward - guess)
    members, code = np.unique(log.member, return_inverse=True)

    def per_member(values: Floats) -> Floats:
        return np.bincount(code, weights=values, minlength=len(members)).astype(np.float64)

    top, bottom = per_member(weight * log.reward), per_member(weight)
    sums, rows = per_member(robust), per_member(np.ones(n))
    r = np.random.default_rng([seed, 41])
    # Poisson bootstrap over members: each counts a Poisson(1) number of times.
    draws = r.poisson(1.0, (BOOTSTRAPS, len(members))).astype(np.float64)
    snips = (draws @ top) / np.maximum(draws @ bottom, 1e-300)
    doubly = (draws @ sums) / np.maximum(draws @ rows, 1e-300)
    return OffPolicy(
        _estimate(float(top.sum() / bottom.sum()), snips),
        _estimate(float(sums.sum() / n), doubly),
        effective,
        n,
        float(weight.max()),
    )


def _estimate(value: float, draws: Floats) -> Estimate:
    half = 1.96 * float(draws.std(ddof=1))
    return Estimate(value, value - half, value + half)
