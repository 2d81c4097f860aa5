"""Rhythm: when the member comes, how regularly, and how long the present silence is against that."""

from datetime import date
from functools import partial

import ibis
from ibis.expr.types import Table

from features.columns import VectorColumn
from features.purchases import day_of

PRIOR_GAPS = 3.0  # n own gaps count n / (n + 3) against the brand's usual gap

_days = partial(VectorColumn, unit="days", family="rhythm")
_visits = partial(VectorColumn, unit="visits", family="rhythm")
_ratio = partial(VectorColumn, unit="ratio", family="rhythm")

COLUMNS = (
    _days("recency_days", meaning="Days from the last visit to as_of", meaning_zh="距上次购买天数"),
    _visits("visits", meaning="Days with a kept purchase", meaning_zh="购买次数（同一天算一次）"),
    _visits("repeat_visits", meaning="Visits after the first", meaning_zh="复购次数"),
    VectorColumn("orders", "orders", "rhythm", "Kept orders", "订单数"),
    _days("tenure_days", meaning="Days from the first visit to as_of", meaning_zh="距首购天数"),
    _days("first_to_last_days", meaning="Days from the first to the last visit", meaning_zh="首购到末购天数"),
    _days("gap_mean_days", meaning="Mean days between visits", meaning_zh="平均购买间隔"),
    _days("gap_std_days", meaning="Sample spread of the days between visits", meaning_zh="购买间隔标准差"),
    _days("gap_median_days", meaning="Median days between visits", meaning_zh="购买间隔中位数"),
    _days("gap_min_days", meaning="Shortest time between visits", meaning_zh="最短购买间隔"),
    _days("gap_max_days", meaning="Longest time between visits", meaning_zh="最长购买间隔"),
    _days("gap_last_days", meaning="Days between the last two visits", meaning_zh="最近一次购买间隔"),
    _days("gap_before_last_days", meaning="The gap before that", meaning_zh="上上次购买间隔"),
    _ratio("gap_cv", meaning="Spread of the gaps over their mean", meaning_zh="购买间隔变异系数"),
    _days(
        "gap_shrunk_days",
        meaning="Own mean gap drawn towards the brand's median gap; own gaps weigh n / (n + 3)",
        meaning_zh="向品牌间隔中位数收缩的平均间隔（权重 n/(n+3)）",
    ),
    _ratio("recency_over_gap", meaning="The present silence over the shrunk gap", meaning_zh="沉默天数÷收缩间隔"),
    _ratio(
        "recency_over_gap_max", meaning="The present silence over the longest gap", meaning_zh="沉默天数÷最长间隔"
    ),
    _visits("visits_30d", meaning="Visits in the 30 days before as_of", meaning_zh="近30天购买次数"),
    _visits("visits_60d", meaning="Visits in the 60 days before as_of", meaning_zh="近60天购买次数"),
    _visits("visits_90d", meaning="Visits in the 90 days before as_of", meaning_zh="近90天购买次数"),
    _visits("visits_180d", meaning="Visits in the 180 days before as_of", meaning_zh="近180天购买次数"),
    _visits("visits_365d", meaning="Visits in the 365 days before as_of", meaning_zh="近365天购买次数"),
    _visits(
        "visits_weighted",
        meaning="Visits weighted by 1 / (1 + age / 90 days)",
        meaning_zh="按新近程度加权的购买次数（90天前算一半）",
    ),
    VectorColumn(
        "visits_per_30d", "visits", "rhythm", "Visits per 30 days since the first", "首购以来每30天购买次数"
    ),
)


def express(t: Table, as_of: date) -> dict[str, ibis.Value]:
    """The family's columns from a member's summary."""
    recency = (day_of(as_of) - t.last_day).cast("float64")
    tenure = (day_of(as_of) - t.first_day).cast("float64")
    gaps = (t.n - 1).cast("float64")
    span = (t.last_day - t.first_day).cast("float64")
    mean = span / gaps.nullif(0)
    # Sample variance from whole-number sums: (n Σx² − (Σx)²) / (n (n − 1)).
    variance = (gaps * t.sum_gap_squared - span * span) / (gaps * (gaps - 1)).nullif(0)
    spread = variance.sqrt()
    shrunk = (span + PRIOR_GAPS * t.usual_gap) / (gaps + PRIOR_GAPS)
    values: dict[str, ibis.Value] = {
        "recency_days": recency,
        "visits": t.n,
        "repeat_visits": gaps,
        "orders": t.sum_orders,
        "tenure_days": tenure,
        "first_to_last_days": span,
        "gap_mean_days": mean,
        "gap_std_days": spread,
        "gap_median_days": t.gap_median,
        "gap_min_days": t.gap_min,
        "gap_max_days": t.gap_max,
        "gap_last_days": t.last_gap,
        "gap_before_last_days": t.last_prev_gap,
        "gap_cv": spread / mean,
        "gap_shrunk_days": shrunk,
        "recency_over_gap": recency / shrunk,
        "recency_over_gap_max": recency / t.gap_max.cast("float64"),
        "visits_weighted": t.weighted_visits / 1_000_000.0,
        "visits_per_30d": t.n * 30.0 / tenure,
    }
    return values | {f"visits_{w}d": t[f"visits_{w}"] for w in (30, 60, 90, 180, 365)}
