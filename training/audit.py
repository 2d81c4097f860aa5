"""The harness looks for the future in what models are shown: tables and a cut-off in; silence, or LeakFound, out.

For a sample of members the vectors are built twice: from everything, and from tables whose future was rewritten
(orders, returns, statuses, contacts and attributes from the cut-off on are gone or changed). Every byte must agree.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date

import ibis
import numpy as np
from ibis.expr.types import Table

from features.history import History, build_history, population
from features.tables import Tables
from features.vectors import MemberVectors, build_vectors
from training.cutoffs import LeakFound, same_bytes

BuildVectors = Callable[[History, date], MemberVectors]
SAMPLE_MEMBERS = 300

# The moment at which a row of a table becomes known, where it is not an order, a line or a member.
MOMENTS = {
    "behaviours": "event_time",
    "contacts": "sent_at",
    "coupons": "issued_at",
    "consents": "at",
    "campaigns": "start_at",
    "campaign_members": "assigned_at",
    "assignments": "start_at",
}
# Attributes without a history: known only from their member's updated_at on.
REWRITTEN = {"level": "rewritten", "home_store_id": "rewritten", "points_balance": -1, "level_order": -1}


def rewrite_future(tables: Tables, as_of: date, members: Iterable[str] | None = None) -> Tables:
    """The tables as they could have been delivered had everything from as_of on gone otherwise."""
    start = ibis.timestamp(as_of.isoformat())
    kept = dict(tables.frames) if members is None else dict(_of_members(tables, list(members)))
    orders, lines = kept["orders"], kept["order_lines"]
    orders = orders.filter((orders.order_time < start) & (ibis.coalesce(orders.loaded_at, orders.order_time) < start))
    later = (orders.status_at >= start).fill_null(False)
    orders = orders.mutate(
        status=ibis.ifelse(later, "paid", orders.status),
        status_at=ibis.ifelse(later, ibis.null("timestamp"), orders.status_at),
    )
    lines = lines.semi_join(orders, "order_id")
    lines = lines.filter(((lines.line_type != "return") | (lines.returned_at < start)).fill_null(True))
    kept |= {"orders": orders, "order_lines": lines}
    people = kept["members"]
    changed = (people.updated_at >= start).fill_null(False)
    new = {name: ibis.ifelse(changed, value, people[name]) for name, value in REWRITTEN.items()}
    kept["members"] = people.mutate(**{n: v.cast(people[n].type()) for n, v in new.items()})
    for name, moment in MOMENTS.items():
        if name in kept:
            kept[name] = kept[name].filter(kept[name][moment] < start)
    return replace(tables, frames=kept)


def _of_members(tables: Tables, members: list[str]) -> Iterable[tuple[str, Table]]:
    orders = tables["orders"].filter(tables["orders"].member_id.isin(members))
    for name, table in tables.frames.items():
        if name == "orders":
            yield name, orders
        elif name == "order_lines":
            yield name, table.semi_join(orders, "order_id")
        elif "member_id" in table.columns:
            yield name, table.filter(table.member_id.isin(members))
        else:
            yield name, table


def audit_vectors(
    history: History,
    as_of: date,
    *,
    seed: int = 0,
    sample: int = SAMPLE_MEMBERS,
    build: BuildVectors = lambda history, day: build_vectors(history, [day]),
) -> int:
    """Build the sample's vectors with the true and with a rewritten future; LeakFound names columns that differ.

    Gives the number of members compared back.
    """
    known = population(history, as_of)
    drawn = np.sort(np.random.default_rng(seed).choice(known, min(sample, len(known)), replace=False))
    true = replace(history.tables, frames=dict(_of_members(history.tables, drawn.tolist())))
    one = build(build_history(true), as_of)
    two = build(build_history(rewrite_future(history.tables, as_of, drawn)), as_of)
    if not np.array_equal(one.members, two.members):
        raise LeakFound(f"rewriting the future of {as_of} changed who was a member with a kept purchase then")
    names = [column.name for column in one.columns]
    same_bytes(one.frame[names].to_numpy(dtype=float), two.frame[names].to_numpy(dtype=float), names)
    return len(drawn)
