"""The pooled logistic hazard: a dozen plain columns and the time waited, one set of weights for all snapshots.

Newton's method with a ridge; few parameters, so it is steady where trees are not, and it carries on in a
straight line where a tree stops at the last value it has seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from training.curves import expit, logit, to_hazards
from training.periods import Bins, person_periods
from training.views import FloatArray, View, Watched

# Columns taken as log(1+x): counts, days and money are skewed, and ratios matter more than differences.
LOGGED = (
    "recency_days",
    "tenure_days",
    "visits",
    "spend_total_yuan",
    "spend_mean_yuan",
    "visits_30d",
    "visits_90d",
    "visits_365d",
    "gap_mean_days",
    "gap_shrunk_days",
    "gap_std_days",
    "recency_over_gap",
)
# Worth this many person-periods of a pull to zero for each standardised weight.
RIDGE = 3.0
NEWTON_STEPS = 12


@dataclass(frozen=True)
class PooledHazard:
    """Weights over standardised columns: `mean`, `scale`, `weights`; the last `bins.count` weights are bin levels."""

    mean: FloatArray
    scale: FloatArray
    weights: FloatArray
    bins: Bins

    def hazards(self, view: View, offset: FloatArray | None = None) -> FloatArray:
        """P(purchase in bin j | none before): float64[n, bins.count]."""
        return expit(self.log_odds(view))

    def log_odds(self, view: View) -> FloatArray:
        static, period = _static(view), _Period(view, self.bins)
        k, p = static.shape[1], PERIOD_COLUMNS
        slope = self.weights[: k + p] / self.scale
        base = (static - self.mean[:k]) @ slope[:k]
        odds = np.empty((len(view), self.bins.count))
        for j in range(self.bins.count):
            odds[:, j] = base + (period.columns(j) - self.mean[k:]) @ slope[k:] + self.weights[k + p + j]
        return odds

    def as_arrays(self) -> dict[str, Any]:
        return {"mean": self.mean, "scale": self.scale, "weights": self.weights, "edges": self.bins.edges}


def fit_pooled(
    watched: Sequence[Watched], bins: Bins, *, weights: Sequence[float] | None = None, ridge: float = RIDGE
) -> PooledHazard:
    """Fit by penalised maximum likelihood over all person-periods of all snapshots."""
    blocks, levels, events, importance = [], [], [], []
    for s, snapshot in enumerate(watched):
        rows = person_periods(snapshot.days_to_next, snapshot.follow_up_days, bins)
        if not len(rows):
            continue
        static, period = _static(snapshot.view), _Period(snapshot.view, bins)
        moving = np.empty((len(rows), PERIOD_COLUMNS))
        for j in range(bins.count):
            here = rows.bin == j
            if here.any():
                moving[here] = period.columns(j)[rows.member[here]]
        blocks.append(np.column_stack([static[rows.member], moving]))
        levels.append(rows.bin)
        events.append(rows.event)
        importance.append(np.full(len(rows), 1.0 if weights is None else weights[s]))
    table = np.concatenate(blocks)
    level = np.concatenate(levels)
    event = np.concatenate(events).astype(np.float64)
    weight = np.concatenate(importance)
    mean = np.average(table, axis=0, weights=weight)
    scale = np.sqrt(np.average((table - mean) ** 2, axis=0, weights=weight))
    scale = np.where(scale > 1e-9, scale, 1.0)
    design = (table - mean) / scale
    beta = _newton(design, level, event, weight, bins.count, ridge)
    return PooledHazard(mean, scale, beta, bins)


def _newton(
    design: FloatArray,
    level: npt.NDArray[np.integer],
    event: FloatArray,
    weight: FloatArray,
    bins: int,
    ridge: float,
) -> FloatArray:
    """Columns first, then one level per bin; the levels are pulled weakly to the overall rate."""
    k = design.shape[1]
    rate = np.clip(np.average(event, weights=weight), 1e-4, 1.0 - 1e-4)
    start = float(np.log(rate / (1.0 - rate)))
    beta = np.zeros(k + bins)
    beta[k:] = start
    target = beta.copy()
    penalty = np.full(k + bins, ridge)
    penalty[k:] = 1.0
    for _ in range(NEWTON_STEPS):
        chance = expit(design @ beta[:k] + beta[k:][level])
        curvature = weight * np.maximum(chance * (1.0 - chance), 1e-9)
        error = weight * (event - chance)
        hessian = np.zeros((k + bins, k + bins))
        scaled = design * curvature[:, None]
        hessian[:k, :k] = design.T @ scaled
        for j in range(bins):
            here = level == j
            hessian[:k, k + j] = hessian[k + j, :k] = scaled[here].sum(0)
            hessian[k + j, k + j] = curvature[here].sum()
        gradient = np.concatenate([design.T @ error, np.bincount(level, error, bins)]) - penalty * (beta - target)
        step = np.linalg.solve(hessian + np.diag(penalty), gradient)
        # A Newton step this long means separation; walk instead of jumping.
        beta = beta + step * min(1.0, 4.0 / max(float(np.abs(step).max()), 1e-9))
        if np.abs(step).max() < 1e-5:
            break
    return beta


# Moving with the bin: log of the days since the last visit by then; that over the own and the shrunk gap with a
# hinge at the gap itself, where a regular member is due; the logit hazards of the buy-till-you-die families.
PERIOD_COLUMNS = 7


class _Period:
    def __init__(self, view: View, bins: Bins) -> None:
        self.middle = bins.middle
        self.recency = view.column("recency_days")
        self.gap = np.log(np.maximum(_filled(view.column("gap_mean_days"), view), 0.5))
        self.shrunk = np.log(np.maximum(_filled(view.column("gap_shrunk_days"), view), 0.5))
        self.many = 1.0 - 1.0 / np.maximum(view.column("visits"), 1.0)
        where = np.searchsorted(view.bins.edges, bins.edges)
        none = np.zeros((len(view), bins.count))
        self.families = [
            np.clip(logit(to_hazards(view.btyd[family][:, where])), -9, 5) if family in view.btyd else none
            for family in ("bg_nbd", "mbg_nbd")
        ]

    def columns(self, j: int) -> FloatArray:
        elapsed = np.log(self.recency + self.middle[j])
        over_own, over_shrunk = elapsed - self.gap, elapsed - self.shrunk
        return np.column_stack(
            [
                elapsed,
                over_shrunk,
                np.maximum(over_shrunk, 0.0),
                self.many * np.maximum(over_own, 0.0),
                self.many * np.maximum(-over_own, 0.0),
                self.families[0][:, j],
                self.families[1][:, j],
            ]
        )


def _filled(column: FloatArray, view: View) -> FloatArray:
    """One-time buyers have no gap: the shrunk one stands in, and where that is missing too the time since joining."""
    shrunk = view.column("gap_shrunk_days")
    stand_in = np.where(np.isfinite(shrunk), shrunk, np.maximum(view.column("tenure_days"), 1.0))
    return np.where(np.isfinite(column), column, stand_in)


def _static(view: View) -> FloatArray:
    logged = [np.log1p(np.maximum(_logged_column(view, name), 0.0)) for name in LOGGED]
    once = (view.column("visits") <= 1).astype(np.float64)
    recency, tenure = logged[0], logged[1]
    return np.column_stack([*logged, once, once * recency, recency * recency, tenure - recency])


def _logged_column(view: View, name: str) -> FloatArray:
    column = view.column(name)
    if name in ("gap_mean_days", "gap_shrunk_days"):
        return _filled(column, view)
    return np.nan_to_num(column, nan=0.0)
