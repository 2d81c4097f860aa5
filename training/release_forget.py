"""A release and a member in; out: the same release without any trace of that member, signed anew.

A release is immutable for those who read it, so the member is not cut out of the folder in place: a new folder is
written beside it under the next revision's name, `current` moves to it where it pointed at the old one, and only then
the old folder goes. Workers that still map the old files keep answering until they have swapped.
"""

import json
import os
import shutil
from pathlib import Path

import numpy as np

from training.release import Release, open_release, sign
from training.release_index import write_index
from training.release_people import rewrite_people
from training.release_writer import current_release, list_releases, point_current_at

# Arrays with one row a member; everything else in a release speaks of no member.
_BY_MEMBER_ITEMS = ("again", "new", "mixed", "due_days", "rung")


def forget_in_releases(root: Path, member_id: str) -> dict[str, str]:
    """Rewrite every release under `root` that knows `member_id`; returns old name -> new name."""
    renamed = {}
    for leftover in root.glob("*.tmp"):
        # Half a release that a killed night left behind: the next night writes it again, without the member.
        shutil.rmtree(leftover, ignore_errors=True)
    for folder in list_releases(root):
        release = open_release(folder)
        row = release.index(member_id)
        if row is None:
            continue
        name = _next_revision(folder.name)
        _write_without(release, row, root / name)
        if current_release(root) == folder.name:
            point_current_at(root, name)
        shutil.rmtree(folder)
        renamed[folder.name] = name
    return renamed


def forget_in_copy(folder: Path, member_id: str) -> bool:
    """Rewrite a copy of a release that lives under a fixed name (in a Bento); True where it knew the member."""
    release = open_release(folder)
    row = release.index(member_id)
    if row is None:
        return False
    rewritten, old = folder.with_name(f"{folder.name}.without"), folder.with_name(f"{folder.name}.old")
    shutil.rmtree(rewritten, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    _write_without(release, row, rewritten, release_id=_next_revision(release.release_id))
    folder.rename(old)
    rewritten.rename(folder)
    shutil.rmtree(old)
    return True


def names_of(release: Release, member_id: str) -> list[str]:
    """The member behind an id and every old card of theirs: all the names under which the brand's tables know them."""
    member = release.aliases.get(member_id, member_id)
    return [member, *sorted(old for old, new in release.aliases.items() if new == member)]


def _next_revision(name: str) -> str:
    base, _, revision = name.partition(".r")
    return f"{base}.r{int(revision or 1) + 1}"


def _write_without(release: Release, row: int, target: Path, *, release_id: str | None = None) -> None:
    staging = target.with_name(f"{target.name}.tmp")
    shutil.rmtree(staging, ignore_errors=True)
    shutil.copytree(release.path, staging)
    per_member = [path for path in (staging / "members").rglob("*.npy") if path.stem not in ("grid", "cards_at")]
    per_member += [
        path
        for path in (staging / "items").glob("*.npy")
        if path.stem.removesuffix("_score").removesuffix("_reason").removesuffix("_because") in _BY_MEMBER_ITEMS
    ]
    for path in per_member:
        values = np.load(path, allow_pickle=False)
        np.save(path, np.delete(values, row, axis=0), allow_pickle=False)
    _forget_owned(release, row, staging)
    rewrite_people(staging, row)
    if release.by_hash is not None:
        write_index(staging, np.load(staging / "members/ids.npy", allow_pickle=False))
    start, end = int(release.cards_at[row]), int(release.cards_at[row + 1])
    blob = np.asarray(release.cards)
    (staging / "members/cards.bin").write_bytes(blob[:start].tobytes() + blob[end:].tobytes())
    cards_at = np.asarray(release.cards_at)
    np.save(
        staging / "members/cards_at.npy", np.concatenate([cards_at[: row + 1], cards_at[row + 2 :] - (end - start)])
    )
    member_id = release.ids[row].decode()
    left = {old: new for old, new in release.aliases.items() if new != member_id}
    (staging / "aliases.json").write_text(json.dumps(left, ensure_ascii=False), encoding="utf-8")
    manifest = {key: value for key, value in release.manifest.items() if key not in ("files", "schema")}
    manifest["release_id"] = release_id or target.name
    manifest["members"] = int(manifest["members"]) - 1
    manifest["scored"] = int((np.load(staging / "members/kind.npy") == 0).sum())
    sign(staging, manifest)
    for path in staging.rglob("*"):
        if path.is_file():
            with path.open("rb") as handle:
                os.fsync(handle.fileno())
    open_release(staging).verify()
    shutil.rmtree(target, ignore_errors=True)
    staging.rename(target)


def _forget_owned(release: Release, row: int, staging: Path) -> None:
    """What the member bought leaves the arrays of all that members own."""
    if release.items.own_at is None or release.items.own is None:
        return
    at, own = np.array(release.items.own_at), np.array(release.items.own)
    start, end = int(at[row]), int(at[row + 1])
    np.save(staging / "items/own.npy", np.delete(own, slice(start, end)), allow_pickle=False)
    np.save(staging / "items/own_at.npy", np.concatenate([at[: row + 1], at[row + 2 :] - (end - start)]))
