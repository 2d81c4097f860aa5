"""A shop's order history in, plain purchase models out: churn, purchase soon, expected margin - no contact log needed.

These are what a policy falls back on where no trained release stands behind it, as in the judge.  A pooled logistic
regression on hinges of log time and counts, fitted on earlier days of the same history.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, PoissonRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler

from outreach.book import Book, write_history

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Days between the snapshots that the models learn from, and how many.
SNAPSHOT_STEP, SNAPSHOTS = 20, 3


@dataclass(frozen=True)
class BrandModels:
    """Fitted on history alone.  Columns of the input as in `Book.history`."""

    horizon_days: int
    window_days: int
    none_within: Pipeline
    soon: Pipeline
    visits_90d: Pipeline

    def churn(self, history: Floats) -> Floats:
        """P(no purchase within `horizon_days`)."""
        return np.asarray(self.none_within.predict_proba(_logs(history))[:, 1])

    def buys_soon(self, history: Floats) -> Floats:
        """P(purchase within `window_days`)."""
        return np.asarray(self.soon.predict_proba(_logs(history))[:, 1])

    def future_visits(self, history: Floats) -> Floats:
        """Expected purchases in the next 90 days (or as many as the history allowed, scaled up)."""
        return np.asarray(self.visits_90d.predict(_logs(history)))


def _logs(history: Floats) -> Floats:
    since, visits, cycle, late, basket, recent = history.T
    return np.column_stack(
        [
            np.log1p(since),
            np.log1p(visits),
            np.log(np.maximum(cycle, 1.0)),
            np.log(0.02 + late),
            np.log1p(basket),
            np.log1p(recent),
        ]
    )


def _curves() -> Pipeline:
    return make_pipeline(SplineTransformer(n_knots=5, degree=1, extrapolation="constant"), StandardScaler())


def propose_horizon(book: Book) -> int:
    """Days without a purchase that count as churn: 1.5 usual cycles, from 30 to 120."""
    return int(np.clip(np.rint(1.5 * book.usual_cycle()), 30, 120))


def fit_brand_models(book: Book, window_days: int, horizon_days: int | None = None) -> BrandModels:
    """Fit on snapshots of the book's own past, each with its label window before the book's day."""
    horizon = horizon_days or propose_horizon(book)
    ahead = max(horizon, min(90, 2 * horizon))
    day, member, spend = book.past_orders()
    rows, none, soon, visits = [], [], [], []
    for i in range(SNAPSHOTS):
        cut = book.day - ahead - SNAPSHOT_STEP * i
        then = replay(book, day, member, spend, cut)
        known = then.visits > 0
        if known.sum() < 50:
            continue

        def count(days: int, cut: int = cut) -> Ints:
            inside = (day >= cut) & (day < cut + days)
            return np.bincount(member[inside], minlength=len(book))

        rows.append(then.history()[known])
        none.append(count(horizon)[known] == 0)
        soon.append(count(window_days)[known] > 0)
        visits.append(count(ahead)[known] * 90.0 / ahead)
    x = _logs(np.concatenate(rows))
    logit = {"C": 1.0, "max_iter": 200}
    return BrandModels(
        horizon,
        window_days,
        _steps(LogisticRegression(**logit)).fit(x, np.concatenate(none)),
        _steps(LogisticRegression(**logit)).fit(x, np.concatenate(soon)),
        _steps(PoissonRegressor(alpha=1e-3, max_iter=200)).fit(x, np.concatenate(visits)),
    )


def _steps(model: LogisticRegression | PoissonRegressor) -> Pipeline:
    return Pipeline([*_curves().steps, ("model", model)])


def replay(book: Book, day: Ints, member: Ints, spend: Floats, until: int) -> Book:
    """The book as it stood on the morning of day `until`, from orders alone (contacts do not enter)."""
    then = Book(book.guide, book.signals, book.margin, book.contact_cost_yuan, book.capacity, until)
    keep = day < until
    write_history(then, day[keep], member[keep], spend[keep])
    then.day = until
    return then
