"""Touches: how often the member was contacted, what came of it, and whether a guide is their friend."""

from datetime import date
from functools import partial

import ibis
from ibis.expr.types import Table

from features.columns import VectorColumn
from features.history import History
from features.purchases import day_of

_contacts = partial(VectorColumn, unit="contacts", family="touches")

COLUMNS = (
    VectorColumn("contact_recency_days", "days", "touches", "Days since the last contact sent", "距上次触达天数"),
    _contacts(
        "contacts_30d",
        meaning="Contacts sent in the last 30 days, service apart",
        meaning_zh="近30天触达次数（不含服务）",
    ),
    _contacts(
        "contacts_90d",
        meaning="Contacts sent in the last 90 days, service apart",
        meaning_zh="近90天触达次数（不含服务）",
    ),
    _contacts(
        "answered_365d", meaning="Contacts of the last 365 days that were answered", meaning_zh="近365天有回应的触达"
    ),
    _contacts(
        "refused_365d", meaning="Contacts of the last 365 days that were refused", meaning_zh="近365天被拒绝的触达"
    ),
    VectorColumn(
        "answer_share",
        "share",
        "touches",
        "Contacts of the last 365 days answered, of those sent",
        "近365天触达回应率",
    ),
)


def gather(history: History, as_of: date) -> Table | None:
    """Contacts known at as_of, one row a member; None where the brand gave none."""
    contacts = history.sides.get("contacts")
    if contacts is None:
        return None
    day = day_of(as_of)
    c = contacts.filter(contacts.day < day)
    year = c.day >= day - 365
    return c.group_by("member").agg(
        contact_day=c.day.max(),
        sent_30=c.marketing.sum(where=c.day >= day - 30).cast("int64"),
        sent_90=c.marketing.sum(where=c.day >= day - 90).cast("int64"),
        sent_365=c.count(where=year),
        answered_365=c.count(where=year & (c.answered_on < day)),
        refused_365=c.count(where=year & (c.refused_on < day)),
    )


def express(t: Table, as_of: date) -> dict[str, ibis.Value]:
    """The family's columns from what was gathered."""
    return {
        "contact_recency_days": day_of(as_of) - t.contact_day,
        "contacts_30d": ibis.coalesce(t.sent_30, 0),
        "contacts_90d": ibis.coalesce(t.sent_90, 0),
        "answered_365d": ibis.coalesce(t.answered_365, 0),
        "refused_365d": ibis.coalesce(t.refused_365, 0),
        "answer_share": t.answered_365 / t.sent_365.cast("float64").nullif(0),
    }
