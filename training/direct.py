"""Matured snapshots in; out: trees that say S(H) at once, and a curve bent to pass through what they say.

A hazard spreads what it learns over every bin of the horizon; where members differ in ways that only show over the
whole window, a classifier of the window sees them better. It learns from snapshots watched for the whole horizon.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from training.curves import SMALLEST_SURVIVAL, logit
from training.periods import Bins
from training.views import FloatArray, View, Watched

# Fewer members, or fewer of either answer, teach a classifier nothing that lasts.
FEWEST_ROWS, FEWEST_OF_EACH = 1_500, 300
# Members of all snapshots together; more rows of the same days add little and cost time.
MOST_ROWS = 150_000
HELD_OUT, ROUNDS, PATIENCE = 0.2, 600, 20
PARAMETERS = {
    "objective": "binary",
    "learning_rate": 0.06,
    "num_leaves": 15,
    "min_data_in_leaf": 60,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "max_bin": 127,
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
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


def grow_direct(
    watched: Sequence[Watched], bins: Bins, names: Sequence[str], *, seed: int, threads: int
) -> DirectTrees | None:
    """Learn from the snapshots watched for the whole horizon; None where they hold too little."""
    ripe = [w for w in watched if w.follow_up_days >= bins.horizon and len(w.view)]
    if not ripe:
        return None
    everyone = np.unique(np.concatenate([w.view.member_ids for w in ripe]))
    chance = np.random.default_rng(seed).random(len(everyone))
    share = min(1.0, MOST_ROWS / sum(len(w.view) for w in ripe))
    tables, answers, held = [], [], []
    for snapshot in ripe:
        drawn = chance[np.searchsorted(everyone, snapshot.view.member_ids)]
        taken = snapshot.rows(drawn < share)
        tables.append(_table(taken.view, names, bins))
        answers.append(taken.days_to_next > bins.horizon)
        held.append(drawn[drawn < share] < share * HELD_OUT)
    x, y, apart = np.concatenate(tables), np.concatenate(answers).astype(np.float64), np.concatenate(held)
    if len(y) < FEWEST_ROWS or min(y.sum(), len(y) - y.sum()) < FEWEST_OF_EACH or not 0 < apart.sum() < len(y):
        return None
    parameters = PARAMETERS | {"seed": seed, "num_threads": threads}
    train = lgb.Dataset(x[~apart], y[~apart], params=parameters)
    valid = lgb.Dataset(x[apart], y[apart], reference=train, params=parameters)
    stop = lgb.early_stopping(PATIENCE, verbose=False)
    grown = lgb.train(parameters, train, ROUNDS, valid_sets=[valid], callbacks=[stop])
    text = grown.model_to_string(num_iteration=max(grown.best_iteration, 5))
    return DirectTrees(lgb.Booster(model_str=text), tuple(names))


def _table(view: View, names: Sequence[str], bins: Bins) -> npt.NDArray[np.float32]:
    columns = [view.names.index(name) for name in names]
    families = [logit(view.btyd[family][:, bins.at_horizon()]) for family in sorted(view.btyd)]
    return np.ascontiguousarray(np.column_stack([view.values[:, columns], *families]), dtype=np.float32)
