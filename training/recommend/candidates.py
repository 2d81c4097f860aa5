"""A state in; for chunks of members the items worth ranking, and what each signal says of them, out.

Candidates of a member: every own item, and the best not yet bought by each signal: what its history lets expect next
(regression on earlier baskets), nearest members (TIFU-KNN), items similar to recent ones (cosine, BM25), factors (ALS),
items that follow the last baskets, items in the same baskets, titles alike, popular in the store, in the brand and in
everybody's latest baskets. No loop over members: sparse products, one partition a signal, one union of keys.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from training.items import factorise, item_similarity, purchase_matrix
from training.recommend.next_basket import NextBasket
from training.recommend.own_items import OwnItems
from training.recommend.simple import TifuKnn, TifuSettings
from training.recommend.state import ItemState, binary
from training.recommend.visits import Visits

CHUNK = 256
# Nearest members are sought among this many, drawn by seed: the cost of a member grows with it.
NEIGHBOUR_POOL = 15_000
# How many not yet bought items each signal puts forward.
FROM_EXPECTED, FROM_NEIGHBOURS, FROM_SIMILAR, FROM_BM25, FROM_FACTORS, FROM_NEXT, FROM_TOGETHER, FROM_ALIKE = (
    100,
    60,
    40,
    60,
    40,
    30,
    30,
    20,
)
FROM_POPULAR, FROM_LATEST, FROM_STORE = 60, 80, 30
# Own items put forward, the most often and lately bought first.
OWN_AT_MOST = 300

SIGNALS = ("tifu_own", "near", "near_wide", "similar", "bm25", "next", "together", "alike", "expected", "als")


@dataclass(frozen=True)
class Candidates:
    """Flat pairs, sorted by row then item: `row` into the chunk's members, `item`, `owned`, signal values [pairs, S]."""

    members: NDArray[np.int64]
    row: NDArray[np.int64]
    item: NDArray[np.int64]
    owned_at: NDArray[np.int64]  # row of OwnItems, -1 for items never bought
    signal: NDArray[np.float32]
    store_rank: NDArray[np.float32]


class Signals:
    """Everything that is fitted on a state before candidates can be listed."""

    def __init__(
        self, state: ItemState, tifu: TifuSettings, *, seed: int = 0, only_members: NDArray[Any] | None = None
    ):
        visits = state.visits
        self.state, self.visits = state, visits
        self.own: OwnItems = state.own
        bought = np.flatnonzero(visits.n_visits > 0)
        pool = bought
        if len(bought) > NEIGHBOUR_POOL:
            pool = np.sort(np.random.default_rng(seed).choice(bought, NEIGHBOUR_POOL, replace=False))
        self.tifu = TifuKnn(visits, tifu, pool=pool)
        counts = visits.matrix()
        flat = binary(counts)
        self.similar = state.similar
        self.bm25 = item_similarity(flat, how="bm25", neighbours=80)
        self.recent = visits.matrix(0.8**visits.age)
        self.flat = flat
        self.next, self.last_two = transitions(visits)
        self.together = state.together
        self.alike = state.alike
        self.last = visits.matrix((visits.age == 0).astype(np.float32))
        self.factors = factorise(counts, factors=48, alpha=10.0, iterations=10, seed=seed)
        self.expected = NextBasket(visits, seed=seed)
        self.place_of_often = np.full(visits.n_items, -1, np.int64)
        self.place_of_often[self.expected.items] = np.arange(len(self.expected.items))
        latest = np.bincount(visits.item[visits.age == 0], minlength=visits.n_items) + 1e-3 * state.popular_now
        self.latest_order = np.argsort(-np.where(state.sellable, latest, -1.0), kind="stable")
        self.latest_rank = np.empty(visits.n_items, np.float32)
        self.latest_rank[self.latest_order] = np.arange(visits.n_items)
        self.popular_order = np.argsort(-np.where(state.sellable, state.popular_now, -1.0), kind="stable")
        self.popular_rank = np.empty(visits.n_items, np.float32)
        self.popular_rank[self.popular_order] = np.arange(visits.n_items)
        lists = state.popular(FROM_STORE)
        self.store_lists = np.full((len(state.sales.stores) + 1, FROM_STORE), -1, np.int64)
        for code, name in enumerate((*state.sales.stores, "")):
            found = lists[name][:FROM_STORE]
            self.store_lists[code if name else -1, : len(found)] = found

    def chunks(self, members: NDArray[Any], size: int = CHUNK) -> Iterator[Candidates]:
        """Candidates of the members (codes), a chunk at a time, in their order."""
        for start in range(0, len(members), size):
            yield self.of(np.asarray(members[start : start + size], np.int64))

    def of(self, members: NDArray[np.int64]) -> Candidates:
        """Candidates of these members; dense [members, items] tables are made on the way, so pass a chunk."""
        n_items, rows = self.visits.n_items, len(members)
        near_k = self.tifu.nearest(members, 300)
        own, near = self._mean_of(members, near_k[:, :100])
        _, wide = self._mean_of(members, near_k)
        recent = self.recent[members]
        signals = [
            own,
            near,
            wide,
            (recent @ self.similar).tocsr(),
            (self.flat[members] @ self.bm25).tocsr(),
            (self.last_two[members] @ self.next).tocsr(),
            (self.last[members] @ self.together).tocsr(),
            (recent @ self.alike).tocsr(),
        ]
        flat = self.flat[members]
        held = np.zeros((rows, n_items), bool)
        own_row = np.repeat(np.arange(rows), np.diff(flat.indptr))
        held[own_row, flat.indices] = True
        keys = [self._own_keys(members, own_row, flat.indices, n_items)]
        for matrix, k in (
            (signals[1], FROM_NEIGHBOURS),
            (signals[3], FROM_SIMILAR),
            (signals[4], FROM_BM25),
            (signals[5], FROM_NEXT),
            (signals[6], FROM_TOGETHER),
            (signals[7], FROM_ALIKE),
        ):
            keys.append(_best_new(matrix, held, k))
        # Dense scores of the items bought often; the others are left to the sparse signals.
        often = self.expected.items
        barred = held[:, often] | ~self.state.sellable[often]
        whole = [self.expected.scores(members), self.factors.members[members] @ self.factors.items[often].T]
        for table, k in zip(whole, (FROM_EXPECTED, FROM_FACTORS), strict=True):
            best_row, best = _best_dense(np.where(barred, -np.inf, table), k)
            keys.append(best_row * np.int64(n_items) + often[best])
        for order, k in ((self.popular_order, FROM_POPULAR), (self.latest_order, FROM_LATEST)):
            top = order[:k]
            keys.append(_not_held(np.arange(rows)[:, None], np.broadcast_to(top, (rows, len(top))), held))
        store = self.state.facts.store[members]
        listed = self.store_lists[np.where(store >= 0, store, len(self.store_lists) - 1)]
        keys.append(_not_held(np.arange(rows)[:, None], listed, held))
        wanted = np.zeros(rows * n_items, bool)  # far faster than np.unique of the keys
        wanted[np.concatenate(keys)] = True
        key = np.flatnonzero(wanted)
        row, item = key // n_items, key % n_items
        good = self.state.sellable[item] & ~self.state.was_returned(members[row], item)
        row, item = row[good], item[good]
        values = np.empty((len(row), len(SIGNALS)), np.float32)
        dense = np.zeros((rows, n_items), np.float32)
        for at, matrix in enumerate(signals):
            source_row = np.repeat(np.arange(rows), np.diff(matrix.indptr))
            dense[source_row, matrix.indices] = matrix.data
            values[:, at] = dense[row, item]
            dense[source_row, matrix.indices] = 0.0
        place = self.place_of_often[item]
        # Where hardly anything is bought there is no item with a regression of its own.
        values[:, -2] = np.where(place >= 0, whole[0][row, place], 0.0) if len(often) else 0.0
        values[:, -1] = np.einsum("ij,ij->i", self.factors.members[members[row]], self.factors.items[item])
        rank_in_store = np.full((rows, n_items), FROM_STORE, np.float32) if len(self.store_lists) > 1 else None
        if rank_in_store is not None:
            at_row, place = np.nonzero(listed >= 0)
            rank_in_store[at_row, listed[at_row, place]] = place
        return Candidates(
            members=members,
            row=row,
            item=item,
            owned_at=np.where(held[row, item], self.own.find(members[row] * n_items + item), -1),
            signal=values,
            store_rank=rank_in_store[row, item] if rank_in_store is not None else np.zeros(len(row), np.float32),
        )

    def _mean_of(self, members: NDArray[Any], near: NDArray[np.int64]) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        return self.tifu.parts_of(members, near)

    def _own_keys(
        self, members: NDArray[np.int64], row: NDArray[np.int64], item: NDArray[Any], n_items: int
    ) -> NDArray[np.int64]:
        """Own items; of members with very many, the OWN_AT_MOST with the highest decayed count."""
        key = row * np.int64(n_items) + item
        if len(row) == 0 or np.bincount(row).max() <= OWN_AT_MOST:
            return key
        weight = self.own.fade95[self.own.find(members[row] * n_items + item)]
        order = np.lexsort((item, -weight, row))
        place = np.arange(len(row)) - np.searchsorted(row[order], row[order])
        return key[order][place < OWN_AT_MOST]


def transitions(visits: Visits, damp: float = 10.0) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """(items × items: how often the column is in the basket after one with the row; members × items: last two baskets).

    Frequent sources are damped by n / (n + 10); an item does not lead to itself.
    """
    opens = np.r_[True, (visits.member[1:] != visits.member[:-1]) | (visits.visit[1:] != visits.visit[:-1])]
    opens = opens[: len(visits.member)]
    basket = np.cumsum(opens) - 1
    baskets = int(basket[-1]) + 1 if len(basket) else 0
    size = np.bincount(basket, minlength=baskets)
    # A basket counts as much as one of 60 items at most, so that wholesale orders do not drown the others.
    weight = np.minimum(1.0, 60.0 / np.maximum(size, 1))[basket] if baskets else np.zeros(0)
    table = purchase_matrix(basket, visits.item, weight, (baskets, visits.n_items))
    owner = visits.member[opens]
    first = np.flatnonzero(owner[1:] == owner[:-1])
    follow = (table[first].T @ table[first + 1]).tocsr()
    source = np.asarray(table[first].sum(0)).ravel()
    follow.setdiag(0)
    follow.eliminate_zeros()
    scaled = sparse.diags((1.0 / (source + damp)).astype(np.float32)) @ follow
    kept = keep_largest(scaled.tocsr(), 150)
    recent = visits.age < 2
    last_two = purchase_matrix(
        visits.member[recent],
        visits.item[recent],
        np.where(visits.age[recent] == 0, 1.0, 0.5),
        (visits.n_members, visits.n_items),
    )
    return kept, last_two


def keep_largest(matrix: sparse.csr_matrix, k: int) -> sparse.csr_matrix:
    """The k largest values of each row."""
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -matrix.data, row))
    place = np.arange(len(row)) - np.searchsorted(row[order], row[order])
    keep = order[place < k]
    out = sparse.csr_matrix(
        (matrix.data[keep], (row[keep], matrix.indices[keep])), shape=matrix.shape, dtype=np.float32
    )
    out.sort_indices()
    return out


def _best_new(matrix: sparse.csr_matrix, held: NDArray[np.bool_], k: int) -> NDArray[np.int64]:
    """Keys row · n_items + item of each row's k highest values among items not held; zero values never."""
    rows, n_items = matrix.shape
    size = np.diff(matrix.indptr)
    width = int(size.max(initial=0))
    if width == 0:
        return np.zeros(0, np.int64)
    row = np.repeat(np.arange(rows), size)
    value = np.where(held[row, matrix.indices], 0.0, matrix.data).astype(np.float32)
    place = np.arange(len(row)) - np.repeat(matrix.indptr[:-1], size)
    table = np.zeros((rows, width), np.float32)
    table[row, place] = value
    code = np.zeros((rows, width), np.int64)
    code[row, place] = matrix.indices
    if width > k:
        best = np.argpartition(-table, k - 1, axis=1)[:, :k]
        table, code = np.take_along_axis(table, best, 1), np.take_along_axis(code, best, 1)
    at_row, at = np.nonzero(table > 0)
    return at_row * np.int64(n_items) + code[at_row, at]


def _best_dense(table: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(row, column) of each row's k highest finite values."""
    rows, n_items = table.shape
    k = min(k, n_items)
    if k == 0 or rows == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    best = np.argpartition(table, n_items - k, axis=1)[:, n_items - k :]
    at_row, at = np.nonzero(np.isfinite(np.take_along_axis(table, best, 1)))
    return at_row, best[at_row, at]


def _not_held(row: NDArray[Any], item: NDArray[Any], held: NDArray[np.bool_]) -> NDArray[np.int64]:
    row = np.broadcast_to(row, item.shape)
    good = (item >= 0) & ~held[row, np.maximum(item, 0)]
    return row[good] * np.int64(held.shape[1]) + item[good]
