"""The book of consents: who agreed to what, who opted out of what, and the answer for one member on the next call."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from features.errors import InputError
from outreach.ledger import tables
from outreach.ledger.core import LedgerCore

if TYPE_CHECKING:
    import pandas as pd

PURPOSES = (
    "service",
    "personalised_recommendation",
    "marketing_wecom",
    "marketing_sms",
    "marketing_call",
    "profile_cross_brand",
    "share_ads",
    "chat_archive",
)
STATES = ("granted", "refused", "withdrawn")
# What holds where a member has said nothing. marketing_wecom follows friendship, which the tables know: granted here.
DEFAULTS = {purpose: purpose in ("service", "personalised_recommendation", "marketing_wecom") for purpose in PURPOSES}
CHANNELS = {"wecom": "marketing_wecom", "sms": "marketing_sms", "call": "marketing_call"}
# A block of these kinds never ends by itself.
LASTING = ("do_not_contact", "complaint", "wrong_person", "unfriended")


@dataclass(frozen=True)
class Standing:
    """What a member has said and what keeps them off lists, as of one moment.

    said: purpose -> granted, for the purposes on which the ledger has a word of the member; blocks: kinds in force.
    """

    said: Mapping[str, bool]
    blocks: tuple[str, ...]

    @property
    def consents(self) -> dict[str, bool]:
        """Every purpose, with the default where the member has said nothing."""
        return {**DEFAULTS, **self.said}

    @property
    def personalised(self) -> bool:
        """Whether the member may be given anything chosen for them by a model."""
        return self.said.get("service", True) and self.said.get("personalised_recommendation", True)

    def open_channels(self, possible: Sequence[str]) -> list[str]:
        """Those of the channels that the member has not refused; names as the contract's (wecom_1v1, sms, call_human)."""
        return [name for name in possible if self.said.get(CHANNELS.get(name.split("_")[0], ""), True)]


NOTHING_SAID = Standing({}, ())


@dataclass(frozen=True)
class Closed:
    """Of many members: who is blocked at the moment, who wants nothing chosen by a model, who no chat, and who takes calls."""

    blocked: frozenset[str]
    impersonal: frozenset[str]
    no_chat: frozenset[str]
    calls: frozenset[str]


class ConsentBook(LedgerCore):
    """Consents with their history, and blocks (opt-outs) with their cause."""

    def put_consents(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep consents. Keys of a row: member_id, purpose, state, at; optional policy_version, evidence_ref, source.

        Raises InputError for an unknown purpose or state.
        """
        for row in rows:
            if row["purpose"] not in PURPOSES or row["state"] not in STATES:
                raise InputError(
                    f"consents: purpose {row['purpose']!r} with state {row['state']!r}; "
                    f"expected a purpose of {list(PURPOSES)} and a state of {list(STATES)}"
                )
        full = [
            {"policy_version": None, "evidence_ref": None, "source": None} | dict(row) | {"brand_id": self.brand_id}
            for row in rows
        ]
        with self.writing("consents") as connection:
            self.put(connection, tables.consent, full)

    def consents(self) -> "pd.DataFrame":
        """All consents ever noted: member_id, purpose, state, at, policy_version, evidence_ref, source."""
        c = tables.consent.c
        columns = (c.member_id, c.purpose, c.state, c.at, c.policy_version, c.evidence_ref, c.source)
        return self.frame(
            sa.select(*columns).where(c.brand_id == self.brand_id).order_by(c.member_id, c.purpose, c.at)
        )

    def block(self, member_id: str, kind: str, source_id: str, since: dt.datetime, until: dt.datetime | None) -> None:
        """Keep a member off lists for a reason; `until` None lasts until lifted."""
        row = {"member_id": member_id, "kind": kind, "source_id": source_id, "since": since, "until": until}
        with self.writing("consents") as connection:
            self.put(connection, tables.opt_out, [row | {"brand_id": self.brand_id}])

    def lift(self, member_id: str, kind: str) -> int:
        """Lift every block of one kind (a complaint settled, a friend again); returns how many there were."""
        c = tables.opt_out.c
        with self.writing("consents") as connection:
            return connection.execute(
                tables.opt_out.delete().where(c.brand_id == self.brand_id, c.member_id == member_id, c.kind == kind)
            ).rowcount

    def opt_outs(self) -> "pd.DataFrame":
        """Who is off lists until further notice: member_id, kind (contact or personalisation), at, cause.

        Causes are the lasting blocks, and the purposes (`service`, `personalised_recommendation`) whose newest word is
        a refusal. Blocks that end by themselves (a refusal, a snooze) are outcomes of `contacts`, not opt-outs.
        """
        import pandas as pd

        c = tables.opt_out.c
        blocks = self.frame(
            sa.select(c.member_id, c.since.label("at"), c.kind.label("cause"))
            .where(c.brand_id == self.brand_id, c.until.is_(None))
            .order_by(c.member_id, c.kind, c.since)
        )
        said = self.consents().drop_duplicates(["member_id", "purpose"], keep="last")
        wide = said["purpose"].isin(["service", "personalised_recommendation"])
        refused = said[wide & (said["state"] != "granted")].rename(columns={"purpose": "cause"})
        parts = [part[["member_id", "at", "cause"]] for part in (blocks, refused) if len(part)]
        both = pd.concat(parts, ignore_index=True) if parts else blocks
        impersonal = both["cause"] == "personalised_recommendation"
        both = both.assign(kind=impersonal.map({True: "personalisation", False: "contact"}))
        return both.sort_values(["member_id", "cause", "at"], ignore_index=True)

    def standing(self, member_id: str, at: dt.datetime) -> Standing:
        """One member's standing at a moment, read afresh on every call: an opt-out works on the next one."""
        key = {"brand": self.brand_id, "member": member_id}
        said = {purpose: state == "granted" for purpose, state in self.rows(_CONSENTS, key)}
        blocks = self.rows(_BLOCKS, key | {"at": self._time(at)})
        return Standing(said, tuple(kind for (kind,) in blocks))

    def standings(self, member_ids: Sequence[str], at: dt.datetime) -> dict[str, Standing]:
        """Many members' standing in two reads; members nobody has heard of have said nothing."""
        wanted = list(dict.fromkeys(member_ids))
        consents: dict[str, dict[str, bool]] = {}
        blocks: dict[str, list[str]] = {}
        c, o = tables.consent.c, tables.opt_out.c
        with self.reading() as connection:
            for some in _chunks(wanted):
                said = sa.select(c.member_id, c.purpose, c.state).where(
                    c.brand_id == self.brand_id, c.member_id.in_(some)
                )
                for member, purpose, state in connection.execute(said.order_by(c.at)):
                    consents.setdefault(member, {})[purpose] = state == "granted"
                held = sa.select(o.member_id, o.kind).where(
                    o.brand_id == self.brand_id, o.member_id.in_(some), sa.or_(o.until.is_(None), o.until > at)
                )
                for member, kind in connection.execute(held.order_by(o.member_id, o.kind)):
                    blocks.setdefault(member, []).append(kind)
        return {m: Standing(consents.get(m, {}), tuple(blocks.get(m, ()))) for m in wanted}

    def closed(self, member_ids: Sequence[str], at: dt.datetime) -> Closed:
        """Who of many members may not be told of an item, in two reads whose rows are only those who ever said something."""
        wanted = list(dict.fromkeys(member_ids))
        said: dict[tuple[str, str], bool] = {}
        blocked: set[str] = set()
        c, o = tables.consent.c, tables.opt_out.c
        with self.reading() as connection:
            for some in _chunks(wanted):
                words = sa.select(c.member_id, c.purpose, c.state).where(
                    c.brand_id == self.brand_id, c.member_id.in_(some)
                )
                for member, purpose, state in connection.execute(words.order_by(c.at)):
                    said[member, purpose] = state == "granted"
                held = sa.select(o.member_id).where(
                    o.brand_id == self.brand_id, o.member_id.in_(some), sa.or_(o.until.is_(None), o.until > at)
                )
                blocked |= {member for (member,) in connection.execute(held)}

        def with_word(word: bool, *purposes: str) -> frozenset[str]:
            return frozenset(
                member for (member, purpose), granted in said.items() if purpose in purposes and granted is word
            )

        return Closed(
            blocked=frozenset(blocked),
            impersonal=with_word(False, "service", "personalised_recommendation"),
            no_chat=with_word(False, "marketing_wecom"),
            calls=with_word(True, "marketing_call"),
        )

    def _time(self, at: dt.datetime) -> Any:
        """A time as the driver wants it: SQLAlchemy writes SQLite times as text with microseconds."""
        return at if self.engine.dialect.name == "postgresql" else at.strftime("%Y-%m-%d %H:%M:%S.%f")


def _chunks(ids: list[str], size: int = 500) -> list[list[str]]:
    return [ids[start : start + size] for start in range(0, len(ids), size)]


_CONSENTS = (
    sa.select(tables.consent.c.purpose, tables.consent.c.state)
    .where(tables.consent.c.brand_id == sa.bindparam("brand"), tables.consent.c.member_id == sa.bindparam("member"))
    .order_by(tables.consent.c.at)
)
_BLOCKS = (
    sa.select(tables.opt_out.c.kind)
    .where(
        tables.opt_out.c.brand_id == sa.bindparam("brand"),
        tables.opt_out.c.member_id == sa.bindparam("member"),
        sa.or_(tables.opt_out.c.until.is_(None), tables.opt_out.c.until > sa.bindparam("at")),
    )
    .order_by(tables.opt_out.c.kind)
)
