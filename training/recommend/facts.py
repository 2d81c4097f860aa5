"""A state in; what the request path must know beside the lists, out: facts of each item, and what each member owns."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.recommend.own_items import OwnItems
from training.recommend.state import ItemState


@dataclass(frozen=True)
class ItemFacts:
    """By item code: `sold` baskets of members with it before the day, `sellable` launched and not off the shelf,
    `cycle_days` how long the usual purchase of it lasts (NaN where it has no cycle)."""

    sold: NDArray[np.int32]
    sellable: NDArray[np.uint8]
    cycle_days: NDArray[np.float32]


def item_facts(state: ItemState) -> ItemFacts:
    """The facts of every item of the catalogue."""
    return ItemFacts(
        sold=state.visits.popularity().astype(np.int32),
        sellable=state.sellable.astype(np.uint8),
        cycle_days=cycle_days(state.own),
    )


def cycle_days(own: OwnItems) -> NDArray[np.float32]:
    """The median pace, over its buyers, of each item that has a cycle."""
    out = np.full(own.n_items, np.nan, np.float32)
    item = own.item
    order = np.lexsort((own.pace_days, item))
    item, pace = item[order], own.pace_days[order]
    known = np.isfinite(pace)
    item, pace = item[known], pace[known]
    start = np.searchsorted(item, np.arange(own.n_items))
    size = np.searchsorted(item, np.arange(own.n_items), side="right") - start
    told = np.flatnonzero(own.has_cycle & (size > 0))
    out[told] = pace[start[told] + size[told] // 2]
    return out


def owned_items(own: OwnItems, rows: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """What members ever bought: item codes of row k of `rows` (-1 = unknown member) are codes[at[k]:at[k + 1]]."""
    member = own.member
    rows = np.asarray(rows, np.int64)
    start = np.searchsorted(member, rows)
    size = np.where(rows >= 0, np.searchsorted(member, rows, side="right") - start, 0)
    at = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
    place = np.repeat(start - at[:-1], size) + np.arange(at[-1])
    return at, own.item[place].astype(np.int32)
