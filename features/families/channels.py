"""Channels and stores: where the member buys, and whether a guide sells to them."""

from datetime import date
from functools import partial

import ibis
from ibis.expr.types import Table

from features.columns import VectorColumn

_share = partial(VectorColumn, unit="share", family="channels")

COLUMNS = (
    _share("online_share", meaning="Visits with an order outside a store", meaning_zh="线上购买占比"),
    _share("online_share_365d", meaning="The same over the last 365 days", meaning_zh="近365天线上购买占比"),
    VectorColumn(
        "last_visit_online", "flag", "channels", "1 if the last visit had an order outside a store", "末次是否线上"
    ),
    VectorColumn("stores_distinct", "stores", "channels", "Different stores bought in", "买过的门店数"),
    _share("guide_share", meaning="Visits with a guide on the receipt", meaning_zh="有导购的购买占比"),
)


def express(t: Table, as_of: date) -> dict[str, ibis.Value]:
    """The family's columns from a member's summary."""
    n = t.n.cast("float64")
    return {
        "online_share": t.sum_online / n,
        "online_share_365d": t.online_365 / t.visits_365.cast("float64").nullif(0),
        "last_visit_online": t.last_online,
        "stores_distinct": t.sum_new_stores,
        "guide_share": t.sum_assisted / n,
    }
