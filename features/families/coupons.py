"""Coupons: whether the member holds published coupons and when they end.

Never their face value, their threshold, or how a member reacts to discounts: no vector describes willingness to pay.
"""

from datetime import date

import ibis
from ibis.expr.types import Table

from features.columns import VectorColumn
from features.history import History
from features.purchases import day_of

COLUMNS = (
    VectorColumn("coupons_open", "coupons", "coupons", "Coupons that can be used at as_of", "可用券数"),
    VectorColumn("coupon_end_days", "days", "coupons", "Days until the first of them ends", "最近到期券剩余天数"),
    VectorColumn("coupon_recency_days", "days", "coupons", "Days since the last coupon was issued", "距上次发券天数"),
)


def gather(history: History, as_of: date) -> Table | None:
    """Coupons known at as_of, one row a member; None where the brand gave none."""
    coupons = history.sides.get("coupons")
    if coupons is None:
        return None
    day = day_of(as_of)
    c = coupons.filter(coupons.issued < day)
    usable = (c.starts <= day) & (c.ends >= day) & (c.used >= day)
    return c.group_by("member").agg(
        usable=c.count(where=usable), coupon_end=c.ends.min(where=usable), coupon_day=c.issued.max()
    )


def express(t: Table, as_of: date) -> dict[str, ibis.Value]:
    """The family's columns from what was gathered."""
    return {
        "coupons_open": ibis.coalesce(t.usable, 0),
        "coupon_end_days": t.coupon_end - day_of(as_of),
        "coupon_recency_days": day_of(as_of) - t.coupon_day,
    }
