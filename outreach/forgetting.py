"""A member's id in, nothing of the member left: ledger rows deleted, releases rewritten, a receipt without the id."""

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from features.errors import InputError
from outreach.ledger import Ledger
from training.release import Release, open_release


@dataclass(frozen=True)
class Places:
    """Where rows of members are kept beside the ledger.

    releases: the folder of releases. kept: predictions kept until they can be judged. copies: releases inside Bentos.
    """

    releases: Path
    kept: Path
    copies: Sequence[Path] = field(default=())

    def everywhere(self) -> list[Path]:
        """The current release and every copy."""
        current = self.releases / "current"
        return [*([current] if current.exists() else []), *self.copies]


def forget_everywhere(ledger: Ledger, places: Places, member_id: str, *, at: dt.datetime) -> dict[str, Any]:
    """Forget a member, under every card that was merged into theirs. Raises InputError where nothing is held of the id.

    The ledger comes first, so that the service stops answering at once; rewriting the releases takes a moment. The
    keyed marks that the ledger keeps leave the member out of later inputs, though the brand's export may still hold
    them. Vectors of a training run hold no ids once the run is over; MLflow holds aggregates only.
    """
    from training.kept_predictions import forget_kept
    from training.release_forget import forget_in_copy, forget_in_releases, names_of
    from training.shadow import shadow_folder

    names, known = [member_id], False
    for folder in places.everywhere():
        release = open_release(folder)
        known = known or release.index(member_id) is not None
        names += [name for name in names_of(release, member_id) if name not in names]
    if not known and not any(ledger.export(member_id).values()):
        raise InputError(f"forget: nothing is held of member {member_id!r}; check the id as it stands in members.csv")
    counts: Counter[str] = Counter()
    for name in names:
        counts.update(ledger.forget(name, at=at))
    renamed: dict[str, str] = {}
    both = (places.kept, shadow_folder(places.kept))
    if places.releases.is_dir():
        for name in names:
            renamed |= forget_in_releases(places.releases, name)
    return {
        "receipt_id": f"forget-{at:%Y%m%d%H%M%S}-{ledger.member_mark(member_id)[:12]}",
        "at": at,
        "ledger": dict(counts),
        "releases": renamed,
        "kept_predictions": sorted({str(day) for name in names for kept in both for day in forget_kept(kept, name)}),
        "bentos": len(
            [folder for folder in places.copies if True in {forget_in_copy(folder, name) for name in names}]
        ),
        "next_step": "the brand removes the member from its own systems; the next training leaves the member out",
    }


def forget_late(ledger: Ledger, places: Places, release: Release) -> Release:
    """A release as written, without members who were forgotten while it was being made."""
    from training.release_forget import forget_in_releases

    marks = ledger.forgotten_marks()
    if not marks:
        return release
    late = [one.decode() for one in release.ids.tolist() if ledger.member_mark(one.decode()) in marks]
    name = release.release_id
    for member_id in late:
        name = forget_in_releases(places.releases, member_id).get(name, name)
    return open_release(places.releases / name)
