"""The book of people: members held out of contact, their identities, and guides on leave."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from outreach.ledger import tables
from outreach.ledger.core import LedgerCore

if TYPE_CHECKING:
    import pandas as pd


class PeopleBook(LedgerCore):
    """Holdout with its history, identities, leave."""

    def set_holdout(self, arms: Mapping[str, str], *, since: dt.date) -> dict[str, int]:
        """Set who is held out from a day on: member_id -> arm. Who is no longer named is released; history stays.

        Returns counts: added, released, kept.
        """
        c = tables.holdout.c
        with self.writing("holdout") as connection:
            wanted = sa.select(c.member_id, c.arm).where(c.brand_id == self.brand_id, c.until.is_(None))
            open_now = {member: arm for member, arm in connection.execute(wanted)}  # noqa: C416 - rows, not pairs
            gone = sorted(member for member, arm in open_now.items() if arms.get(member) != arm)
            for start in range(0, len(gone), 500):
                connection.execute(
                    tables.holdout.update()
                    .where(c.brand_id == self.brand_id, c.until.is_(None), c.member_id.in_(gone[start : start + 500]))
                    .values(until=since)
                )
            new = [
                {"brand_id": self.brand_id, "member_id": member, "since": since, "until": None, "arm": arm}
                for member, arm in sorted(arms.items())
                if open_now.get(member) != arm
            ]
            self.put(connection, tables.holdout, new)
        return {"added": len(new), "released": len(gone), "kept": len(arms) - len(new)}

    def holdout(self) -> "pd.DataFrame":
        """Holdout with its history: member_id, since, until (null while held out), arm."""
        c = tables.holdout.c
        return self.frame(
            sa.select(c.member_id, c.since, c.until, c.arm)
            .where(c.brand_id == self.brand_id)
            .order_by(c.member_id, c.since)
        )

    def put_identities(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep identities: id_type, id_scope, id_value, member_id; optional verified, valid_to."""
        full = [{"verified": False, "valid_to": None} | dict(row) | {"brand_id": self.brand_id} for row in rows]
        with self.writing("identities") as connection:
            self.put(connection, tables.identity, full)

    def member_of(self, id_type: str, id_scope: str, id_value: str) -> str | None:
        """The member behind an identity, or None."""
        c = tables.identity.c
        wanted = sa.select(c.member_id).where(
            c.brand_id == self.brand_id, c.id_type == id_type, c.id_scope == id_scope, c.id_value == id_value
        )
        with self.reading() as connection:
            found: str | None = connection.execute(wanted).scalar()
            return found

    def set_leave(self, guide_id: str, since: dt.date, until: dt.date | None, *, actor: str) -> None:
        """Put a guide on leave from a day to another, both inclusive (open where `until` is None)."""
        row = {"guide_id": guide_id, "since": since, "until": until, "actor": actor, "brand_id": self.brand_id}
        with self.writing("leave") as connection:
            self.put(connection, tables.guide_leave, [row])

    def end_leave(self, guide_id: str, last_day: dt.date) -> int:
        """End a guide's open leave; returns how many leaves ended."""
        c = tables.guide_leave.c
        with self.writing("leave") as connection:
            return connection.execute(
                tables.guide_leave.update()
                .where(
                    c.brand_id == self.brand_id,
                    c.guide_id == guide_id,
                    sa.or_(c.until.is_(None), c.until > last_day),
                )
                .values(until=last_day)
            ).rowcount

    def on_leave(self, date: dt.date) -> list[str]:
        """Guides on leave on a day."""
        c = tables.guide_leave.c
        wanted = sa.select(c.guide_id).where(
            c.brand_id == self.brand_id, c.since <= date, sa.or_(c.until.is_(None), c.until >= date)
        )
        with self.reading() as connection:
            return sorted({guide for (guide,) in connection.execute(wanted)})
