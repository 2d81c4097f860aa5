"""What the ledger says now, quickly: answers kept as long as nothing was written that could change them.

A call takes one `Live` view, which looks at the ledger's revisions once; whatever was kept under other revisions is read
again. So an opt-out, a revoked token or a changed rule holds on the next call of every worker, though most calls read
no table at all. On SQLite the look is `PRAGMA data_version`, which another connection's commit changes; on PostgreSQL it
is one small query.
"""

import datetime as dt
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa

from outreach.ledger import tables
from outreach.ledger.consents import Standing
from outreach.ledger.ledger import Ledger
from outreach.ledger.tokens import TokenHolder, TokenKept, token_hash

# A row changed by hand, past Huitou's own writers, is seen after at most this long.
KEPT_SECONDS = 5.0
# Answers kept per kind; when there are more, all are dropped and read again as they are asked for.
MOST_KEPT = 5_000
# Views of a member that a list looks at.
NEWEST_VIEWS = 30

Kept = TypeVar("Kept")


class Happened(NamedTuple):
    """An event of a member and an item: kind is order, return or view; qty in pieces, 1 where nothing was told."""

    at: dt.datetime
    kind: str
    item_id: str
    qty: float = 1.0


@dataclass(frozen=True, slots=True)
class MemberNow:
    """What the ledger holds of a member that an answer must obey.

    said: purpose -> granted; blocks: kind and end (None: until lifted); happened: orders, returns and the newest views of
    items, newest first.
    """

    said: dict[str, bool]
    blocks: tuple[tuple[str, dt.datetime | None], ...]
    happened: tuple[Happened, ...]
    forgotten: bool

    def standing(self, at: dt.datetime) -> Standing:
        """The member's standing at a moment."""
        return Standing(self.said, tuple(kind for kind, until in self.blocks if until is None or until > at))


class Shelf:
    """Answers of one kind, good under one stamp (revisions and a few seconds)."""

    def __init__(self) -> None:
        self._kept: tuple[Hashable, dict[Hashable, Any]] = (None, {})

    def get(self, stamp: Hashable, key: Hashable, read: Callable[[], Kept]) -> Kept:
        """The answer to `key`, read where it is not known under this stamp.

        The stamp was taken before the reading, so an answer is never older than its stamp says.
        """
        held, answers = self._kept
        if held != stamp or len(answers) > MOST_KEPT:
            answers = {}
            self._kept = (stamp, answers)
        found: Kept | None = answers.get(key)
        if found is None:
            found = answers[key] = read()
        return found


class LiveLedger:
    """A ledger's answers for the calls of one process."""

    def __init__(self, ledger: Ledger, clock: Callable[[], float] = time.monotonic) -> None:
        self.ledger = ledger
        self._clock = clock
        self.tokens, self.members, self.stock, self.lists = Shelf(), Shelf(), Shelf(), Shelf()

    @cached_property
    def nothing(self) -> "Live":
        """The view of a call that needs nothing of the ledger."""
        return Live(self, {}, -1)

    def look(self) -> "Live":
        """The view for one call."""
        return Live(self, self.ledger.revisions(), int(self._clock() / KEPT_SECONDS))


class Live:
    """The ledger as one call sees it."""

    __slots__ = ("_of", "_spell", "revisions")

    def __init__(self, of: LiveLedger, revisions: dict[str, int], spell: int) -> None:
        self._of, self.revisions, self._spell = of, revisions, spell

    def stamp(self, *kinds: str) -> Hashable:
        """What must be equal for something kept to be still true, where it depends on these kinds of state."""
        return (self._of.ledger.brand_id, *(self.revisions.get(kind, 0) for kind in kinds))

    def _stamp(self, *kinds: str) -> Hashable:
        return (self._spell, self.stamp(*kinds))

    def holder(self, clear: str, at: dt.datetime) -> TokenHolder | None:
        """Who holds a token, or None where it is unknown, expired or revoked."""
        digest = token_hash(clear)
        ledger = self._of.ledger
        kept = self._of.tokens.get(self._stamp("tokens"), digest, lambda: ledger.token_kept(digest) or UNKNOWN)
        return kept.holder_at(at)

    def member(self, member_id: str) -> MemberNow:
        """What the ledger holds of a member."""
        stamp = self._stamp("consents", "events")
        return self._of.members.get(stamp, member_id, lambda: read_member(self._of.ledger, member_id))

    def sold_out(self, store_id: str) -> set[str]:
        """Items that a store was said to have none of."""
        return self._of.stock.get(self._stamp("stock"), store_id, lambda: self._of.ledger.sold_out(store_id))

    def newest_date(self, guide_id: str | None, until: dt.date) -> dt.date | None:
        """The newest day up to `until` that has a list (of a guide, or of anyone)."""
        ledger = self._of.ledger
        found = self._of.lists.get(
            self._stamp("lists"), (guide_id, until), lambda: (ledger.newest_date(guide_id, until),)
        )
        return found[0]


UNKNOWN = TokenKept(None, None, None)


def read_member(ledger: Ledger, member_id: str) -> MemberNow:
    """What the ledger holds of a member, in one statement."""
    values = {"brand": ledger.brand_id, "member": member_id, "mark": ledger.member_mark(member_id)}
    said: dict[str, tuple[Any, bool]] = {}
    blocks: list[tuple[str, dt.datetime | None]] = []
    happened: list[Happened] = []
    forgotten = False
    for part, name, state, when, qty in ledger.rows(_MEMBER, values):
        if part == _SAID:
            # The newest word of each purpose holds.
            if name not in said or said[name][0] <= when:
                said[name] = (when, state == "granted")
        elif part == _BLOCK:
            blocks.append((name, dt.datetime.fromisoformat(when) if isinstance(when, str) else when))
        elif part == _HAPPENED:
            at = dt.datetime.fromisoformat(when) if isinstance(when, str) else when
            happened.append(Happened(at, state, name, 1.0 if qty is None else float(qty)))
        else:
            forgotten = True
    return MemberNow(
        {purpose: granted for purpose, (_, granted) in said.items()},
        tuple(sorted(blocks, key=lambda block: block[0])),
        tuple(sorted(happened, reverse=True)),
        forgotten,
    )


_SAID, _BLOCK, _HAPPENED, _FORGOTTEN = range(4)


def _member_statement() -> Any:
    c, o, e, f = tables.consent.c, tables.opt_out.c, tables.event.c, tables.forgotten.c
    brand: Any = sa.bindparam("brand")
    member: Any = sa.bindparam("member")
    mark: Any = sa.bindparam("mark")

    unsaid: Any = sa.cast(sa.null(), sa.Float)

    def part(number: int, name: Any, state: Any, when: Any, qty: Any = unsaid) -> Any:
        return sa.select(
            sa.literal_column(str(number)).label("part"),
            sa.type_coerce(name, sa.Text).label("name"),
            sa.type_coerce(state, sa.Text).label("state"),
            sa.type_coerce(when, sa.DateTime).label("at"),
            sa.type_coerce(qty, sa.Float).label("qty"),
        )

    views = (
        part(_HAPPENED, e.item_id, e.kind, e["at"])
        .where(e.brand_id == brand, e.member_id == member, e.kind == "view", e.item_id != "")
        .order_by(e["at"].desc())
        .limit(sa.literal_column(str(NEWEST_VIEWS)))
        .subquery("views")
    )
    nothing: Any = sa.literal_column("''")
    never: Any = sa.cast(sa.null(), sa.DateTime)
    parts = [
        part(_SAID, c.purpose, c.state, c.at).where(c.brand_id == brand, c.member_id == member),
        part(_BLOCK, o.kind, nothing, o.until).where(o.brand_id == brand, o.member_id == member),
        part(_HAPPENED, e.item_id, e.kind, e["at"], e.qty).where(
            e.brand_id == brand, e.member_id == member, sa.or_(e.kind == "order", e.kind == "return"), e.item_id != ""
        ),
        sa.select(views),
        part(_FORGOTTEN, nothing, nothing, never).where(f.brand_id == brand, f.member_mark == mark),
    ]
    return sa.union_all(*parts)


_MEMBER = _member_statement()
