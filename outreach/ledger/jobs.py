"""The book of jobs and rules: work asked for that survives a restart, and the brand's rules with their history."""

import datetime as dt
import secrets
from collections.abc import Mapping
from typing import Any

import orjson
import sqlalchemy as sa

from outreach.ledger import tables
from outreach.ledger.core import LedgerCore, plain_row

# A worker says every so often that it is still at its job; one that has not for the length of a lease is taken for dead,
# and its job may be claimed again.
HEARTBEAT = dt.timedelta(seconds=30)
LEASE = dt.timedelta(minutes=2)
# A job that has failed this often with its worker dying is given up.
ATTEMPTS = 5


class JobBook(LedgerCore):
    """Jobs and rules."""

    def ask_job(
        self, kind: str, request: Mapping[str, Any], *, idempotency_key: str, actor: str, at: dt.datetime
    ) -> tuple[dict[str, Any], bool]:
        """Ask for a job; the same key gives the job asked for before. Returns it and whether the requests agree."""
        text = orjson.dumps(dict(request), option=orjson.OPT_SORT_KEYS).decode()
        row = {
            "brand_id": self.brand_id,
            "job_id": f"job_{secrets.token_hex(8)}",
            "kind": kind,
            "idempotency_key": idempotency_key,
            "request_json": text,
            "state": "waiting",
            "requested_by": actor,
            "created_at": at,
            "attempts": 0,
        }
        c = tables.job.c
        with self.writing("jobs") as connection:
            self.insert_new(connection, tables.job, [row])
            found = (
                connection.execute(
                    sa.select(tables.job).where(
                        c.brand_id == self.brand_id, c.kind == kind, c.idempotency_key == idempotency_key
                    )
                )
                .mappings()
                .one()
            )
            return _job_of(found), found["request_json"] == text

    def claim_job(self, kind: str, *, at: dt.datetime) -> dict[str, Any] | None:
        """Take the oldest waiting job, or one whose worker died; None where there is nothing to do."""
        c = tables.job.c
        with self.writing("jobs") as connection:
            wanted = (
                sa.select(tables.job)
                .where(
                    c.brand_id == self.brand_id,
                    c.kind == kind,
                    sa.or_(c.state == "waiting", sa.and_(c.state == "running", c.started_at < at - LEASE)),
                )
                .order_by(c.created_at, c.job_id)
                .limit(1)
                .with_for_update(skip_locked=True)
            )
            row = connection.execute(wanted).mappings().first()
            if row is None:
                return None
            state = "running" if row["attempts"] < ATTEMPTS else "failed"
            connection.execute(
                tables.job.update()
                .where(c.brand_id == self.brand_id, c.job_id == row["job_id"])
                .values(state=state, started_at=at, attempts=row["attempts"] + 1)
            )
        return self.job(row["job_id"]) if state == "running" else None

    def finish_job(self, job_id: str, *, at: dt.datetime, result: Mapping[str, Any], failed: bool = False) -> None:
        """Note what became of a job."""
        c = tables.job.c
        with self.writing("jobs") as connection:
            connection.execute(
                tables.job.update()
                .where(c.brand_id == self.brand_id, c.job_id == job_id)
                .values(
                    state="failed" if failed else "done",
                    finished_at=at,
                    result_json=orjson.dumps(dict(result)).decode(),
                )
            )

    def keep_job(self, job_id: str, *, at: dt.datetime) -> None:
        """Say that the worker is still at a job."""
        c = tables.job.c
        with self.writing("jobs") as connection:
            connection.execute(
                tables.job.update()
                .where(c.brand_id == self.brand_id, c.job_id == job_id, c.state == "running")
                .values(started_at=at)
            )

    def job(self, job_id: str) -> dict[str, Any] | None:
        """One job, or None."""
        c = tables.job.c
        with self.reading() as connection:
            row = (
                connection.execute(sa.select(tables.job).where(c.brand_id == self.brand_id, c.job_id == job_id))
                .mappings()
                .first()
            )
        return None if row is None else _job_of(row)

    def any_job(self) -> bool:
        """Whether any job waits or runs."""
        return bool(self.rows(_ANY, {"brand": self.brand_id}))

    def running_jobs(self, kind: str) -> list[dict[str, Any]]:
        """Jobs of a kind that wait or run."""
        c = tables.job.c
        wanted = sa.select(tables.job).where(
            c.brand_id == self.brand_id, c.kind == kind, c.state.in_(("waiting", "running"))
        )
        with self.reading() as connection:
            return [_job_of(row) for row in connection.execute(wanted.order_by(c.created_at, c.job_id)).mappings()]

    def put_rules(self, values: Mapping[str, Any], *, actor: str, at: dt.datetime) -> None:
        """Set rules; each change is a new version and the old ones stay."""
        c = tables.rule.c
        with self.writing("rules") as connection:
            for name, value in sorted(values.items()):
                newest = connection.execute(
                    sa.select(sa.func.max(c.version)).where(c.brand_id == self.brand_id, c.name == name)
                ).scalar()
                connection.execute(
                    tables.rule.insert(),
                    {
                        "brand_id": self.brand_id,
                        "name": name,
                        "version": (newest or 0) + 1,
                        "value_json": orjson.dumps(value).decode(),
                        "at": at,
                        "actor": actor,
                    },
                )

    def rules(self) -> dict[str, Any]:
        """The rules in force: name -> value."""
        c = tables.rule.c
        wanted = sa.select(c.name, c.value_json).where(c.brand_id == self.brand_id).order_by(c.name, c.version)
        with self.reading() as connection:
            return {name: orjson.loads(value) for name, value in connection.execute(wanted)}

    def save_report(self, name: str, date: dt.date, body: Mapping[str, Any]) -> None:
        """Keep a summary of a day under a name (as `contact_experiment`); saving it again replaces it."""
        row = {"brand_id": self.brand_id, "name": name, "date": date, "body_json": orjson.dumps(dict(body)).decode()}
        with self.writing("reports") as connection:
            self.put(connection, tables.report, [row])

    def newest_report(self, name: str, *, not_after: dt.date | None = None) -> tuple[dt.date, dict[str, Any]] | None:
        """The newest summary of a name (not after a day, where one is given) with its day, or None."""
        c = tables.report.c
        wanted = sa.select(c.date, c.body_json).where(c.brand_id == self.brand_id, c.name == name)
        if not_after is not None:
            wanted = wanted.where(c.date <= not_after)
        with self.reading() as connection:
            row = connection.execute(wanted.order_by(c.date.desc()).limit(1)).first()
        return None if row is None else (row.date, orjson.loads(row.body_json))


_ANY = (
    sa.select(tables.job.c.job_id)
    .where(
        tables.job.c.brand_id == sa.bindparam("brand"),
        sa.or_(tables.job.c.state == "waiting", tables.job.c.state == "running"),
    )
    .limit(1)
)


def _job_of(row: Mapping[Any, Any]) -> dict[str, Any]:
    answer = plain_row(row)
    answer["request"] = orjson.loads(answer.pop("request_json"))
    answer["result"] = orjson.loads(answer.pop("result_json") or "null")
    return answer
