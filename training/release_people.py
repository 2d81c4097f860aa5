"""Who serves which member, in a form that a request can read at once: a guide's or a store's members as one slice.

releases/<id>/
    members/friend.npy    uint8 [members]: friends with their guide at as_of
    members/contacted.npy int32 [members]: day of the last contact before as_of, days since 1970-01-01; -1 never
    members/held_out.npy  uint8 [members]: never told anything by a model, so that its worth can be measured
    people/rows.npy       int32: rows of members, grouped by guide, then again by store
    people/slices.json    {"guide": {guide_id: [start, end]}, "store": {store_id: [start, end]}} into rows
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("guide", "store")


@dataclass(frozen=True)
class People:
    """The index of a loaded release: `rows` memory-mapped, `slices[kind][id]` = (start, end) into it."""

    rows: NDArray[np.int32]
    slices: Mapping[str, Mapping[str, Sequence[int]]]

    def of(self, kind: str, place: str) -> NDArray[np.int32]:
        """Rows of the members of a guide or of a store, ascending; none for one that nobody belongs to."""
        start, end = self.slices[kind].get(place, (0, 0))
        return self.rows[start:end]


def people_of(frame: "pd.DataFrame") -> People:
    """The index of members in their order; `frame` has guide_id and store_id, null where there is none."""
    parts, slices, start = [], {}, 0
    for kind in KINDS:
        ids = frame[f"{kind}_id"]
        there = np.flatnonzero(ids.notna())
        names, code = np.unique(ids.iloc[there].to_numpy(str), return_inverse=True)
        parts.append(there[np.argsort(code, kind="stable")].astype(np.int32))
        ends = start + np.cumsum(np.bincount(code, minlength=len(names)))
        starts = np.concatenate([[start], ends[:-1]]) if len(names) else ends
        slices[kind] = {str(name): [int(a), int(b)] for name, a, b in zip(names.tolist(), starts, ends, strict=True)}
        start += len(there)
    return People(np.concatenate(parts) if parts else np.zeros(0, np.int32), slices)


def write_people(folder: Path, frame: "pd.DataFrame") -> None:
    """Write the index and the columns is_friend, held_out, contacted_day of `frame` into a release that is being made."""
    (folder / "people").mkdir()
    _save(folder, people_of(frame))
    for name, column in (("friend", "is_friend"), ("held_out", "held_out")):
        np.save(folder / f"members/{name}.npy", frame[column].to_numpy(bool).astype(np.uint8), allow_pickle=False)
    np.save(folder / "members/contacted.npy", frame["contacted_day"].to_numpy(np.int32), allow_pickle=False)


def read_people(folder: Path) -> People:
    """The index of a release folder, the rows memory-mapped."""
    return People(
        np.load(folder / "people/rows.npy", mmap_mode="r", allow_pickle=False),
        json.loads((folder / "people/slices.json").read_text(encoding="utf-8")),
    )


def without_row(people: People, row: int) -> People:
    """The index of the same members without the one of a row; those behind move up by one."""
    keep = np.asarray(people.rows) != row
    before = np.concatenate([[0], np.cumsum(keep)])
    slices: dict[str, dict[str, list[int]]] = {
        kind: {place: [int(before[start]), int(before[end])] for place, (start, end) in of.items()}
        for kind, of in people.slices.items()
    }
    rows = np.asarray(people.rows)[keep]
    return People((rows - (rows > row)).astype(np.int32), slices)


def rewrite_people(folder: Path, row: int) -> None:
    """Take one member out of the index of a release folder that has one."""
    if (folder / "people/rows.npy").is_file():
        index = read_people(folder)
        _save(folder, without_row(People(np.array(index.rows), index.slices), row))


def _save(folder: Path, people: People) -> None:
    np.save(folder / "people/rows.npy", people.rows, allow_pickle=False)
    text = json.dumps({kind: dict(of) for kind, of in people.slices.items()}, ensure_ascii=False)
    (folder / "people/slices.json").write_text(text, encoding="utf-8")


def owner_frame(
    members: "pd.DataFrame", owners: "pd.DataFrame", member_ids: Sequence[str] | NDArray[Any]
) -> "pd.DataFrame":
    """guide_id, store_id, is_friend of `member_ids` in order, as the cards say them.

    members: member_id, home_store_id, register_store_id. owners: member_id, guide_id, store_id, is_friend, one a member.
    """
    import pandas as pd  # not at the top: a worker reads a release without it

    wanted = pd.DataFrame({"member_id": np.asarray(member_ids, dtype=object)})
    found = wanted.merge(owners[["member_id", "guide_id", "store_id", "is_friend"]], on="member_id", how="left")
    homes = wanted.merge(members[["member_id", "home_store_id", "register_store_id"]], on="member_id", how="left")
    store = found["store_id"].astype(object).where(found["store_id"].notna(), homes["home_store_id"])
    store = store.where(store.notna(), homes["register_store_id"])
    friend = found["is_friend"].astype("boolean").fillna(False).to_numpy(bool)
    return pd.DataFrame({"guide_id": found["guide_id"].astype(object), "store_id": store, "is_friend": friend})
