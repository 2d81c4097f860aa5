"""Visits in; a dense score for every item of the catalogue out: the plain recommenders that a ranker must beat.

Every one breaks ties by popularity, never by id: on grocery data that alone is worth 13 % of recall. Each is also the
fallback that serves where the ranker does not win.

- popularity      number of baskets with the item
- own_counts      number of the member's own baskets with the item, then popularity
- decayed_counts  the same, a basket one visit older counting 0.95 as much
- cosine, bm25    item-item neighbours (implicit), scored from the member's own counts
- als             alternating least squares (Hu, Koren, Volinsky 2008; implicit)
- tifu_knn        temporal item frequency of the member and of the nearest members (Hu et al., SIGIR 2020)
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from training.items import NONE, factorise, item_similarity
from training.recommend.visits import Visits

# Rows scored at once: 256 members × 20,000 items of float64 are 40 MB.
CHUNK = 256
DECAY = 0.95  # a visit; .8 and faster lose 1-4 points of recall on grocery data


class Scorer(Protocol):
    """Scores every item for the members with these codes: float64[len(rows), n_items], higher is better."""

    def scores(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        """Scores of all items for the given member codes."""
        ...


def popularity_fraction(popularity: NDArray[np.float64]) -> NDArray[np.float64]:
    """A strict order of the items by popularity (ties by code) as numbers in (0, 1], most popular highest."""
    order = np.lexsort((np.arange(len(popularity)), -popularity))
    out = np.empty(len(popularity))
    out[order] = 1.0 - np.arange(len(popularity)) / max(len(popularity), 1)
    return out


class Popularity:
    """The same order for everybody."""

    def __init__(self, visits: Visits):
        self._order = visits.popularity() + 0.5 * popularity_fraction(visits.popularity())

    def scores(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        """Scores of all items for the given member codes."""
        return np.repeat(self._order[None], len(rows), 0)


class OwnCounts:
    """The member's own (decayed) counts; ties, and items never bought, by popularity."""

    def __init__(self, visits: Visits, decay: float = 1.0):
        self._counts = visits.matrix(None if decay == 1.0 else decay**visits.age).astype(np.float64)
        self._fill = 1e-4 * popularity_fraction(visits.popularity())

    def scores(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        """Scores of all items for the given member codes."""
        out = self._counts[rows].toarray()
        out += self._fill
        return out


class ItemNeighbours:
    """Own counts times item-item similarity from implicit; what has no similar item comes after, by popularity."""

    def __init__(self, visits: Visits, how: Any = "cosine", neighbours: int = 100):
        counts = visits.matrix()
        self._counts = counts
        self._similar = item_similarity(counts, how=how, neighbours=neighbours)
        # implicit's own recommenders keep the item itself among its neighbours; a bought item scores at least itself.
        self._similar.setdiag(1.0 if how == "cosine" else self._similar.max() if self._similar.nnz else 1.0)
        self._similar = self._similar.tocsr()
        self._fill = 1e-9 * popularity_fraction(visits.popularity())

    def scores(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        """Scores of all items for the given member codes."""
        out = (self._counts[rows] @ self._similar).toarray().astype(np.float64)
        out += self._fill
        return out


class Als:
    """Dot products of ALS factors; members without history by popularity."""

    def __init__(self, visits: Visits, factors: int = 64, alpha: float = 1.0, seed: int = 0):
        self._factors = factorise(visits.matrix(), factors=factors, alpha=alpha, seed=seed)
        self._fill = 1e-9 * popularity_fraction(visits.popularity())

    def scores(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        """Scores of all items for the given member codes."""
        out = (self._factors.members[rows] @ self._factors.items.T).astype(np.float64)
        out += self._fill
        return out


@dataclass(frozen=True)
class TifuSettings:
    """TIFU-KNN's five numbers: neighbours, decay within a group, decay of groups, own share, number of groups."""

    k: int = 300
    within: float = 0.9
    group: float = 0.7
    alpha: float = 0.7
    m: int = 7

    def as_dict(self) -> dict[str, float]:
        """The settings as JSON."""
        return asdict(self)


def tifu_vectors(visits: Visits, within: float, group: float, m: int) -> sparse.csr_matrix:
    """Members × items: the temporal item frequency vectors of Hu et al., eq. 1-2.

    A member's visits are cut into at most `m` groups of nearly equal size, larger groups last; a visit counts
    within^(age in visits) inside its group and group^(groups after it), each divided by sizes.
    """
    n = np.maximum(visits.n_visits[visits.member].astype(np.int64), 1)
    position, age = visits.visit.astype(np.int64), visits.age.astype(np.float64)
    small = n < m
    base, extra = n // m, n % m
    head = (m - extra) * base  # visits in the groups of the smaller size
    group_no = np.where(position < head, position // np.maximum(base, 1), m - extra + (position - head) // (base + 1))
    size = np.where(position < head, np.maximum(base, 1), base + 1)
    weight = within**age * np.where(
        small, group ** (m - 1.0 - position) / n, group ** (m - 1.0 - group_no) / size / m
    )
    return visits.matrix(weight)


class TifuKnn:
    """Own temporal frequencies and the mean of the nearest members': alpha · own + (1 − alpha) · neighbours.

    `pool` limits who may be a neighbour (member codes); a member is never its own neighbour.
    """

    def __init__(self, visits: Visits, settings: TifuSettings | None = None, pool: NDArray[Any] | None = None):
        self.settings = settings or TifuSettings()
        s = self.settings
        self._own = tifu_vectors(visits, s.within, s.group, s.m)
        bought = np.flatnonzero(visits.n_visits > 0)
        self.pool = bought if pool is None else np.intersect1d(pool, bought)
        self._pool = self._own[self.pool]
        self._norm = np.asarray(self._pool.multiply(self._pool).sum(1), np.float32).ravel()
        self._turned = self._pool.T.tocsr()
        self._place = np.full(visits.n_members, -1, np.int64)
        self._place[self.pool] = np.arange(len(self.pool))
        self._fill = 1e-9 * popularity_fraction(visits.popularity())

    def nearest(self, rows: NDArray[Any], k: int) -> NDArray[np.int64]:
        """Pool positions of the k nearest other members by Euclidean distance, nearest first: int64[len(rows), ≤ k]."""
        k = max(0, min(k, len(self.pool) - 1))
        if k == 0:
            return np.zeros((len(rows), 0), np.int64)
        distance = (-2.0 * (self._own[rows] @ self._turned)).toarray()
        distance += self._norm
        place = self._place[rows]
        inside = np.flatnonzero(place >= 0)
        distance[inside, place[inside]] = np.inf
        near = np.argpartition(distance, k - 1, axis=1)[:, :k]
        return np.take_along_axis(near, np.argsort(np.take_along_axis(distance, near, 1), axis=1, kind="stable"), 1)

    def parts(self, rows: NDArray[Any], k: int | None = None) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """(own, neighbours' mean) as sparse rows."""
        return self.parts_of(rows, self.nearest(rows, k or self.settings.k))

    def parts_of(self, rows: NDArray[Any], near: NDArray[np.int64]) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """(own, mean of the given neighbours) as sparse rows; near: pool positions [len(rows), k]."""
        width = near.shape[1]
        mean = sparse.csr_matrix(
            (
                np.full(near.size, 1.0 / max(width, 1), np.float32),
                near.ravel(),
                np.arange(len(rows) + 1) * width,
            ),
            shape=(len(rows), len(self.pool)),
        )
        return self._own[rows], (mean @ self._pool).tocsr()

    def scores(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        """Scores of all items for the given member codes."""
        own, near = self.parts(rows)
        a = self.settings.alpha
        out = (a * own + (1 - a) * near).toarray().astype(np.float64)
        out += self._fill
        return out


SIMPLE = ("popularity", "own_counts", "decayed_counts", "cosine", "als", "bm25", "tifu_knn")


def fit_simple(name: str, visits: Visits, *, tifu: TifuSettings | None = None, seed: int = 0) -> Scorer:
    """One of SIMPLE, fitted on visits."""
    if name == "popularity":
        return Popularity(visits)
    if name == "own_counts":
        return OwnCounts(visits)
    if name == "decayed_counts":
        return OwnCounts(visits, DECAY)
    if name in ("cosine", "bm25"):
        return ItemNeighbours(visits, name)
    if name == "als":
        return Als(visits, seed=seed)
    if name == "tifu_knn":
        return TifuKnn(visits, tifu)
    raise ValueError(f"unknown recommender {name!r}; known: {', '.join(SIMPLE)}")


@dataclass(frozen=True)
class Lists:
    """Three lists of item codes with scores, [rows, n]; -1 and 0.0 in empty slots."""

    mixed: NDArray[np.int32]
    again: NDArray[np.int32]
    new: NDArray[np.int32]
    mixed_score: NDArray[np.float32]
    again_score: NDArray[np.float32]
    new_score: NDArray[np.float32]

    @staticmethod
    def stack(parts: Iterable["Lists"]) -> "Lists":
        """Chunks put together."""
        found = list(parts)
        return Lists(
            **{name: np.concatenate([getattr(p, name) for p in found]) for name in Lists.__dataclass_fields__}
        )


def top_lists(
    scorer: Scorer,
    visits: Visits,
    rows: NDArray[Any],
    n: int,
    sellable: NDArray[np.bool_] | None = None,
    barred: NDArray[np.int64] | None = None,
) -> Lists:
    """The three lists by one score: `again` of bought items, `new` of the others, `mixed` of both.

    barred: member · items + item of pairs that are never shown, sorted.
    """
    owned = visits.matrix()
    who, what = np.divmod(np.zeros(0, np.int64) if barred is None else barred, np.int64(visits.n_items))
    out = []
    for start in range(0, max(len(rows), 1), CHUNK):
        some = rows[start : start + CHUNK]
        scores = scorer.scores(some)
        if sellable is not None:
            scores[:, ~sellable] = -np.inf
        here = np.isin(who, some)
        if here.any():
            known, place = np.unique(some, return_inverse=True)
            hidden = np.zeros((len(known), visits.n_items), bool)
            hidden[np.searchsorted(known, who[here]), what[here]] = True
            scores[hidden[place]] = -np.inf
        have = owned[some]
        at = np.repeat(np.arange(len(some)), np.diff(have.indptr))
        held = scores[at, have.indices]
        again = top_of_pairs(at, have.indices, held, len(some), n)
        scores[at, have.indices] = -np.inf
        new = top_dense(scores, n)
        out.append(merged(again, new, n))
    return Lists.stack(out)


Top = tuple[NDArray[np.int32], NDArray[np.float32]]


def merged(again: Top, new: Top, n: int) -> Lists:
    """`mixed` is the best n of both lists together; exact, as every item is in one of them."""
    codes, scores = np.hstack([again[0], new[0]]), np.hstack([again[1], new[1]])
    order = np.argsort(-np.where(codes >= 0, scores, -np.inf), axis=1, kind="stable")[:, :n]
    return Lists(
        np.take_along_axis(codes, order, 1),
        again[0],
        new[0],
        np.take_along_axis(scores, order, 1),
        again[1],
        new[1],
    )


def top_dense(scores: NDArray[np.float64], n: int) -> Top:
    """The best n columns of each row, best first, equal scores by lower code; -1 where no finite score is left."""
    width = min(n, scores.shape[1])
    codes = np.full((len(scores), n), NONE, np.int32)
    best = np.zeros((len(scores), n), np.float32)
    if width == 0:
        return codes, best
    found = np.argpartition(-scores, width - 1, axis=1)[:, :width]
    values = np.take_along_axis(scores, found, 1)
    order = np.lexsort((found, -values), axis=1)
    found, values = np.take_along_axis(found, order, 1), np.take_along_axis(values, order, 1)
    real = np.isfinite(values)
    codes[:, :width] = np.where(real, found, NONE)
    best[:, :width] = np.where(real, values, 0.0)
    return codes, best


def top_of_pairs(row: NDArray[Any], item: NDArray[Any], score: NDArray[Any], rows: int, n: int) -> Top:
    """The best n items of each row from flat (row, item, score) triples; rows without any are all -1."""
    codes = np.full((rows, n), NONE, np.int32)
    best = np.zeros((rows, n), np.float32)
    keep = np.isfinite(score)
    row, item, score = row[keep], item[keep], score[keep]
    order = np.lexsort((item, -score, row))
    row, item, score = row[order], item[order], score[order]
    place = np.arange(len(row)) - np.searchsorted(row, row)
    inside = place < n
    codes[row[inside], place[inside]] = item[inside]
    best[row[inside], place[inside]] = score[inside]
    return codes, best
