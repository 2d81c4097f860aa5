"""Members without history and popular lists in; the list of their store, level or brand, with what is true of it, out."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.recommend.reasons import LEVEL_POPULAR, NO_REASON, POPULAR, STORE_POPULAR
from training.recommend.state import ItemState

# Where a member's list comes from, best first: own history, then what sells in the store, at the level, in the brand.
RUNGS = ("own", "store", "level", "brand")


def fill_cold(
    state: ItemState,
    rows: NDArray[Any],
    cold: NDArray[Any],
    n: int,
    stores: Mapping[str, NDArray[np.int32]],
    levels: Mapping[str, NDArray[np.int32]],
    parts: dict[str, NDArray[Any]],
) -> None:
    """Write the lists of `cold` (places in `rows`, member codes, -1 = unknown id) into parts.

    One list a store, level or brand, copied to all who share it. stores and levels: popular items by name, the brand's
    under the store "". parts: mixed and new with their _score and _reason, and rung, as in training.item_model.ItemLists.
    """
    there = rows[cold] >= 0
    store, level = np.full(len(cold), -1), np.full(len(cold), "", dtype=object)
    store[there], level[there] = state.facts.store[rows[cold][there]], state.facts.level[rows[cold][there]]
    level = level.astype(str)
    sold = state.visits.popularity() > 0
    names = list(state.sales.stores)
    groups: list[tuple[NDArray[Any], NDArray[np.int32], int, int]] = []
    left = np.ones(len(cold), bool)
    for code in np.unique(store[store >= 0]):
        mask = store == code
        groups.append((mask, stores[names[code]], RUNGS.index("store"), STORE_POPULAR))
        left &= ~mask
    for name in np.unique(level[left]):
        if name in levels:
            mask = left & (level == name)
            groups.append((mask, levels[name], RUNGS.index("level"), LEVEL_POPULAR))
    for mask, *_ in groups:
        left = left & ~mask
    groups.append((left, stores[""], RUNGS.index("brand"), POPULAR))
    for mask, codes, rung, reason in groups:
        at = cold[mask]
        width = min(n, len(codes))
        parts["rung"][at] = rung
        # Popular is said of what is sold, in the store of what the store sold.
        of_store = rung == RUNGS.index("store")
        told = np.where(sold[codes[:width]], POPULAR if of_store else reason, NO_REASON)
        if of_store:
            told[state.sold_in(store[mask][:1], codes[:width])] = reason
        for slate in ("mixed", "new"):
            parts[slate][at, :width] = codes[:width]
            parts[f"{slate}_score"][at, :width] = 1.0 / np.arange(2, width + 2)
            parts[f"{slate}_reason"][at, :width] = told
