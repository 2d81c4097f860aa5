"""Checked raw tables in; out: what happened to members beside purchases – events, contacts, coupons, guides – keyed by day.

Each table is there only where the brand gave it. As everywhere, a fact of day d is known at as_of D when d < D.
"""

import ibis
from ibis.expr.types import Table

from features.purchases import NEVER, day_number
from features.stored import stored
from features.tables import Tables

VIEWS = ("view", "click", "expose")
INTENT = ("collect", "add_cart", "submit_order")
ANSWERS = ("replied", "appointment", "visited", "ordered")


def read_sides(tables: Tables, members: Table) -> dict[str, Table]:
    """What the brand gave of these, by name:

    behaviours: member, day, events, views, intents, searches (how many on that day).
    contacts: member, day (sent), answered_on and refused_on (day the answer was known, or NEVER).
    coupons: member, issued, starts, ends, used (days; NEVER where it was not).
    assignments: member, starts, ends, friend_from, friend_to (days).
    """
    known = members.select("member", "member_id")
    made = {}
    for name, read in (
        ("behaviours", _behaviours),
        ("contacts", _contacts),
        ("coupons", _coupons),
        ("assignments", _assignments),
    ):
        raw = tables.get(name)
        if raw is not None:
            made[name] = stored(read(raw.join(known, "member_id")), name)
    return made


def _behaviours(e: Table) -> Table:
    days = e.mutate(day=day_number(e.event_time))
    kind = days.event_type
    return days.group_by("member", "day").agg(
        events=days.count(),
        views=days.count(where=kind.isin(VIEWS)),
        intents=days.count(where=kind.isin(INTENT)),
        searches=days.count(where=kind == "search"),
    )


def _contacts(c: Table) -> Table:
    sent = c.filter(c.sent_at.notnull() & (c.send_status == "sent"))
    day = day_number(sent.sent_at)
    came = ibis.coalesce(day_number(sent.outcome_at), day)
    return sent.select(
        "member",
        day=day,
        marketing=(sent.content_type != "service").cast("int32"),
        answered_on=_when(sent.outcome.isin(ANSWERS), came),
        refused_on=_when(sent.outcome.isin(["refused", "complaint", "unfriended", "do_not_contact"]), came),
    )


def _when(happened: ibis.Value, day: ibis.Value) -> ibis.Value:
    return happened.fill_null(False).ifelse(day, NEVER).cast("int32")


def _coupons(c: Table) -> Table:
    issued = day_number(c.issued_at)
    return c.select(
        "member",
        issued=issued,
        starts=ibis.coalesce(day_number(c.valid_from), issued),
        ends=day_number(c.valid_to),
        used=ibis.coalesce(day_number(c.used_at), NEVER).cast("int32"),
    )


def _assignments(a: Table) -> Table:
    # Friendship counts from friend_since alone: is_friend has no day, so it would tell the future.
    return a.select(
        "member",
        starts=day_number(a.start_at),
        ends=ibis.coalesce(day_number(a.end_at), NEVER).cast("int32"),
        friend_from=ibis.coalesce(day_number(a.friend_since), NEVER).cast("int32"),
        friend_to=ibis.coalesce(day_number(a.friend_lost_at), NEVER).cast("int32"),
    )
