"""Purchases in; out: visits – one row a member and day – each knowing the visit before it and when the next was known."""

import ibis
from ibis.expr.types import Table

from features.festivals import festive_days
from features.purchases import NEVER, Purchases

_JIAO_CAP = 10_000_000  # a visit above a million yuan counts as a million in the spread: its square must fit 64 bits
# Measures of a visit, all whole numbers. Flags are 0 or 1 and say that some order of the visit was so.
MEASURES = (
    "fen",
    "qty",
    "lines",
    "orders",
    "new_items",
    "new_categories",
    "new_stores",
    "online",
    "evening",
    "assisted",
)


def visits_of(purchases: Purchases, orders: Table) -> Table:
    """Visits made of these orders: member, day, known, first_known, until, then MEASURES and weekend, festive.

    `known` is the latest day on which an order of the visit became known, `first_known` the earliest. new_items,
    new_categories and new_stores count what the member had not bought, or not bought in, on any earlier day.
    """
    lines = purchases.lines
    if orders is not purchases.orders:
        lines = lines.semi_join(orders, "purchase")
    baskets = lines.group_by("purchase").agg(fen=lines.fen.sum(), qty=lines.qty.sum(), lines=lines.count())
    bought = baskets.join(orders, "purchase")
    bought = bought.mutate(evening=(bought.hour >= 18).cast("int8"), orders=1, first_known=bought.known)
    tried = lines.group_by("member", "item").agg(day=lines.day.min(), category=lines.category.min())
    entered = tried.filter(tried.category.notnull()).group_by("member", "category").agg(day=lambda t: t.day.min())
    shopped = bought.filter(bought.store != "").group_by("member", "store").agg(day=lambda t: t.day.min())
    # One grouping of everything stacked costs half of what joining four groupings does.
    rows = _stackable(bought)
    for table, name in ((tried, "new_items"), (entered, "new_categories"), (shopped, "new_stores")):
        rows = rows.union(_stackable(table.mutate(**{name: 1})))
    largest = ("online", "evening", "assisted")
    visits = rows.group_by("member", "day").agg(
        known=rows.known.max(),
        first_known=rows.first_known.min(),
        until=rows.until.min(),
        **{
            m: rows[m].max() if m in largest else rows[m].sum().cast("int32" if m != "fen" else "int64")
            for m in MEASURES
        },
    )
    first, last = purchases.first_day, purchases.last_day
    return visits.mutate(
        # 1970-01-01 was a Thursday, so Saturday and Sunday are days 2 and 3 of the week that starts on it.
        weekend=(visits.day % 7).isin([2, 3]).cast("int8"),
        festive=visits.day.isin(festive_days(first, last) or [NEVER]).cast("int8"),
    )


_TYPES = {"day": "int32", "known": "int32", "first_known": "int32", "until": "int32", "fen": "int64"}
_FLAGS = ("online", "evening", "assisted")


def _stackable(table: Table) -> Table:
    """The table with every column that visits are made of; what it does not have adds nothing."""
    columns = {"member": table.member}
    for name in ("day", "known", "first_known", "until", *MEASURES):
        kind = _TYPES.get(name, "int8" if name in _FLAGS else "int32")
        absent = ibis.null(kind) if name in ("known", "first_known", "until") else ibis.literal(0, type=kind)
        columns[name] = table[name].cast(kind) if name in table.columns else absent
    return table.select(**columns)


def walk(visits: Table) -> Table:
    """Visits with their place in the member's story.

    n (1 for the first visit), gap and prev_gap (days before this visit and before the previous one; null where there is
    none), previous_known, next_known (NEVER for the last).
    """
    path = ibis.window(group_by="member", order_by="day")
    v = visits.mutate(
        n=(ibis.row_number().over(path) + 1).cast("int32"),
        previous=visits.day.lag().over(path),
        before_previous=visits.day.lag(2).over(path),
        previous_known=visits.known.lag().over(path),
        next_known=ibis.coalesce(visits.known.lead().over(path), NEVER).cast("int32"),
    )
    v = v.mutate(gap=v.day - v.previous, prev_gap=v.previous - v.before_previous)
    return v.drop("previous", "before_previous")


def spread_unit(visits: Table) -> ibis.Value:
    """What a visit came to in jiao (1/10 yuan), capped so that sums of squares fit 64 bits."""
    return ibis.least(visits.fen // 10, _JIAO_CAP).cast("int64")
