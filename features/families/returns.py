"""Returns: what the member brought back, as far as it was known at as_of."""

from datetime import date

import ibis
from ibis.expr.types import Table

from features.columns import VectorColumn
from features.history import History
from features.purchases import day_of

COLUMNS = (
    VectorColumn("returns_lines", "lines", "returns", "Lines brought back", "退货行数"),
    VectorColumn(
        "returns_lines_365d", "lines", "returns", "Lines brought back in the last 365 days", "近365天退货行数"
    ),
    VectorColumn("returned_yuan", "yuan", "returns", "Refunded", "累计退款"),
    VectorColumn("returned_365d_yuan", "yuan", "returns", "Refunded in the last 365 days", "近365天退款"),
    VectorColumn("return_recency_days", "days", "returns", "Days since the last return", "距上次退货天数"),
    VectorColumn("returns_per_visit", "lines", "returns", "Lines brought back a kept visit", "次均退货行数"),
)


def gather(history: History, as_of: date) -> Table:
    """Returns known at as_of, one row a member."""
    day = day_of(as_of)
    back = history.purchases.returns.filter(history.purchases.returns.day < day)
    recent = back.day >= day - 365
    return back.group_by("member").agg(
        back_lines=back.count(),
        back_lines_365=back.count(where=recent),
        back_fen=back.fen.sum().cast("int64"),
        back_fen_365=back.fen.sum(where=recent).cast("int64"),
        back_day=back.day.max(),
    )


def express(t: Table, as_of: date) -> dict[str, ibis.Value]:
    """The family's columns from a member's summary with what was gathered."""
    lines = ibis.coalesce(t.back_lines, 0)
    return {
        "returns_lines": lines,
        "returns_lines_365d": ibis.coalesce(t.back_lines_365, 0),
        "returned_yuan": ibis.coalesce(t.back_fen, 0) / 100.0,
        "returned_365d_yuan": ibis.coalesce(t.back_fen_365, 0) / 100.0,
        "return_recency_days": day_of(as_of) - t.back_day,
        "returns_per_visit": lines / t.n.cast("float64"),
    }
