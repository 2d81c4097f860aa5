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
    """Visits made of these orders: member, day, known, first_known, then MEASURES and weekend, festive.

    `known` is the latest day on which an order of the visit became known, `first_known` the earliest. new_items,
    new_categories and new_stores count what the member had not bought, or not bought in, on any earlier day.
    """
    lines = purchases.lines
    if orders is not purchases.orders:
        lines = lines.semi_join(orders, "purchase")
    visits = orders.group_by("member", "day").agg(
        known=orders.known.max(),
        first_known=orders.known.min(),
        fen=orders.fen.sum().cast("int64"),
        qty=orders.qty.sum().cast("int32"),
        lines=orders.lines.sum().cast("int32"),
        orders=orders.count().cast("int32"),
        online=orders.online.max(),
        evening=(orders.hour >= 18).cast("int8").max(),
        assisted=orders.assisted.max(),
    )
    tried = lines.group_by("member", "item").agg(day=lines.day.min())
    entered = tried.join(purchases.items.filter(purchases.items.category.notnull()), "item")
    entered = entered.group_by("member", "category").agg(day=entered.day.min())
    shopped = orders.filter(orders.store.notnull()).group_by("member", "store").agg(day=lambda t: t.day.min())
    for firsts, name in ((tried, "new_items"), (entered, "new_categories"), (shopped, "new_stores")):
        counted = firsts.group_by("member", "day").agg(**{name: firsts.count().cast("int32")})
        visits = visits.left_join(counted, ["member", "day"]).drop("member_right", "day_right")
        visits = visits.mutate(**{name: ibis.coalesce(visits[name], 0)})
    first, last = purchases.first_day, purchases.last_day
    return visits.mutate(
        # 1970-01-01 was a Thursday, so Saturday and Sunday are days 2 and 3 of the week that starts on it.
        weekend=(visits.day % 7).isin([2, 3]).cast("int8"),
        festive=visits.day.isin(festive_days(first, last) or [NEVER]).cast("int8"),
    )


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
