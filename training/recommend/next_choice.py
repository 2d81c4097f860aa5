"""Lessons in; the chance of every new item among all that a member could take up next, out.

A log-bilinear model, softmax(h A Bᵀ + b): the history h is a mix of item vectors, as in word2vec's continuous bag of
words (Mikolov et al., 2013) with the next visits for target, the full softmax and no sampled items. Where the regression
of next_basket.py treats every item by itself, here 64 numbers must do for all of them, so rarer items borrow from
others. Half of each history is hidden at every step (Srivastava et al., "Dropout", JMLR 2014); few passes, as more
learn lessons by heart.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from training.recommend.lessons import Lessons, even, history_now, learned_items, lessons
from training.recommend.visits import Visits

WIDTH = 64
PASSES = 4
# Lessons a step; a brand of few lessons takes smaller steps' worth, so that it takes about as many.
BATCH, LEAST_BATCH, STEPS_A_PASS = 512, 64, 100
RATE, SHRINK, HIDDEN = 3e-3, 1.0, 0.5
FIRST_SPREAD = 0.05


class NextChoice:
    """Chances among `items` (codes, sorted), the items that are bought often enough."""

    def __init__(self, visits: Visits, taught: Lessons | None = None, *, seed: int = 0):
        taught = lessons(visits, seed) if taught is None else taught
        self.items = learned_items(visits)
        rng = np.random.default_rng(seed)
        shape = (len(self.items), WIDTH)
        self.history = (rng.normal(size=shape) * FIRST_SPREAD).astype(np.float32)
        self.choice = (rng.normal(size=shape) * FIRST_SPREAD).astype(np.float32)
        target = taught.ahead[:, self.items].tocsr()
        self.offset = np.log(np.asarray(target.sum(axis=0)).ravel() + 0.5).astype(np.float32)
        self._fit(even(taught.past[:, self.items]), target, rng)
        self._now = history_now(visits, self.items)

    def scores(self, members: NDArray[Any]) -> NDArray[np.float32]:
        """Chances for the given member codes, rows sum to 1: float32[members, len(items)]."""
        return _softmax((self._now[members] @ self.history) @ self.choice.T + self.offset)

    def _fit(self, past: sparse.csr_matrix, target: sparse.csr_matrix, rng: np.random.Generator) -> None:
        """Adam (Kingma and Ba, 2015) with decoupled shrinkage of the vectors, on lessons that hold something."""
        weight = np.asarray(target.sum(axis=1)).ravel().astype(np.float32)
        taught = np.flatnonzero(weight > 0)
        if len(taught) == 0:
            return
        share = (sparse.diags(1.0 / np.maximum(weight, 1e-6)) @ target).tocsr().astype(np.float32)
        weight /= weight[taught].mean()
        batch = int(np.clip(len(taught) // STEPS_A_PASS, LEAST_BATCH, BATCH))
        values = (self.history, self.choice, self.offset)
        slope = [np.zeros_like(value) for value in values]
        square = [np.zeros_like(value) for value in values]
        step = 0
        for _ in range(PASSES):
            order = rng.permutation(taught)
            for start in range(0, len(order), batch):
                rows = order[start : start + batch]
                shown = past[rows]
                shown.data = shown.data * ((rng.random(len(shown.data)) >= HIDDEN) / (1 - HIDDEN)).astype(np.float32)
                mix = shown @ self.history
                excess = _softmax(mix @ self.choice.T + self.offset)
                wanted = share[rows]
                excess[np.repeat(np.arange(len(rows)), np.diff(wanted.indptr)), wanted.indices] -= wanted.data
                excess *= (weight[rows] / len(rows))[:, None]
                gradients = (shown.T @ (excess @ self.choice), excess.T @ mix, excess.sum(axis=0))
                step += 1
                for at, (value, gradient) in enumerate(zip(values, gradients, strict=True)):
                    slope[at] += 0.1 * (gradient - slope[at])
                    square[at] += 0.01 * (gradient * gradient - square[at])
                    if value.ndim == 2:
                        value *= 1 - RATE * SHRINK
                    value -= RATE * (slope[at] / (1 - 0.9**step)) / (np.sqrt(square[at] / (1 - 0.99**step)) + 1e-7)


def _softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    if scores.shape[1] == 0:
        return scores
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    return scores
