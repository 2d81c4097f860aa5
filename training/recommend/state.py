"""A source and a day in; everything the recommenders count on that day out: visits, popularity, stores, similar items."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from training.items import NONE, item_similarity, purchase_matrix
from training.recommend.own_items import OwnItems, own_items
from training.recommend.rules import RETURN_REST_DAYS
from training.recommend.simple import popularity_fraction
from training.recommend.source import ItemSource, MemberFacts, StoreSales
from training.recommend.texts import alike_items
from training.recommend.visits import Purchases, Visits, visits_before

# A basket this many days old counts half in "popular now". Popular lists should follow the season, not the day.
POPULAR_HALF_LIFE_DAYS = 60.0
# A store's own sales speak as loudly as the brand's once it has sold this many baskets (times the item's share).
STORE_PRIOR_BASKETS = 50.0
# Baskets with more items than this say little about what goes together, and their pairs grow with the square.
LARGEST_BASKET = 60
# The longest popular list kept of a store.
MOST_POPULAR = 200


@dataclass(frozen=True)
class ItemState:
    """What is known of purchases and items before a day (`day` in days since 1970-01-01).

    returned: member · items + item of what was bought in the last RETURN_REST_DAYS, brought back, and never kept, sorted.
    """

    day: int
    member_ids: NDArray[Any]
    item_ids: NDArray[Any]
    items: pd.DataFrame
    bought: Purchases
    sales: StoreSales
    facts: MemberFacts
    returned: NDArray[np.int64]

    @cached_property
    def visits(self) -> Visits:
        """The purchases with visit numbers and ages."""
        return visits_before(self.bought, self.day, len(self.member_ids), len(self.item_ids))

    @cached_property
    def own(self) -> OwnItems:
        """Counts, pace and due days of every item a member bought."""
        return own_items(self.visits)

    @cached_property
    def sellable(self) -> NDArray[np.bool_]:
        """Items that are on sale on the day, as far as the brand says; off_shelf_date is the last day."""
        now = pd.Timestamp(np.datetime64(self.day, "D"))
        launched = pd.to_datetime(self.items["launch_date"])
        gone = pd.to_datetime(self.items["off_shelf_date"])
        good: NDArray[np.bool_] = ~((launched > now) | (gone < now)).to_numpy(bool)
        good &= ~self.items["status"].eq("off").to_numpy(bool)
        if "is_gift_or_sample" in self.items:
            good &= ~self.items["is_gift_or_sample"].eq(True).to_numpy(bool)
        return good

    @cached_property
    def popular_now(self) -> NDArray[np.float64]:
        """Decayed baskets with each item, of members and, where stores are known, of anybody; strict order."""
        fade = 0.5 ** (self.visits.days / POPULAR_HALF_LIFE_DAYS)
        own = np.bincount(self.visits.item, weights=fade, minlength=len(self.item_ids))
        return own + 1e-9 * popularity_fraction(self.visits.popularity())

    def popular(self, n: int) -> dict[str, NDArray[np.int32]]:
        """Codes of the n (at most MOST_POPULAR) best sellers of each store, shrunk to the brand's; the brand under ""."""
        return {store: codes[:n] for store, codes in self._popular.items()}

    @cached_property
    def _popular(self) -> dict[str, NDArray[np.int32]]:
        brand = np.where(self.sellable, self.popular_now, -np.inf)
        lists = {"": _best(brand, MOST_POPULAR)}
        total = max(self.popular_now.sum(), 1e-9)
        prior = STORE_PRIOR_BASKETS * self.popular_now / total
        fade = self.sales.count * 0.5 ** ((self.day - self.sales.day) / POPULAR_HALF_LIFE_DAYS)
        width = len(self.item_ids)
        starts = np.searchsorted(self.sales.store, np.arange(len(self.sales.stores) + 1))  # rows are sorted by store
        for code, store in enumerate(self.sales.stores):
            rows = slice(starts[code], starts[code + 1])
            score = np.bincount(self.sales.item[rows], weights=fade[rows], minlength=width) + prior
            lists[store] = _best(np.where(self.sellable, score, -np.inf), MOST_POPULAR)
        return lists

    def popular_by_level(self, n: int) -> dict[str, NDArray[np.int32]]:
        """The same by membership level, for members who have no store."""
        lists = {}
        width = len(self.item_ids)
        total = max(self.popular_now.sum(), 1e-9)
        fade = 0.5 ** (self.visits.days / POPULAR_HALF_LIFE_DAYS)
        level = self.facts.level[self.visits.member]
        for name in sorted({str(x) for x in np.unique(self.facts.level.astype(str))} - {""}):
            rows = level == name
            score = np.bincount(self.visits.item[rows], weights=fade[rows], minlength=width)
            score = score + STORE_PRIOR_BASKETS * self.popular_now / total
            lists[name] = _best(np.where(self.sellable, score, -np.inf), n)
        return lists

    @cached_property
    def similar(self) -> sparse.csr_matrix:
        """Items that the same members buy: cosine over members × items, 50 neighbours."""
        return item_similarity(binary(self.visits.matrix()), how="cosine", neighbours=50)

    def neighbours(self, k: int) -> NDArray[np.int32]:
        """The k nearest of each item, int32[items, k]: what the same members buy, then what reads alike; -1 = no more."""
        bought, read = best_columns(self.similar, k), best_columns(self.alike, k)
        again = (read[:, :, None] == bought[:, None, :]).any(axis=2)
        both = np.hstack([bought, np.where(again, NONE, read)])
        order = np.argsort(both < 0, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(both, order, 1)

    @cached_property
    def alike(self) -> sparse.csr_matrix:
        """Items whose titles and categories read alike, sold or never sold."""
        return alike_items(self.items)

    def together_often(self, baskets: int) -> sparse.csr_matrix:
        """`together` without pairs that were in fewer baskets than so many."""
        pairs = self.together.tocoo()
        # of 0s and 1s, cosine · √(baskets of one · baskets of the other) is the number of shared baskets
        shared = pairs.data * np.sqrt(self._small_baskets[pairs.row] * self._small_baskets[pairs.col])
        keep = shared >= baskets - 0.5
        return sparse.csr_matrix((pairs.data[keep], (pairs.row[keep], pairs.col[keep])), shape=pairs.shape)

    def sold_in(self, store: NDArray[Any], item: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether the store (code) ever sold the item, by pairs."""
        return _held(self._sold_keys, np.asarray(store, np.int64) * len(self.item_ids) + item)

    def was_returned(self, member: NDArray[Any], item: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether a pair (codes) is among `returned`."""
        return _held(self.returned, np.asarray(member, np.int64) * len(self.item_ids) + item)

    @cached_property
    def _sold_keys(self) -> NDArray[np.int64]:
        """store · items + item of every pair with a sale, sorted."""
        return np.unique(self.sales.store.astype(np.int64) * len(self.item_ids) + self.sales.item)

    @cached_property
    def together(self) -> sparse.csr_matrix:
        """Items in the same basket: cosine over baskets × items, baskets of up to LARGEST_BASKET items."""
        return item_similarity(self._baskets, how="cosine", neighbours=30)

    @cached_property
    def _small_baskets(self) -> NDArray[np.float64]:
        """Baskets of up to LARGEST_BASKET items that hold each item."""
        return np.asarray(self._baskets.sum(axis=0), np.float64).ravel()

    @cached_property
    def _baskets(self) -> sparse.csr_matrix:
        """Baskets of up to LARGEST_BASKET items × items, 0 or 1."""
        visits = self.visits
        opens = np.r_[True, (visits.member[1:] != visits.member[:-1]) | (visits.visit[1:] != visits.visit[:-1])]
        basket = np.cumsum(opens[: len(visits.member)]) - 1
        size = np.bincount(basket) if len(basket) else np.zeros(0, int)
        rows = size[basket] <= LARGEST_BASKET if len(basket) else np.zeros(0, bool)
        return purchase_matrix(basket[rows], visits.item[rows], None, (len(size), visits.n_items))


def state_on(source: ItemSource, day: int, *, returns: bool = False) -> ItemState:
    """What the source knows before a day; with `returns`, which lists need, also what was brought back."""
    return ItemState(
        day,
        source.member_ids,
        source.item_ids,
        source.items,
        source.purchases(day),
        source.sales(day),
        source.facts(day),
        _returned(source, day) if returns else np.zeros(0, np.int64),
    )


def _returned(source: ItemSource, day: int) -> NDArray[np.int64]:
    width = np.int64(source.n_items)
    ever = source.purchases(day, True).before(day)
    ever = ever.take(ever.day >= day - RETURN_REST_DAYS)
    kept = source.purchases(day)
    found: NDArray[np.int64] = np.setdiff1d(ever.member * width + ever.item, kept.member * width + kept.item)
    return found


def binary(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """The same pairs with weight 1."""
    return sparse.csr_matrix((np.ones_like(matrix.data), matrix.indices, matrix.indptr), shape=matrix.shape)


def best_columns(matrix: sparse.csr_matrix, k: int) -> NDArray[np.int32]:
    """The k highest columns of each row, highest first; -1 where a row has fewer."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -matrix.data, rows))
    rows, columns = rows[order], matrix.indices[order]
    place = np.arange(len(rows)) - np.searchsorted(rows, rows)
    out = np.full((matrix.shape[0], k), NONE, np.int32)
    inside = place < k
    out[rows[inside], place[inside]] = columns[inside]
    return out


def _held(keys: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the wanted are among the sorted keys."""
    if len(keys) == 0:
        return np.zeros(wanted.shape, bool)
    found: NDArray[np.bool_] = keys[np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)] == wanted
    return found


def _best(score: NDArray[np.float64], n: int) -> NDArray[np.int32]:
    order = np.lexsort((np.arange(len(score)), -score))[:n]
    return order[np.isfinite(score[order])].astype(np.int32)
