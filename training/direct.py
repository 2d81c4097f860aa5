"""Matured snapshots in; out: trees that say S(H) at once, and a curve bent to pass through what they say.

A hazard spreads what it learns over every bin of the horizon; where members differ in ways that only show over the
whole window, a classifier of the window sees them better. It learns from snapshots watched for the whole horizon.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from training.curves import SMALLEST_SURVIVAL, logit
from training.growing import growing
from training.periods import Bins
from training.views import FloatArray, View, Watched

# Fewer rows, or fewer of either answer, teach a classifier nothing that lasts.
FEWEST_ROWS, FEWEST_OF_EACH = 600, 100
# Rows of all snapshots together; more rows of the same days add little and cost time.
MOST_ROWS = 120_000
# How many trees is asked of members held out: of each third in turn where rows are few, of one third where not.
PARTS, ROWS_FOR_ONE_PART = 3, 20_000
ROUNDS, PATIENCE, FEWEST_ROUNDS = 600, 25, 8
# A snapshot so many horizons older than the newest counts half: what tells members apart moves with the brand.
HALF_LIFE = 2.0
# Leaves of a tree, and of one where rows are many.
LEAVES, LEAVES_OF_MANY, MANY_ROWS = 8, 15, 60_000
PARAMETERS = {
    "objective": "binary",
    "learning_rate": 0.05,
    "min_data_in_leaf": 40,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "max_bin": 127,
}


@dataclass(frozen=True)
class DirectTrees:
    """`booster` over the view's columns `names`, then the families' logit S(H)."""

    booster: lgb.Booster
    names: tuple[str, ...]

    def curve(self, view: View, bins: Bins, like: FloatArray) -> FloatArray:
        """The curve `like` [n, edges] raised to the power with which it says at the horizon what the trees say.

        S(t)^γ is a proportional hazard: the shape in time stays, the level is the trees' own.
        """
        at = bins.at_horizon()
        odds = self.booster.predict(_table(view, self.names, bins), raw_score=True, num_threads=1)
        said = np.clip(1.0 / (1.0 + np.exp(-odds)), SMALLEST_SURVIVAL, 1.0 - SMALLEST_SURVIVAL)
        shape = np.log(np.clip(like, SMALLEST_SURVIVAL, 1.0 - SMALLEST_SURVIVAL))
        power = np.clip(np.log(said) / shape[:, at], 0.02, 50.0)
        survival = np.exp(shape * power[:, None])
        survival[:, 0] = 1.0
        return np.asarray(survival)


def grow_direct(watched: Sequence[Watched], bins: Bins, names: Sequence[str], *, seed: int) -> DirectTrees | None:
    """Learn from the snapshots watched for the whole horizon; None where they hold too little."""
    ripe = [w for w in watched if w.follow_up_days >= bins.horizon and len(w.view)]
    if not ripe:
        return None
    everyone = np.unique(np.concatenate([w.view.member_ids for w in ripe]))
    chance = np.random.default_rng(seed).random(len(everyone))
    share = min(1.0, MOST_ROWS / sum(len(w.view) for w in ripe))
    tables, answers, draws, counts = [], [], [], []
    for snapshot in ripe:
        drawn = chance[np.searchsorted(everyone, snapshot.view.member_ids)]
        taken = snapshot.rows(drawn < share)
        tables.append(_table(taken.view, names, bins))
        answers.append(taken.days_to_next > bins.horizon)
        draws.append(drawn[drawn < share] / share)
        horizons = (snapshot.age_days - ripe[0].age_days) / bins.horizon
        counts.append(np.full(len(taken.view), 0.5 ** (horizons / HALF_LIFE)))
    x, y, draw = np.concatenate(tables), np.concatenate(answers).astype(np.float64), np.concatenate(draws)
    counted = np.concatenate(counts)
    if len(y) < FEWEST_ROWS or min(y.sum(), len(y) - y.sum()) < FEWEST_OF_EACH:
        return None
    parameters = (
        PARAMETERS | growing(seed, len(y)) | {"num_leaves": LEAVES_OF_MANY if len(y) >= MANY_ROWS else LEAVES}
    )
    part = (draw * PARTS).astype(int)
    rounds = [
        _rounds(x, y, counted, part == k, parameters)
        for k in range(PARTS if len(y) < ROWS_FOR_ONE_PART else 1)
        if _both(y, part == k)
    ]
    if not rounds:
        return None
    # All rows are a half more than two thirds of them, and carry a few more trees.
    count = max(FEWEST_ROUNDS, round(1.1 * float(np.mean(rounds))))
    grown = lgb.train(parameters, lgb.Dataset(x, y, weight=counted, params=parameters), count)
    return DirectTrees(lgb.Booster(model_str=grown.model_to_string()), tuple(names))


def _both(y: FloatArray, apart: npt.NDArray[np.bool_]) -> bool:
    """Whether both sides of a split hold both answers."""
    return all(0 < side.sum() < len(side) for side in (y[apart], y[~apart]))


def _rounds(
    x: npt.NDArray[np.float32],
    y: FloatArray,
    counted: FloatArray,
    apart: npt.NDArray[np.bool_],
    parameters: Mapping[str, object],
) -> int:
    """The trees after which members held out are told best."""
    train = lgb.Dataset(x[~apart], y[~apart], weight=counted[~apart], params=dict(parameters))
    valid = lgb.Dataset(x[apart], y[apart], weight=counted[apart], reference=train, params=dict(parameters))
    stop = lgb.early_stopping(PATIENCE, verbose=False)
    return lgb.train(dict(parameters), train, ROUNDS, valid_sets=[valid], callbacks=[stop]).best_iteration


def _table(view: View, names: Sequence[str], bins: Bins) -> npt.NDArray[np.float32]:
    families = [logit(view.btyd[family][:, bins.at_horizon()]) for family in sorted(view.btyd)]
    return np.ascontiguousarray(np.column_stack([view.columns(tuple(names)), *families]), dtype=np.float32)
