"""Forgetting a member from the service: the ledger at once, the releases rewritten, and a receipt."""

import secrets
from typing import Any

from serving.access import Caller
from serving.errors import not_found
from serving.runtime import Runtime


def forget_member(runtime: Runtime, caller: Caller, member_id: str) -> dict[str, Any]:
    """Forget a member everywhere the service can reach. Raises 404 where nothing is known of the id."""
    known_now = runtime.releases.ready and runtime.served.release.index(member_id) is not None
    runtime.journal.flush()
    held = any(runtime.ledger.export(member_id).values())
    if not known_now and not held:
        raise not_found("member", member_id)
    at = runtime.now()
    ledger = runtime.ledger.forget(member_id, at=at)
    return {
        "receipt_id": f"forget_{secrets.token_hex(8)}",
        "at": at,
        "ledger": ledger,
        "release": "the release in use no longer answers for the member",
        "next_step": "run `huitou forget MEMBER`: it rewrites vectors, releases and the input's snapshot on disk",
    }
