"""The pooled logistic hazard: a dozen plain columns and the time waited, one set of weights for all snapshots.

Newton's method with a ridge; few parameters, so it is steady where trees are not, and it carries on in a
straight line where a tree stops at the last value it has seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

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
RIDGE = 30.0
NEWTON_STEPS = 40
# The same for a stretch of the calendar: log odds of ordinary stretches differ by about a fifth.
CALENDAR_RIDGE = 25.0
# The level of a bin is free wherever there are rows: what the calendar does not need must stay with the bin.
LEVEL_RIDGE = 0.1
NO_CALENDAR = 1e9


@dataclass(frozen=True)
class PooledHazard:
    """Weights over standardised columns: `mean`, `scale`, `weights`; the last `bins.count` weights are bin levels.

    cells: float64[c], what each past stretch of the calendar added to the log odds, the newest first; it is fitted so
    that a loud week is not learned as a trait of the members who lived through it, and is left out of predictions.
    low, high: what was seen of each column; beyond it a straight line would be a guess, so columns are held there.
    """

    mean: FloatArray
    scale: FloatArray
    weights: FloatArray
    bins: Bins
    cells: FloatArray
    low: FloatArray
    high: FloatArray

    def hazards(self, view: View) -> FloatArray:
        """P(purchase in bin j | none before): float64[n, bins.count]."""
        return expit(self.log_odds(view))

    def log_odds(self, view: View) -> FloatArray:
        """The same on the logit scale, in an ordinary stretch of the calendar."""
        static = _static(view)
        k, p = static.shape[1], PERIOD_COLUMNS
        slope = self.weights[: k + p] / self.scale
        base = (np.clip(static, self.low[:k], self.high[:k]) - self.mean[:k]) @ slope[:k]
        odds = base[:, None] + (self.weights[k + p :] - self.mean[k:] @ slope[k:])
        for i, moving in enumerate(_moving(view, self.bins), start=k):
            odds += np.clip(moving, self.low[i], self.high[i]) * slope[i]
        return odds

    def calendar(self, age_days: int, bins: Bins) -> FloatArray:
        """What the calendar added to the log odds in each bin after a snapshot `age_days` old: float64[bins.count]."""
        return calendar_shares(age_days, bins, self.bins, len(self.cells)) @ self.cells

    def as_arrays(self) -> dict[str, Any]:
        return {
            "mean": self.mean,
            "scale": self.scale,
            "weights": self.weights,
            "edges": self.bins.edges,
            "cells": self.cells,
            "low": self.low,
            "high": self.high,
        }


def calendar_shares(age_days: int, bins: Bins, measure: Bins, count: int) -> FloatArray:
    """Which stretches of the calendar each bin after a snapshot lies in: shares float64[bins.count, count].

    Stretches are counted back from the day of fitting, each as wide as the first bin of `measure`.
    """
    shares = np.zeros((bins.count, count))
    for j in range(bins.count):
        days_back = age_days - np.arange(bins.edges[j], bins.edges[j + 1]) - 1
        cell = np.clip(days_back // int(measure.width[0]), 0, count - 1)
        shares[j] = np.bincount(cell, minlength=count) / len(days_back)
    return shares


def fit_pooled(
    watched: Sequence[Watched],
    bins: Bins,
    *,
    ridge: float = RIDGE,
    calendar_ridge: float = CALENDAR_RIDGE,
) -> PooledHazard:
    """Fit by penalised maximum likelihood over all person-periods of all snapshots."""
    oldest = max((snapshot.age_days for snapshot in watched), default=1)
    cells = max(1, int(np.ceil(oldest / bins.width[0])))
    blocks, levels, periods, events = [], [], [], []
    for snapshot in watched:
        rows = person_periods(snapshot.days_to_next, snapshot.follow_up_days, bins)
        if not len(rows):
            continue
        static = _static(snapshot.view)[rows.member]
        moving = [column[rows.member, rows.bin] for column in _moving(snapshot.view, bins)]
        blocks.append(np.column_stack([static, *moving]))
        levels.append(rows.bin)
        periods.append(calendar_shares(snapshot.age_days, bins, bins, cells)[rows.bin])
        events.append(rows.event)
    table = np.concatenate(blocks)
    anchored = all(len(snapshot.view.btyd) == 2 for snapshot in watched)
    event = np.concatenate(events).astype(np.float64)
    mean = table.mean(axis=0)
    scale = table.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    k = table.shape[1]
    design = np.zeros((len(table), k + bins.count + cells))
    design[:, :k] = (table - mean) / scale
    row = np.arange(len(table))
    design[row, k + np.concatenate(levels)] = 1.0
    design[:, k + bins.count :] = np.concatenate(periods)
    # Every snapshot that covers a stretch counts its events again, so the pull grows with the snapshots.
    overlap = max(1.0, len(watched) / 2.0)
    if len(watched) < 3:
        calendar_ridge = NO_CALENDAR  # a bin and a stretch of the calendar are then one and the same
    penalty = np.concatenate(
        [np.full(k, ridge), np.full(bins.count, LEVEL_RIDGE), np.full(cells, calendar_ridge * overlap)]
    )
    target = np.zeros(design.shape[1])
    if anchored:
        # With nothing to learn from, this hazard is the mean of the two families'; data move it away.
        target[k - 2 : k] = 0.5 * scale[-2:]
        target[k : k + bins.count] = 0.5 * mean[-2:].sum()
    else:
        rate = float(np.clip(event.mean(), 1e-4, 1.0 - 1e-4))
        target[k : k + bins.count] = np.log(rate / (1.0 - rate))
    beta = _newton(design, event, penalty, target)
    low, high = np.quantile(table, [0.002, 0.998], axis=0)
    # The families' hazards may go on beyond what was seen: they are models of just that.
    low[-2:], high[-2:] = -9.0, 5.0
    return PooledHazard(mean, scale, beta[: k + bins.count], bins, beta[k + bins.count :], low, high)


def _newton(design: FloatArray, event: FloatArray, penalty: FloatArray, target: FloatArray) -> FloatArray:
    """Logistic regression with a ridge towards `target`; a step that makes things worse is halved."""
    beta = target.copy()
    odds = design @ beta
    loss = _penalised(odds, event, beta, penalty, target)
    for _ in range(NEWTON_STEPS):
        chance = expit(odds)
        curvature = np.maximum(chance * (1.0 - chance), 1e-6)
        gradient = design.T @ (event - chance) - penalty * (beta - target)
        hessian = design.T @ (design * curvature[:, None])
        step = np.linalg.solve(hessian + np.diag(penalty), gradient)
        moved = design @ step
        size = 1.0
        while size > 1e-3:
            tried = _penalised(odds + size * moved, event, beta + size * step, penalty, target)
            if tried <= loss:
                break
            size /= 2.0
        beta, odds, gain, loss = beta + size * step, odds + size * moved, loss - tried, tried
        if gain < 1e-7 * abs(loss):
            break
    return beta


def _penalised(
    odds: FloatArray, event: FloatArray, beta: FloatArray, penalty: FloatArray, target: FloatArray
) -> float:
    return float(np.sum(np.logaddexp(0.0, odds) - event * odds) + 0.5 * np.sum(penalty * (beta - target) ** 2))


# Moving with the bin: log of the days since the last visit by then; that over the own and the shrunk gap with a
# hinge at the gap itself, where a regular member is due; the logit hazards of the buy-till-you-die families.
PERIOD_COLUMNS = 7


def _moving(view: View, bins: Bins) -> list[FloatArray]:
    """The columns that move with the bin, each float64[n, bins.count]."""
    elapsed = np.log(view.column("recency_days")[:, None] + bins.middle)
    over_own = elapsed - np.log(np.maximum(_filled(view.column("gap_mean_days"), view), 0.5))[:, None]
    over_shrunk = elapsed - np.log(np.maximum(_filled(view.column("gap_shrunk_days"), view), 0.5))[:, None]
    many = (1.0 - 1.0 / np.maximum(view.column("visits"), 1.0))[:, None]
    where = np.searchsorted(view.bins.edges, bins.edges)
    families = [
        np.clip(logit(to_hazards(view.btyd[family][:, where])), -9, 5)
        if family in view.btyd
        else np.zeros_like(elapsed)
        for family in ("bg_nbd", "mbg_nbd")
    ]
    due = [np.maximum(over_shrunk, 0.0), many * np.maximum(over_own, 0.0), many * np.maximum(-over_own, 0.0)]
    return [elapsed, over_shrunk, *due, *families]


def _filled(column: FloatArray, view: View) -> FloatArray:
    """One-time buyers have no gap: the shrunk one stands in, and where that is missing too the time since joining."""
    shrunk = view.column("gap_shrunk_days")
    stand_in = np.where(np.isfinite(shrunk), shrunk, np.maximum(view.column("tenure_days"), 1.0))
    return np.where(np.isfinite(column), column, stand_in)


def _static(view: View) -> FloatArray:
    logged = [np.log1p(np.maximum(_logged_column(view, name), 0.0)) for name in LOGGED]
    once = (view.column("visits") <= 1).astype(np.float64)
    recency, tenure = logged[0], logged[1]
    return np.column_stack([*logged, once, once * recency, tenure - recency])


def _logged_column(view: View, name: str) -> FloatArray:
    column = view.column(name)
    if name in ("gap_mean_days", "gap_shrunk_days"):
        return _filled(column, view)
    return np.nan_to_num(column, nan=0.0)
