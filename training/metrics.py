"""How good predictions were: arrays of predictions and outcomes in, statistics with member-bootstrap intervals out.

A statistic is a function of row weights, `float64[draws, rows] -> float64[draws]`. Its value is the one at weights 1;
its interval comes from weights that count how often a resampled member was drawn. Every method is judged on the same
draws, so the difference of two methods has an interval of its own.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]

DRAWS = 500
# With more rows an interval is narrow and each draw slow: draws × rows stay below this, but never below 100 draws.
DRAWS_TIMES_ROWS = 60_000_000
FEWEST_DRAWS = 100
# Weights of one batch of draws: 4 million float64 are 32 MB.
BATCH_CELLS = 4_000_000
# Probabilities are kept this far from 0 and 1 in the log loss, so that one sure mistake costs 9.2 and not infinity.
LOG_LOSS_CLIP = 1e-4
# The C-index is exact at weights 1; its draws count pairs between at most so many classes of scores and moments, and
# are then moved by what that costs at weights 1.
C_INDEX_CLASSES, C_INDEX_MOMENTS = 100, 90

HIGHER_IS_BETTER = {
    "auc",
    "top10_revenue_share",
    "c_index",
    "spearman",
    "recall@10",
    "ndcg@10",
    "phr@10",
    "coverage_items",
}
# Nearest to this is best; for all other metrics lower is better.
NEAREST_IS_BEST = {"bias": 0.0, "coverage_80": 0.8}


def _zeros_to_nan(values: Floats) -> Floats:
    return np.where(values > 0, values, np.nan)


def mean_of(values: ArrayLike) -> Statistic:
    """The weighted mean of one value per row; rows with NaN are left out."""
    values = np.asarray(values, dtype=float)
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0)
    return lambda weights: (weights @ filled) / _zeros_to_nan(weights @ known.astype(float))


def log_loss(churned: NDArray[np.bool_], probability: ArrayLike) -> Statistic:
    """Mean of −ln p of what happened."""
    p = np.clip(np.asarray(probability, dtype=float), LOG_LOSS_CLIP, 1 - LOG_LOSS_CLIP)
    return mean_of(-np.where(churned, np.log(p), np.log1p(-p)))


def brier(churned: NDArray[np.bool_], probability: ArrayLike) -> Statistic:
    """Mean of (p − y)²."""
    return mean_of((np.asarray(probability, dtype=float) - churned) ** 2)


def bias(churned: NDArray[np.bool_], probability: ArrayLike) -> Statistic:
    """Mean p − mean y."""
    return mean_of(np.asarray(probability, dtype=float) - churned)


def auc(positive: NDArray[np.bool_], score: ArrayLike) -> Statistic:
    """P(a positive row scores above a negative one), ties counting one half."""
    score = np.asarray(score, dtype=float)
    order = np.argsort(score, kind="stable")
    starts = _tie_starts(score[order])
    signs = positive[order].astype(float)

    def statistic(weights: Floats) -> Floats:
        weights = weights[:, order]
        ups = np.add.reduceat(weights * signs, starts, axis=1)
        downs = np.add.reduceat(weights * (1 - signs), starts, axis=1)
        below = np.cumsum(downs, axis=1) - downs / 2
        return (ups * below).sum(axis=1) / _zeros_to_nan(ups.sum(axis=1) * downs.sum(axis=1))

    return statistic


def equal_mass_bins(score: ArrayLike, bins: int) -> NDArray[np.int64]:
    """The bin 0 … bins−1 of each row, bin sizes within one row of each other, lowest scores first."""
    score = np.asarray(score, dtype=float)
    place = np.empty(len(score), dtype=np.int64)
    place[np.argsort(score, kind="stable")] = np.arange(len(score))
    return place * bins // max(len(score), 1)


def ece(churned: NDArray[np.bool_], probability: ArrayLike, bins: int = 10) -> Statistic:
    """Expected calibration error: the mean over equal-mass bins of |mean y − mean p|, weighted by the bins' mass."""
    probability = np.asarray(probability, dtype=float)
    inside = np.zeros((len(probability), bins))
    inside[np.arange(len(probability)), equal_mass_bins(probability, bins)] = probability - churned
    return lambda weights: np.abs(weights @ inside).sum(axis=1) / _zeros_to_nan(weights.sum(axis=1))


def ece_if_calibrated(probability: ArrayLike, *, seed: int, draws: int = 200) -> dict[str, float]:
    """The ECE that perfectly calibrated probabilities would show by chance alone: mean and 95 % range."""
    p = np.asarray(probability, dtype=float)
    rng = np.random.default_rng(seed)
    bins = equal_mass_bins(p, 10)
    found = []
    for _ in range(draws if len(p) < 200_000 else 20):
        gap = np.bincount(bins, (rng.random(len(p)) < p) - p, minlength=10)
        found.append(np.abs(gap).sum() / len(p))
    return {
        "value": float(np.mean(found)),
        "low": float(np.quantile(found, 0.025)),
        "high": float(np.quantile(found, 0.975)),
    }


def top_share(score: ArrayLike, amount: ArrayLike, share: float = 0.1) -> Statistic:
    """The share of the amount that the highest-scoring `share` of rows brought; ties at the edge count in proportion."""
    score, amount = np.asarray(score, dtype=float), np.asarray(amount, dtype=float)
    order = np.argsort(-score, kind="stable")
    starts = _tie_starts(score[order])

    def statistic(weights: Floats) -> Floats:
        weights = weights[:, order]
        mass = np.add.reduceat(weights, starts, axis=1)
        money = np.add.reduceat(weights * amount[order], starts, axis=1)
        room = share * mass.sum(axis=1, keepdims=True) - (np.cumsum(mass, axis=1) - mass)
        taken = np.clip(np.divide(room, mass, out=np.zeros_like(mass), where=mass > 0), 0, 1)
        return (taken * money).sum(axis=1) / _zeros_to_nan(money.sum(axis=1))

    return statistic


def median_of(values: ArrayLike) -> Statistic:
    """The weighted median of one value per row (the mean of the two middle ones where they tie); NaN left out."""
    values = np.asarray(values, dtype=float)
    order = np.argsort(values, kind="stable")[: int(np.isfinite(values).sum())]
    ranked = values[order]

    def statistic(weights: Floats) -> Floats:
        if not len(ranked):
            return np.full(len(weights), np.nan)
        reached = np.cumsum(weights[:, order], axis=1)
        half = reached[:, -1] / 2
        low = np.array([np.searchsorted(row, cut - 1e-9, "left") for row, cut in zip(reached, half, strict=True)])
        high = np.array([np.searchsorted(row, cut + 1e-9, "right") for row, cut in zip(reached, half, strict=True)])
        middle = (ranked[np.minimum(low, len(ranked) - 1)] + ranked[np.minimum(high, len(ranked) - 1)]) / 2
        return np.where(half > 0, middle, np.nan)

    return statistic


def c_index(days: ArrayLike, observed: NDArray[np.bool_], later: ArrayLike) -> Statistic:
    """Harrell's C: of two members whose order of return is known, how often the larger `later` returned later.

    A member not seen until `days` outlasts one who returned by that day; two who returned the same day are no pair;
    equal predictions count one half.
    """
    moment = 2 * np.asarray(days, dtype=np.int64) + ~observed
    _, time_class = np.unique(moment, return_inverse=True)
    later = np.asarray(later, dtype=float)
    fine = np.unique(later, return_inverse=True)[1]
    if len(fine) and fine.max() >= C_INDEX_CLASSES:
        coarse = (rankdata(later, "average") - 0.5) * C_INDEX_CLASSES // len(later)
    else:
        coarse = fine
    exact = _exact_concordance(time_class, observed, fine)
    rough = _classed_concordance(_coarse_moments(time_class), observed, coarse.astype(np.int64))
    offset: list[float] = []

    def statistic(weights: Floats) -> Floats:
        if len(weights) == 1 and (weights == 1).all():
            return exact(weights)
        if not offset:
            ones = np.ones((1, len(later)))
            offset.append(float(exact(ones)[0] - rough(ones)[0]))
        return rough(weights) + offset[0]

    return statistic


def _coarse_moments(time_class: NDArray[np.int64]) -> NDArray[np.int64]:
    """Fewer moments of about equal mass; the last one, which holds those not seen, stays apart."""
    count = np.bincount(time_class)
    if len(count) <= C_INDEX_MOMENTS:
        return time_class
    before = np.cumsum(count[:-1]) - count[:-1]
    merged = np.append(before * (C_INDEX_MOMENTS - 1) // max(count[:-1].sum(), 1), C_INDEX_MOMENTS)
    return np.unique(merged, return_inverse=True)[1][time_class]


def _exact_concordance(
    time_class: NDArray[np.int64], observed: NDArray[np.bool_], score_class: NDArray[np.int64]
) -> Statistic:
    """One pass from the last moment to the first, keeping the mass of those still out by class of score."""
    times = int(time_class.max(initial=0)) + 1
    scores = int(score_class.max(initial=0)) + 1
    by_time = np.argsort(time_class, kind="stable")
    edges = np.searchsorted(time_class[by_time], np.arange(times + 1))

    def one(weights: Floats) -> float:
        waiting = np.zeros(scores)
        right = pairs = 0.0
        for k in range(times - 1, -1, -1):
            rows = by_time[edges[k] : edges[k + 1]]
            back = rows[observed[rows]]
            if len(back):
                above = waiting.sum() - np.cumsum(waiting) + waiting / 2
                right += weights[back] @ above[score_class[back]]
                pairs += weights[back].sum() * waiting.sum()
            np.add.at(waiting, score_class[rows], weights[rows])
        return right / pairs if pairs > 0 else np.nan

    return lambda weights: np.array([one(row) for row in weights])


def _classed_concordance(
    time_class: NDArray[np.int64], observed: NDArray[np.bool_], score_class: NDArray[np.int64]
) -> Statistic:
    """The same by a table of moments × classes of score: fast where both are few and draws are many."""
    times = int(time_class.max(initial=0)) + 1
    scores = int(score_class.max(initial=0)) + 1
    cell = time_class * scores + score_class
    seen = np.flatnonzero(observed)

    def one(weights: Floats) -> float:
        mass = np.bincount(cell, weights, minlength=times * scores).reshape(times, scores)
        events = np.bincount(cell[seen], weights[seen], minlength=times * scores).reshape(times, scores)
        waiting = mass.sum(axis=0) - np.cumsum(mass, axis=0)
        total = waiting.sum(axis=1)
        above = total[:, None] - np.cumsum(waiting, axis=1) + waiting / 2
        pairs = float(events.sum(axis=1) @ total)
        return float((events * above).sum() / pairs) if pairs > 0 else np.nan

    return lambda weights: np.array([one(row) for row in weights])


def spearman(predicted: ArrayLike, actual: ArrayLike) -> Statistic:
    """Spearman's rank correlation, with midranks for ties."""
    ranks = [_weighted_midranks(np.asarray(values, dtype=float)) for values in (predicted, actual)]

    def statistic(weights: Floats) -> Floats:
        mass = weights.sum(axis=1, keepdims=True)
        x, y = (rank(weights) for rank in ranks)
        x = x - (weights * x).sum(axis=1, keepdims=True) / mass
        y = y - (weights * y).sum(axis=1, keepdims=True) / mass
        spread = (weights * x * x).sum(axis=1) * (weights * y * y).sum(axis=1)
        return (weights * x * y).sum(axis=1) / np.sqrt(_zeros_to_nan(spread))

    return statistic


def _weighted_midranks(values: Floats) -> Callable[[Floats], Floats]:
    order = np.argsort(values, kind="stable")
    starts = _tie_starts(values[order])
    group = np.empty(len(values), dtype=np.int64)
    group[order] = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(values))))

    def ranks(weights: Floats) -> Floats:
        mass = np.add.reduceat(weights[:, order], starts, axis=1)
        return (np.cumsum(mass, axis=1) - mass / 2)[:, group]

    return ranks


def _tie_starts(ranked: Floats) -> NDArray[np.int64]:
    return np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))


@dataclass(frozen=True)
class MemberBootstrap:
    """Draws of members with replacement, as weights of rows; all rows of a member are drawn together.

    members: the member of each row, as any array of ids or codes.
    """

    members: NDArray[Any]
    draws: int = DRAWS
    seed: int = 0

    def batches(self) -> Iterator[Floats]:
        """Weights float64[some draws, rows], the same at every call."""
        rows = len(self.members)
        ids, code = np.unique(self.members, return_inverse=True)
        draws = min(self.draws, max(FEWEST_DRAWS, DRAWS_TIMES_ROWS // max(rows, 1)))
        rng = np.random.default_rng(self.seed)
        step = max(1, BATCH_CELLS // max(rows, 1))
        for first in range(0, draws, step):
            size = min(step, draws - first)
            drawn = rng.integers(0, len(ids), (size, len(ids)))
            counts = np.stack([np.bincount(row, minlength=len(ids)) for row in drawn])
            yield counts[:, code].astype(float)


Judged = dict[str, dict[str, tuple[float, Floats]]]


def judge(
    methods: Mapping[str, Mapping[str, Statistic | None]], members: NDArray[Any], *, draws: int = DRAWS, seed: int = 0
) -> Judged:
    """Value and draws of every statistic of every method, on the same rows and the same draws of members."""
    ones = np.ones((1, len(members)))
    values = {
        method: {name: np.nan if one is None else float(one(ones)[0]) for name, one in statistics.items()}
        for method, statistics in methods.items()
    }
    found: dict[tuple[str, str], list[Floats]] = {}
    for weights in MemberBootstrap(members, draws, seed).batches():
        for method, statistics in methods.items():
            for name, one in statistics.items():
                if one is not None and np.isfinite(values[method][name]):
                    found.setdefault((method, name), []).append(one(weights))
    return {
        method: {
            name: (value, np.concatenate(found[method, name]) if (method, name) in found else np.empty(0))
            for name, value in named.items()
        }
        for method, named in values.items()
    }


def interval(value: float, drawn: Floats) -> dict[str, float] | None:
    """{"value", "low", "high"} with the 95 % percentile interval; None where the statistic does not apply."""
    drawn = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or not len(drawn):
        return None
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {"value": float(value), "low": float(low), "high": float(high)}


def comparison(judged: Judged, model: str = "model") -> dict[str, Any]:
    """{"model", "baselines", "paired"}: the model, each other method, and model minus method with its interval.

    `paired["best"]` pairs with the best baseline metric by metric and names it. A method that could not be fitted is
    None; so is a metric that does not apply.
    """
    written = {method: _written(named) for method, named in judged.items()}
    baselines = {method: named for method, named in written.items() if method != model}
    paired: dict[str, Any] = {}
    for method in baselines:
        paired[method] = _differences(judged, model, dict.fromkeys(judged[model], method))
    paired["best"] = _differences(
        judged, model, {name: _best(judged, model, name) for name in judged[model]}, named=True
    )
    return {"model": written[model], "baselines": baselines, "paired": paired}


def _written(named: Mapping[str, tuple[float, Floats]]) -> dict[str, Any] | None:
    shown = {name: interval(*found) for name, found in named.items()}
    return shown if any(found is not None for found in shown.values()) else None


def _best(judged: Judged, model: str, metric: str) -> str | None:
    def cost(value: float) -> float:
        if metric in NEAREST_IS_BEST:
            return abs(value - NEAREST_IS_BEST[metric])
        return -value if metric in HIGHER_IS_BETTER else value

    values = {
        method: named[metric][0]
        for method, named in judged.items()
        if method != model and metric in named and np.isfinite(named[metric][0])
    }
    return min(values, key=lambda method: (cost(values[method]), method)) if values else None


def _differences(
    judged: Judged, model: str, against: Mapping[str, str | None], *, named: bool = False
) -> dict[str, Any] | None:
    shown: dict[str, Any] = {}
    for metric, method in against.items():
        if method is None or metric not in judged[method]:
            shown[metric] = None
            continue
        (ours, our_draws), (theirs, their_draws) = judged[model][metric], judged[method][metric]
        one: dict[str, Any] | None = None
        if len(our_draws) and len(our_draws) == len(their_draws):
            one = interval(ours - theirs, our_draws - their_draws)
        if one is not None and named:
            one["baseline"] = method
        shown[metric] = one
    return shown if any(found is not None for found in shown.values()) else None
