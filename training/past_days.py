"""Snapshots in; out: a curve's components, and what past days taught about their weights, trees, level and shape."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from features.progress import Progress, quiet
from training.blend import blend, free_loss, learn_weights, start_weights, with_unproven
from training.calibration import ShapeMap, drift_level, lean_on, learn_shape
from training.curve_fit import Components, fit_components, tree_columns
from training.curves import from_hazards, resample
from training.hazard import TreeSettings
from training.ladder import EQUAL_BLEND, RECENCY_BANDS, WEIGHTED_BLEND, Step
from training.periods import Bins
from training.snapshots import Snapshots
from training.views import FloatArray, Watched

# The members whose past days decide weights and shape.
JUDGED_MEMBERS = 20_000
FEWEST_TO_LEARN_FROM = 200
# The families' part beside the pooled hazard alone, where members are too few for trees and weights.
EQUAL_SHARE = 0.5
# Shares of the most trees that a past day chooses from, and the log loss by which fewer trees may be worse.
STAGES = (1 / 12, 1 / 6, 0.25, 0.375, 0.5, 0.75, 1.0)
AS_GOOD = 0.0003


@dataclass(frozen=True)
class Lesson:
    """What a past day taught: weights of the components, number of trees, and how the blend did.

    claims: of those who returned after it, the share of returns promised by then and their visits; None where the
    day was not watched for the whole horizon.
    """

    weights: Mapping[str, float]
    rounds: int | None
    claims: tuple[FloatArray, FloatArray] | None
    card: dict[str, object]


@dataclass(frozen=True)
class Learned:
    """All that a curve has learned: `parts` and their `weights`, the corrections of its `level`, `lean` and `shape`."""

    parts: Components
    weights: Mapping[str, float]
    lean: FloatArray
    level: float
    shape: ShapeMap
    lesson: Lesson | None


def learn_curve(
    taken: Snapshots,
    bins: Bins,
    step: Step,
    span_days: int,
    settings: TreeSettings,
    *,
    seed: int = 0,
    progress: Progress = quiet,
) -> Learned:
    """What the rung `step` lets a curve learn from the snapshots; span_days: days of history before the cut-off.

    Weights of the rungs: recency_bands none, the bands answer alone; btyd the families alone, equal; equal_blend a half
    to the families and a half to the pooled hazard while trees take no part, with trees a quarter to the families and
    three quarters to the learned parts, equal within each side (two families, pooled and trees: .125, .125, .375, .375);
    weighted_blend what a past day has taught.
    """
    columns = tree_columns(span_days)
    lesson, parts = None, Components(None, None)
    if step.rung in (EQUAL_BLEND, WEIGHTED_BLEND):
        weigh = step.rung == WEIGHTED_BLEND
        lesson = learn_from_past(taken, bins, columns, settings, trees=step.trees, weigh=weigh, seed=seed)
        progress("fitting the curve", 0.8)
        grown = settings if lesson is None or lesson.rounds is None else replace(settings, rounds=lesson.rounds)
        parts = fit_components(taken.watched, bins, columns, grown, trees=step.trees, seed=seed, direct=True)
    learned = [name for name in ("pooled", "trees", "direct") if getattr(parts, name) is not None]
    components = [*taken.families, *learned]
    weights: Mapping[str, float] = {}
    if components and step.rung != RECENCY_BANDS:
        proven = lesson.weights if lesson is not None and step.rung == WEIGHTED_BLEND else {}
        weights = with_unproven(proven, components) if step.trees else start_weights(components, EQUAL_SHARE)
    lean: FloatArray = np.zeros(len(bins.edges))
    level, shape = 0.0, ShapeMap.unchanged()
    if parts.pooled is not None:
        lean = lean_of(parts, weights, taken, bins, span_days, seed)
        level = drift_level(parts.pooled.cells, bins.at_horizon())
    if lesson is not None:
        shape = learn_shape_of(parts, weights, lean, taken, bins, seed, lesson.claims)
    return Learned(parts, weights, lean, level, shape, lesson)


def learn_from_past(
    snapshots: Snapshots,
    bins: Bins,
    columns: Sequence[str],
    settings: TreeSettings,
    *,
    trees: bool,
    weigh: bool,
    seed: int,
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
    parts = fit_components(older, bins, columns, most, trees=trees, seed=seed, direct=True)
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
    start = start_weights(list(said)) if trees else start_weights(list(said), EQUAL_SHARE)
    weights = learn_weights(said, judge.days_to_next, bins.edges, at) if weigh else start
    mixed = blend(said, weights)
    lasting = judge.days_to_next > bins.edges[last]
    card: dict[str, object] = {
        "age_days": judge.age_days,
        "follow_up_days": int(bins.edges[last]),
        "members": len(judge.view),
        "log_loss": {name: _log_loss(lasting, curve[:, last]) for name, curve in {**said, "blend": mixed}.items()},
        "bias": float(mixed[:, last].mean() - lasting.mean()),
    }
    claims = _claims(mixed, judge, bins) if judge.follow_up_days >= bins.horizon else None
    return Lesson(weights, rounds, claims, card)


def _rounds(parts: Components, judge: Watched, bins: Bins, at: Sequence[int]) -> int:
    """The number of trees that told the past day best; the fewest of those that are as good."""
    assert parts.pooled is not None and parts.trees is not None
    most = parts.trees.booster.num_trees()
    stages = sorted({max(1, round(most * share)) for share in STAGES})
    pooled = from_hazards(parts.pooled.hazards(judge.view))
    lasting = judge.days_to_next[:, None] > bins.edges[list(at)]
    losses = [free_loss(curve[:, list(at)], lasting) for curve in parts.trees.curves(judge.view, pooled, stages)]
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
    newest: tuple[FloatArray, FloatArray] | None = None,
) -> ShapeMap:
    """Where in the curve's promise the returns fell, over all past days watched for the whole horizon.

    One day's returns carry its own season (shops shut at New Year, say), which does not come back; several days
    together tell how the curve is bent as a rule. Their windows overlap, so together they count as one day's returns.
    newest: the claims on the newest of them by components that had not seen its returns (split-conformal).
    """
    ripe = [w for w in snapshots.watched if w.follow_up_days >= bins.horizon and len(w.view)]
    found = []
    for k, snapshot in enumerate(ripe):
        if k == 0 and newest is not None:
            found.append(newest)
            continue
        back = np.flatnonzero(snapshot.days_to_next <= bins.horizon)
        most = max(1, JUDGED_MEMBERS // len(ripe))
        if len(back) > most:
            back = np.sort(np.random.default_rng(seed).permutation(back)[:most])
        returned = snapshot.rows(back)
        found.append(_claims(blend(parts.curves(returned.view), weights, lean), returned, bins))
    if not found:
        return ShapeMap.unchanged()
    claimed, visits = (np.concatenate(one) for one in zip(*found, strict=True))
    return learn_shape(claimed, visits, days=len(found))


def _claims(survival: FloatArray, watched: Watched, bins: Bins) -> tuple[FloatArray, FloatArray]:
    """Of members who returned within the horizon: the share of returns promised by the day, and their visits."""
    back = watched.days_to_next <= bins.horizon
    curve, day = survival[back], watched.days_to_next[back].astype(int)
    daily = resample(bins.edges, curve, np.arange(bins.horizon + 1))
    row = np.arange(len(day))
    # The middle of the day of return: a window's ends lie at the nearest midnight.
    middle = 1.0 - (daily[row, day] + daily[row, day - 1]) / 2.0
    full = np.maximum(1.0 - curve[:, bins.at_horizon()], 1e-9)
    return np.clip(middle / full, 0.0, 1.0), watched.view.column("visits")[back]


def _log_loss(lasting: np.ndarray, p: FloatArray) -> float:
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return float(-np.mean(np.where(lasting, np.log(p), np.log1p(-p))))
