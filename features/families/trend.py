"""Trend: whether the member comes more or less than before. Ratios add one on both sides, so that nothing divides by zero."""

from datetime import date
from functools import partial

import ibis
from ibis.expr.types import Table

from features.columns import VectorColumn

_ratio = partial(VectorColumn, unit="ratio", family="trend")

COLUMNS = (
    _ratio(
        "visits_trend_30d",
        meaning="Visits in the last 30 days over the 30 before, each plus one",
        meaning_zh="近30天与前30天次数比",
    ),
    _ratio(
        "visits_trend_90d",
        meaning="Visits in the last 90 days over the 90 before, each plus one",
        meaning_zh="近90天与前90天次数比",
    ),
    _ratio(
        "visits_trend_180d",
        meaning="Visits in the last 180 days over the 185 before, each plus one",
        meaning_zh="近180天与此前185天次数比",
    ),
    VectorColumn(
        "spend_recent_share",
        "share",
        "trend",
        "Paid in the last 90 days, of the last 180; null if nothing was",
        "近180天消费中近90天占比",
    ),
    _ratio("gap_trend", meaning="The last gap over the mean gap", meaning_zh="最近间隔÷平均间隔"),
    _ratio("basket_trend", meaning="Pieces at the last visit over pieces a visit", meaning_zh="末次件数÷次均件数"),
    _ratio(
        "spend_last_over_mean",
        meaning="Paid at the last visit over what is paid a visit",
        meaning_zh="末次消费÷次均消费",
    ),
    _ratio("pace_365d", meaning="Visits of the last 365 days over all visits", meaning_zh="近365天次数占比"),
)


def express(t: Table, as_of: date) -> dict[str, ibis.Value]:
    """The family's columns from a member's summary."""
    n, mean_gap = t.n.cast("float64"), (t.last_day - t.first_day) / (t.n - 1).cast("float64").nullif(0)
    return {
        "visits_trend_30d": (t.visits_30 + 1.0) / (t.visits_60 - t.visits_30 + 1.0),
        "visits_trend_90d": (t.visits_90 + 1.0) / (t.visits_180 - t.visits_90 + 1.0),
        "visits_trend_180d": (t.visits_180 + 1.0) / (t.visits_365 - t.visits_180 + 1.0),
        "spend_recent_share": t.fen_90 / t.fen_180.cast("float64").nullif(0),
        "gap_trend": t.last_gap / mean_gap,
        "basket_trend": t.last_qty * n / t.sum_qty.cast("float64").nullif(0),
        "spend_last_over_mean": t.last_fen * n / t.sum_fen.cast("float64").nullif(0),
        "pace_365d": t.visits_365 / n,
    }
