"""A member's id in, nothing of the member left: ledger rows deleted, releases rewritten, a receipt without the id."""

import datetime as dt
from pathlib import Path
from typing import Any

from features.errors import InputError
from outreach.ledger import Ledger
from training.release import open_release


def known_anywhere(ledger: Ledger, releases: Path, member_id: str) -> bool:
    """Whether the ledger or the current release holds anything of a member."""
    current = releases / "current"
    if current.exists() and open_release(current).index(member_id) is not None:
        return True
    return any(ledger.export(member_id).values())


def forget_everywhere(ledger: Ledger, releases: Path, member_id: str, *, at: dt.datetime) -> dict[str, Any]:
    """Forget a member. Raises InputError where nothing is held of the id.

    The ledger comes first, so that the service stops answering at once; rewriting the releases takes a moment. The
    keyed mark that the ledger keeps leaves the member out of later inputs, though the brand's export may still hold
    them. Vectors of a training run hold no ids once the run is over; MLflow holds aggregates only.
    """
    from training.release_forget import forget_in_releases

    if not known_anywhere(ledger, releases, member_id):
        raise InputError(f"forget: nothing is held of member {member_id!r}; check the id as it stands in members.csv")
    counts = ledger.forget(member_id, at=at)
    renamed = forget_in_releases(releases, member_id) if releases.is_dir() else {}
    return {
        "receipt_id": f"forget-{at:%Y%m%d%H%M%S}-{ledger.member_mark(member_id)[:12]}",
        "at": at,
        "ledger": counts,
        "releases": renamed,
        "next_step": "the brand removes the member from its own systems; the next training leaves the member out",
    }
