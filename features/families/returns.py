"""Returns: what the member brought back, as far as it was known at as_of."""

from datetime import date

import ibis
from ibis.expr.types import Table

from features.columns import VectorColumn

COLUMNS = (VectorColumn("returns_lines", "lines", "returns", "Lines brought back", "退货行数"),)


def express(t: Table, as_of: date) -> dict[str, ibis.Value]:
    """The family's columns from a member's summary."""
    return {"returns_lines": ibis.coalesce(t.returns, 0)}
