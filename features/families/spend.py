"""Spend: what the member's kept purchases came to, before what was brought back (see the returns family)."""

from datetime import date
from functools import partial

import ibis
from ibis.expr.types import Table

from features.columns import VectorColumn

_yuan = partial(VectorColumn, unit="yuan", family="spend")

COLUMNS = (
    _yuan("spend_total_yuan", meaning="Paid in all kept purchases", meaning_zh="累计消费"),
    _yuan("spend_mean_yuan", meaning="Paid a visit, on average", meaning_zh="次均消费"),
    _yuan("spend_median_yuan", meaning="Paid a visit, median", meaning_zh="单次消费中位数"),
    _yuan("spend_std_yuan", meaning="Sample spread of what was paid a visit", meaning_zh="单次消费标准差"),
    _yuan("spend_max_yuan", meaning="Largest visit", meaning_zh="最高单次消费"),
    _yuan("last_visit_spend_yuan", meaning="Paid at the last visit", meaning_zh="末次消费"),
    _yuan("spend_30d_yuan", meaning="Paid in the 30 days before as_of", meaning_zh="近30天消费"),
    _yuan("spend_60d_yuan", meaning="Paid in the 60 days before as_of", meaning_zh="近60天消费"),
    _yuan("spend_90d_yuan", meaning="Paid in the 90 days before as_of", meaning_zh="近90天消费"),
    _yuan("spend_180d_yuan", meaning="Paid in the 180 days before as_of", meaning_zh="近180天消费"),
    _yuan("spend_365d_yuan", meaning="Paid in the 365 days before as_of", meaning_zh="近365天消费"),
    _yuan("spend_mean_365d_yuan", meaning="Paid a visit in the last 365 days", meaning_zh="近365天次均消费"),
)


def express(t: Table, as_of: date) -> dict[str, ibis.Value]:
    """The family's columns from a member's summary."""
    n = t.n.cast("float64")
    jiao = t.sum_fen / 10.0
    # As in rhythm; a visit counts in whole jiao here, so the difference may fall a hair below zero.
    variance = (n * t.sum_jiao_squared - jiao * jiao) / (n * (n - 1)).nullif(0)
    values: dict[str, ibis.Value] = {
        "spend_total_yuan": t.sum_fen / 100.0,
        "spend_mean_yuan": t.sum_fen / n / 100.0,
        "spend_median_yuan": t.fen_median / 100.0,
        "spend_std_yuan": (variance < 0).ifelse(0.0, variance).sqrt() / 10.0,
        "spend_max_yuan": t.max_fen / 100.0,
        "last_visit_spend_yuan": t.last_fen / 100.0,
        "spend_mean_365d_yuan": t.fen_365 / t.visits_365.cast("float64").nullif(0) / 100.0,
    }
    return values | {f"spend_{w}d_yuan": t[f"fen_{w}"] / 100.0 for w in (30, 60, 90, 180, 365)}
