"""The book of outcomes: what became of each task, once per event id, in any order, and undone if need be."""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import sqlalchemy as sa

from outreach.ledger import tables
from outreach.ledger.core import LedgerCore, plain_row

if TYPE_CHECKING:
    import pandas as pd

OUTCOMES = (
    "sent",
    "replied",
    "appointment",
    "visited",
    "ordered",
    "no_answer",
    "snoozed",
    "not_suitable",
    "refused",
    "do_not_contact",
    "wrong_person",
    "unfriended",
    "complaint",
    "skipped",
)
# What an outcome means for later lists: the kind of block, and for how many days (None: until somebody lifts it).
# Sixty days after a refusal and "never" after "don't contact" are the contact policy's; a snooze is a week.
BLOCKS: dict[str, int | None] = {
    "refused": 60,
    "do_not_contact": None,
    "wrong_person": None,
    "unfriended": None,
    "complaint": None,
    "snoozed": 7,
    "not_suitable": 30,
}
# Outcomes in which the member was reached, or at least written to: they count as a touch.
TOUCHES = (
    "sent",
    "replied",
    "appointment",
    "visited",
    "ordered",
    "no_answer",
    "refused",
    "do_not_contact",
    "complaint",
)


# The channel of an outcome that names none: the usual one, a message from guide to friend.
USUAL_CHANNEL = "wecom_1v1"


@dataclass(frozen=True)
class Noted:
    """The answer to one posted outcome: status is `created`, `known`, `conflict` or `unknown_task`."""

    status: str
    event_id: str
    task_id: str | None = None
    state: str | None = None


class OutcomeBook(LedgerCore):
    """Outcomes of tasks, and what they do to the member."""

    def note_outcome(self, body: Mapping[str, Any], *, received_at: dt.datetime) -> Noted:
        """Note one outcome; see `note_outcomes`."""
        return self.note_outcomes([body], received_at=received_at)[0]

    def note_outcomes(self, bodies: Sequence[Mapping[str, Any]], *, received_at: dt.datetime) -> list[Noted]:
        """Note outcomes in one transaction, each on its own merits.

        The same event id with the same body answers as before, with another body it is a conflict.

        Args:
            bodies: event_id, task_id, outcome (of `OUTCOMES`), at (datetime); optional channel, note.
            received_at: when they came in.
        """
        o, t = tables.outcome.c, tables.contact_task.c
        with self.writing("outcomes", "consents") as connection:
            events = [body["event_id"] for body in bodies]
            seen: dict[str, tuple[str, str]] = {}
            wanted = sa.select(o.event_id, o.body_digest, o.task_id)
            for event_id, digest, task_id in connection.execute(
                wanted.where(o.brand_id == self.brand_id, o.event_id.in_(events))
            ):
                seen[event_id] = (digest, task_id)
            of_tasks = sa.select(t.task_id, t.member_id, t.guide_id).where(
                t.brand_id == self.brand_id, t.task_id.in_({body["task_id"] for body in bodies})
            )
            tasks = {row.task_id: row for row in connection.execute(of_tasks)}
            answers: list[tuple[str, str, str]] = []
            rows, blocks = [], []
            for body in bodies:
                event_id, task_id, digest = body["event_id"], body["task_id"], body_digest(body)
                if event_id in seen:
                    answers.append(
                        ("known" if seen[event_id][0] == digest else "conflict", event_id, seen[event_id][1])
                    )
                    continue
                if task_id not in tasks:
                    answers.append(("unknown_task", event_id, task_id))
                    continue
                seen[event_id] = (digest, task_id)
                rows.append(self._row(body, tasks[task_id], digest, received_at))
                if body["outcome"] in BLOCKS:
                    blocks.append(self._block(rows[-1]))
                answers.append(("created", event_id, task_id))
            if rows:
                connection.execute(tables.outcome.insert(), rows)
            self.put(connection, tables.opt_out, blocks)
            touched = {task_id for status, _, task_id in answers if status == "created"}
            states = {task_id: self._restate(connection, task_id) for task_id in sorted(touched)}
            return [
                Noted(status, event_id, task_id, states.get(task_id) or self._state(connection, task_id))
                for status, event_id, task_id in answers
            ]

    def _row(self, body: Mapping[str, Any], task: Any, digest: str, received_at: dt.datetime) -> dict[str, Any]:
        return {
            "brand_id": self.brand_id,
            "event_id": body["event_id"],
            "task_id": body["task_id"],
            "member_id": task.member_id,
            "guide_id": task.guide_id,
            "outcome": body["outcome"],
            "at": min(body["at"], received_at),  # a phone's clock may run ahead
            "channel": body.get("channel"),
            "note": body.get("note"),
            "body_digest": digest,
            "received_at": received_at,
        }

    def _block(self, row: Mapping[str, Any]) -> dict[str, Any]:
        days = BLOCKS[row["outcome"]]
        return {
            "brand_id": self.brand_id,
            "member_id": row["member_id"],
            "kind": row["outcome"],
            "source_id": row["event_id"],
            "since": row["at"],
            "until": None if days is None else row["at"] + dt.timedelta(days=days),
        }

    def undo_outcome(self, event_id: str, *, at: dt.datetime) -> Noted | None:
        """Take an outcome back: the task falls to its previous one, the block it made is lifted. None if unknown."""
        o = tables.outcome.c
        here = sa.and_(o.brand_id == self.brand_id, o.event_id == event_id)
        with self.writing("outcomes", "consents") as connection:
            row = connection.execute(sa.select(o.task_id, o.member_id).where(here)).first()
            if row is None:
                return None
            connection.execute(tables.outcome.update().where(here, o.undone_at.is_(None)).values(undone_at=at))
            connection.execute(
                tables.opt_out.delete().where(
                    tables.opt_out.c.brand_id == self.brand_id,
                    tables.opt_out.c.member_id == row.member_id,
                    tables.opt_out.c.source_id == event_id,
                )
            )
            return Noted("undone", event_id, row.task_id, self._restate(connection, row.task_id))

    def outcome(self, event_id: str) -> dict[str, Any] | None:
        """One outcome, or None."""
        o = tables.outcome.c
        with self.reading() as connection:
            row = (
                connection.execute(
                    sa.select(tables.outcome).where(o.brand_id == self.brand_id, o.event_id == event_id)
                )
                .mappings()
                .first()
            )
        return None if row is None else plain_row(row)

    def outcomes_of_member(self, member_id: str, limit: int = 20) -> list[dict[str, Any]]:
        """What happened with a member, newest first, undone outcomes left out."""
        o = tables.outcome.c
        wanted = (
            sa.select(o.event_id, o.task_id, o.guide_id, o.outcome, o.at, o.channel, o.note)
            .where(o.brand_id == self.brand_id, o.member_id == member_id, o.undone_at.is_(None))
            .order_by(o.at.desc(), o.event_id)
            .limit(limit)
        )
        with self.reading() as connection:
            return [plain_row(row) for row in connection.execute(wanted).mappings()]

    def newest_events(self, task_ids: list[str]) -> dict[str, str]:
        """task_id -> event id of the newest outcome that stands: what an undo takes back."""
        o = tables.outcome.c
        wanted = sa.select(o.task_id, o.event_id).where(
            o.brand_id == self.brand_id, o.task_id.in_(task_ids), o.undone_at.is_(None)
        )
        with self.reading() as connection:
            return dict(connection.execute(wanted.order_by(o.at, o.event_id)).all())

    def touched_by_others(self, member_ids: list[str], guide_id: str, since: dt.datetime) -> set[str]:
        """Those of the members whom another guide has touched since a moment."""
        o = tables.outcome.c
        wanted = sa.select(o.member_id).where(
            o.brand_id == self.brand_id,
            o.member_id.in_(member_ids),
            o.guide_id != guide_id,
            o.at >= since,
            o.undone_at.is_(None),
            o.outcome.in_(TOUCHES),
        )
        with self.reading() as connection:
            return {member for (member,) in connection.execute(wanted)}

    def contacts(self, before: dt.date) -> "pd.DataFrame":
        """What was done through the service before a day, in the contract's words: one row a task with an outcome.

        Columns: contact_id, member_id, guide_id, channel, sent_at (first touch; null where nobody was reached or
        written to), task_id, kind (task type), content_type, outcome and outcome_at (the newest).
        """
        import pandas as pd

        o, t = tables.outcome.c, tables.contact_task.c
        same = sa.and_(t.brand_id == o.brand_id, t.task_id == o.task_id)
        names = (o.event_id, o.member_id, o.guide_id, o.channel, o.at, o.task_id, o.outcome)
        rows = self.frame(
            sa.select(*names, t.task_type.label("kind"), t.forced)
            .join(tables.contact_task, same)
            .where(
                o.brand_id == self.brand_id,
                o.at < dt.datetime.combine(before, dt.time()),
                o.undone_at.is_(None),
            )
            .order_by(o.task_id, o.at, o.event_id)
        )
        rows["at"] = pd.to_datetime(rows["at"])
        touched = rows[rows["outcome"].isin(TOUCHES)].drop_duplicates("task_id").set_index("task_id")
        newest = rows.drop_duplicates("task_id", keep="last").set_index("task_id")
        first = rows.drop_duplicates("task_id").set_index("task_id")
        frame = pd.DataFrame(
            {
                "contact_id": first["event_id"],
                "member_id": first["member_id"],
                "guide_id": first["guide_id"],
                "channel": touched["channel"].reindex(first.index).fillna(first["channel"]).fillna(USUAL_CHANNEL),
                "sent_at": touched["at"].reindex(first.index),
                "kind": first["kind"],
                "content_type": first["forced"].map({True: "care", False: "marketing"}),
                "outcome": newest["outcome"],
                "outcome_at": newest["at"],
            }
        )
        return frame.reset_index().sort_values(["outcome_at", "task_id"], ignore_index=True)

    def _state(self, connection: sa.Connection, task_id: str) -> str | None:
        t = tables.contact_task.c
        state: str | None = connection.execute(
            sa.select(t.state).where(t.brand_id == self.brand_id, t.task_id == task_id)
        ).scalar()
        return state

    def _restate(self, connection: sa.Connection, task_id: str) -> str:
        """A task's state is its newest outcome that stands, whatever the order in which they came."""
        o, t = tables.outcome.c, tables.contact_task.c
        newest = connection.execute(
            sa.select(o.outcome, o.at)
            .where(o.brand_id == self.brand_id, o.task_id == task_id, o.undone_at.is_(None))
            .order_by(o.at.desc(), o.event_id.desc())
            .limit(1)
        ).first()
        state, at = (newest.outcome, newest.at) if newest else ("pending", None)
        connection.execute(
            tables.contact_task.update()
            .where(t.brand_id == self.brand_id, t.task_id == task_id)
            .values(state=state, state_at=at)
        )
        return str(state)


def body_digest(body: Mapping[str, Any]) -> str:
    """A digest of a posted body that does not depend on the order of its keys or on empty fields."""
    said = {name: value for name, value in body.items() if value is not None}
    return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()
