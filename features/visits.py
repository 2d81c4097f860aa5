"""Purchases in; out: visits – one row a member and day – walked in order, so that each row carries its own past.

A walked row holds the gap before it, the next visit, and running totals of the member up to and including it. What was
true of a member at any as_of is then one row: the last visit known before it.
"""

import ibis
from ibis.expr.types import Table

from features.purchases import NEVER, Purchases

# What a visit adds up, as whole numbers: `<name>` is the visit's own, `sum_<name>` the member's running total.
MEASURES = (
    "fen",
    "fen_squared",
    "qty",
    "lines",
    "orders",
    "new_items",
    "new_categories",
    "online",
    "evening",
    "weekend",
    "gap_squared",
)
_JIAO_CAP = 10_000_000  # a visit above a million yuan counts as a million in the spread: its square must fit 64 bits


def visits_of(purchases: Purchases, orders: Table) -> Table:
    """Visits made of these orders: member, day, known, until, then what the visit adds up.

    `known` is the latest day on which one of its orders became known, `first_known` the earliest.
    """
    lines = purchases.lines
    if orders is not purchases.orders:
        lines = lines.semi_join(orders, "purchase")
    baskets = lines.group_by("purchase").agg(
        fen=lines.fen.sum().cast("int64"), qty=lines.qty.sum().cast("int64"), lines=lines.count()
    )
    o = baskets.join(orders, "purchase")
    o = o.mutate(evening=(o.hour >= 18).cast("int32"))
    visits = o.group_by("member", "day").agg(
        known=o.known.max(),
        first_known=o.known.min(),
        until=o.until.min(),
        fen=o.fen.sum().cast("int64"),
        qty=o.qty.sum().cast("int64"),
        lines=o.lines.sum().cast("int64"),
        orders=o.count(),
        online=o.online.max(),
        evening=o.evening.max(),
    )
    tried = lines.group_by("member", "item").agg(day=lines.day.min())
    tried = tried.group_by("member", "day").agg(new_items=tried.count())
    entered = lines.group_by("member", "category").agg(day=lines.day.min())
    entered = entered.group_by("member", "day").agg(new_categories=entered.category.count())
    every = visits.left_join(tried, ["member", "day"]).drop("member_right", "day_right")
    every = every.left_join(entered, ["member", "day"]).drop("member_right", "day_right")
    jiao = ibis.least(every.fen // 10, _JIAO_CAP).cast("int64")
    return every.mutate(
        new_items=ibis.coalesce(every.new_items, 0).cast("int64"),
        new_categories=ibis.coalesce(every.new_categories, 0).cast("int64"),
        # Day 0 was a Thursday, so Saturday and Sunday are 2 and 3 of the week that starts on it.
        weekend=(every.day % 7).isin([2, 3]).cast("int32"),
        fen_squared=jiao * jiao,
    )


def walk(visits: Table) -> Table:
    """Visits with their place in the member's story: n, first_day, gap, prev_gap, next_known, max_fen and sum_ columns."""
    path = ibis.window(group_by="member", order_by="day")
    so_far = ibis.window(group_by="member", order_by="day", preceding=None, following=0)
    v = visits.mutate(
        n=(ibis.row_number().over(path) + 1).cast("int64"),
        previous=visits.day.lag().over(path),
        before_previous=visits.day.lag(2).over(path),
        next_known=ibis.coalesce(visits.known.lead().over(path), NEVER).cast("int32"),
        first_day=visits.day.min().over(so_far),
        max_fen=visits.fen.max().over(so_far),
    )
    v = v.mutate(gap=(v.day - v.previous).cast("int64"), prev_gap=(v.previous - v.before_previous).cast("int64"))
    v = v.mutate(gap_squared=ibis.coalesce(v.gap * v.gap, 0).cast("int64"))
    totals = {f"sum_{m}": v[m].sum().over(so_far).cast("int64") for m in MEASURES}
    return v.mutate(**totals).drop("previous", "before_previous")
