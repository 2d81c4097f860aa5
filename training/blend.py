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

# The pull to the starting weights, in mean log loss for one unit of log weight: a move that gains less than about a
# thousandth does not come back a season later, one that gains more does, however far it goes.
PULL = 0.001
# Below this the pull is round instead of pointed, so that the search for the weights is smooth.
ROUND = 0.1


def blend(curves: Mapping[str, FloatArray], weights: Mapping[str, float]) -> FloatArray:
    """expit(Σ wᵢ logit Sᵢ): survival [n, edges], 1 at day 0 and never rising."""
    total = np.zeros(next(iter(curves.values())).shape)
    for name, curve in curves.items():
        if weights.get(name, 0.0) > 0:
            total += weights[name] * logit(curve)
    survival = np.minimum.accumulate(expit(total), axis=1)
    survival[:, 0] = 1.0
    return survival


def start_weights(names: Sequence[str]) -> dict[str, float]:
    """Half of the weight to the buy-till-you-die families, half to what is learned, equal within each."""
    families = [name for name in names if name.endswith("_nbd")]
    learned = [name for name in names if not name.endswith("_nbd")]
    if not families or not learned:
        return {name: 1.0 / len(names) for name in names}
    return {n: 0.5 / len(families) for n in families} | {n: 0.5 / len(learned) for n in learned}


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
    base = np.log([start[name] for name in names])

    def loss(sought: FloatArray) -> float:
        moved, level = sought[: len(names)], sought[len(names) :]
        weight = np.exp(base + moved)
        weight /= weight.sum()
        p = np.clip(expit(np.tensordot(weight, scores, axes=1) + level), 1e-6, 1 - 1e-6)
        return float(
            -np.mean(np.where(lasting, np.log(p), np.log1p(-p))) + PULL * np.sum(np.sqrt(moved**2 + ROUND**2))
        )

    start_at = np.zeros(len(names) + scores.shape[2])
    found = minimize(loss, start_at, method="L-BFGS-B", bounds=[(-5.0, 5.0)] * len(start_at))
    weight = np.exp(base + found.x[: len(names)])
    return {name: float(w) for name, w in zip(names, weight / weight.sum(), strict=True)}
