"""A finished list in; out: the same list, in which one place was drawn for an item that nobody has bought yet.

With chance `share` the place holds one of the items without history that every rule allows there, each with the same
chance, else the usual item. So every place's chance is known exactly: share / K for each of the K items, 1 − share for the
usual one, 1 for all other places. The dice are a hash of the seed and the request's id: the same request, the same list.
"""

import hashlib
from collections.abc import Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.recommend.caps import CapCounts
from training.recommend.rules import Compiled, Shown

EXPLORE = "explore"
# The drawn place is the last one among so many that no pin holds: seen without scrolling, and not the best one.
WITHIN_PLACES = 5
# Up to so many items a loop is quicker than an array operation.
FEW = 256


@dataclass(frozen=True, slots=True)
class Explored:
    """The list to show; P(its item) of every place; `share`: the chance with which an item was drawn, 0 where none could be."""

    shown: Shown
    propensities: tuple[float, ...]
    share: float


def unexplored(shown: Shown) -> Explored:
    """The list as it is, every place certain."""
    return Explored(shown, (1.0,) * len(shown.codes), 0.0)


def explore(
    shown: Shown, cold: NDArray[Any], rules: Compiled, hidden: Set[int], share: float, seed: int, request_id: str
) -> Explored:
    """Draw for one place of a list; `cold` are the codes of items without history that the rules allow, in order."""
    places = [place for place, rung in enumerate(shown.rungs[:WITHIN_PLACES]) if rung != "pin"]
    # A list that rules have left short is not touched: what an exchange frees there would have to be filled again.
    if not 0 < share < 1 or not places or shown.short:
        return unexplored(shown)
    place = places[-1]
    first, second = dice(seed, request_id)
    pool = None
    # Most lists are not the one in twenty: there it is enough to know that there is something to draw.
    if first < share or rules.caps or len(cold) <= len(shown.codes) + len(hidden):
        pool = allowed_at(shown.codes, place, cold, rules, hidden)
        if not len(pool):
            return unexplored(shown)
    chances = [1.0] * len(shown.codes)
    if first >= share:
        chances[place] = 1.0 - share
        return Explored(shown, tuple(chances), share)
    assert pool is not None
    chances[place] = share / len(pool)
    codes, scores, rungs = shown.codes.copy(), shown.scores.copy(), list(shown.rungs)
    codes[place], scores[place], rungs[place] = pool[int(second * len(pool))], 0.0, EXPLORE
    return Explored(replace(shown, codes=codes, scores=scores, rungs=tuple(rungs)), tuple(chances), share)


def allowed_at(
    codes: NDArray[Any], place: int, cold: NDArray[Any], rules: Compiled, hidden: Set[int]
) -> NDArray[np.int64]:
    """The cold items that may stand at a place of a list: no cap, duplicate, sold-out or just-bought item is overruled."""
    pool = np.asarray(cold, np.int64)
    taken = {*codes.tolist(), *hidden}
    if len(pool) > FEW:
        pool = pool[~np.isin(pool, list(taken))]
    else:
        pool = np.array([code for code in pool.tolist() if code not in taken], np.int64)
    if rules.caps:
        counts = CapCounts(rules.caps)
        for code in np.delete(np.asarray(codes, np.int64), place).tolist():
            counts.take(code)
        pool = pool[counts.fitting(pool)]
    return pool


def dice(seed: int, request_id: str) -> tuple[float, float]:
    """Two numbers in [0, 1), the same for the same seed and request."""
    digest = hashlib.blake2b(f"{seed}\x1f{request_id}".encode(), digest_size=16).digest()
    first, second = (int.from_bytes(part, "little") >> 11 for part in (digest[:8], digest[8:]))
    return first / (1 << 53), second / (1 << 53)
