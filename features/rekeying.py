"""Tables and merges of cards come in; out come tables in which every person has one id.

Nothing is changed in the tables that came in: leaving a merge out and re-keying again restores what was there.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import date

import ibis
import pandas as pd

from features.contract import SCHEMA
from features.identity import OneId, resolve
from features.tables import Tables

_REFERRER = "referrer_member_id"


def one_person_each(
    tables: Tables, *, as_of: date | None = None, decisions: pd.DataFrame | None = None
) -> tuple[Tables, OneId]:
    """Resolve identities and re-key the tables; also give events their member where only an app id is known."""
    one = resolve(tables, as_of=as_of, decisions=decisions)
    return known_visitors(rekey(tables, one.merges)), one


def rekey(tables: Tables, merges: pd.DataFrame) -> Tables:
    """Tables with every old_id of `merges` (old_id, member_id, …) replaced, in each column that names a member.

    A merged member keeps the row of the card that stays, with the earliest registration of all its cards, and is staff
    or wholesale if any of them is. Its assignments end where the next one begins.
    """
    if merges.empty:
        return tables
    pairs = merges[["old_id", "member_id"]].astype(str).sort_values("old_id").rename(columns={"member_id": "kept_id"})
    aliases = ibis.memtable(pairs)
    frames = {name: _renamed(table, aliases, ("member_id", _REFERRER)) for name, table in tables.frames.items()}
    if "members" in frames:
        frames["members"] = _one_row_each(tables["members"], frames["members"], aliases)
    if "assignments" in frames:
        frames["assignments"] = _one_at_a_time(frames["assignments"])
    told = tables.fingerprint + pairs.to_csv(index=False)
    return replace(tables, frames=frames, fingerprint=hashlib.sha256(told.encode()).hexdigest())


def _renamed(table: ibis.Table, aliases: ibis.Table, columns: tuple[str, ...]) -> ibis.Table:
    for column in columns:
        if column in table.columns:
            named = aliases.view()
            joined = table.left_join(named, table[column] == named.old_id)
            table = joined.mutate(**{column: joined.kept_id.fill_null(joined[column])}).select(*table.columns)
    return table


def _one_row_each(given: ibis.Table, renamed: ibis.Table, aliases: ibis.Table) -> ibis.Table:
    stays = _renamed(given.anti_join(aliases.view(), [("member_id", "old_id")]), aliases, (_REFERRER,))
    people = renamed.group_by("member_id").agg(
        first_registered=renamed.registered_at.min(),
        any_staff=renamed.is_staff.cast("int8").max() == 1,
        any_wholesale=renamed.is_wholesale.cast("int8").max() == 1,
    )
    joined = stays.left_join(people, stays.member_id == people.member_id)
    return joined.mutate(
        registered_at=joined.first_registered, is_staff=joined.any_staff, is_wholesale=joined.any_wholesale
    ).select(*SCHEMA["members"].column_names)


def _one_at_a_time(table: ibis.Table) -> ibis.Table:
    by_start = ibis.window(group_by=table.member_id, order_by=[table.start_at, table.guide_id])
    following = table.mutate(next_start=table.start_at.lead().over(by_start))
    ends = ibis.coalesce(ibis.least(following.end_at, following.next_start), following.end_at, following.next_start)
    return following.mutate(end_at=ends).select(*SCHEMA["assignments"].column_names)


def known_visitors(tables: Tables) -> Tables:
    """Behaviours with member_id filled in where an identifier belongs to one member and no other."""
    if "behaviours" not in tables or "identities" not in tables:
        return tables
    events, claims = tables["behaviours"], tables["identities"]
    key = ["id_type", "id_scope", "id_value"]
    owners = claims.group_by(key).agg(n=claims.member_id.nunique(), owner=claims.member_id.min())
    owners = owners.filter(owners.n == 1).select(
        o_type="id_type", o_scope="id_scope", o_value="id_value", owner="owner"
    )
    joined = events.left_join(
        owners,
        [
            events.id_type == owners.o_type,
            events.id_scope.fill_null("-") == owners.o_scope,
            events.id_value == owners.o_value,
        ],
    )
    filled = joined.mutate(member_id=joined.member_id.fill_null(joined.owner)).select(*events.columns)
    frames: Mapping[str, ibis.Table] = {**tables.frames, "behaviours": filled}
    return replace(tables, frames=frames)
