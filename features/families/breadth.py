"""Breadth: how many different things the member buys, and how much at once."""

from datetime import date

import ibis
from ibis.expr.types import Table

from features.columns import VectorColumn

COLUMNS = (
    VectorColumn("items_distinct", "items", "breadth", "Different items bought", "买过的商品数"),
    VectorColumn("categories_distinct", "categories", "breadth", "Different categories bought", "买过的品类数"),
    VectorColumn("basket_mean_items", "pieces", "breadth", "Pieces a visit", "次均件数"),
    VectorColumn("repeat_line_share", "share", "breadth", "Lines of items bought before", "重复购买商品占比"),
)


def express(t: Table, as_of: date) -> dict[str, ibis.Value]:
    """The family's columns from a member's summary."""
    lines = t.sum_lines.cast("float64")
    return {
        "items_distinct": t.sum_new_items,
        "categories_distinct": t.sum_new_categories,
        "basket_mean_items": t.sum_qty.cast("float64") / t.n,
        "repeat_line_share": (lines - t.sum_new_items) / lines,
    }
