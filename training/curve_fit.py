"""Snapshots in; out: the fitted components of a curve."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import lightgbm as lgb
import numpy as np

from training.curves import from_hazards, logit, to_hazards
from training.direct import DirectTrees, grow_direct
from training.hazard import TreeHazard, TreeSettings, grow_hazard
from training.periods import Bins
from training.pooled import PooledHazard, fit_pooled
from training.snapshots import CALENDAR, NAMES, NO_HISTORY, thinned
from training.views import FloatArray, View, Watched

# Person-periods of the pooled hazard: three dozen weights are settled by fewer.
POOLED_ROWS = 240_000
# Ends of the trees' bins as shares of the horizon: finer at first, where a rhythm shows. Six equal bins cost half as
# much again and are .0006 better in log loss on a strict three-week rhythm, no better elsewhere (experiments/churn-blend).
TREE_BINS = (1 / 6, 1 / 3, 2 / 3, 1.0)
# Calendar columns need two seasons behind them; with one they learn that time passes.
SEASONS_DAYS = 730


@dataclass(frozen=True)
class Components:
    """The learned parts; the buy-till-you-die curves come with the view."""

    pooled: PooledHazard | None
    trees: TreeHazard | None
    direct: DirectTrees | None = None

    def cut(self, rounds: int | None) -> "Components":
        """The same with the first `rounds` trees of the hazard only."""
        if self.trees is None or rounds is None:
            return self
        text = self.trees.booster.model_to_string(num_iteration=rounds)
        return replace(self, trees=replace(self.trees, booster=lgb.Booster(model_str=text)))

    def curves(self, view: View) -> dict[str, FloatArray]:
        """Survival at the view's edges [n, edges] of every component by name."""
        said: dict[str, FloatArray] = {family: np.asarray(curve) for family, curve in view.btyd.items()}
        if self.pooled is not None:
            said["pooled"] = from_hazards(self.pooled.hazards(view))
            if self.trees is not None:
                said["trees"] = self.trees.curve(view, said["pooled"])
            if self.direct is not None:
                shape = said.get("trees", said["pooled"])
                said["direct"] = self.direct.curve(view, self.pooled.bins, shape)
        return said


def tree_columns(span_days: int) -> tuple[str, ...]:
    """The vector columns that trees may use with so much history."""
    told = (name for name in NAMES if name not in NO_HISTORY)
    return tuple(name for name in told if span_days >= SEASONS_DAYS or name not in CALENDAR)


def fit_components(
    watched: Sequence[Watched],
    bins: Bins,
    columns: Sequence[str],
    settings: TreeSettings,
    *,
    trees: bool,
    seed: int,
    direct: bool = False,
) -> Components:
    """The pooled hazard, trees that correct it in coarse bins up to the horizon, and trees that say S(H) at once."""
    learners = [w for w in watched if len(w.view) and w.follow_up_days >= bins.edges[1]]
    if sum(int(np.isfinite(w.days_to_next).sum()) for w in learners) == 0:
        return Components(None, None)
    pooled = fit_pooled(thinned(learners, POOLED_ROWS, bins, seed), bins)
    if not trees:
        return Components(pooled, None)
    near = bins.up_to_horizon(TREE_BINS)
    drawn = thinned(learners, settings.rows, near, seed)
    offsets = []
    where = np.searchsorted(bins.edges, near.edges)
    for snapshot in drawn:
        survival = from_hazards(pooled.hazards(snapshot.view))[:, where]
        offsets.append(logit(to_hazards(survival)) + pooled.calendar(snapshot.age_days, near))
    used = [name for name in columns if _varies(drawn, name)]
    grown = grow_hazard(drawn, used, near, settings, offsets=offsets, seed=seed)
    at_once = grow_direct(learners, bins, used, seed=seed) if direct else None
    return Components(pooled, grown, at_once)


def _varies(watched: Sequence[Watched], name: str) -> bool:
    """Columns that are missing or one value throughout only cost time."""
    place = watched[0].view.names.index(name)
    low, high = np.inf, -np.inf
    for snapshot in watched:
        column = snapshot.view.values[:, place]
        column = column[np.isfinite(column)]
        if len(column):
            low, high = min(low, float(column.min())), max(high, float(column.max()))
    return high > low
