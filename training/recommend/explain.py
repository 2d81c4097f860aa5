"""Lists in; for each item why it is there, which own item it goes back to, and when it is used up, out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.items import NONE
from training.recommend.reasons import (
    BECAUSE_BOUGHT,
    BOUGHT_BEFORE,
    DUE,
    NEW_ARRIVAL,
    NO_REASON,
    POPULAR,
    SIMILAR_MEMBERS,
    STORE_POPULAR,
    TOGETHER,
)
from training.recommend.state import ItemState, best_columns

# An item is called due from this many days before it is used up.
DUE_WITHIN_DAYS = 7
# How many own items a reason may go back to; weaker ties than the 15th would not convince anybody.
SOURCES = 15
CALLED_POPULAR = 50
# Members explained at once: 5,000 × 20 places × 15 sources are 12 MB a table.
AT_ONCE = 5_000
# "Often together" is said of items that shared at least so many baskets.
OFTEN_BASKETS = 3
# An item in fewer baskets than this is new to members, whenever it was launched.
FRESH_BELOW_BASKETS = 5


@dataclass(frozen=True)
class Told:
    """All of the lists' shape: reason code, code of the own item it speaks of (-1 none), due days (-1 none)."""

    reason: NDArray[np.uint8]
    because: NDArray[np.int32]
    due_days: NDArray[np.int16]


def explain(state: ItemState, members: NDArray[Any], codes: NDArray[np.int32]) -> Told:
    """Reasons of the members' lists; the strongest evidence that is really there is named."""
    tables = [
        (best_columns(matrix.T.tocsr(), SOURCES), name)
        for matrix, name in (
            (state.alike, NEW_ARRIVAL),
            (state.similar, BECAUSE_BOUGHT),
            (state.together_often(OFTEN_BASKETS), TOGETHER),
        )
    ]
    members = np.asarray(members, np.int64)
    parts = [
        _explain(state, members[start : start + AT_ONCE], codes[start : start + AT_ONCE], tables)
        for start in range(0, max(len(members), 1), AT_ONCE)
    ]
    return Told(*(np.concatenate([getattr(p, name) for p in parts]) for name in Told.__dataclass_fields__))


def _explain(
    state: ItemState,
    members: NDArray[np.int64],
    codes: NDArray[np.int32],
    tables: list[tuple[NDArray[np.int32], int]],
) -> Told:
    width = np.int64(len(state.item_ids))
    item = np.maximum(codes, 0)
    member = members[:, None]
    own = state.own
    at = own.find((member * width + item).ravel()).reshape(codes.shape)
    owned = (at >= 0) & (codes >= 0)
    due = np.full(codes.shape, np.nan)
    if len(own.key):
        due[owned] = own.due_days[at[owned]]
    # Far in the future or long past is no cycle: beyond a year nothing is told.
    told = np.isfinite(due) & (np.abs(due) < 366)
    due_days = np.where(told, np.clip(np.round(np.where(told, due, 0)), 0, 365), -1)
    baskets = state.visits.popularity()
    # Nothing is said of what nobody bought.
    reason = np.where(baskets[item] > 0, SIMILAR_MEMBERS, NO_REASON).astype(np.uint8)
    because = np.full(codes.shape, NONE, np.int32)
    popular = state.popular(CALLED_POPULAR)
    reason[np.isin(item, popular[""]) & (baskets[item] > 0)] = POPULAR
    store = state.facts.store[member[:, 0]]
    sold_here = state.sold_in(store[:, None], item)
    for code in np.unique(store[store >= 0]):
        rows = store == code
        loved = np.isin(item[rows], popular[state.sales.stores[code]]) & sold_here[rows]
        reason[rows] = np.where(loved, STORE_POPULAR, reason[rows])
    fresh = baskets < FRESH_BELOW_BASKETS
    for table, name in tables:
        source = table[item]  # [rows, n, SOURCES], nearest first
        held = own.find((member[:, :, None] * width + np.maximum(source, 0)).ravel()).reshape(source.shape)
        there = (held >= 0) & (source >= 0)
        found = there.any(axis=2)
        if name == NEW_ARRIVAL:
            found &= fresh[item]
        first = np.take_along_axis(source, there.argmax(axis=2)[:, :, None], 2)[:, :, 0]
        reason[found] = name
        because[found] = first[found]
    reason[owned] = BOUGHT_BEFORE
    because[owned] = codes[owned]
    reason[owned & (due_days >= 0) & (due_days <= DUE_WITHIN_DAYS)] = DUE
    empty = codes < 0
    reason[empty], because[empty], due_days[empty | ~owned] = NO_REASON, NONE, -1
    return Told(reason, because, due_days.astype(np.int16))
