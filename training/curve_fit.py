"""Snapshots in; out: the fitted components of a curve, and what past days taught about weights, trees and shape."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import lightgbm as lgb
import numpy as np

from training.blend import blend, free_loss, learn_weights, start_weights
from training.calibration import ShapeMap, lean_on, learn_shape
from training.curves import expit, from_hazards, logit, resample, to_hazards
from training.direct import DirectTrees, grow_direct
from training.hazard import TreeHazard, TreeSettings, grow_hazard
from training.periods import Bins
from training.pooled import PooledHazard, fit_pooled
from training.snapshots import CALENDAR, NAMES, Snapshots, thinned
from training.views import FloatArray, View, Watched

# Person-periods of the pooled hazard: three dozen weights are settled by fewer.
POOLED_ROWS = 120_000
# The members whose past days decide weights and shape.
JUDGED_MEMBERS = 20_000
# Calendar columns need two seasons behind them; with one they learn that time passes.
SEASONS_DAYS = 730
FEWEST_TO_LEARN_FROM = 200
# Shares of the most trees that a past day chooses from, and the log loss by which fewer trees may be worse.
STAGES = (1 / 12, 1 / 6, 0.25, 0.375, 0.5, 0.75, 1.0)
AS_GOOD = 0.0003


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
    """What a past day taught: weights of the components, number of trees, and how the blend did."""

    weights: Mapping[str, float]
    rounds: int | None
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
    most = replace(settings, rounds=max(settings.rounds, settings.most_rounds))
    parts = fit_components(older, bins, columns, most, trees=trees, seed=seed, threads=threads, direct=True)
    if parts.pooled is None:
        return None
    rows = np.arange(len(judge.view))
    if len(rows) > JUDGED_MEMBERS:
        rows = np.sort(np.random.default_rng(seed).permutation(rows)[:JUDGED_MEMBERS])
        judge = judge.rows(rows)
    last = min(bins.whole(judge.follow_up_days), bins.at_horizon())
    at = sorted({max(1, last // 3), max(1, 2 * last // 3), last})
    rounds = _rounds(parts, judge, bins, at) if parts.trees is not None else None
    said = parts.cut(rounds).curves(judge.view)
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
    return Lesson(weights, rounds, card)


def _rounds(parts: Components, judge: Watched, bins: Bins, at: Sequence[int]) -> int:
    """The number of trees that told the past day best; the fewest of those that are as good."""
    assert parts.pooled is not None and parts.trees is not None
    most = parts.trees.booster.num_trees()
    stages = sorted({max(1, round(most * share)) for share in STAGES})
    odds = parts.pooled.log_odds(judge.view)
    lasting = judge.days_to_next[:, None] > bins.edges[list(at)]
    losses = [
        free_loss(from_hazards(expit(odds + added))[:, list(at)], lasting)
        for added in parts.trees.corrections(judge.view, stages)
    ]
    return next(r for r, loss in zip(stages, losses, strict=True) if loss <= min(losses) + AS_GOOD)


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


def lean_of(
    parts: Components, weights: Mapping[str, float], snapshots: Snapshots, bins: Bins, span_days: int, seed: int
) -> FloatArray:
    """The lean of the level [edges] (see calibration.lean_on), found on the members of the newest past day."""
    newest = next((w.view for w in snapshots.watched if len(w.view)), None)
    if newest is None or not weights:
        return np.zeros(bins.count + 1)
    if len(newest) > JUDGED_MEMBERS:
        newest = newest.rows(np.sort(np.random.default_rng(seed).permutation(len(newest))[:JUDGED_MEMBERS]))
    return lean_on(parts.curves(newest), weights, span_days / bins.horizon - 1.0)


def learn_shape_of(
    parts: Components,
    weights: Mapping[str, float],
    lean: FloatArray,
    snapshots: Snapshots,
    bins: Bins,
    seed: int,
) -> ShapeMap:
    """Where in the curve's promise the returns fell, over all past days watched for the whole horizon.

    One day's returns carry its own season (shops shut at New Year, say), which does not come back; several days
    together tell how the curve is bent as a rule. Their windows overlap, so together they count as one day's returns.
    """
    ripe = [w for w in snapshots.watched if w.follow_up_days >= bins.horizon and len(w.view)]
    at = bins.at_horizon()
    claimed, visits = [], []
    for snapshot in ripe:
        back = np.flatnonzero(snapshot.days_to_next <= bins.horizon)
        most = max(1, JUDGED_MEMBERS // len(ripe))
        if len(back) > most:
            back = np.sort(np.random.default_rng(seed).permutation(back)[:most])
        if not len(back):
            continue
        returned = snapshot.rows(back)
        curve = blend(parts.curves(returned.view), weights, lean)
        daily = resample(bins.edges, curve, np.arange(bins.horizon + 1))
        row, day = np.arange(len(back)), returned.days_to_next.astype(int)
        # The middle of the day of return: a window's ends lie at the nearest midnight.
        middle = 1.0 - (daily[row, day] + daily[row, day - 1]) / 2.0
        claimed.append(np.clip(middle / np.maximum(1.0 - curve[:, at], 1e-9), 0.0, 1.0))
        visits.append(returned.view.column("visits"))
    if not claimed:
        return ShapeMap.unchanged()
    return learn_shape(np.concatenate(claimed), np.concatenate(visits), days=len(claimed))


def _log_loss(lasting: np.ndarray, p: FloatArray) -> float:
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return float(-np.mean(np.where(lasting, np.log(p), np.log1p(-p))))
