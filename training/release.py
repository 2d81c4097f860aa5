"""A release: one immutable folder that serving loads and nothing else. Written once, verified, then read memory-mapped.

releases/<id>/
    manifest.json            versions, as_of, horizon, models with source and reason, sha256 and size of every file
    golden.json              synthetic vectors and the survival they must give, recomputed before the release counts
    models/<task>/           what the models' own `save` wrote (Booster text, JSON, npy; no pickle)
    members/ids.npy          sorted member ids, fixed-width UTF-8 bytes
    members/kind.npy         0 scored, 1 registered without a purchase, 2 known but never scored (minor, staff, wholesale)
    members/<column>.npy     one float32 array a prediction column (NaN = null)
    members/codes/<name>.npy one uint8 array a label column (stage, tier, rung, ...), the labels in the manifest
    members/curve.npy        float32 [members, grid]; members/grid.npy int32 [grid] in days
    members/vectors.npy      float32 [members, columns] for `why` answers
    members/reasons.npy      float32 [members, reason_groups]: parts of logit(churn), NaN where they are computed on request
    members/item_methods.npy uint8 [members, slates]: what made each item list, into the manifest's item_methods; see
                             training.release_methods; absent from releases of older versions
    members/cards.bin        one JSON object a member, back to back; members/cards_at.npy int64 offsets [members + 1]
    items/*.npy, items/catalogue.json, items/popular.json
    items/sold.npy, items/sellable.npy, items/cycle_days.npy [items]; items/own_at.npy, items/own.npy: see ItemArrays
    people/, members/friend.npy, members/held_out.npy: see training.release_people; absent from releases of older versions
    index/, members/rows/: see training.release_index and training.release_rows; absent from releases of older versions
    stores.json, guides.json rows of the contract; aliases.json old card number -> member id
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from features.errors import HuitouError
from training.release_index import IdIndex, Keys, searched
from training.release_people import People, read_people

SCHEMA = 1
SCORED, COLD, NEVER_SCORED = 0, 1, 2
# Bulk calls whose answers are held ready as text.
TASKS = ("churn", "next_purchase", "value")
# Files up to this size are hashed whenever a worker loads; larger ones were hashed when the release was written and
# are only measured, so that a worker with a million members is ready in seconds.
HASHED_AT_LOAD_BYTES = 4_000_000


class BrokenRelease(HuitouError):
    """A release folder is incomplete, changed after it was signed, or does not give its golden answers."""


def file_digest(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def sign(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write `manifest.json` with the size and SHA-256 of every other file in `folder`."""
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": file_digest(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }
    text = json.dumps({**manifest, "schema": SCHEMA, "files": files}, ensure_ascii=False, indent=1)
    (folder / "manifest.json").write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class ItemArrays:
    """The item side of a release, memory-mapped. Codes index `item_ids`; -1 is an empty place.

    `slates[name]` is int32 [members, n] for name in again, new, mixed; `scores[name]` float32, `reasons[name]` uint8
    of the same shape into the manifest's item_reasons, whose sentences may speak of {item}, the own item coded in
    `because[name]`, and of {days}; `due_days` int16 [members, n] beside `again` (-1 none); `rung` uint8 [members] into
    the manifest's item_rungs: which step of the ladder filled the lists; `similar`, `together` int32 [items, k];
    `popular` maps a store id (or "" for the brand) to codes in order. What releases of older versions lack is empty
    or None: `sold` int32 [items] baskets before as_of, `sellable` uint8 [items], `cycle_days` float32 [items] (NaN = no
    cycle); codes of what member k ever bought are own[own_at[k]:own_at[k + 1]].
    """

    item_ids: tuple[str, ...]
    catalogue: tuple[dict[str, Any], ...]
    slates: Mapping[str, npt.NDArray[np.int32]]
    scores: Mapping[str, npt.NDArray[np.float32]]
    reasons: Mapping[str, npt.NDArray[np.uint8]]
    because: Mapping[str, npt.NDArray[np.int32]]
    rung: npt.NDArray[np.uint8]
    due_days: npt.NDArray[np.int16]
    similar: npt.NDArray[np.int32]
    together: npt.NDArray[np.int32]
    popular: Mapping[str, tuple[int, ...]]
    sold: npt.NDArray[np.int32] | None = None
    sellable: npt.NDArray[np.uint8] | None = None
    cycle_days: npt.NDArray[np.float32] | None = None
    own_at: npt.NDArray[np.int64] | None = None
    own: npt.NDArray[np.int32] | None = None

    def owned(self, row: int) -> npt.NDArray[np.int32]:
        """Codes of what a member ever bought."""
        if self.own_at is None or self.own is None:
            return np.zeros(0, np.int32)
        return np.asarray(self.own[int(self.own_at[row]) : int(self.own_at[row + 1])])

    @cached_property
    def code_of(self) -> dict[str, int]:
        return {item: code for code, item in enumerate(self.item_ids)}


@dataclass(frozen=True)
class Release:
    """A loaded release. Everything by member is memory-mapped: workers share one copy in the page cache."""

    path: Path
    manifest: Mapping[str, Any]
    ids: npt.NDArray[np.bytes_]
    kind: npt.NDArray[np.uint8]
    predictions: Mapping[str, npt.NDArray[np.float32]]
    codes: Mapping[str, npt.NDArray[np.uint8]]
    grid_days: npt.NDArray[np.int32]
    curves: npt.NDArray[np.float32]
    vectors: npt.NDArray[np.float32]
    cards_at: npt.NDArray[np.int64]
    cards: npt.NDArray[np.uint8]
    items: ItemArrays = field(repr=False)
    people: People | None = field(default=None, repr=False)
    reason_parts: npt.NDArray[np.float32] | None = None
    friend: npt.NDArray[np.uint8] | None = field(default=None, repr=False)
    held_out: npt.NDArray[np.uint8] | None = field(default=None, repr=False)
    contacted: npt.NDArray[np.int32] | None = field(default=None, repr=False)
    item_methods: npt.NDArray[np.uint8] | None = field(default=None, repr=False)
    by_hash: IdIndex | None = field(default=None, repr=False)
    ready_rows: Mapping[str, npt.NDArray[np.bytes_]] = field(default_factory=dict, repr=False)

    @cached_property
    def stores(self) -> tuple[dict[str, Any], ...]:
        return tuple(json.loads((self.path / "stores.json").read_text(encoding="utf-8")))

    @cached_property
    def guides(self) -> tuple[dict[str, Any], ...]:
        return tuple(json.loads((self.path / "guides.json").read_text(encoding="utf-8")))

    @cached_property
    def aliases(self) -> dict[str, str]:
        """Old card number -> member id, of cards that were merged."""
        found: dict[str, str] = json.loads((self.path / "aliases.json").read_text(encoding="utf-8"))
        return found

    @property
    def release_id(self) -> str:
        return str(self.manifest["release_id"])

    def index(self, member_id: str) -> int | None:
        """Row of a member, by the current id or an old card's; None where the release does not know the id."""
        key = self.aliases.get(member_id, member_id).encode()
        if len(key) > self.ids.dtype.itemsize:
            return None
        row = int(self.ids.searchsorted(np.bytes_(key)))
        return row if row < len(self.ids) and self.ids[row] == key else None

    def rows_of(self, keys: Keys) -> npt.NDArray[np.int64]:
        """Rows of many ids in the dtype of `ids`; -1 where the release does not know one. Old cards are not followed."""
        if not len(self.ids):
            return np.full(len(keys), -1, np.int64)
        if self.by_hash is not None:
            return self.by_hash.find(keys)
        return searched(self.ids, keys)

    def card(self, row: int) -> dict[str, Any]:
        """The member's card: level, store, guide, last purchases, preference, ... as a JSON object."""
        card: dict[str, Any] = json.loads(self.card_bytes(row))
        return card

    def card_bytes(self, row: int) -> bytes:
        return self.cards[int(self.cards_at[row]) : int(self.cards_at[row + 1])].tobytes()

    def label(self, name: str, row: int) -> str | None:
        """A label column's value (stage, tier, rung, ...), or None where it is null."""
        labels = self.manifest["labels"][name]
        code = int(self.codes[name][row])
        return None if code >= len(labels) else str(labels[code])

    def prediction(self, name: str, row: int) -> float | None:
        """A prediction column's value, or None where it is null."""
        value = float(self.predictions[name][row])
        return None if np.isnan(value) else value

    def survival_at(self, row: int | npt.NDArray[np.int64], days: float) -> Any:
        """S(days) of one row or of many, read from the curve by straight lines in log S."""
        values = between(self.grid_days, days, lambda column: self.curves[np.atleast_1d(row), column])
        return float(values[0]) if np.ndim(row) == 0 else values

    def verify(self) -> None:
        """Recompute every file's hash. Raises BrokenRelease naming the files that differ."""
        wrong = [
            name
            for name, want in self.manifest["files"].items()
            if not (self.path / name).is_file() or file_digest(self.path / name) != want["sha256"]
        ]
        if wrong:
            raise BrokenRelease(f"release {self.release_id}: files differ from the manifest: {wrong}; write it again")


def between(
    grid_days: npt.NDArray[np.int32], days: float, survival: Callable[[int], npt.NDArray[np.floating]]
) -> npt.NDArray[np.float64]:
    """S(days) by straight lines in log S; `survival(column)` gives the members' S at a day of the grid."""
    right = min(int(np.searchsorted(grid_days, days)), len(grid_days) - 1)
    left = max(right - 1, 0)
    span = float(grid_days[right] - grid_days[left]) or 1.0
    weight = min(max((days - float(grid_days[left])) / span, 0.0), 1.0)
    before, after = (np.log(np.maximum(survival(column).astype(float), 1e-12)) for column in (left, right))
    values: npt.NDArray[np.float64] = np.exp(before * (1 - weight) + after * weight)
    return values


def _checked_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BrokenRelease(f"release {path.name}: manifest.json cannot be read: {error}") from error
    if manifest.get("schema") != SCHEMA:
        raise BrokenRelease(
            f"release {path.name}: schema {manifest.get('schema')!r}, expected {SCHEMA}; write it again"
        )
    for name, want in manifest["files"].items():
        file = path / name
        if not file.is_file():
            raise BrokenRelease(f"release {path.name}: {name} is missing")
        if file.stat().st_size != want["bytes"]:
            raise BrokenRelease(
                f"release {path.name}: {name} has {file.stat().st_size} bytes, expected {want['bytes']}"
            )
        if want["bytes"] <= HASHED_AT_LOAD_BYTES and file_digest(file) != want["sha256"]:
            raise BrokenRelease(f"release {path.name}: {name} was changed after the release was signed")
    return manifest


def open_release(path: Path) -> Release:
    """Map a release folder (or the `current` link). Raises BrokenRelease where it is incomplete or was changed."""
    path = path.resolve()
    return mapped(path, _checked_manifest(path))


def mapped(path: Path, manifest: Mapping[str, Any]) -> Release:
    """Map a folder that a manifest describes, without checking its files. Raises BrokenRelease where it is incomplete.

    Of a signed folder nothing is read but what the manifest names.
    """

    def there(name: str) -> bool:
        return name in manifest["files"] if "files" in manifest else (path / name).is_file()

    def array(name: str) -> Any:
        try:
            # As a plain array over the map: indexing NumPy's memmap class costs several times as much.
            return np.load(path / f"{name}.npy", mmap_mode="r", allow_pickle=False).view(np.ndarray)
        except (OSError, ValueError) as error:
            raise BrokenRelease(f"release {path.name}: {name}.npy cannot be read: {error}") from error

    def newer(name: str) -> Any:
        """An array that releases of older versions lack."""
        return array(name) if there(f"{name}.npy") else None

    catalogue = json.loads((path / "items/catalogue.json").read_text(encoding="utf-8"))
    popular = json.loads((path / "items/popular.json").read_text(encoding="utf-8"))
    slates = ("again", "new", "mixed")
    items = ItemArrays(
        item_ids=tuple(str(item["item_id"]) for item in catalogue),
        catalogue=tuple(catalogue),
        slates={name: array(f"items/{name}") for name in slates},
        scores={name: array(f"items/{name}_score") for name in slates},
        reasons={name: array(f"items/{name}_reason") for name in slates},
        because={name: array(f"items/{name}_because") for name in slates},
        rung=array("items/rung"),
        due_days=array("items/due_days"),
        similar=array("items/similar"),
        together=array("items/together"),
        popular={store: tuple(codes) for store, codes in popular.items()},
        **{name: newer(f"items/{name}") for name in ("sold", "sellable", "cycle_days", "own_at", "own")},
    )
    cards_at = array("members/cards_at")
    empty = not len(cards_at) or not int(cards_at[-1])
    ids = array("members/ids")
    release = Release(
        path=path,
        manifest=manifest,
        ids=ids,
        kind=array("members/kind"),
        predictions={name: array(f"members/{name}") for name in manifest["predictions"]},
        codes={name: array(f"members/codes/{name}") for name in manifest["labels"]},
        grid_days=array("members/grid"),
        curves=array("members/curve"),
        vectors=array("members/vectors"),
        cards_at=cards_at,
        cards=np.zeros(0, np.uint8)
        if empty
        else np.memmap(path / "members/cards.bin", np.uint8, mode="r").view(np.ndarray),
        items=items,
        reason_parts=newer("members/reasons"),
        people=read_people(path) if there("people/rows.npy") else None,
        friend=newer("members/friend"),
        held_out=newer("members/held_out"),
        contacted=newer("members/contacted"),
        item_methods=newer("members/item_methods"),
        by_hash=IdIndex(ids, array("index/table")) if there("index/table.npy") else None,
        ready_rows={task: array(f"members/rows/{task}") for task in TASKS if there(f"members/rows/{task}.npy")},
    )
    members = len(release.ids)
    lengths = {name: len(values) for name, values in release.predictions.items()} | {
        "kind": len(release.kind),
        "curve": len(release.curves),
        "vectors": len(release.vectors),
        "cards_at": len(release.cards_at) - 1,
        **{name: len(values) for name, values in release.items.slates.items()},
        **{f"rows/{name}": len(values) for name, values in release.ready_rows.items()},
    }
    if release.item_methods is not None:
        lengths["item_methods"] = len(release.item_methods)
    if items.own_at is not None:
        lengths["own_at"] = len(items.own_at) - 1
    uneven = {name: n for name, n in lengths.items() if n != members}
    if uneven:
        raise BrokenRelease(f"release {path.name}: {members} member ids, but {uneven}")
    return release
