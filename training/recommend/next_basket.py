"""Visits in; a linear map from a member's history to what it buys next for the first time, out.

Every earlier visit of every member is a lesson: the decayed history before it predicts which items it holds that the
member had never bought. Ridge regression in closed form, W = (XᵀX + λI)⁻¹ XᵀY, as item-item models are fitted (Steck,
"Embarrassingly shallow autoencoders for sparse data", WWW 2019) but with the next basket for target, so that what is
bought once and never again does not count as a tie. Only visits before the state's day are lessons.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from training.items import purchase_matrix
from training.recommend.visits import Visits

DECAY = 0.8  # a visit
# A history of many items speaks as loudly as one of few: rows are divided by the square root of their length.
LENGTH_POWER = 0.5
# So does a next basket of many new items: 0 would let wholesale orders speak for everybody.
BASKET_POWER = 0.5
# λ per lesson: 60,000 lessons are pulled as 1,200, 10,000 as 250.
PULL_PER_LESSON, LEAST_PULL = 0.02, 50.0
# Items with a regression of their own: the cost grows with the cube, and rarer items have nothing to learn from.
MOST_ITEMS = 4_000
LEAST_BUYERS = 3
# Lessons and the visits each looks back; .8 ^ 12 is 7 %.
MOST_LESSONS = 60_000
LOOK_BACK = 12


class NextBasket:
    """Scores of the items that are bought often enough, `items` (codes, sorted): float32 [members, len(items)]."""

    def __init__(self, visits: Visits, *, seed: int = 0):
        history = visits.matrix(DECAY**visits.age)
        buyers = np.bincount(history.indices, minlength=visits.n_items)
        often = np.lexsort((np.arange(len(buyers)), -buyers))[:MOST_ITEMS]
        self.items = np.sort(often[buyers[often] >= LEAST_BUYERS])
        past, basket = lessons(visits, seed)
        if len(self.items) == 0 or past.shape[0] == 0:
            self.weights = np.zeros((len(self.items), len(self.items)), np.float32)
        else:
            x, y = _even(past[:, self.items]), basket[:, self.items]
            gram = (x.T @ x).toarray()
            gram[np.diag_indices(len(gram))] += LEAST_PULL + PULL_PER_LESSON * x.shape[0]
            found = linalg.solve(
                gram, (x.T @ y).toarray(), assume_a="pos", overwrite_a=True, overwrite_b=True, check_finite=False
            )
            self.weights = np.ascontiguousarray(found, np.float32)  # else every sparse product copies it first
        self._now = _even(history[:, self.items])

    def scores(self, members: NDArray[Any]) -> NDArray[np.float32]:
        """Scores of `items` for the given member codes."""
        scores: NDArray[np.float32] = self._now[members] @ self.weights
        return scores


def lessons(visits: Visits, seed: int) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """(decayed history before a visit, its items never bought before), a row per drawn visit but the first of a member.

    The second's values are 1 / (number of such items) ^ BASKET_POWER.
    """
    count = visits.n_visits.astype(np.int64)
    first = np.r_[0, np.cumsum(count)]
    basket = first[visits.member] + visits.visit
    table = purchase_matrix(basket, visits.item, None, (int(first[-1]), visits.n_items))
    owner = np.repeat(np.arange(len(count)), count)
    position = np.arange(int(first[-1])) - first[owner]
    taught = np.flatnonzero(position > 0)
    if len(taught) > MOST_LESSONS:
        taught = np.sort(np.random.default_rng(seed).choice(taught, MOST_LESSONS, replace=False))
    lag = np.arange(1, LOOK_BACK + 1)
    row, back = np.nonzero(position[taught][:, None] >= lag)
    look = sparse.csr_matrix(
        (DECAY**back, (row, taught[row] - lag[back])), shape=(len(taught), table.shape[0]), dtype=np.float32
    )
    past = (look @ table).tocsr()
    now = table[taught]
    # What was bought before the visits looked back on counts as new again: by then it is.
    fresh = now - now.multiply(past > 0)
    fresh = sparse.csr_matrix(fresh)
    fresh.eliminate_zeros()
    size = np.maximum(np.diff(fresh.indptr), 1)
    return past, (sparse.diags((1.0 / size**BASKET_POWER).astype(np.float32)) @ fresh).tocsr()


def _even(history: sparse.csr_matrix) -> sparse.csr_matrix:
    """Square roots of the weights, rows divided by a power of their length."""
    rooted = sparse.csr_matrix(history, dtype=np.float32, copy=True)
    length = np.sqrt(np.asarray(rooted.sum(axis=1)).ravel())  # of the rooted row: sum of squares is the sum itself
    rooted.data = np.sqrt(rooted.data)
    return (sparse.diags((1.0 / np.maximum(length, 1e-6) ** LENGTH_POWER).astype(np.float32)) @ rooted).tocsr()
