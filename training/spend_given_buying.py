"""Matured snapshots in; what a member who does buy within the window spends, and how often, out.

Two regressions on the same few numbers of the member, both on the log scale: a gamma regression (log-linear, calm on
small bases) and a LightGBM with gamma loss (finds bends on large ones). They are mixed geometrically; the weight is the
one that would have been best on the newest snapshot when fitted on the older ones.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import GammaRegressor, PoissonRegressor

from training.growing import growing

Floats = NDArray[np.float64]

# The numbers both regressions look at: how much, how often, how long ago; few, so that they hold on small brands.
INPUTS = (
    "visits",
    "recency_days",
    "tenure_days",
    "spend_mean_yuan",
    "last_visit_spend_yuan",
    "spend_365d_yuan",
    "spend_90d_yuan",
    "visits_90d",
    "visits_per_30d",
)
# With fewer buyers the log-linear part alone answers; with fewer still there is nothing to regress.
BUYERS_FOR_TREES, BUYERS_FOR_LINES = 1_000, 60
RIDGE = 0.02
TREES: Mapping[str, Any] = {
    "objective": "gamma",
    "learning_rate": 0.05,
    "num_leaves": 7,
    "min_data_in_leaf": 40,
    "feature_fraction": 0.8,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
}
ROUNDS = 120
# More of the trees lowered the rank correlation on four of five development cut-offs (experiments/value-spend).
WEIGHTS = (0.0, 0.15, 0.3)
# What buyers spent is cut off at this quantile before the regressions look at it, and the level brought back to the mean
# of all: a few very large orders otherwise tilt every slope (experiments/value-spend).
CUT_OFF_AT = 0.95
# Predictions stay within this factor of the 1 % and 99 % points of what buyers spent.
REACH = 3.0


@dataclass(frozen=True)
class Line:
    """exp(intercept + Σ slope · (x − centre) / spread), x clipped to what was seen."""

    intercept: float
    slopes: tuple[float, ...]
    centres: tuple[float, ...]
    spreads: tuple[float, ...]
    lowest: tuple[float, ...]
    highest: tuple[float, ...]

    def predict(self, x: Floats) -> Floats:
        """float64[n], always above 0."""
        seen = np.clip(x, np.array(self.lowest), np.array(self.highest))
        return np.exp(
            self.intercept + ((seen - np.array(self.centres)) / np.array(self.spreads)) @ np.array(self.slopes)
        )

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> "Line":
        """The inverse of dataclasses.asdict."""
        lists: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in told.items()}
        return cls(**lists)


@dataclass(frozen=True)
class SpendGivenBuying:
    """Expected spend and expected visits within the window, of members who buy at all in it.

    trees: a LightGBM model as text, weight its share in the geometric mean; ratios: points of what buyers spent over
    what was expected of them (1 %, 3 %, … 99 %), from a snapshot the model had not seen where there was one.
    """

    spend: Line
    visits: Line
    trees: str | None
    weight: float
    level: float
    floor_yuan: float
    ceiling_yuan: float
    ratios: tuple[float, ...]
    buyers: int

    def expected_yuan(self, frame: pd.DataFrame) -> Floats:
        """E[net spend | buys], float64[members]."""
        x = inputs_of(frame)
        log = (1 - self.weight) * np.log(self.spend.predict(x))
        if self.trees is not None and self.weight > 0:
            log += self.weight * np.log(np.maximum(_booster(self.trees).predict(x, num_threads=1), 1e-9))
        return np.clip(self.level * np.exp(log), self.floor_yuan, self.ceiling_yuan)

    def expected_visits(self, frame: pd.DataFrame) -> Floats:
        """E[visits | buys], float64[members], at least 1."""
        return 1.0 + self.visits.predict(inputs_of(frame))

    def as_dict(self) -> dict[str, Any]:
        """Everything but the trees, for JSON."""
        return {name: value for name, value in asdict(self).items() if name != "trees"}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any], trees: str | None) -> "SpendGivenBuying":
        """The inverse of `as_dict`."""
        plain: dict[str, Any] = {k: v for k, v in told.items() if k not in ("spend", "visits", "ratios")}
        return cls(
            spend=Line.from_dict(told["spend"]),
            visits=Line.from_dict(told["visits"]),
            ratios=tuple(told["ratios"]),
            trees=trees,
            **plain,
        )


def inputs_of(frame: pd.DataFrame) -> Floats:
    """log(1 + x) of the INPUTS, nulls and refunds as 0: float64[members, inputs]."""
    values = frame[list(INPUTS)].to_numpy(dtype=np.float64)
    return np.log1p(np.maximum(np.nan_to_num(values), 0.0))


def fit_spend_given_buying(
    frame: pd.DataFrame, net_spend_yuan: Floats, orders: Floats, snapshot: NDArray[np.int64], seed: int
) -> SpendGivenBuying | None:
    """Fit on the rows of matured snapshots (0 the newest) where the member bought; None with too few buyers.

    A buyer whose refunds ate the purchase counts with what was left, at least a hundredth of the mean.
    """
    bought = orders > 0
    if bought.sum() < BUYERS_FOR_LINES or net_spend_yuan[bought].mean() <= 0:
        return None
    x, spent, visits, age = inputs_of(frame)[bought], net_spend_yuan[bought], orders[bought], snapshot[bought]
    positive = np.maximum(spent, 0.01 * spent.mean())
    usual = np.minimum(positive, np.quantile(positive, CUT_OFF_AT))
    use_trees = len(spent) >= BUYERS_FOR_TREES
    newest = age == age.min()
    weight, honest = (0.3 if use_trees else 0.0), None
    if newest.sum() >= BUYERS_FOR_LINES and (~newest).sum() >= BUYERS_FOR_LINES:
        line = _line(GammaRegressor(alpha=RIDGE, max_iter=2000), x[~newest], usual[~newest])
        honest = line.predict(x[newest])
        if use_trees and (~newest).sum() >= BUYERS_FOR_TREES:
            trees = _trees(x[~newest], usual[~newest], seed).predict(x[newest], num_threads=1)
            loss = [_deviance(usual[newest], _mixed(honest, trees, w)) for w in WEIGHTS]
            weight = WEIGHTS[int(np.argmin(loss))]
            honest = _mixed(honest, trees, weight)
    line = _line(GammaRegressor(alpha=RIDGE, max_iter=2000), x, usual)
    booster = _trees(x, usual, seed) if use_trees and weight > 0 else None
    fitted = line.predict(x)
    if booster is not None:
        fitted = _mixed(fitted, booster.predict(x, num_threads=1), weight)
    level = float(spent.mean() / fitted.mean())
    ratio = spent[newest] / honest if honest is not None else spent / (level * fitted)
    ratio = ratio * (1.0 / max(ratio.mean(), 1e-9))
    low, high = np.quantile(positive, [0.01, 0.99])
    return SpendGivenBuying(
        spend=line,
        visits=_line(PoissonRegressor(alpha=RIDGE, max_iter=2000), x, np.maximum(visits - 1.0, 0.0)),
        trees=None if booster is None else booster.model_to_string(),
        weight=weight if booster is not None else 0.0,
        level=level,
        floor_yuan=float(low / REACH),
        ceiling_yuan=float(high * REACH),
        ratios=tuple(float(v) for v in np.quantile(ratio, np.arange(0.01, 1.0, 0.02))),
        buyers=int(bought.sum()),
    )


def _mixed(line: Floats, trees: Floats, weight: float) -> Floats:
    return np.exp((1 - weight) * np.log(line) + weight * np.log(np.maximum(trees, 1e-9)))


def _deviance(spent: Floats, expected: Floats) -> float:
    """Mean gamma deviance / 2 after the level has been set right: log(μ/y) + y/μ − 1."""
    mu = expected * spent.mean() / expected.mean()
    return float(np.mean(np.log(mu / spent) + spent / mu - 1.0))


def _line(regressor: GammaRegressor | PoissonRegressor, x: Floats, y: Floats) -> Line:
    centre, spread = x.mean(axis=0), x.std(axis=0)
    spread = np.where(spread > 1e-9, spread, 1.0)
    if y.max() <= 0:  # nobody came twice
        return Line(-20.0, (0.0,) * x.shape[1], *(tuple(map(float, v)) for v in (centre, spread, x.min(0), x.max(0))))
    scale = float(y.mean())
    found = regressor.fit((x - centre) / spread, y / scale)
    return Line(
        float(found.intercept_ + np.log(scale)),
        *(tuple(map(float, v)) for v in (found.coef_, centre, spread, x.min(0), x.max(0))),
    )


def _trees(x: Floats, y: Floats, seed: int) -> lgb.Booster:
    return lgb.train({**TREES, **growing(seed, len(y))}, lgb.Dataset(x, y), ROUNDS)


def _booster(text: str) -> lgb.Booster:
    return lgb.Booster(model_str=text)
