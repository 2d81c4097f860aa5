"""Two corrections from the newest matured days: of the level, where the base rate has moved, and of a curve's shape."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.blend import blend, halved
from training.curves import expit, from_hazards, logit, to_hazards
from training.views import FloatArray

# Members are grouped by visits for the shape: one-time buyers, 2–4 visits, 5 and more.
GROUP_EDGES = (2, 5)
# As many returners as this count as much as the belief that the shape is right already.
SHAPE_PRIOR = 150.0
# Where the shape is measured: shares of those who return.
SHAPE_KNOTS = np.linspace(0.0, 1.0, 21)


@dataclass(frozen=True)
class ShapeMap:
    """For each group, the true share of returns behind each claimed share: float64[3, 21], from 0 to 1, rising.

    A curve that says "half of those who return do so within 20 days" when it is 60 % of them is bent so that it says
    60 %. S at the horizon stays as it is. Made from curves that had not seen the returns, this is split-conformal
    for every quantile of the window at once.
    """

    true_share: FloatArray
    returners: tuple[int, ...]

    @staticmethod
    def unchanged() -> "ShapeMap":
        return ShapeMap(np.tile(SHAPE_KNOTS, (len(GROUP_EDGES) + 1, 1)), (0,) * (len(GROUP_EDGES) + 1))

    def bend(self, survival: FloatArray, at_horizon: int, visits: FloatArray) -> FloatArray:
        """Curves [n, edges] with the shape up to edge `at_horizon` mended."""
        group = np.searchsorted(GROUP_EDGES, np.nan_to_num(visits, nan=1.0), side="right")
        bent = survival.copy()
        returned = 1.0 - survival[:, [at_horizon]]
        claimed = (1.0 - survival[:, : at_horizon + 1]) / np.maximum(returned, 1e-9)
        for g in range(len(self.true_share)):
            rows = group == g
            if rows.any():
                share = np.interp(claimed[rows], SHAPE_KNOTS, self.true_share[g])
                bent[rows, : at_horizon + 1] = 1.0 - share * returned[rows]
        bent[:, 0] = 1.0
        return np.minimum.accumulate(bent, axis=1)

    def as_dict(self) -> dict[str, Any]:
        return {"true_share": self.true_share.tolist(), "returners": list(self.returners)}

    @classmethod
    def from_dict(cls, card: dict[str, Any]) -> "ShapeMap":
        return cls(np.array(card["true_share"], dtype=float), tuple(card["returners"]))


def learn_shape(claimed_share: FloatArray, visits: FloatArray, days: int = 1) -> ShapeMap:
    """claimed_share: for each member who returned, the share of returns the curve had promised by that day.
    days: past days the returns come from; the same returns are in several of them, so each counts for less.

    Were the curves right, these shares would be spread evenly over 0…1.
    """
    group = np.searchsorted(GROUP_EDGES, visits, side="right")
    everyone = _mended(claimed_share, SHAPE_KNOTS, SHAPE_PRIOR * days)
    rows = [claimed_share[group == g] for g in range(len(GROUP_EDGES) + 1)]
    return ShapeMap(np.stack([_mended(r, everyone, SHAPE_PRIOR * days) for r in rows]), tuple(len(r) for r in rows))


def _mended(claimed: FloatArray, prior: FloatArray, prior_returners: float) -> FloatArray:
    if not len(claimed):
        return prior.copy()
    seen = np.searchsorted(np.sort(claimed), SHAPE_KNOTS, side="right") / len(claimed)
    weight = len(claimed) / (len(claimed) + prior_returners)
    share = np.maximum.accumulate(weight * seen + (1 - weight) * prior)
    share[0], share[-1] = 0.0, 1.0
    return share


def drift_level(cells: FloatArray, stretches: int) -> float:
    """Log odds to add for the days ahead, from what each past stretch of the calendar added (newest first).

    A level that lasts shows as neighbours that agree; a single loud week does not. φ, the agreement of neighbours
    (lag-one autocorrelation with outliers held at twice the usual size), scales the mean of the newest
    `stretches`; below a half nothing is corrected.
    """
    if len(cells) < 6:
        return 0.0
    usual = 1.4826 * float(np.median(np.abs(cells - np.median(cells)))) + 1e-9
    held = np.clip(cells, -2 * usual, 2 * usual)
    power = float(held @ held)
    agreement = float(held[1:] @ held[:-1]) / power if power > 1e-9 else 0.0
    if agreement < 0.5:
        return 0.0
    newest = held[:stretches]
    return float(np.clip(agreement * np.average(newest, weights=0.8 ** np.arange(len(newest))), -0.7, 0.7))


def lean_on(curves: Mapping[str, FloatArray], weights: Mapping[str, float], windows: float) -> FloatArray:
    """Log odds to add at each edge [edges], so that the level leans on the buy-till-you-die families as well.

    windows: horizons of history beyond the first. What labels teach about the level comes from so many separate
    windows; where that is one, they all lie in one season and among early members, and the families, which draw
    their level from whole histories, have half of the say; with more windows they have that much less.
    """
    mixed, half = blend(curves, weights), blend(curves, halved(weights))
    share = 1.0 / max(1.0, windows)
    odds, shift = logit(mixed), np.zeros(mixed.shape[1])
    for j in range(1, mixed.shape[1]):
        goal = float((1.0 - share) * mixed[:, j].mean() + share * half[:, j].mean())
        for _ in range(25):
            p = expit(odds[:, j] + shift[j])
            shift[j] += float((goal - p.mean()) / max((p * (1.0 - p)).mean(), 1e-6))
            shift[j] = float(np.clip(shift[j], -2.0, 2.0))
    return shift


def shift_level(survival: FloatArray, log_odds: float) -> FloatArray:
    """Curves whose hazard in every bin has `log_odds` added."""
    if log_odds == 0.0:
        return survival
    hazards = to_hazards(survival)
    odds = logit(np.clip(hazards, 1e-6, 1 - 1e-6)) + log_odds
    return from_hazards(0.5 * (1.0 + np.tanh(0.5 * odds)))
