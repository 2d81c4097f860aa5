"""Rhythm: when the member comes, how regularly, and how long the present silence is against that."""

from datetime import date

import ibis
from ibis.expr.types import Table

from features.columns import VectorColumn
from features.purchases import day_of

PRIOR_GAPS = 3.0  # an own gap counts n / (n + 3) against the usual gap of the brand

COLUMNS = (
    VectorColumn("recency_days", "days", "rhythm", "Days since the last visit", "距上次购买天数"),
    VectorColumn("visits", "visits", "rhythm", "Days with a kept purchase", "购买次数（按天）"),
    VectorColumn("repeat_visits", "visits", "rhythm", "Visits after the first", "复购次数"),
    VectorColumn("tenure_days", "days", "rhythm", "Days since the first visit", "距首购天数"),
    VectorColumn("first_to_last_days", "days", "rhythm", "Days from the first to the last visit", "首购到末购天数"),
    VectorColumn("gap_mean_days", "days", "rhythm", "Mean days between visits", "平均购买间隔"),
    VectorColumn("gap_std_days", "days", "rhythm", "Spread of the days between visits", "购买间隔标准差"),
    VectorColumn("gap_median_days", "days", "rhythm", "Median days between visits", "购买间隔中位数"),
    VectorColumn("gap_last_days", "days", "rhythm", "Days between the last two visits", "最近一次购买间隔"),
    VectorColumn(
        "gap_shrunk_days",
        "days",
        "rhythm",
        "Own mean gap drawn towards the brand's usual gap",
        "向品牌常见间隔收缩的平均间隔",
    ),
    VectorColumn("recency_over_gap", "ratio", "rhythm", "Present silence over the shrunk gap", "沉默时长与间隔之比"),
    VectorColumn("visits_30d", "visits", "rhythm", "Visits in the last 30 days", "近30天购买次数"),
    VectorColumn("visits_90d", "visits", "rhythm", "Visits in the last 90 days", "近90天购买次数"),
    VectorColumn("visits_365d", "visits", "rhythm", "Visits in the last 365 days", "近365天购买次数"),
)


def express(t: Table, as_of: date) -> dict[str, ibis.Value]:
    """The family's columns from a member's summary."""
    recency = (day_of(as_of) - t.day).cast("float64")
    gaps = (t.n - 1).cast("float64")
    span = (t.day - t.first_day).cast("float64")
    # Sample variance from whole-number sums: (n Σx² − (Σx)²) / (n (n − 1)).
    spread = (gaps * t.sum_gap_squared - span * span) / (gaps * (gaps - 1)).nullif(0)
    shrunk = (span + PRIOR_GAPS * t.usual_gap) / (gaps + PRIOR_GAPS)
    return {
        "recency_days": recency,
        "visits": t.n,
        "repeat_visits": gaps,
        "tenure_days": (day_of(as_of) - t.first_day).cast("float64"),
        "first_to_last_days": span,
        "gap_mean_days": span / gaps.nullif(0),
        "gap_std_days": spread.sqrt(),
        "gap_median_days": t.gap_median,
        "gap_last_days": t.gap,
        "gap_shrunk_days": shrunk,
        "recency_over_gap": recency / shrunk.nullif(0),
        "visits_30d": t.visits_30,
        "visits_90d": t.visits_90,
        "visits_365d": t.visits_365,
    }
