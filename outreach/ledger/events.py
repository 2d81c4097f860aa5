"""The book of events: purchases, returns, views and stock as they happen, what was shown to whom, and who looked."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson
import sqlalchemy as sa

from outreach.ledger import tables
from outreach.ledger.core import LedgerCore, plain_row
from outreach.ledger.outcomes import body_digest

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("order", "return", "view", "stock")
# The name under which the summary of the exposure log is kept.
EXPOSURE_REPORT = "recommendations"


class EventBook(LedgerCore):
    """Events, stock, exposures and the audit trail."""

    def note_events(self, bodies: Sequence[Mapping[str, Any]], *, received_at: dt.datetime) -> list[str]:
        """Note events in one transaction; per body `created`, `known` (same id and body) or `conflict`.

        Keys of a body: event_id, kind (of `KINDS`), at; member_id, item_id, store_id, qty as the kind needs.
        A stock event sets the stock of an item in a store to qty, unless a later one is known.
        """
        answers = []
        c = tables.event.c
        kinds = {"stock" if body["kind"] == "stock" else "events" for body in bodies}
        with self.writing(*kinds) as connection:
            for body in bodies:
                digest = body_digest(body)
                before = connection.execute(
                    sa.select(c.body_digest).where(c.brand_id == self.brand_id, c.event_id == body["event_id"])
                ).scalar()
                if before is not None:
                    answers.append("known" if before == digest else "conflict")
                    continue
                names = ("event_id", "kind", "at", "member_id", "item_id", "store_id", "qty")
                row = {name: body.get(name) for name in names}
                for name in ("member_id", "item_id", "store_id"):
                    row[name] = row[name] or ""
                connection.execute(
                    tables.event.insert(),
                    row | {"brand_id": self.brand_id, "body_digest": digest, "received_at": received_at},
                )
                if body["kind"] == "stock":
                    self._set_stock(connection, body)
                answers.append("created")
        return answers

    def _set_stock(self, connection: sa.Connection, body: Mapping[str, Any]) -> None:
        statement = self._insert(tables.stock).values(
            brand_id=self.brand_id,
            store_id=body["store_id"],
            item_id=body["item_id"],
            qty=body.get("qty") or 0.0,
            at=body["at"],
        )
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["brand_id", "store_id", "item_id"],
                set_={"qty": statement.excluded.qty, "at": statement.excluded["at"]},
                where=tables.stock.c["at"] <= statement.excluded["at"],
            )
        )

    def put_counts(self, rows: Sequence[tuple[str, str, float, dt.date]]) -> int:
        """Keep counts of stock: (store_id, item_id, qty, day); what an event said on or after that day wins.

        Nothing to keep raises no revision. Returns how many counts there were.
        """
        if not rows:
            return 0
        statement = self._insert(tables.stock)
        full = [
            {
                "brand_id": self.brand_id,
                "store_id": s,
                "item_id": i,
                "qty": float(q),
                "at": dt.datetime.combine(d, dt.time()),
            }
            for s, i, q, d in rows
        ]
        with self.writing("stock") as connection:
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["brand_id", "store_id", "item_id"],
                    set_={"qty": statement.excluded.qty, "at": statement.excluded["at"]},
                    where=tables.stock.c["at"] < statement.excluded["at"],
                ),
                full,
            )
        return len(full)

    def all_sold_out(self) -> "pd.DataFrame":
        """Every item that a store was said to have none of: store_id, item_id, at."""
        c = tables.stock.c
        wanted = sa.select(c.store_id, c.item_id, c["at"]).where(c.brand_id == self.brand_id, c.qty <= 0)
        return self.frame(wanted.order_by(c.store_id, c.item_id))

    def bought(self, member_ids: Sequence[str], since: dt.datetime) -> set[str]:
        """Those of the members with an order event at or after a moment."""
        c = tables.event.c
        wanted = sa.select(c.member_id).where(
            c.brand_id == self.brand_id, c.member_id.in_(list(member_ids)), c.kind == "order", c["at"] >= since
        )
        with self.reading() as connection:
            return {member for (member,) in connection.execute(wanted)}

    def buyers_since(self, item_id: str, member_ids: Sequence[str], since: dt.datetime) -> set[str]:
        """Those of the members with an order or a return of an item at or after a moment."""
        c = tables.event.c
        found: set[str] = set()
        with self.reading() as connection:
            for start in range(0, len(member_ids), 500):
                wanted = sa.select(c.member_id).where(
                    c.brand_id == self.brand_id,
                    c.member_id.in_(list(member_ids[start : start + 500])),
                    c.kind.in_(("order", "return")),
                    c.item_id == item_id,
                    c["at"] >= since,
                )
                found |= {member for (member,) in connection.execute(wanted)}
        return found

    def sold_out(self, store_id: str) -> set[str]:
        """Items that a store was said to have none of."""
        return {item for (item,) in self.rows(_SOLD_OUT, {"brand": self.brand_id, "store": store_id})}

    def note_exposures(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep what was shown: request_id, at, member_id, store_id, slate, personalised, release_id, items in order;

        optional role, model, rungs and propensities (one a place), explore_share.
        """
        full = []
        for row in rows:
            absent: dict[str, Any] = dict.fromkeys(("role", "model", "explore_share"))
            kept = absent | dict(row) | {"brand_id": self.brand_id}
            for name in ("items", "rungs", "propensities"):
                kept[f"{name}_json"] = orjson.dumps(list(kept.pop(name, ()))).decode()
            full.append(kept)
        with self.writing() as connection:
            self.insert_new(connection, tables.exposure, full)

    def exposures(self, before: dt.date, since: dt.date = dt.date.min) -> "pd.DataFrame":
        """What was shown from a day on and before another, with the columns of `note_exposures`.

        Rows of versions that did not log a place's rung and chance have "" and 1 there, and an explore_share of 0.
        """
        c = tables.exposure.c
        names = ("request_id", "at", "member_id", "store_id", "slate", "personalised", "release_id", "role", "model")
        lists = ("items", "rungs", "propensities")
        frame = self.frame(
            sa.select(*(c[name] for name in (*names, "explore_share")), *(c[f"{name}_json"] for name in lists))
            .where(c.brand_id == self.brand_id, c["at"] < dt.datetime.combine(before, dt.time()))
            .where(c["at"] >= dt.datetime.combine(since, dt.time()))
            .order_by(c["at"], c.request_id)
        )
        for name in lists:
            frame[name] = [orjson.loads(text) if text else [] for text in frame.pop(f"{name}_json")]
        for name, empty in (("rungs", ""), ("propensities", 1.0)):
            frame[name] = [
                found if len(found) == len(items) else [empty] * len(items)
                for found, items in zip(frame[name], frame["items"], strict=True)
            ]
        for name, empty in (("role", ""), ("model", ""), ("explore_share", 0.0)):
            frame[name] = [empty if value is None or value != value else value for value in frame[name]]
        return frame

    def count_exposures(self, at_most: int = 1_000) -> int:
        """How many lists were ever shown, counted up to `at_most`: the log may be long."""
        some = sa.select(tables.exposure.c.request_id).where(tables.exposure.c.brand_id == self.brand_id)
        with self.reading() as connection:
            wanted = sa.select(sa.func.count()).select_from(some.limit(at_most).subquery())
            return int(connection.execute(wanted).scalar() or 0)

    def item_events(self, since: dt.date, before: dt.date) -> "pd.DataFrame":
        """Views and orders of items by members: member_id, item_id, kind, at."""
        c = tables.event.c
        return self.frame(
            sa.select(c.member_id, c.item_id, c.kind, c["at"])
            .where(c.brand_id == self.brand_id, c.kind.in_(("view", "order")), c.member_id != "", c.item_id != "")
            .where(c["at"] >= dt.datetime.combine(since, dt.time()))
            .where(c["at"] < dt.datetime.combine(before, dt.time()))
            .order_by(c["at"], c.event_id)
        )

    def note_audit(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep who looked at what: at, actor (token id), role, action, member_id, detail."""
        full = [{"member_id": "", "detail": None} | dict(row) | {"brand_id": self.brand_id} for row in rows]
        with self.writing() as connection:
            if full:
                connection.execute(tables.audit.insert(), full)

    def audit_trail(self, *, member_id: str | None = None, since: dt.datetime | None = None) -> list[dict[str, Any]]:
        """Audit rows, oldest first, of one member or since a moment."""
        c = tables.audit.c
        conditions = [c.brand_id == self.brand_id]
        if member_id is not None:
            conditions.append(c.member_id == member_id)
        if since is not None:
            conditions.append(c["at"] >= since)
        names = ["audit_id", "at", "actor", "role", "action", "member_id", "detail"]
        wanted = sa.select(*(c[name] for name in names)).where(*conditions).order_by(c.audit_id)
        with self.reading() as connection:
            return [plain_row(row) for row in connection.execute(wanted).mappings()]


_S = tables.stock.c
_SOLD_OUT = sa.select(_S.item_id).where(
    _S.brand_id == sa.bindparam("brand"), _S.store_id == sa.bindparam("store"), _S.qty <= 0
)
