"""Answers of one method about one cut-off's members, boiled down to a few numbers a row, and the statistics of them.

Curves are reduced as soon as they are made: a base of a million members needs some numbers a row, not a curve a row.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from training import metrics
from training.metrics import Statistic

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Rows whose daily curves are held at one time: 50,000 rows × 365 days × 8 bytes are 146 MB.
CHUNK_ROWS = 50_000
DECILES = 10


@dataclass(frozen=True)
class Truth:
    """What happened: one row a member and cut-off.

    members: ids. visits: past visits. days: T, or the horizon where not seen. returned: within the horizon.
    spend_yuan: paid in the window. net_spend_yuan: the same less refunds.
    """

    members: NDArray[np.str_]
    visits: Floats
    days: NDArray[np.int64]
    returned: Bools
    spend_yuan: Floats
    net_spend_yuan: Floats

    def rows(self, keep: Bools) -> "Truth":
        """Some of the rows."""
        return Truth(*(getattr(self, f.name)[keep] for f in fields(self)))

    @staticmethod
    def pool(parts: Sequence["Truth"]) -> "Truth":
        """The rows of several cut-offs, one after another."""
        return Truth(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Truth)))


@dataclass(frozen=True)
class CurveRows:
    """What one method's curves say of each row.

    churn: S(H). risk: what ranks rows by churn. later: what ranks them by return. squared_error: the mean over days of
    (1{T>t} − S(t))². median_day: the day of the 50 % point of the return, given a return within H. low_day, high_day: the
    first and last day of the window between the 10 and 90 % points, its ends at the nearest midnights.
    """

    churn: Floats
    risk: Floats
    later: Floats
    squared_error: Floats
    median_day: Floats
    low_day: Floats
    high_day: Floats

    def rows(self, keep: Bools) -> "CurveRows":
        return CurveRows(*(getattr(self, f.name)[keep] for f in fields(self)))

    @staticmethod
    def pool(parts: Sequence["CurveRows"]) -> "CurveRows":
        return CurveRows(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(CurveRows)))


def boil_down(
    curves: Callable[[slice], Floats], truth: Truth, horizon_days: int, *, risk: Floats | None, later: Floats | None
) -> tuple[CurveRows, Floats]:
    """A method's rows, and its mean curve on days 0 … H. `curves` gives survival on days 0 … H of a slice of rows."""
    count = len(truth.days)
    found = {f.name: np.empty(count) for f in fields(CurveRows)}
    total = np.zeros(horizon_days + 1)
    day = np.arange(1, horizon_days + 1)
    for first in range(0, count, CHUNK_ROWS):
        rows = slice(first, min(first + CHUNK_ROWS, count))
        survival = np.asarray(curves(rows), dtype=float)
        total += survival.sum(axis=0)
        after = survival[:, 1:]
        lasting = (truth.days[rows, None] > day) | ~truth.returned[rows, None]
        found["churn"][rows] = after[:, -1]
        found["later"][rows] = after.sum(axis=1)
        found["squared_error"][rows] = ((lasting - after) ** 2).mean(axis=1)
        back = 1.0 - after
        found["median_day"][rows] = (back >= 0.5 * back[:, -1:] - 1e-12).argmax(axis=1) + 1
        # A window of whole days: its ends are the midnights nearest to the points, so that rounding widens nothing.
        noon = back - (survival[:, :-1] - after) / 2.0
        low = np.minimum((noon >= 0.1 * back[:, -1:] - 1e-12).argmax(axis=1) + 1, found["median_day"][rows])
        found["low_day"][rows] = low
        found["high_day"][rows] = np.maximum(
            (noon <= 0.9 * back[:, -1:] + 1e-12).sum(axis=1), found["median_day"][rows]
        )
    found["risk"] = found["churn"] if risk is None else risk
    found["later"] = found["later"] if later is None else later
    return CurveRows(**found), total / max(count, 1)


def churn_statistics(truth: Truth, said: CurveRows) -> dict[str, Statistic | None]:
    """auc, log_loss, brier, ece, bias and the share of the window's revenue the 10 % likeliest to return brought."""
    churned = ~truth.returned
    return {
        "auc": metrics.auc(churned, said.risk),
        "log_loss": metrics.log_loss(churned, said.churn),
        "brier": metrics.brier(churned, said.churn),
        "ece": metrics.ece(churned, said.churn),
        "bias": metrics.bias(churned, said.churn),
        "top10_revenue_share": metrics.top_share(-said.risk, truth.spend_yuan),
    }


def timing_statistics(truth: Truth, said: CurveRows) -> dict[str, Statistic | None]:
    """c_index and ibs over everybody; median error, coverage and width of the 80 % window over those who returned."""
    returned = truth.returned
    inside = (truth.days >= said.low_day) & (truth.days <= said.high_day)
    return {
        "c_index": metrics.c_index(truth.days, returned, said.later),
        "ibs": metrics.mean_of(said.squared_error),
        "median_abs_error_days": metrics.median_of(np.where(returned, np.abs(truth.days - said.median_day), np.nan)),
        "coverage_80": metrics.mean_of(np.where(returned, inside, np.nan)),
        "width_80_days": metrics.mean_of(np.where(returned, said.high_day - said.low_day + 1, np.nan)),
    }


def value_statistics(truth: Truth, expected_yuan: Floats) -> dict[str, Statistic | None]:
    """spearman and mae of the net spend, and what each tenth of members by expectation spent, the best tenth first."""
    tenth = metrics.equal_mass_bins(-expected_yuan, DECILES)
    spent = np.zeros((len(tenth), DECILES))
    spent[np.arange(len(tenth)), tenth] = truth.net_spend_yuan
    found: dict[str, Statistic | None] = {
        "spearman": metrics.spearman(expected_yuan, truth.net_spend_yuan),
        "mae": metrics.mean_of(np.abs(expected_yuan - truth.net_spend_yuan)),
    }
    return found | {f"decile_{k + 1}": _sum_of(spent[:, k]) for k in range(DECILES)}


def _sum_of(values: Floats) -> Statistic:
    return lambda weights: weights @ values


def nest_deciles(figures: Mapping[str, object] | None) -> dict[str, object] | None:
    """decile_1 … decile_10 of a set of figures as one list `decile_sums`, the highest expectation first."""
    if figures is None:
        return None
    kept: dict[str, object] = {name: value for name, value in figures.items() if not name.startswith("decile_")}
    kept["decile_sums"] = [figures.get(f"decile_{k + 1}") for k in range(DECILES)]
    return kept


SLICES: dict[str, Callable[[Floats], Bools]] = {
    "n=1": lambda visits: visits == 1,
    "n=2-4": lambda visits: (visits >= 2) & (visits <= 4),
    "n>=5": lambda visits: visits >= 5,
}
