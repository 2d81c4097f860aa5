"""Snapshots in; out: the fitted components of a curve, and what a past day taught about weights, shape and level."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from training.blend import blend, learn_weights, start_weights
from training.calibration import ShapeMap, learn_shape
from training.curves import expit, from_hazards, logit, resample, to_hazards
from training.direct import DirectTrees, grow_direct
from training.hazard import TreeHazard, TreeSettings, grow_hazard
from training.periods import Bins
from training.pooled import PooledHazard, fit_pooled
from training.snapshots import CALENDAR, NAMES, Snapshots, thinned
from training.views import FloatArray, View, Watched

# Person-periods of the pooled hazard: three dozen weights are settled by fewer.
POOLED_ROWS = 120_000
# The members whose past day decides weights and shape.
JUDGED_MEMBERS = 20_000
# Calendar columns need two seasons behind them; with one they learn that time passes.
SEASONS_DAYS = 730
FEWEST_TO_LEARN_FROM = 200


@dataclass(frozen=True)
class Components:
    """The learned parts; the buy-till-you-die curves come with the view."""

    pooled: PooledHazard | None
    trees: TreeHazard | None
    direct: DirectTrees | None = None

    def curves(self, view: View, only: Sequence[str] | None = None) -> dict[str, FloatArray]:
        """Survival at the view's edges [n, edges] of every component by name."""
        said: dict[str, FloatArray] = {family: np.asarray(curve) for family, curve in view.btyd.items()}
        if self.pooled is not None:
            odds = self.pooled.log_odds(view)
            said["pooled"] = from_hazards(expit(odds))
            if self.trees is not None and (only is None or "trees" in only):
                said["trees"] = from_hazards(expit(odds + self.trees.correction(view)))
            if self.direct is not None and (only is None or "direct" in only):
                said["direct"] = self.direct.curve(view, self.pooled.bins, said["pooled"])
        return said


@dataclass(frozen=True)
class Lesson:
    """What a past day taught: weights of the components, shape of the curve, and how the blend did there."""

    weights: Mapping[str, float]
    shape: ShapeMap
    card: dict[str, object]


def tree_columns(span_days: int) -> tuple[str, ...]:
    """The vector columns that trees may use with so much history."""
    return tuple(name for name in NAMES if span_days >= SEASONS_DAYS or name not in CALENDAR)


def fit_components(
    watched: Sequence[Watched],
    bins: Bins,
    columns: Sequence[str],
    settings: TreeSettings,
    *,
    trees: bool,
    seed: int,
    threads: int,
    direct: bool = False,
) -> Components:
    """The pooled hazard, trees that correct it in coarse bins up to the horizon, and trees that say S(H) at once."""
    learners = [w for w in watched if len(w.view) and w.follow_up_days >= bins.edges[1]]
    if sum(int(np.isfinite(w.days_to_next).sum()) for w in learners) == 0:
        return Components(None, None)
    pooled = fit_pooled(thinned(learners, POOLED_ROWS, bins, seed), bins)
    if not trees:
        return Components(pooled, None)
    near = Bins(bins.edges[: bins.at_horizon() + 1], bins.horizon).coarser(2)
    drawn = thinned(learners, settings.rows, near, seed)
    offsets = []
    where = np.searchsorted(bins.edges, near.edges)
    for snapshot in drawn:
        survival = from_hazards(expit(pooled.log_odds(snapshot.view)))[:, where]
        offsets.append(logit(to_hazards(survival)) + pooled.calendar(snapshot.age_days, near))
    used = [name for name in columns if _varies(drawn, name)]
    grown = grow_hazard(drawn, used, near, settings, offsets=offsets, seed=seed, threads=threads)
    at_once = grow_direct(learners, bins, used, seed=seed, threads=threads) if direct else None
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


def learn_from_past(
    snapshots: Snapshots,
    bins: Bins,
    columns: Sequence[str],
    settings: TreeSettings,
    *,
    trees: bool,
    weigh: bool,
    seed: int,
    threads: int,
) -> Lesson | None:
    """Fit as if on a past day, judge on what followed. None where no past day has enough before and after it.

    The newest snapshot watched for the whole horizon is best; where history is too short for that, the one with the
    longest follow-up that still has two older snapshots to learn from.
    """
    found = _past_day(snapshots, bins)
    if found is None:
        return None
    judge, older = found
    parts = fit_components(older, bins, columns, settings, trees=trees, seed=seed, threads=threads, direct=weigh)
    if parts.pooled is None:
        return None
    rows = np.arange(len(judge.view))
    if len(rows) > JUDGED_MEMBERS:
        rows = np.sort(np.random.default_rng(seed).permutation(rows)[:JUDGED_MEMBERS])
        judge = judge.rows(rows)
    said = parts.curves(judge.view)
    last = min(bins.whole(judge.follow_up_days), bins.at_horizon())
    at = sorted({max(1, last // 3), max(1, 2 * last // 3), last})
    weights = learn_weights(said, judge.days_to_next, bins.edges, at) if weigh else start_weights(list(said))
    mixed = blend(said, weights)
    lasting = judge.days_to_next > bins.edges[last]
    card: dict[str, object] = {
        "age_days": judge.age_days,
        "follow_up_days": int(bins.edges[last]),
        "members": len(judge.view),
        "log_loss": {name: _log_loss(lasting, curve[:, last]) for name, curve in {**said, "blend": mixed}.items()},
        "bias": float(mixed[:, last].mean() - lasting.mean()),
    }
    return Lesson(weights, _shape(mixed, judge, bins, last), card)


def _past_day(snapshots: Snapshots, bins: Bins) -> tuple[Watched, tuple[Watched, ...]] | None:
    best: tuple[Watched, tuple[Watched, ...]] | None = None
    for judge in snapshots.watched:
        older = snapshots.seen_from(judge.age_days)
        learnable = sum(int(np.isfinite(w.days_to_next).sum()) for w in older)
        if len(older) < 2 or learnable < FEWEST_TO_LEARN_FROM or judge.follow_up_days < bins.edges[2:3].sum():
            continue
        best = judge, older
        if judge.follow_up_days >= bins.horizon:
            break
    return best


def _shape(survival: FloatArray, judge: Watched, bins: Bins, last: int) -> ShapeMap:
    """Where in the curve's promise the returns fell. Only a day watched for the whole horizon can tell."""
    if last < bins.at_horizon():
        return ShapeMap.unchanged()
    back = judge.days_to_next <= bins.edges[last]
    if not back.any():
        return ShapeMap.unchanged()
    curve, day = survival[back], judge.days_to_next[back]
    daily = resample(bins.edges, curve, np.arange(bins.edges[last] + 1))
    row = np.arange(len(day))
    full = np.maximum(1.0 - curve[:, last], 1e-9)
    by_evening, by_morning = ((1.0 - daily[row, day.astype(int) - k]) / full for k in (0, 1))
    middle = (by_evening + by_morning) / 2.0
    # A window of whole days holds its first and its last day whole, so a return before it is told by the evening of
    # its day, and one after it by the morning.
    claimed = by_evening * (1.0 - middle) + by_morning * middle
    return learn_shape(np.clip(claimed, 0.0, 1.0), judge.view.column("visits")[back])


def _log_loss(lasting: np.ndarray, p: FloatArray) -> float:
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return float(-np.mean(np.where(lasting, np.log(p), np.log1p(-p))))
