"""The shop's caps and the items placed so far in; which items may still join a list, out."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

# The group of an item that has no value of the capped attribute: no cap holds for it.
NO_GROUP = -1


def groups_of(values: NDArray[np.str_]) -> NDArray[np.int64]:
    """A number for each item, equal for equal values; NO_GROUP where the text is empty."""
    groups = np.unique(values, return_inverse=True)[1].astype(np.int64)
    groups[values == ""] = NO_GROUP
    return groups


class CapCounts:
    """How many items of each capped value a list holds so far; `caps` are (group of each item code, most)."""

    def __init__(self, caps: Sequence[tuple[NDArray[np.int64], int]]) -> None:
        self._caps = [(group, most, dict[int, int]()) for group, most in caps]

    def fits(self, code: int) -> bool:
        """Whether one more item may join."""
        for group, most, held in self._caps:
            value = int(group[code])
            if value != NO_GROUP and held.get(value, 0) >= most:
                return False
        return True

    def take(self, code: int) -> None:
        """Count an item that joins."""
        for group, _, held in self._caps:
            value = int(group[code])
            held[value] = held.get(value, 0) + 1

    def fitting(self, codes: NDArray[np.integer]) -> NDArray[np.bool_]:
        """`fits` of many codes at once."""
        free = np.ones(len(codes), bool)
        for group, most, held in self._caps:
            # By group; there are never more groups than items, and NO_GROUP reads the last place.
            room = np.full(len(group) + 1, most > 0)
            room[[value for value, count in held.items() if count >= most]] = False
            room[NO_GROUP] = True
            free &= room[group[codes]]
        return free


def in_turn(codes: NDArray[np.integer], free: NDArray[np.bool_], counts: CapCounts) -> Iterator[int]:
    """Places in `codes` of the free ones, in order, passing over what became full meanwhile.

    A long run of items that no longer fit costs one array operation instead of a step each.
    """
    places = np.flatnonzero(free)
    places = places[counts.fitting(codes[places])]
    at = 0
    while at < len(places):
        place = int(places[at])
        at += 1
        yield place
        if not counts.fits(int(codes[place])):
            places, at = places[at:], 0
            places = places[counts.fitting(codes[places])]
