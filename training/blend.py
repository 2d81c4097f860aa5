"""Several curves of the same members in, one out: a weighted mean on the logit scale, weighed out of time.

Picking the component that looked best on one past day is risky because base rates drift; a blend pulled towards
equal weights is never far off.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from training.curves import expit, logit
from training.views import FloatArray

# The families' part where nothing is known of who tells better.
FAMILIES_SHARE = 0.25
# A learned component that no past day could judge gets this part of its starting share.
UNPROVEN_PART = 0.5
# The pull to the starting weights, in mean log loss for a whole weight moved from one component to another: twice this.
# Pulled on the log of the weight instead, a component that is no use keeps a tenth of the weight however many members say
# so, because the last tenths are the dearest to give up (experiments/churn-blend).
PULL = 0.001
# The same pull grows where few members judge: what a handful of members gain is noise.
PULL_OF_MEMBERS = 0.1
# Below this the pull is round instead of pointed, so that the search for the weights is smooth.
ROUND = 0.01


def blend(
    curves: Mapping[str, FloatArray], weights: Mapping[str, float], shift: FloatArray | float = 0.0
) -> FloatArray:
    """expit(Σ wᵢ logit Sᵢ + shift): survival [n, edges], 1 at day 0 and never rising. shift: per edge, or one for all."""
    total = np.zeros(next(iter(curves.values())).shape)
    for name, curve in curves.items():
        if weights.get(name, 0.0) > 0:
            total += weights[name] * logit(curve)
    survival = np.minimum.accumulate(expit(total + shift), axis=1)
    survival[:, 0] = 1.0
    return survival


def start_weights(names: Sequence[str], families_share: float = FAMILIES_SHARE) -> dict[str, float]:
    """A quarter of the weight to the buy-till-you-die families, the rest to what is learned, equal within each."""
    families = [name for name in names if name.endswith("_nbd")]
    learned = [name for name in names if not name.endswith("_nbd")]
    if not families or not learned:
        return {name: 1.0 / len(names) for name in names}
    share = families_share
    return {n: share / len(families) for n in families} | {n: (1.0 - share) / len(learned) for n in learned}


def halved(weights: Mapping[str, float]) -> dict[str, float]:
    """Weights whose families together hold a half, the proportions on either side kept."""
    sides = {side: sum(w for n, w in weights.items() if n.endswith("_nbd") == side) for side in (True, False)}
    if min(sides.values()) <= 0:
        return start_weights(list(weights), 0.5)
    return {name: 0.5 * w / sides[name.endswith("_nbd")] for name, w in weights.items()}


def with_unproven(weights: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    """Weights for all of `names`: those a past day could not judge get half their starting share, the others the rest."""
    start = start_weights(names)
    proven = {name: weights[name] for name in names if name in weights}
    total = sum(proven.values())
    if not total > 0:
        return start
    taken = {name: UNPROVEN_PART * start[name] for name in names if name not in proven}
    rest = 1.0 - sum(taken.values())
    return {name: proven[name] / total * rest if name in proven else taken[name] for name in names}


def free_loss(survival: FloatArray, lasting: npt.NDArray[np.bool_]) -> float:
    """Mean log loss of probabilities [n, k] with the level of each column left free."""
    scores = logit(survival)
    said = np.empty(scores.shape)
    for k in range(scores.shape[1]):
        level = 0.0
        for _ in range(12):
            p = expit(scores[:, k] + level)
            level += float((lasting[:, k] - p).sum() / max((p * (1.0 - p)).sum(), 1e-3))
            level = float(np.clip(level, -5.0, 5.0))
        said[:, k] = expit(scores[:, k] + level)
    said = np.clip(said, 1e-6, 1 - 1e-6)
    return float(-np.mean(np.where(lasting, np.log(said), np.log1p(-said))))


def learn_weights(
    curves: Mapping[str, FloatArray],
    days_to_next: FloatArray,
    edges: npt.NDArray[np.integer],
    at: Sequence[int],
) -> dict[str, float]:
    """Weights by log loss at the edges with indices `at`, for members whose outcome is known on all of them.

    The level of each edge is left free while the weights are sought: base rates drift, and a component whose level
    happened to fit the past day must not be preferred for that to one that tells members apart.
    """
    names = list(curves)
    start = start_weights(names)
    scores = np.stack([logit(curves[name][:, list(at)]) for name in names], axis=0)
    lasting = days_to_next[:, None] > np.asarray(edges)[list(at)]
    at_first = np.array([start[name] for name in names])
    base = np.log(at_first)
    pull = PULL + PULL_OF_MEMBERS / max(1, len(days_to_next))

    def loss(sought: FloatArray) -> float:
        moved, level = sought[: len(names)], sought[len(names) :]
        weight = np.exp(base + moved)
        weight /= weight.sum()
        p = np.clip(expit(np.tensordot(weight, scores, axes=1) + level), 1e-6, 1 - 1e-6)
        away = np.sqrt((weight - at_first) ** 2 + ROUND**2)
        return float(-np.mean(np.where(lasting, np.log(p), np.log1p(-p))) + pull * np.sum(away))

    start_at = np.zeros(len(names) + scores.shape[2])
    found = minimize(loss, start_at, method="L-BFGS-B", bounds=[(-5.0, 5.0)] * len(start_at))
    weight = np.exp(base + found.x[: len(names)])
    return {name: float(w) for name, w in zip(names, weight / weight.sum(), strict=True)}
