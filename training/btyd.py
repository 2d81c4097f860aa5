"""Buy-till-you-die models: visit counts and dates in, probabilities of the next visits out, all in closed form.

A member buys at an own rate and may quit for good after any purchase. Rates vary between members by a gamma law,
quitting chances by a beta law. Gaps between visits are Erlang-k: k = 1 is buying at random, a larger k a rhythm, and k is
one number for the brand. The whole history is summed up by three numbers per member, all in days:

    repeat_visits        visits after the first one                                    x
    first_to_last_days   from the first to the last visit                              t_x
    tenure_days          from the first visit to the day of asking                     T

Sources, formulas rewritten from them:
    BG/NBD   P. Fader, B. Hardie, K. L. Lee, "Counting Your Customers" the Easy Way, Marketing Science 24(2), 2005.
    MBG/NBD  E. Batislam, M. Denizel, A. Filiztekin, Empirical validation and comparison of models for customer base
             analysis, IJRM 24(3), 2007; D. Hoppe, U. Wagner, Customer Base Analysis, Marketing ZFP 29(2), 2007.
    k        M. Platzer, T. Reutterer, Ticking Away the Moments: Timing Regularity Helps to Better Predict Customer Activity,
             Marketing Science 35(5), 2016; T. Reutterer, M. Platzer, N. Schröder, Leveraging Purchase Regularity for
             Predicting Customer Behavior the Easy Way, IJRM 38(1), 2021 (BG/CNBD-k and MBG/CNBD-k).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import betaln, gammaln, hyp2f1, psi

from features.errors import InputError, NotEnoughData

Family = Literal["bg_nbd", "mbg_nbd"]
FAMILIES: tuple[Family, ...] = ("bg_nbd", "mbg_nbd")
Floats = NDArray[np.float64]

# Log parameters stay within e^±8 of their scale: where nobody returns, or nobody quits, there is no finite optimum.
LOG_BOUND = 8.0
# A pull of the log parameters to zero, worth this much log-likelihood in all (not per member): it decides only where
# the data say nothing, and leaves the published CDNOW figures as they are.
RIDGE = 0.001
# The most regular rhythm that is told apart, and the members with two gaps and more that k is read from.
MOST_REGULAR, FEWEST_RHYTHMS = 6, 30
# More distinct histories than this move no parameter by more than its own noise and only cost time.
FIT_ROWS = 50_000


@dataclass(frozen=True)
class Btyd:
    """A fitted model; ask it about any members' (repeat_visits, first_to_last_days, tenure_days).

    For one-time buyers of BG/NBD `alive` is 1 by construction: never rank by it, rank by `survival`.
    """

    family: Family
    r: float
    alpha_days: float
    a: float
    b: float
    log_likelihood: float
    members: int
    k: int = 1

    def survival(self, days: ArrayLike, x: ArrayLike, tx: ArrayLike, tenure: ArrayLike) -> Floats:
        """P(no visit within `days` days | history): float64[members, len(days)], 1 at day 0, never increasing."""
        x, tx, tenure = _histories(x, tx, tenure)
        horizon = np.atleast_1d(np.asarray(days, dtype=float))
        dead, alive = self._log_parts(x, tx, tenure)
        still = np.exp(alive - np.logaddexp(dead, alive))
        # A member still buying stays silent for t days with ((α+T)/(α+T+t))^(r+kx), gamma-mixed Poisson silence, times
        # Q(t)/Q(0) for the ticks of the rhythm that may have come without making a visit.
        since = (self.alpha_days + tenure)[:, None]
        silent = np.exp(-(self.r + self.k * x)[:, None] * np.log(1.0 + horizon[None, :] / since))
        if self.k > 1:
            quiet = (tenure - tx)[:, None]
            ticks = _ticks(self.k, self.r + self.k * x)
            silent *= _sum_of_ticks(ticks, (quiet + horizon) / (since + horizon)) / _sum_of_ticks(
                ticks, quiet / since
            )
        return 1.0 - still[:, None] * (1.0 - np.minimum(silent, 1.0))

    def alive(self, x: ArrayLike, tx: ArrayLike, tenure: ArrayLike) -> Floats:
        """P(has not quit | history): float64[members]."""
        dead, alive = self._log_parts(*_histories(x, tx, tenure))
        return np.exp(alive - np.logaddexp(dead, alive))

    def expected_visits(self, days: float, x: ArrayLike, tx: ArrayLike, tenure: ArrayLike) -> Floats:
        """Expected number of visits within `days` days given the history: float64[members].

        While alive, λ ~ Gamma(r+x, α+T) and p ~ Beta(a, b') with b' = b+x (MBG/NBD: b+x+1), and a member with rate λ
        and quitting chance p makes (1 − e^(−λpt))/p visits in t days. Its mean is
        (a+b'−1)/(a−1) · [1 − (1−z)^(r+x) · 2F1(r+x, b'; a+b'−1; z)] with z = t/(α+T+t); here after Euler's
        transformation, which keeps the terms small. For k = 1 only.
        """
        if self.k > 1:
            raise InputError(f"expected_visits: no closed form for gaps with k = {self.k}; fit with k = 1")
        x, tx, tenure = _histories(x, tx, tenure)
        a = self.a if abs(self.a - 1) > 1e-5 else 1 + 1e-5  # the formula is 0/0 at a = 1, its limit is not
        b = self.b + x + (self.family == "mbg_nbd")
        c = a + b - 1
        c = np.where(np.abs(c) > 1e-5, c, 1e-5)
        z = days / (self.alpha_days + tenure + days)
        series = _hyp2f1(c - self.r - x, a - 1, c, z)
        visits = c / (a - 1) * (1 - np.exp((a - 1) * np.log1p(-z)) * series)
        return np.maximum(visits, 0.0) * self.alive(x, tx, tenure)

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers for a model card or a JSON file."""
        return {
            "family": self.family,
            "r": self.r,
            "alpha_days": self.alpha_days,
            "a": self.a,
            "b": self.b,
            "log_likelihood": self.log_likelihood,
            "members": self.members,
            "k": self.k,
        }

    @classmethod
    def from_dict(cls, card: Mapping[str, Any]) -> "Btyd":
        """The model whose numbers `as_dict` wrote."""
        return cls(**{name: card[name] for name in cls.__dataclass_fields__})

    def _log_parts(self, x: Floats, tx: Floats, tenure: Floats) -> tuple[Floats, Floats]:
        theta = np.array([self.r, self.alpha_days, self.a, self.b])
        return _log_parts(self.family, self.k, theta, x, tx, tenure)


# Terms of the Gauss series where the library's function gives none; z < 1, so they fall at least geometrically.
SERIES_TERMS = 4_000


def _hyp2f1(first: Floats, second: float, third: Floats, z: Floats) -> Floats:
    """2F1(first, second; third; z), by its own series where SciPy answers NaN (as for 2F1(1, 1; 104; .98))."""
    found = np.asarray(hyp2f1(first, second, third, z), dtype=float)
    lost = ~np.isfinite(found)
    if lost.any():
        a, c, at = (np.broadcast_to(values, found.shape)[lost] for values in (first, third, z))
        term, total = np.ones(int(lost.sum())), np.ones(int(lost.sum()))
        for k in range(SERIES_TERMS):
            term = term * (a + k) * (second + k) / ((c + k) * (k + 1)) * at
            total += term
            if np.abs(term).max() < 1e-14 * np.abs(total).max():
                break
        found[lost] = total
    return found


def fit_btyd(
    x: ArrayLike,
    tx: ArrayLike,
    tenure: ArrayLike,
    *,
    family: Family = "bg_nbd",
    k: int = 1,
    start: Btyd | None = None,
    max_rows: int = FIT_ROWS,
    seed: int = 0,
) -> Btyd:
    """Maximum likelihood with exact gradients over repeat_visits, first_to_last_days and tenure_days.

    Equal histories are counted once with their number, so the order of members changes nothing. Above `max_rows`
    distinct histories a seeded draw of members is fitted. `start` warm-starts from an earlier fit.

    Raises NotEnoughData below 10 members.
    """
    if family not in FAMILIES:
        raise InputError(f"unknown buy-till-you-die family {family!r}; known: {', '.join(FAMILIES)}")
    rows = np.column_stack(_histories(x, tx, tenure))
    members = len(rows)
    if members < 10:
        raise NotEnoughData(f"{family} needs at least 10 members with a purchase; found {members}")
    rows = rows[np.lexsort(rows.T)]
    rows, count = np.unique(rows, axis=0, return_counts=True)
    if len(rows) > max_rows:
        drawn = np.random.default_rng(seed).multinomial(max_rows, count / count.sum())
        rows, count = rows[drawn > 0], drawn[drawn > 0]
    scale = max(float(np.average(rows[:, 2], weights=count)), 1e-9)  # days → a scale near 1 for the optimiser
    histories = rows[:, 0], rows[:, 1] / scale, rows[:, 2] / scale
    begins = [np.zeros(4), np.array([-0.5, -1.0, -0.5, 0.5])]
    if start is not None and start.k == k:
        begins = [np.log([start.r, start.alpha_days / scale, start.a, start.b])]
    fits = [
        minimize(
            _loss,
            begin,
            args=(family, k, histories, count.astype(float)),
            jac=True,
            method="L-BFGS-B",
            bounds=[(-LOG_BOUND, LOG_BOUND)] * 4,
            options={"maxiter": 500, "ftol": 1e-12, "gtol": 1e-7},
        )
        for begin in begins
    ]
    theta = np.exp(min(fits, key=lambda fit: float(fit.fun)).x)
    theta[1] *= scale
    loglik = _log_likelihood(family, k, theta, (rows[:, 0], rows[:, 1], rows[:, 2]), count.astype(float))
    r, alpha, a, b = (float(value) for value in theta)
    return Btyd(family, r, alpha, a, b, loglik * members / float(count.sum()), members, k)


def regularity(gaps: ArrayLike, spread: ArrayLike) -> int:
    """k of the Erlang gaps: from each member's number of gaps and their coefficient of variation (sample spread / mean).

    Of n gaps with one rate, the squared shares of their sum have the mean (k + 1) / (nk + 1), whatever the rate: they are
    Dirichlet(k, …, k). k is where the sum over members, long histories counting more, agrees with it. 1 where fewer than
    FEWEST_RHYTHMS members have two gaps.
    """
    n, spread = np.asarray(gaps, dtype=float), np.asarray(spread, dtype=float)
    known = (n >= 2) & np.isfinite(spread)
    if known.sum() < FEWEST_RHYTHMS:
        return 1
    n, squared = n[known], (1.0 + (n[known] - 1.0) / n[known] * spread[known] ** 2) / n[known]
    k = 1
    while k < MOST_REGULAR:
        between = np.sqrt(k * (k + 1.0))
        if n @ squared >= n @ ((between + 1.0) / (n * between + 1.0)):
            break
        k += 1
    return k


def _histories(x: ArrayLike, tx: ArrayLike, tenure: ArrayLike) -> tuple[Floats, Floats, Floats]:
    arrays = tuple(np.atleast_1d(np.asarray(values, dtype=float)) for values in (x, tx, tenure))
    x, tx, tenure = arrays
    if not (x.shape == tx.shape == tenure.shape and x.ndim == 1):
        raise InputError(
            f"repeat_visits, first_to_last_days, tenure_days: lengths differ: {[v.shape for v in arrays]}"
        )
    wrong = ~((x >= 0) & (tx >= 0) & (tenure >= tx))  # also true for NaN
    if wrong.any():
        raise InputError(
            f"{int(wrong.sum())} of {len(x)} members break 0 <= first_to_last_days <= tenure_days or have a negative "
            "repeat_visits; count visits strictly before the day of asking"
        )
    return x, tx, tenure


def _log_parts(family: Family, k: int, theta: Floats, x: Floats, tx: Floats, tenure: Floats) -> tuple[Floats, Floats]:
    """ln P(history and has quit), ln P(history and has not), without what both share but the data alone decide."""
    r, alpha, a, b = theta
    later = b + x + (family == "mbg_nbd")  # MBG/NBD: a member may also quit at the very first purchase
    seen = r + k * x
    shared = gammaln(seen) - gammaln(r) + r * np.log(alpha) - betaln(a, b)
    alive = shared + betaln(a, later) - seen * np.log(alpha + tenure)
    if k > 1:
        alive = alive + np.log(_sum_of_ticks(_ticks(k, seen), ((tenure - tx) / (alpha + tenure))[:, None])[:, 0])
    dead = shared + betaln(a + 1, np.maximum(later - 1, 1e-300)) - seen * np.log(alpha + tx)
    if family == "bg_nbd":
        dead = np.where(x > 0, dead, -np.inf)  # nobody quits before the first repeat visit
    return dead, alive


def _ticks(k: int, seen: Floats) -> Floats:
    """Γ(seen + j) / (Γ(seen) j!) for j = 0 … k−1: float64[members, k], how many ways the silence may hold j ticks."""
    factors = [np.ones_like(seen)]
    for j in range(1, k):
        factors.append(factors[-1] * (seen + j - 1) / j)
    return np.stack(factors, axis=1)


def _sum_of_ticks(ticks: Floats, share: Floats) -> Floats:
    """Σⱼ ticks[·, j] shareʲ: float64 of the shape of share [members, days]."""
    total = np.broadcast_to(ticks[:, [-1]], share.shape).copy()
    for j in range(ticks.shape[1] - 2, -1, -1):
        total = total * share + ticks[:, [j]]
    return total


def _log_likelihood(
    family: Family, k: int, theta: Floats, histories: tuple[Floats, Floats, Floats], count: Floats
) -> float:
    return float(count @ np.logaddexp(*_log_parts(family, k, theta, *histories)))


def _loss(log_theta: Floats, family: Family, k: int, histories: tuple[Floats, Floats, Floats], count: Floats) -> Any:
    """Mean negative log-likelihood with the ridge, and its gradient by the log parameters."""
    theta = np.exp(log_theta)
    r, alpha, a, b = theta
    x, tx, tenure = histories
    dead, alive = _log_parts(family, k, theta, x, tx, tenure)
    total = np.logaddexp(dead, alive)
    quit_ = np.exp(dead - total)
    stay = np.exp(alive - total)
    later = b + x + (family == "mbg_nbd")
    seen = r + k * x
    by_r = psi(seen) - psi(r) + np.log(alpha) - stay * np.log(alpha + tenure) - quit_ * np.log(alpha + tx)
    by_alpha = r / alpha - seen * (stay / (alpha + tenure) + quit_ / (alpha + tx))
    if k > 1:
        # Each number of ticks by its share of the sum.
        share = _ticks(k, seen) * ((tenure - tx) / (alpha + tenure))[:, None] ** np.arange(k)
        share = share / share.sum(axis=1, keepdims=True)
        rise = psi(seen[:, None] + np.arange(k)) - psi(seen)[:, None]
        by_r = by_r + stay * (share * rise).sum(axis=1)
        by_alpha = by_alpha - stay * (share @ np.arange(k)) / (alpha + tenure)
    by_a = stay * psi(a) + quit_ * psi(a + 1) - psi(a + later) - psi(a) + psi(a + b)
    # ψ'(b'−1) is only wanted where quitting is possible; elsewhere its weight is 0 and any finite value will do.
    by_b = stay * psi(later) + quit_ * psi(np.where(quit_ > 0, later - 1, 1.0)) - psi(a + later) - psi(b) + psi(a + b)
    members = count.sum()
    gradient = np.array([count @ by_r, count @ by_alpha, count @ by_a, count @ by_b]) * theta
    loss = -(count @ total) + RIDGE * log_theta @ log_theta
    return loss / members, (-gradient + 2 * RIDGE * log_theta) / members
