"""Snapshots in; one LightGBM ranker over candidates, with calibrated probabilities, out.

Labels are first baskets earlier than the cut-off; every feature is refitted as of the label's own snapshot.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from training.growing import growing
from training.recommend.candidates import Signals
from training.recommend.rank_features import NAMES, RankFeatures, rank_in_row
from training.recommend.simple import Lists, merged, top_of_pairs
from training.recommend.snapshots import Snapshot

Objective = Literal["lambdarank", "binary"]

# Candidates kept of a training member: all bought ones and so many drawn others.
OTHERS_KEPT = 60
# Members of one snapshot that are learned from; more rows change recall by less than its noise and double the time.
MEMBERS_LEARNED = 6_000
LARGEST_ROUNDS = 250
# NDCG of a few thousand members wavers: fewer rounds of patience stop at a fifth of the trees that pay.
PATIENCE = 50
# Trees that decide which candidates the others score.
FIRST_TREES = 20


@dataclass(frozen=True)
class RankRows:
    """Rows of (member place, item) with features; `bought` and the share of targets among candidates for labelled ones."""

    values: NDArray[np.float32]
    row: NDArray[np.int64]
    item: NDArray[np.int64]
    bought: NDArray[np.bool_]
    candidate_recall: dict[str, float]

    @property
    def owned(self) -> NDArray[np.bool_]:
        """Items the member bought before."""
        return self.values[:, 0] > 0


def label_keys(snapshot: Snapshot, n_items: int) -> NDArray[np.int64]:
    """member · n_items + item of every label pair, sorted."""
    return np.unique(snapshot.member.astype(np.int64) * n_items + snapshot.item)


def rank_rows(
    signals: Signals, members: NDArray[Any], bought: NDArray[np.int64], *, others: int | None, seed: int
) -> RankRows:
    """Candidates of the members with features; with `others`, all bought ones and about so many others a member."""
    features = RankFeatures(signals)
    rng = np.random.default_rng(seed)
    n_items = signals.visits.n_items
    parts: list[tuple[NDArray[Any], ...]] = []
    place = 0
    hit = {"again": 0, "new": 0}
    for chunk in signals.chunks(members):
        key = chunk.members[chunk.row] * n_items + chunk.item
        is_bought = np.isin(key, bought)
        owned = chunk.owned_at >= 0
        hit["again"] += int((is_bought & owned).sum())
        hit["new"] += int((is_bought & ~owned).sum())
        keep = np.ones(len(key), bool)
        if others is not None:
            size = np.bincount(chunk.row, minlength=len(chunk.members))[chunk.row]
            keep = is_bought | (rng.random(len(key)) < others / size)
        values = features.matrix(chunk)[keep]
        parts.append((values, chunk.row[keep] + place, chunk.item[keep], is_bought[keep]))
        place += len(chunk.members)
    target = bought[np.isin(bought // n_items, members)]
    had = signals.own.find(target) >= 0
    totals = {"again": int(had.sum()), "new": int((~had).sum())}
    recall = {name: hit[name] / totals[name] if totals[name] else float("nan") for name in hit}
    if not parts:
        empty = np.zeros(0, np.int64)
        return RankRows(np.zeros((0, len(NAMES)), np.float32), empty, empty, np.zeros(0, bool), recall)
    values, row, item, is_bought = (np.concatenate(column) for column in zip(*parts, strict=True))
    return RankRows(values, row, item, is_bought, recall)


@dataclass(frozen=True)
class Ranker:
    """A Booster with the calibration of its score: P(bought) = sigmoid(slope · score + offset).

    calibration: (slope, offset) of new items, of own items, and of both in one. The third orders own and new items as
    the score itself does: calibrations apart drift between windows, and a mixed list by them loses 2 % of recall.
    """

    booster: lgb.Booster
    objective: Objective
    rounds: int
    calibration: tuple[tuple[float, float], ...] | None = None

    @cached_property
    def first_trees(self) -> lgb.Booster:
        """The FIRST_TREES as a booster of their own.

        LightGBM keeps the number of trees to use in the booster: threads that asked one for different numbers would
        get each other's.
        """
        return lgb.Booster(model_str=self.booster.model_to_string(num_iteration=FIRST_TREES))

    def score(self, values: NDArray[np.float32], threads: int = 1) -> NDArray[np.float64]:
        """Raw scores of rows, float64[rows]."""
        if len(values) == 0:
            return np.zeros(0)
        return np.asarray(self.booster.predict(values, raw_score=True, num_threads=threads), np.float64)

    def promising(
        self, values: NDArray[np.float32], row: NDArray[Any], least: int, threads: int = 1
    ) -> NDArray[np.bool_]:
        """Rows worth all trees: of each member the best `least` own items, and new ones, by the first FIRST_TREES.

        Two candidates in three are shown in no list; what is left costs a third of the trees.
        """
        keep = np.zeros(len(values), bool)
        if len(values) == 0:
            return keep
        first = self.first_trees.predict(values, raw_score=True, num_threads=threads)
        owned = values[:, 0] > 0
        for kind in (owned, ~owned):
            keep[kind] = rank_in_row(row[kind], np.asarray(first)[kind]) < least
        return keep

    def probability(self, score: NDArray[np.float64], owned: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Calibrated P(bought in the member's next basket within the window)."""
        if self.calibration is None:
            return score
        slope = np.where(owned, self.calibration[1][0], self.calibration[0][0])
        offset = np.where(owned, self.calibration[1][1], self.calibration[0][1])
        return _sigmoid(slope * score + offset)

    def mixed_probability(self, score: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same from one calibration for own and new items, in the order of the score."""
        if self.calibration is None:
            return score
        slope, offset = self.calibration[2]
        return _sigmoid(slope * score + offset)


def _sigmoid(value: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-np.clip(value, -30, 30)))


def fit_ranker(
    rows: Sequence[RankRows],
    objective: Objective,
    *,
    seed: int,
    valid: RankRows | None = None,
    rounds: int = LARGEST_ROUNDS,
) -> Ranker:
    """One booster over the rows of all snapshots; with `valid`, stopped where its log loss or NDCG@10 is best."""
    params: dict[str, Any] = {
        "objective": objective,
        "learning_rate": 0.07,
        "num_leaves": 31,
        "min_data_in_leaf": 100,
        "feature_fraction": 0.4,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "lambda_l2": 5.0,
        "max_bin": 127,
    } | growing(seed, sum(len(r.values) for r in rows))
    if objective == "lambdarank":
        params |= {"lambdarank_truncation_level": 20, "metric": "ndcg", "eval_at": [10]}
    else:
        params |= {"metric": "binary_logloss"}
    train = lgb.Dataset(
        np.concatenate([r.values for r in rows]),
        np.concatenate([r.bought for r in rows]).astype(np.float32),
        group=np.concatenate([_groups(r) for r in rows]),
        feature_name=list(NAMES),
    )
    if valid is None:
        return Ranker(lgb.train(params, train, rounds), objective, rounds)
    held = lgb.Dataset(valid.values, valid.bought.astype(np.float32), group=_groups(valid), reference=train)
    booster = lgb.train(
        params, train, rounds, valid_sets=[held], callbacks=[lgb.early_stopping(PATIENCE, verbose=False)]
    )
    return Ranker(booster, objective, max(10, booster.best_iteration))


def _groups(rows: RankRows) -> NDArray[np.int64]:
    size = np.bincount(rows.row)
    return size[size > 0]


def calibrate(ranker: Ranker, rows: RankRows) -> Ranker:
    """Logistic slopes and offsets of the score, for new items, own items and both, on rows with all candidates kept."""
    score = ranker.score(rows.values)
    owned = rows.owned
    fitted = tuple(_logistic(score[owned == kind], rows.bought[owned == kind]) for kind in (False, True))
    return Ranker(ranker.booster, ranker.objective, ranker.rounds, (*fitted, _logistic(score, rows.bought)))


def _logistic(score: NDArray[np.float64], bought: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and offset by Newton's method with a weak pull towards slope 1, offset 0."""
    slope, offset = 1.0, 0.0
    if len(score) == 0 or not bought.any() or bought.all():
        return slope, -4.0 if len(score) == 0 or not bought.any() else offset
    table = np.column_stack([score, np.ones(len(score))])
    at = np.array([slope, offset])
    pull = np.array([1e-3, 1e-3])
    for _ in range(50):
        p = 1.0 / (1.0 + np.exp(-np.clip(table @ at, -30, 30)))
        gradient = table.T @ (bought - p) - pull * (at - np.array([1.0, 0.0]))
        weight = p * (1 - p)
        step = np.linalg.solve((table * weight[:, None]).T @ table + np.diag(pull), gradient)
        step = np.clip(step, -2.0, 2.0)
        at = at + step
        if np.abs(step).max() < 1e-8:
            break
    # A falling slope would turn the order round: then the score says nothing and the base rate stands.
    return (float(at[0]), float(at[1])) if at[0] > 0 else (0.01, float(np.log(bought.mean() / (1 - bought.mean()))))


def ranked_lists(rows: RankRows, score: NDArray[Any], members: int, n: int) -> Lists:
    """`again`, `new` and `mixed` by one score; the mixed list is the best of both."""
    owned = rows.owned
    again = top_of_pairs(rows.row[owned], rows.item[owned], score[owned], members, n)
    new = top_of_pairs(rows.row[~owned], rows.item[~owned], score[~owned], members, n)
    return merged(again, new, n)


def thinned(rows: RankRows, others: int, seed: int) -> RankRows:
    """All bought rows and about `others` others a member."""
    size = np.bincount(rows.row)[rows.row] if len(rows.row) else np.zeros(0)
    keep = rows.bought | (np.random.default_rng(seed).random(len(rows.row)) < others / np.maximum(size, 1))
    return RankRows(rows.values[keep], rows.row[keep], rows.item[keep], rows.bought[keep], rows.candidate_recall)
