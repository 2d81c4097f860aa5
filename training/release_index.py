"""Member ids in; out: their rows in a release, found by a hash for a whole batch at once.

releases/<id>/index/
    table.npy   uint32 [places]: the row of one of the members whose ids are hashed to a place; places is a power of two

A sorted search compares an id some twenty times among a million members. Three places a member and more leave one in
ten to be searched so; the others are found at the first look. The file is memory-mapped, so that workers share it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.bytes_]
Rows = npt.NDArray[np.int64]

# Odd constants with well-mixed bits (of xxHash and MurmurHash3); any others would do.
WORD, MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xFF51AFD7ED558CCD)
PLACES_EACH = 3


@dataclass(frozen=True)
class IdIndex:
    """The hash of a release's sorted ids; `ids` themselves decide whether an id is really there."""

    ids: Keys
    table: npt.NDArray[np.uint32]

    def find(self, keys: Keys) -> Rows:
        """Rows of ids given in the dtype of the release's ids; -1 where the release does not know one."""
        rows = self.table[places_of(keys, len(self.table))].astype(np.int64)
        right = self.ids[rows] == keys
        if not right.all():
            other = np.flatnonzero(~right)
            rows[other] = searched(self.ids, keys[other])
        return rows


def searched(ids: Keys, keys: Keys) -> Rows:
    """Rows of keys among sorted ids, by a sorted search; -1 where an id is not there."""
    at = np.minimum(ids.searchsorted(keys), len(ids) - 1)
    return np.where(ids[at] == keys, at, -1)


def places_of(keys: Keys, count: int) -> Rows:
    """The place of each id among `count`, a power of two."""
    width = -(-keys.dtype.itemsize // 8)
    words = keys.astype(f"S{width * 8}", order="C").view(np.uint64).reshape(len(keys), width)
    mixed = words[:, 0] * WORD
    for column in range(1, width):
        mixed ^= mixed >> np.uint64(32)
        mixed ^= words[:, column]
        mixed *= WORD
    mixed ^= mixed >> np.uint64(32)
    mixed *= MIX
    mixed >>= np.uint64(64 - count.bit_length() + 1)
    return mixed.view(np.int64)


def index_of(ids: Keys) -> IdIndex:
    """The hash of sorted ids, each of which is there once."""
    count = 1 << max(PLACES_EACH * len(ids), 2).bit_length()
    table = np.zeros(count, np.uint32)
    table[places_of(ids, count)] = np.arange(len(ids), dtype=np.uint32)
    return IdIndex(ids, table)


def write_index(folder: Path, ids: Keys) -> None:
    """Write the hash of ids into a release that is being made."""
    (folder / "index").mkdir(exist_ok=True)
    np.save(folder / "index/table.npy", index_of(ids).table, allow_pickle=False)


def keys_of(member_ids: Sequence[str], dtype: np.dtype[Any]) -> tuple[Keys, npt.NDArray[np.bool_] | None]:
    """Ids as an array in the dtype of a release's ids; and which of them fit in, or None where all do.

    What NumPy would cut off, a longer id's end or nulls at the end, makes an id that no release knows.
    """
    joined = "\0".join(member_ids).encode()
    n, first = len(member_ids), joined.find(b"\0")
    nulls = joined.count(b"\0")
    # Ids of one length, as most brands' are, lie in memory as NumPy wants them already.
    if nulls == n - 1 and len(joined) == n * (first + 1) - 1 and joined[first :: first + 1].count(b"\0") == n - 1:
        keys = np.frombuffer(joined + b"\0", dtype=f"S{first + 1}")
        return keys.astype(dtype), None if first <= dtype.itemsize else np.zeros(n, bool)
    parts = joined.split(b"\0") if nulls == n - 1 else [member_id.encode() for member_id in member_ids]
    whole = np.array([len(part) <= dtype.itemsize and not part.endswith(b"\0") for part in parts])
    return np.array(parts, dtype=dtype), None if whole.all() else whole
