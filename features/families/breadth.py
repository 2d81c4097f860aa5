"""Breadth: how many different things the member buys, and how much at once."""

from datetime import date
from functools import partial

import ibis
from ibis.expr.types import Table

from features.columns import VectorColumn

_items = partial(VectorColumn, unit="items", family="breadth")
_share = partial(VectorColumn, unit="share", family="breadth")
_pieces = partial(VectorColumn, unit="pieces", family="breadth")

COLUMNS = (
    _items("items_distinct", meaning="Different items bought", meaning_zh="买过的商品数"),
    _items("new_items_90d", meaning="Items first bought in the last 90 days", meaning_zh="近90天首次购买的商品数"),
    _items("new_items_365d", meaning="Items first bought in the last 365 days", meaning_zh="近365天首次购买的商品数"),
    VectorColumn("categories_distinct", "categories", "breadth", "Different categories bought", "买过的品类数"),
    _pieces("basket_mean_items", meaning="Pieces a visit", meaning_zh="次均件数"),
    _pieces("last_visit_items", meaning="Pieces at the last visit", meaning_zh="末次件数"),
    _pieces("pieces_365d", meaning="Pieces in the last 365 days", meaning_zh="近365天件数"),
    _share("repeat_line_share", meaning="Lines beyond the first of each item", meaning_zh="重复购买行占比"),
    _share(
        "last_visit_new_share",
        meaning="Lines of the last visit with an item new to the member",
        meaning_zh="末次新品占比",
    ),
)


def express(t: Table, as_of: date) -> dict[str, ibis.Value]:
    """The family's columns from a member's summary."""
    lines = t.sum_lines.cast("float64")
    return {
        "items_distinct": t.sum_new_items,
        "new_items_90d": t.new_items_90,
        "new_items_365d": t.new_items_365,
        "categories_distinct": t.sum_new_categories,
        "basket_mean_items": t.sum_qty.cast("float64") / t.n,
        "last_visit_items": t.last_qty,
        "pieces_365d": t.qty_365,
        "repeat_line_share": (lines - t.sum_new_items) / lines,
        "last_visit_new_share": t.last_new_items / t.last_lines.cast("float64"),
    }
