"""The book of contact lists: the tasks of a day with their propensities, kept for good.

A new version of a list replaces only rows that nobody has started.
"""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

import orjson
import sqlalchemy as sa

from outreach.ledger import tables
from outreach.ledger.core import LedgerCore, plain_row

if TYPE_CHECKING:
    import pandas as pd

# What a task may say about itself beside the columns of its row; whatever it lacks is left out.
PAYLOAD = (
    *("components", "evidence", "text_zh", "text_en", "draft_zh", "draft_en", "suggestions", "allowed_channels"),
    *("last_contact", "contacts_30d", "expires_at"),
)


class ListBook(LedgerCore):
    """Contact lists and their tasks."""

    def save_lists(self, date: dt.date, lists: Sequence[Any], *, run_id: str, at: dt.datetime) -> dict[str, int]:
        """Write a day's lists in one transaction; writing the same lists again changes nothing.

        A guide who has a list of that day already gets a new version: tasks that were started stay, un-started ones
        are marked `replaced`, and new tasks fill what is left of the capacity. Every version is kept.

        Args:
            date: the day of the lists.
            lists: objects or mappings with the fields of a ContactList; their tasks with those of a ContactTask.
            run_id: the run that made them.
            at: when they were made.

        Returns:
            counts: lists, tasks, kept (started tasks of older versions), replaced, unchanged (lists seen before).
        """
        counts = dict.fromkeys(("lists", "tasks", "kept", "replaced", "unchanged"), 0)
        with self.writing("lists") as connection:
            known = self._versions(connection, date)
            changed = [
                made for made in lists if known.get(_field(made, "guide_id"), (0, ""))[1] != _field(made, "digest")
            ]
            counts["unchanged"] = len(lists) - len(changed)
            live = self._live(connection, date)
            remade = {_field(made, "guide_id") for made in changed}
            # One task a member and day: who is being served, or waits on a list that stays, is not listed again.
            taken = {member for guide, member, state in live if state != "pending" or guide not in remade}
            for made in changed:
                guide = _field(made, "guide_id")
                kept = sum(g == guide and state != "pending" for g, _, state in live)
                self._save_one(connection, date, made, run_id, at, known.get(guide, (0, ""))[0], taken, kept, counts)
        return counts

    def _save_one(
        self,
        connection: sa.Connection,
        date: dt.date,
        made: Any,
        run_id: str,
        at: dt.datetime,
        version: int,
        taken: set[str],
        kept: int,
        counts: dict[str, int],
    ) -> None:
        guide = _field(made, "guide_id")
        suffix = f"-v{version + 1}" if version else ""
        list_id = f"{_field(made, 'list_id')}{suffix}"
        if version:
            counts["replaced"] += self._replace_unstarted(connection, guide, date)
        capacity = _field(made, "capacity")
        room = None if capacity is None or not version else max(int(capacity) - kept, 0)
        rows: list[dict[str, Any]] = []
        for task in _field(made, "tasks") or ():
            if _field(task, "member_id") in taken or (room is not None and len(rows) >= room):
                continue
            row = _task_row(task, made, date, list_id)
            rows.append(row | {"brand_id": self.brand_id, "task_id": row["task_id"] + suffix})
        connection.execute(
            tables.contact_list.insert(),
            {
                "brand_id": self.brand_id,
                "list_id": list_id,
                "guide_id": guide,
                "store_id": _field(made, "store_id"),
                "date": date,
                "version": version + 1,
                "run_id": run_id,
                "seed": _field(made, "seed"),
                "policy_version": _field(made, "policy_version"),
                "models_json": _json(_field(made, "model_versions")),
                "capacity": capacity,
                "eligible": _field(made, "eligible"),
                "excluded_json": _json(_field(made, "excluded") or {}),
                "fallback": _field(made, "fallback"),
                "digest": _field(made, "digest"),
                "generated_at": at,
            },
        )
        if rows:
            connection.execute(tables.contact_task.insert(), rows)
        counts["lists"] += 1
        counts["tasks"] += len(rows)
        counts["kept"] += kept

    def _versions(self, connection: sa.Connection, date: dt.date) -> dict[str, tuple[int, str]]:
        c = tables.contact_list.c
        rows = connection.execute(
            sa.select(c.guide_id, c.version, c.digest)
            .where(c.brand_id == self.brand_id, c.date == date)
            .order_by(c.version)
        )
        return {guide: (version, digest) for guide, version, digest in rows}

    def _live(self, connection: sa.Connection, date: dt.date) -> list[tuple[str, str, str]]:
        c = tables.contact_task.c
        wanted = sa.select(c.guide_id, c.member_id, c.state)
        here = sa.and_(c.brand_id == self.brand_id, c.date == date, c.state != "replaced")
        return [tuple(row) for row in connection.execute(wanted.where(here))]

    def _replace_unstarted(self, connection: sa.Connection, guide: str, date: dt.date) -> int:
        c = tables.contact_task.c
        return connection.execute(
            tables.contact_task.update()
            .where(c.brand_id == self.brand_id, c.guide_id == guide, c.date == date, c.state == "pending")
            .values(state="replaced")
        ).rowcount

    def first_list_date(self) -> dt.date | None:
        """The day of the very first list, or None."""
        c = tables.contact_list.c
        with self.reading() as connection:
            found: dt.date | None = connection.execute(
                sa.select(sa.func.min(c.date)).where(c.brand_id == self.brand_id)
            ).scalar()
        return found

    def newest_date(self, guide_id: str | None, not_after: dt.date) -> dt.date | None:
        """The newest day that has a list (of the guide, or of anyone), not after a day."""
        values = {"brand": self.brand_id, "not_after": self._day(not_after)}
        if guide_id is None:
            ((found,),) = self.rows(_NEWEST_OF_ALL, values)
        else:
            ((found,),) = self.rows(_NEWEST_OF_GUIDE, {**values, "guide": guide_id})
        return dt.date.fromisoformat(found) if isinstance(found, str) else found

    def _day(self, day: dt.date) -> Any:
        """A day as the driver wants it: text on SQLite."""
        return day if self.engine.dialect.name == "postgresql" else day.isoformat()

    def list_head(self, guide_id: str, date: dt.date) -> dict[str, Any] | None:
        """The newest version of a guide's list of a day, without its tasks."""
        c = tables.contact_list.c
        wanted = (
            sa.select(tables.contact_list)
            .where(c.brand_id == self.brand_id, c.guide_id == guide_id, c.date == date)
            .order_by(c.version.desc())
            .limit(1)
        )
        with self.reading() as connection:
            row = connection.execute(wanted).mappings().first()
        return None if row is None else _list_of(row)

    def heads_of_store(self, store_id: str | None, date: dt.date) -> list[dict[str, Any]]:
        """The newest version of each list of a day in a store (all stores when None), by guide."""
        c = tables.contact_list.c
        wanted = sa.select(tables.contact_list).where(c.brand_id == self.brand_id, c.date == date)
        if store_id is not None:
            wanted = wanted.where(c.store_id == store_id)
        with self.reading() as connection:
            rows = connection.execute(wanted.order_by(c.guide_id, c.version)).mappings().all()
        return list({row["guide_id"]: _list_of(row) for row in rows}.values())

    def tasks_of_guide(self, guide_id: str, date: dt.date) -> list[dict[str, Any]]:
        """A guide's tasks of a day, those handed over included and those replaced left out, by rank and member."""
        c = tables.contact_task.c
        return self._tasks(sa.and_(c.guide_id == guide_id, c.date == date, c.state != "replaced"))

    def tasks_of_store(self, store_id: str | None, date: dt.date) -> list[dict[str, Any]]:
        """A store's tasks of a day (all stores when None)."""
        c = tables.contact_task.c
        here = [c.store_id == store_id] if store_id is not None else []
        return self._tasks(sa.and_(c.date == date, c.state != "replaced", *here))

    def tasks_of_member(self, member_id: str, since: dt.date) -> list[dict[str, Any]]:
        """A member's tasks from a day on."""
        c = tables.contact_task.c
        return self._tasks(sa.and_(c.member_id == member_id, c.date >= since, c.state != "replaced"))

    def task(self, task_id: str) -> dict[str, Any] | None:
        """One task, or None."""
        found = self._tasks(tables.contact_task.c.task_id == task_id)
        return found[0] if found else None

    def tasks_by_id(self, task_ids: Collection[str]) -> dict[str, dict[str, Any]]:
        """Those of the tasks that there are, by id."""
        return {task["task_id"]: task for task in self._tasks(tables.contact_task.c.task_id.in_(list(task_ids)))}

    def hand_over(self, task_ids: Sequence[str], guide_id: str) -> int:
        """Give un-started tasks to another guide; returns how many went."""
        c = tables.contact_task.c
        with self.writing("lists") as connection:
            return connection.execute(
                tables.contact_task.update()
                .where(c.brand_id == self.brand_id, c.task_id.in_(list(task_ids)), c.state == "pending")
                .values(guide_id=guide_id)
            ).rowcount

    def listed(self, before: dt.date) -> "pd.DataFrame":
        """Every task ever listed before a day: what the uplift model learns from.

        Columns: task_id, list_id, date, guide_id, store_id, member_id, rank, task_type, reason_code, score_yuan,
        propensity, forced, state. Tasks replaced before anyone started them carry state `replaced`.
        """
        c = tables.contact_task.c
        names = (
            *("task_id", "list_id", "date", "guide_id", "store_id", "member_id", "rank", "task_type", "reason_code"),
            *("score_yuan", "propensity", "forced", "state"),
        )
        return self.frame(
            sa.select(*(c[name] for name in names))
            .where(c.brand_id == self.brand_id, c.date < before)
            .order_by(c.date, c.task_id)
        )

    def save_chances(self, date: dt.date, frame: "pd.DataFrame") -> int:
        """Keep the propensities of a day's eligible members who were not listed: what learning compares with.

        `frame` has member_id, guide_id, propensity; saving a day again replaces it.
        """
        c = tables.chance.c
        columns = [frame[name].tolist() for name in ("member_id", "guide_id", "propensity")]
        rows = [
            {"brand_id": self.brand_id, "date": date, "member_id": m, "guide_id": g, "propensity": float(p)}
            for m, g, p in zip(*columns, strict=True)
        ]
        with self.writing() as connection:
            connection.execute(tables.chance.delete().where(c.brand_id == self.brand_id, c.date == date))
            if rows:
                connection.execute(tables.chance.insert(), rows)
        return len(rows)

    def chances(self, before: dt.date) -> "pd.DataFrame":
        """Propensities of members who were eligible and not listed: date, member_id, guide_id, propensity."""
        c = tables.chance.c
        return self.frame(
            sa.select(c.date, c.member_id, c.guide_id, c.propensity)
            .where(c.brand_id == self.brand_id, c.date < before)
            .order_by(c.date, c.member_id)
        )

    def count_listed(self) -> dict[str, int]:
        """How many tasks were ever listed, and how many of them were acted on."""
        c = tables.contact_task.c
        acted = sa.func.sum(sa.case((c.state.not_in(("pending", "replaced")), 1), else_=0))
        wanted = sa.select(sa.func.count(), acted).where(c.brand_id == self.brand_id)
        with self.reading() as connection:
            listed, done = connection.execute(wanted).one()
        return {"listed": int(listed), "acted_on": int(done or 0)}

    def _tasks(self, condition: Any) -> list[dict[str, Any]]:
        c = tables.contact_task.c
        wanted = (
            sa.select(tables.contact_task)
            .where(c.brand_id == self.brand_id, condition)
            .order_by(c.date.desc(), c.rank, c.member_id, c.task_id)
        )
        with self.reading() as connection:
            return [_task_of(row) for row in connection.execute(wanted).mappings()]


def _task_row(task: Any, made: Any, date: dt.date, list_id: str) -> dict[str, Any]:
    payload = {name: value for name in PAYLOAD if (value := _field(task, name)) is not None}
    payload |= dict(_field(task, "payload") or {})
    return {
        "task_id": str(_field(task, "task_id")),
        "list_id": list_id,
        "guide_id": _field(made, "guide_id"),
        "store_id": _field(made, "store_id"),
        "member_id": _field(task, "member_id"),
        "date": date,
        "rank": int(_field(task, "rank") or 0),
        "task_type": _field(task, "kind"),
        "reason_code": _field(task, "reason_code"),
        "score_yuan": _number(_field(task, "score_yuan")),
        "propensity": _number(_field(task, "propensity")),
        "forced": bool(_field(task, "forced") or False),
        "payload_json": _json(payload),
        "state": "pending",
    }


def _list_of(row: Mapping[Any, Any]) -> dict[str, Any]:
    answer = plain_row(row)
    answer["excluded"] = orjson.loads(answer.pop("excluded_json"))
    answer["model_versions"] = orjson.loads(answer.pop("models_json") or "null")
    return answer


def _task_of(row: Mapping[Any, Any]) -> dict[str, Any]:
    answer = plain_row(row)
    answer["payload"] = orjson.loads(answer.pop("payload_json"))
    return answer


def _field(thing: Any, name: str) -> Any:
    return thing.get(name) if isinstance(thing, Mapping) else getattr(thing, name, None)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS, default=_plain).decode()


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    return list(value)


_L = tables.contact_list.c
_NEWEST_OF_ALL = sa.select(sa.func.max(_L.date)).where(
    _L.brand_id == sa.bindparam("brand"), _L.date <= sa.bindparam("not_after", type_=sa.Date)
)
_NEWEST_OF_GUIDE = _NEWEST_OF_ALL.where(_L.guide_id == sa.bindparam("guide"))
