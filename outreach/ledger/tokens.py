"""The book of tokens: who may call the service and as what; only hashes are kept, the clear token is shown once."""

import datetime as dt
import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from features.errors import InputError
from outreach.ledger import tables
from outreach.ledger.core import LedgerCore, plain_row

ROLES = ("guide", "manager", "operator", "app", "analyst", "admin")
# What a role's token must name: a guide sees own members, a manager own store.
NEEDS = {"guide": "subject", "manager": "store_id"}
PREFIX = "ht_"


@dataclass(frozen=True)
class TokenHolder:
    """Who stands behind a token."""

    token_id: str
    role: str
    subject: str
    store_id: str


@dataclass(frozen=True, slots=True)
class TokenKept:
    """A token's row: its holder (None: no such token) and when it ends."""

    holder: TokenHolder | None
    expires_at: dt.datetime | None
    revoked_at: dt.datetime | None

    def holder_at(self, at: dt.datetime) -> TokenHolder | None:
        """The holder, unless the token was revoked or has expired."""
        ended = self.revoked_at is not None or (self.expires_at is not None and self.expires_at <= at)
        return None if ended else self.holder


class TokenBook(LedgerCore):
    """Tokens, hashed."""

    def create_token(
        self,
        role: str,
        *,
        subject: str = "",
        store_id: str = "",
        label: str = "",
        at: dt.datetime,
        expires_at: dt.datetime | None = None,
    ) -> str:
        """Make a token and return it in clear, this once.

        Args:
            role: one of guide, manager, operator, app, analyst, admin.
            subject: the guide's id for a guide; free for others (an app's or a person's name).
            store_id: the store of a manager (and of a guide, where known).
        """
        if role not in ROLES:
            raise InputError(f"token: role {role!r} is not known; expected one of {list(ROLES)}")
        needed = NEEDS.get(role)
        if needed and not {"subject": subject, "store_id": store_id}[needed]:
            option = {"subject": "--guide", "store_id": "--store"}[needed]
            raise InputError(f"token: role {role!r} needs {option}, the id whose members it may see")
        clear = PREFIX + secrets.token_urlsafe(24)
        row = {
            "brand_id": self.brand_id,
            "token_id": f"tok_{secrets.token_hex(6)}",
            "token_hash": token_hash(clear),
            "role": role,
            "subject": subject,
            "store_id": store_id,
            "label": label,
            "created_at": at,
            "expires_at": expires_at,
        }
        with self.writing("tokens") as connection:
            connection.execute(tables.token.insert(), row)
        return clear

    def holder(self, clear: str, at: dt.datetime) -> TokenHolder | None:
        """Who holds a token, or None where it is unknown, expired or revoked; read afresh on every call."""
        kept = self.token_kept(token_hash(clear))
        return kept.holder_at(at) if kept else None

    def token_kept(self, digest: str) -> TokenKept | None:
        """The row of a token by its hash, or None where there is none."""
        found = self.rows(_HOLDER, {"brand": self.brand_id, "hash": digest})
        if not found:
            return None
        token_id, role, subject, store_id, *ends = found[0]
        expires, revoked = (dt.datetime.fromisoformat(end) if isinstance(end, str) else end for end in ends)
        return TokenKept(TokenHolder(token_id, role, subject or "", store_id or ""), expires, revoked)

    def tokens(self) -> list[dict[str, Any]]:
        """All tokens without their hashes, newest first."""
        c = tables.token.c
        names = ["token_id", "role", "subject", "store_id", "label", "created_at", "expires_at", "revoked_at"]
        wanted = sa.select(*(c[name] for name in names)).where(c.brand_id == self.brand_id)
        with self.reading() as connection:
            return [
                plain_row(row)
                for row in connection.execute(wanted.order_by(c.created_at.desc(), c.token_id)).mappings()
            ]

    def revoke_token(self, token_id: str, *, at: dt.datetime) -> None:
        """Revoke a token by its id; it fails from the next call on. Raises InputError where there is none."""
        c = tables.token.c
        with self.writing("tokens") as connection:
            changed = connection.execute(
                tables.token.update()
                .where(c.brand_id == self.brand_id, c.token_id == token_id, c.revoked_at.is_(None))
                .values(revoked_at=at)
            ).rowcount
        if not changed:
            raise InputError(f"token: no live token {token_id!r}; `huitou token list` shows them")


def token_hash(clear: str) -> str:
    """SHA-256 of a token: tokens hold 192 random bits, so a slow hash would add nothing."""
    return hashlib.sha256(clear.encode()).hexdigest()


_T = tables.token.c
_HOLDER = sa.select(_T.token_id, _T.role, _T.subject, _T.store_id, _T.expires_at, _T.revoked_at).where(
    _T.token_hash == sa.bindparam("hash"), _T.brand_id == sa.bindparam("brand")
)
