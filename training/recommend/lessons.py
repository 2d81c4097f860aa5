"""Visits in; what every earlier visit teaches, out: the history before it, and what it held.

Only visits before the state's day are lessons, and a lesson knows nothing of its own visit but what it is to predict.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from training.items import purchase_matrix
from training.recommend.visits import Visits

DECAY = 0.8  # a visit
# A history of many items speaks as loudly as one of few: rows are divided by the square root of their length.
LENGTH_POWER = 0.5
# So does a next basket of many items: 0 would let wholesale orders speak for everybody.
BASKET_POWER = 0.5
# What is bought one visit later than the next counts half: more to learn from, and still soon.
VISIT_AFTER = 0.5
# Items that are learned of: a regression's cost grows with the cube, and rarer items have nothing to learn from.
MOST_ITEMS = 4_000
LEAST_BUYERS = 3
# Lessons and the visits each looks back; .8 ^ 12 is 7 %.
MOST_LESSONS = 60_000
LOOK_BACK = 12


@dataclass(frozen=True)
class Lessons:
    """A row per drawn visit but the first of a member; columns are all items.

    past: the decayed history before the visit. fresh: its items never bought before. whole: all its items. ahead: the
    fresh items of this visit and, counting VISIT_AFTER, of the next. The last three are divided by (row sum)^BASKET_POWER.
    """

    past: sparse.csr_matrix
    fresh: sparse.csr_matrix
    whole: sparse.csr_matrix
    ahead: sparse.csr_matrix


def lessons(visits: Visits, seed: int) -> Lessons:
    """The lessons of all members, MOST_LESSONS drawn ones where there are more."""
    count = visits.n_visits.astype(np.int64)
    first = np.r_[0, np.cumsum(count)]
    baskets = int(first[-1])
    basket = first[visits.member] + visits.visit
    table = purchase_matrix(basket, visits.item, None, (baskets, visits.n_items))
    owner = np.repeat(np.arange(len(count)), count)
    position = np.arange(baskets) - first[owner]
    taught = np.flatnonzero(position > 0)
    if len(taught) > MOST_LESSONS:
        taught = np.sort(np.random.default_rng(seed).choice(taught, MOST_LESSONS, replace=False))
    lag = np.arange(1, LOOK_BACK + 1)
    row, back = np.nonzero(position[taught][:, None] >= lag)
    look = sparse.csr_matrix(
        (DECAY**back, (row, taught[row] - lag[back])), shape=(len(taught), baskets), dtype=np.float32
    )
    past = (look @ table).tocsr()
    now = table[taught]
    follows = np.flatnonzero(taught + 1 < baskets)
    follows = follows[owner[taught[follows] + 1] == owner[taught[follows]]]
    after = sparse.csr_matrix(
        (np.full(len(follows), VISIT_AFTER), (follows, taught[follows] + 1)),
        shape=(len(taught), baskets),
        dtype=np.float32,
    )
    # What was bought before the visits looked back on counts as new again: by then it is.
    return Lessons(past, _shared(_new(now, past)), _shared(now), _shared(_new(now + after @ table, past)))


def learned_items(visits: Visits) -> NDArray[np.int64]:
    """Codes, sorted, of the items bought by LEAST_BUYERS members, the MOST_ITEMS most bought."""
    buyers = np.bincount(visits.matrix().indices, minlength=visits.n_items)
    often = np.lexsort((np.arange(len(buyers)), -buyers))[:MOST_ITEMS]
    found: NDArray[np.int64] = np.sort(often[buyers[often] >= LEAST_BUYERS])
    return found


def even(history: sparse.csr_matrix) -> sparse.csr_matrix:
    """Square roots of the weights, rows divided by a power of their length."""
    rooted = sparse.csr_matrix(history, dtype=np.float32, copy=True)
    length = np.sqrt(np.asarray(rooted.sum(axis=1)).ravel())  # of the rooted row: sum of squares is the sum itself
    rooted.data = np.sqrt(rooted.data)
    return (sparse.diags((1.0 / np.maximum(length, 1e-6) ** LENGTH_POWER).astype(np.float32)) @ rooted).tocsr()


def history_now(visits: Visits, items: NDArray[Any]) -> sparse.csr_matrix:
    """Members × `items`: what a lesson's `past` would be on the state's day."""
    return even(visits.matrix(DECAY**visits.age)[:, items])


def _new(bought: sparse.csr_matrix, past: sparse.csr_matrix) -> sparse.csr_matrix:
    fresh = sparse.csr_matrix(bought - bought.multiply(past > 0))
    fresh.eliminate_zeros()
    return fresh


def _shared(bought: sparse.csr_matrix) -> sparse.csr_matrix:
    size = np.maximum(np.asarray(bought.sum(axis=1)).ravel(), 1.0)
    return (sparse.diags((1.0 / size**BASKET_POWER).astype(np.float32)) @ bought).tocsr()
