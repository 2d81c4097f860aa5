"""Plain answers to "how much will a member spend": vectors in, expected yuan within the horizon out.

last_year             the spend of the last 365 days (or of the days on record), scaled to the horizon
gamma_gamma_bg_nbd    expected visits of BG/NBD times the gamma-gamma spend per visit (P. Fader, B. Hardie, The
                      Gamma-Gamma Model of Monetary Value, note, 2013)
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import gammaln

from features.errors import NotEnoughData
from features.history import History
from features.vectors import MemberVectors
from training.btyd import FIT_ROWS, fit_btyd
from training.peers.curves import btyd_inputs

Floats = NDArray[np.float64]

VALUE_PEERS = ("last_year", "gamma_gamma_bg_nbd")


@dataclass(frozen=True)
class GammaGamma:
    """Spend per visit varies around a member's own mean by a gamma law of shape p; own means vary by q and v_yuan."""

    p: float
    q: float
    v_yuan: float

    def expected_spend(self, visits: ArrayLike, mean_spend_yuan: ArrayLike) -> Floats:
        """The mean yet to come per visit: float64[members], between the member's own mean and the population's.

        E[Z | z̄, x] = p (v + x z̄) / (p x + q − 1)
        """
        x, z = np.asarray(visits, dtype=float), np.asarray(mean_spend_yuan, dtype=float)
        return self.p * (self.v_yuan + x * z) / (self.p * x + self.q - 1)


def fit_gamma_gamma(visits: ArrayLike, mean_spend_yuan: ArrayLike, *, seed: int = 0) -> GammaGamma:
    """Maximum likelihood over members with a positive mean spend; q stays above 1, where a mean exists.

    ln f(z̄ | p, q, v, x) = lnΓ(px+q) − lnΓ(px) − lnΓ(q) + q ln v + (px−1) ln z̄ + px ln x − (px+q) ln(v + x z̄)

    Raises NotEnoughData below 10 such members.
    """
    x, z = np.asarray(visits, dtype=float), np.asarray(mean_spend_yuan, dtype=float)
    paying = (x > 0) & (z > 0)
    if paying.sum() < 10:
        raise NotEnoughData(f"gamma-gamma needs 10 members who spent something; found {int(paying.sum())}")
    rows = np.column_stack([x[paying], z[paying]])
    rows = rows[np.lexsort(rows.T)]
    if len(rows) > FIT_ROWS:
        rows = rows[np.sort(np.random.default_rng(seed).choice(len(rows), FIT_ROWS, replace=False))]
    x, z = rows.T
    scale = float(z.mean())
    z = z / scale

    def loss(theta: Floats) -> float:
        p, q, v = np.exp(theta[0]), 1 + np.exp(theta[1]), np.exp(theta[2])
        px = p * x
        fit = gammaln(px + q) - gammaln(px) - gammaln(q) + q * np.log(v) + (px - 1) * np.log(z) + px * np.log(x)
        return float(-(fit - (px + q) * np.log(v + x * z)).mean() + 1e-6 * theta @ theta)

    bounds = [(-6.0, 6.0)] * 3
    best = minimize(loss, np.array([1.0, 0.5, 0.0]), method="L-BFGS-B", bounds=bounds, options={"maxiter": 500})
    p, q, v = np.exp(best.x[0]), 1 + np.exp(best.x[1]), np.exp(best.x[2])
    return GammaGamma(float(p), float(q), float(v * scale))


def last_year(vectors: MemberVectors, as_of: date, horizon_days: int, coverage_start: date) -> Floats:
    """What the last 365 days brought, scaled to the horizon; a shorter record is scaled by its own length."""
    days = min(365, max(1, (as_of - coverage_start).days))
    return vectors.frame["spend_365d_yuan"].to_numpy(dtype=float) * horizon_days / days


def gamma_gamma_bg_nbd(vectors: MemberVectors, horizon_days: int, *, seed: int = 0) -> Floats:
    """Expected visits × expected spend per visit, both fitted on the histories themselves."""
    inputs = btyd_inputs(vectors)
    visits = vectors.frame["visits"].to_numpy(dtype=float)
    spend = np.nan_to_num(vectors.frame["spend_mean_yuan"].to_numpy(dtype=float))
    coming = fit_btyd(*inputs, family="bg_nbd", seed=seed).expected_visits(float(horizon_days), *inputs)
    return coming * fit_gamma_gamma(visits, spend, seed=seed).expected_spend(visits, np.maximum(spend, 0))


def fit_value_peers(
    history: History, vectors: MemberVectors, as_of: date, horizon_days: int, *, seed: int = 0
) -> tuple[dict[str, Floats | None], dict[str, str]]:
    """Expected spend of each member by peer, None with a reason where the data are too few."""
    found: dict[str, Floats | None] = {"last_year": last_year(vectors, as_of, horizon_days, history.coverage_start)}
    try:
        found["gamma_gamma_bg_nbd"] = gamma_gamma_bg_nbd(vectors, horizon_days, seed=seed)
    except NotEnoughData as too_few:
        return found | {"gamma_gamma_bg_nbd": None}, {"gamma_gamma_bg_nbd": str(too_few)}
    return found, {}
