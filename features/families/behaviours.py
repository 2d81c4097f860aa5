"""Behaviours: what the member does in the mini-program. Null where the brand gave no events."""

from datetime import date
from functools import partial

import ibis
from ibis.expr.types import Table

from features.columns import VectorColumn
from features.history import History
from features.purchases import day_of

_days = partial(VectorColumn, unit="days", family="behaviours")
_events = partial(VectorColumn, unit="events", family="behaviours")

COLUMNS = (
    _days("event_recency_days", meaning="Days since the last event", meaning_zh="距上次浏览等行为天数"),
    _days("active_days_30d", meaning="Days with an event in the last 30", meaning_zh="近30天活跃天数"),
    _days("active_days_90d", meaning="Days with an event in the last 90", meaning_zh="近90天活跃天数"),
    _events("events_30d", meaning="Events in the last 30 days", meaning_zh="近30天行为数"),
    _events("views_30d", meaning="Items viewed or clicked in the last 30 days", meaning_zh="近30天浏览点击数"),
    _events(
        "intents_30d",
        meaning="Collected, put into the cart or ordered in the last 30 days",
        meaning_zh="近30天收藏加购下单数",
    ),
    _events("searches_30d", meaning="Searches in the last 30 days", meaning_zh="近30天搜索数"),
)


def gather(history: History, as_of: date) -> Table | None:
    """Events known at as_of, one row a member; None where the brand gave none."""
    events = history.sides.get("behaviours")
    if events is None:
        return None
    day = day_of(as_of)
    e = events.filter(events.day < day)
    last_month = e.day >= day - 30
    counts = ("events", "views", "intents", "searches")
    return e.group_by("member").agg(
        event_day=e.day.max(),
        active_30=e.count(where=last_month),
        active_90=e.count(where=e.day >= day - 90),
        **{f"did_{c}": e[c].sum(where=last_month).cast("int64") for c in counts},
    )


def express(t: Table, as_of: date) -> dict[str, ibis.Value]:
    """The family's columns from what was gathered."""
    values: dict[str, ibis.Value] = {
        "event_recency_days": day_of(as_of) - t.event_day,
        "active_days_30d": ibis.coalesce(t.active_30, 0),
        "active_days_90d": ibis.coalesce(t.active_90, 0),
    }
    did = ("events", "views", "intents", "searches")
    return values | {f"{c}_30d": ibis.coalesce(t[f"did_{c}"], 0) for c in did}
