"""Spend: what the member's kept purchases came to."""

from datetime import date

import ibis
from ibis.expr.types import Table

from features.columns import VectorColumn

COLUMNS = (
    VectorColumn("spend_total_yuan", "yuan", "spend", "Paid in all kept purchases", "累计消费"),
    VectorColumn("spend_mean_yuan", "yuan", "spend", "Paid a visit", "次均消费"),
    VectorColumn("spend_std_yuan", "yuan", "spend", "Spread of what was paid a visit", "单次消费标准差"),
    VectorColumn("spend_max_yuan", "yuan", "spend", "Largest visit", "最高单次消费"),
    VectorColumn("last_visit_spend_yuan", "yuan", "spend", "Paid at the last visit", "末次消费"),
    VectorColumn("spend_90d_yuan", "yuan", "spend", "Paid in the last 90 days", "近90天消费"),
    VectorColumn("spend_365d_yuan", "yuan", "spend", "Paid in the last 365 days", "近365天消费"),
)


def express(t: Table, as_of: date) -> dict[str, ibis.Value]:
    """The family's columns from a member's summary."""
    n = t.n.cast("float64")
    total = t.sum_fen.cast("float64")
    spread = (n * t.sum_fen_squared - (total / 10.0) * (total / 10.0)) / (n * (n - 1)).nullif(0)
    return {
        "spend_total_yuan": total / 100.0,
        "spend_mean_yuan": total / n / 100.0,
        "spend_std_yuan": (spread < 0).ifelse(0.0, spread).sqrt() / 10.0,
        "spend_max_yuan": t.max_fen / 100.0,
        "last_visit_spend_yuan": t.fen / 100.0,
        "spend_90d_yuan": t.fen_90 / 100.0,
        "spend_365d_yuan": t.fen_365 / 100.0,
    }
