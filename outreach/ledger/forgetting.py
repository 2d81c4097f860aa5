"""Forgetting a member, and handing a member everything the ledger holds about them."""

import datetime as dt
import hashlib
import hmac
import secrets
from typing import Any

import orjson
import sqlalchemy as sa

from outreach.ledger import tables
from outreach.ledger.core import LedgerCore
from outreach.list_rules import without_member

# Tables whose rows about a member are deleted; the audit trail is kept three years and pseudonymised instead.
DELETED = (
    tables.consent,
    tables.opt_out,
    tables.contact_task,
    tables.chance,
    tables.learning_row,
    tables.outcome,
    tables.holdout,
    tables.exposure,
    tables.identity,
    tables.event,
)


class ForgettingBook(LedgerCore):
    """Deletion, export, and the keyed marks of those forgotten."""

    def forget(self, member_id: str, *, at: dt.datetime) -> dict[str, int]:
        """Delete every row about a member, put a keyed mark in their place in the audit trail; rows per table."""
        mark = self.member_mark(member_id)
        counts = {}
        with self.writing("consents", "lists", "outcomes", "events", "holdout", "identities") as connection:
            for table in DELETED:
                here = sa.and_(table.c.brand_id == self.brand_id, table.c.member_id == member_id)
                counts[str(table.name)] = connection.execute(table.delete().where(here)).rowcount
            a = tables.audit.c
            counts["audit"] = connection.execute(
                tables.audit.update()
                .where(a.brand_id == self.brand_id, a.member_id == member_id)
                .values(member_id=f"forgotten:{mark[:32]}")
            ).rowcount
            self._forget_in_jobs(connection, member_id)
            self._forget_in_rules(connection, member_id)
            self.put(connection, tables.forgotten, [{"brand_id": self.brand_id, "member_mark": mark, "at": at}])
        if self.engine.dialect.name == "sqlite":
            self._scrub_file()
        return counts

    def export(self, member_id: str) -> dict[str, list[dict[str, Any]]]:
        """Every row the ledger holds about a member, by table, times as ISO text."""
        answer = {}
        with self.reading() as connection:
            for table in (*DELETED, tables.audit):
                wanted = sa.select(table).where(table.c.brand_id == self.brand_id, table.c.member_id == member_id)
                rows = connection.execute(wanted.order_by(*table.primary_key.columns)).mappings()
                answer[str(table.name)] = [
                    {str(name): _plain(value) for name, value in row.items() if name != "body_digest"} for row in rows
                ]
        return answer

    def member_mark(self, member_id: str) -> str:
        """The keyed hash under which a forgotten member is remembered; the key never leaves the ledger."""
        return hmac.new(self._key().encode(), member_id.encode(), hashlib.sha256).hexdigest()

    def forgotten_marks(self) -> set[str]:
        """The marks of all forgotten members: compare with `member_mark` of an incoming id."""
        c = tables.forgotten.c
        with self.reading() as connection:
            found = connection.execute(sa.select(c.member_mark).where(c.brand_id == self.brand_id))
            return {mark for (mark,) in found}

    def is_forgotten(self, member_id: str) -> bool:
        """Whether a member was forgotten."""
        return bool(self.rows(_FORGOTTEN, {"brand": self.brand_id, "mark": self.member_mark(member_id)}))

    def _key(self) -> str:
        held: str | None = getattr(self, "_mark_key", None)
        if held is None:
            row = {"brand_id": self.brand_id, "name": "member_mark", "value": secrets.token_hex(32)}
            c = tables.secret.c
            found = self.rows(_SECRET, {"brand": self.brand_id, "name": "member_mark"})
            if not found:
                with self.writing() as connection:
                    self.insert_new(connection, tables.secret, [row])
                    found = connection.execute(
                        sa.select(c.value).where(c.brand_id == self.brand_id, c.name == "member_mark")
                    ).all()
            held = self._mark_key = str(found[0][0])
        return held

    def _forget_in_jobs(self, connection: sa.Connection, member_id: str) -> None:
        c = tables.job.c
        named = sa.or_(c.request_json.contains(f'"{member_id}"'), c.result_json.contains(f'"{member_id}"'))
        done = sa.and_(c.brand_id == self.brand_id, named, c.state.in_(("done", "failed")))
        connection.execute(tables.job.update().where(done).values(request_json="{}", result_json="{}"))

    def _forget_in_rules(self, connection: sa.Connection, member_id: str) -> None:
        """Head office may have urged the member: take the id out of that rule and its history."""
        c = tables.rule.c
        here = sa.and_(c.brand_id == self.brand_id, c.name == "urged")
        rows = connection.execute(sa.select(c.version, c.value_json).where(here)).all()
        for version, text in rows:
            value = orjson.loads(text)
            left = without_member(value, member_id)
            if left != value:
                changed = tables.rule.update().where(here, c.version == version)
                connection.execute(changed.values(value_json=orjson.dumps(left).decode()))

    def _scrub_file(self) -> None:
        """SQLite keeps deleted bytes in free pages and in its log: rewrite both."""
        connection = self._driver_connection()
        for statement in ("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
            connection.execute(statement).fetchall()


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.date | dt.datetime) else value


_FORGOTTEN = sa.select(tables.forgotten.c.at).where(
    tables.forgotten.c.brand_id == sa.bindparam("brand"), tables.forgotten.c.member_mark == sa.bindparam("mark")
)
_SECRET = sa.select(tables.secret.c.value).where(
    tables.secret.c.brand_id == sa.bindparam("brand"), tables.secret.c.name == sa.bindparam("name")
)
