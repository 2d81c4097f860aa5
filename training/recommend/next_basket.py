"""Lessons in; a linear map from a member's history to what it buys next, out: once for new items, once for any.

Every earlier visit of every member is a lesson. Ridge regression in closed form, W = (XᵀX + λI)⁻¹ XᵀY, as item-item
models are fitted (Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019) but with the next basket for
target, so that what is bought once and never again does not count as a tie. A constant beside the history carries what
everybody buys, so that the ties need not.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from training.recommend.lessons import Lessons, even, history_now, learned_items, lessons
from training.recommend.visits import Visits

# λ per lesson: 60,000 lessons are pulled as 1,200, 10,000 as 250.
PULL_PER_LESSON, LEAST_PULL = 0.02, 50.0
# Beside histories of length 1 to 2 in every lesson, so that λ hardly pulls it.
CONSTANT = 1.0


class NextBasket:
    """Scores of the items that are bought often enough, `items` (codes, sorted)."""

    def __init__(self, visits: Visits, taught: Lessons | None = None, *, seed: int = 0):
        taught = lessons(visits, seed) if taught is None else taught
        self.items = learned_items(visits)
        size = len(self.items)
        self.weights = np.zeros((size + 1, 2 * size), np.float32)
        if size and taught.past.shape[0]:
            x = _with_constant(even(taught.past[:, self.items]))
            y = sparse.hstack([taught.fresh[:, self.items], taught.whole[:, self.items]]).tocsr()
            gram = (x.T @ x).toarray()
            gram[np.diag_indices(len(gram))] += LEAST_PULL + PULL_PER_LESSON * x.shape[0]
            found = linalg.solve(
                gram, (x.T @ y).toarray(), assume_a="pos", overwrite_a=True, overwrite_b=True, check_finite=False
            )
            self.weights = np.ascontiguousarray(found, np.float32)  # else every sparse product copies it first
        self._now = _with_constant(history_now(visits, self.items))

    def scores(self, members: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(as a new item, as any item) for the given member codes: float32[members, len(items)] each."""
        both: NDArray[np.float32] = self._now[members] @ self.weights
        return both[:, : len(self.items)], both[:, len(self.items) :]


def _with_constant(history: sparse.csr_matrix) -> sparse.csr_matrix:
    constant = sparse.csr_matrix(np.full((history.shape[0], 1), CONSTANT, np.float32))
    return sparse.hstack([history, constant], format="csr", dtype=np.float32)
