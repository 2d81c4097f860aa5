"""Purchases (members × items) in; item neighbours, factors and safe top lists out: the only module that knows `implicit`.

What implicit 0.7 does that a shop must never see, and what stands here instead:

- excluded items come back with score -3.4e38 when `N` exceeds what is left → code -1
- short rows are padded with item 0 and score 0.0 → code -1
- a member without history gets arbitrary items → a row of -1
- a list may be longer than `N` → exactly `n` columns
- anything but `csr_matrix`, and a RandomState for a seed, crashes → matrices are converted, seeds are ints
"""

import os
import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from features.errors import InputError

NONE = -1  # the code of an empty slot in every list
Similarity = Literal["cosine", "bm25", "tfidf"]

# implicit marks what it excluded with the most negative float32; no real score comes near it.
_EXCLUDED_BELOW = -1e38


def purchase_matrix(
    member: NDArray[Any], item: NDArray[Any], weight: NDArray[Any] | None, shape: tuple[int, int]
) -> sparse.csr_matrix:
    """Members × items as float32 csr_matrix with sorted columns, duplicates summed and zeros removed.

    Raises InputError where a weight is negative or not finite.
    """
    values = np.ones(len(member), np.float32) if weight is None else np.asarray(weight, np.float32)
    return checked(sparse.coo_matrix((values, (member, item)), shape=shape))


def checked(matrix: Any) -> sparse.csr_matrix:
    """Any sparse matrix as a float32 csr_matrix that implicit takes; the argument is never changed.

    Raises InputError where a value is negative or not finite.
    """
    out = sparse.csr_matrix(matrix, dtype=np.float32, copy=True)
    bad = int((~np.isfinite(out.data) | (out.data < 0)).sum())
    if bad:
        raise InputError(
            f"purchases: {bad} weights are negative or not finite; expected weights > 0; "
            "leave out returned lines before building the matrix"
        )
    out.sum_duplicates()
    out.eliminate_zeros()
    return out


def item_similarity(
    purchases: sparse.csr_matrix, *, how: Similarity = "cosine", neighbours: int = 50, threads: int = 1
) -> sparse.csr_matrix:
    """Items × items, each row holding its `neighbours` most similar other items; the item itself is never among them.

    `how` is implicit's CosineRecommender, BM25Recommender or TFIDFRecommender.
    """
    matrix = checked(purchases)
    if matrix.nnz == 0:
        return sparse.csr_matrix((matrix.shape[1], matrix.shape[1]), dtype=np.float32)
    model = _neighbour_class(how)(K=neighbours + 1, num_threads=threads)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # implicit warns about BLAS threads it does not use here
        model.fit(matrix.astype(np.float64), show_progress=False)
    found = sparse.csr_matrix(model.similarity, dtype=np.float32)
    found.setdiag(0)
    found.eliminate_zeros()
    found.sort_indices()
    return found


@dataclass(frozen=True)
class Factors:
    """Member and item factors of an alternating-least-squares model; a score is their dot product."""

    members: NDArray[np.float32]
    items: NDArray[np.float32]


def factorise(
    purchases: sparse.csr_matrix,
    *,
    factors: int = 64,
    regularization: float = 0.05,
    alpha: float = 1.0,
    iterations: int = 15,
    seed: int = 0,
    threads: int = 1,
) -> Factors:
    """Implicit-feedback ALS (Hu, Koren, Volinsky 2008). Members without a purchase get a row of zeros."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # else implicit warns and oversubscribes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from implicit.cpu.als import AlternatingLeastSquares

        matrix = checked(purchases)
        width = max(1, min(factors, min(matrix.shape) - 1 if min(matrix.shape) > 1 else 1))
        if matrix.nnz == 0:
            return Factors(
                np.zeros((matrix.shape[0], width), np.float32), np.zeros((matrix.shape[1], width), np.float32)
            )
        model = AlternatingLeastSquares(
            factors=width,
            regularization=regularization,
            alpha=alpha,
            iterations=iterations,
            num_threads=threads,
            random_state=int(seed),
        )
        model.fit(matrix, show_progress=False)
    members = np.array(model.user_factors, np.float32)
    members[np.diff(matrix.indptr) == 0] = 0.0
    return Factors(members, np.array(model.item_factors, np.float32))


@dataclass(frozen=True)
class SafeLists:
    """Top lists: `codes` int32[rows, n] with -1 in empty slots, `scores` float32[rows, n] with 0.0 there."""

    codes: NDArray[np.int32]
    scores: NDArray[np.float32]


class SafeRecommender:
    """One of implicit's own recommenders, fitted on purchases, whose answers are always `n` wide and never padded.

    `kind`: cosine, bm25, tfidf (item neighbours) or als.
    """

    def __init__(
        self, kind: Literal["cosine", "bm25", "tfidf", "als"], *, seed: int = 0, threads: int = 1, **params: Any
    ):
        self.kind, self.seed, self.threads, self.params = kind, int(seed), threads, params
        self._model: Any = None
        self._n_items = 0

    def fit(self, purchases: sparse.csr_matrix) -> "SafeRecommender":
        """Fit on members × items."""
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        matrix = checked(purchases)
        self._n_items = matrix.shape[1]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if self.kind == "als":
                from implicit.cpu.als import AlternatingLeastSquares

                self._model = AlternatingLeastSquares(num_threads=self.threads, random_state=self.seed, **self.params)
                self._model.fit(matrix, show_progress=False)
            else:
                self._model = _neighbour_class(self.kind)(num_threads=self.threads, **self.params)
                self._model.fit(matrix.astype(np.float64), show_progress=False)
        return self

    def recommend(
        self,
        rows: NDArray[Any],
        purchases: sparse.csr_matrix,
        n: int = 10,
        *,
        drop_owned: bool = True,
        allowed: NDArray[Any] | None = None,
    ) -> SafeLists:
        """The best `n` items for the member rows; `purchases` holds one row for each of `rows`, in the same order.

        `allowed` restricts to these item codes. What implicit excludes or pads becomes -1.
        """
        if self._model is None:
            raise InputError("recommend: the model is not fitted; call fit(purchases) first")
        owned = checked(purchases)
        if owned.shape != (len(rows), self._n_items):
            raise InputError(
                f"recommend: purchases has shape {owned.shape}, expected ({len(rows)}, {self._n_items}): a row per member"
            )
        if allowed is not None and len(allowed) == 0:
            return SafeLists(np.full((len(rows), n), NONE, np.int32), np.zeros((len(rows), n), np.float32))
        ask = min(n, self._n_items)
        ids, scores = self._model.recommend(
            np.asarray(rows), owned, N=ask, filter_already_liked_items=drop_owned, items=allowed
        )
        return clean_lists(
            ids, scores, n, owned=owned, drop_owned=drop_owned, allowed=allowed, positive=self.kind != "als"
        )


def clean_lists(
    ids: NDArray[Any],
    scores: NDArray[Any],
    n: int,
    *,
    owned: sparse.csr_matrix,
    drop_owned: bool,
    allowed: NDArray[Any] | None = None,
    positive: bool = True,
) -> SafeLists:
    """implicit's (ids, scores) without its traps: what is not a recommendation becomes -1, lists close up to the left.

    `positive`: the model's real scores are above zero (item neighbours), so that 0.0 is padding.
    """
    ids = np.atleast_2d(np.asarray(ids, np.int64))
    values = np.atleast_2d(np.asarray(scores, np.float64))
    good = np.isfinite(values) & (values > _EXCLUDED_BELOW) & (ids >= 0) & (ids < owned.shape[1])
    if positive:
        good &= values > 0
    good &= (np.diff(owned.indptr) > 0)[:, None]  # without history every answer is arbitrary
    row = np.repeat(np.arange(len(ids)), ids.shape[1]).reshape(ids.shape)
    if drop_owned:
        good &= ~_contains(owned, row, ids)
    if allowed is not None:
        good &= np.isin(ids, allowed)
    # Of equal items in a row the first stays.
    known = np.where(good, ids, NONE - 1 - np.arange(ids.shape[1]))
    order = np.argsort(known, axis=1, kind="stable")
    ordered = np.take_along_axis(known, order, 1)
    again = np.zeros_like(good)
    again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    repeat = np.zeros_like(good)
    np.put_along_axis(repeat, order, again, 1)
    good &= ~repeat
    left = np.argsort(~good, axis=1, kind="stable")[:, :n]
    codes = np.full((len(ids), n), NONE, np.int32)
    out = np.zeros((len(ids), n), np.float32)
    kept = np.take_along_axis(good, left, 1)
    width = left.shape[1]
    codes[:, :width] = np.where(kept, np.take_along_axis(ids, left, 1), NONE)
    out[:, :width] = np.where(kept, np.take_along_axis(values, left, 1), 0.0)
    return SafeLists(codes, out)


def _contains(matrix: sparse.csr_matrix, row: NDArray[Any], column: NDArray[Any]) -> NDArray[np.bool_]:
    width = matrix.shape[1]
    held = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)) * np.int64(width) + matrix.indices
    wanted = row * np.int64(width) + column
    if len(held) == 0:
        return np.zeros(wanted.shape, bool)
    at = np.minimum(np.searchsorted(held, wanted), len(held) - 1)
    return held[at] == wanted


def _neighbour_class(how: str) -> Any:
    from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender

    classes = {"cosine": CosineRecommender, "bm25": BM25Recommender, "tfidf": TFIDFRecommender}
    if how not in classes:
        raise InputError(f"similarity: expected one of {sorted(classes)}, got {how!r}")
    return classes[how]
