"""Scores of many guides' members in, exact inclusion probabilities out: a soft top-k with a floor, Σπ = list size.

Per guide with n members and list size k = min(capacity, n):

    floor_i = min(1, ε · (k/n) · w_i)                                w_i weight of the frequency arm
    π_i     = floor_i + min(1 − floor_i, w_i · σ((rank_i − θ)/τ))    rank_i in (0, 1], θ so that Σπ = k

All guides are solved at once by bisection on θ, so a million members take about a second.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Halvings of an interval of length about 4: the sum is then exact to 1e-12 before the last scaling.
BISECTIONS = 55


def segment_starts(group: Ints) -> Ints:
    """The first position of each group in a sorted group column."""
    if len(group) == 0:
        return np.zeros(0, dtype=np.int64)
    return np.r_[0, np.flatnonzero(np.diff(group)) + 1].astype(np.int64)


def rank_within(score: Floats, starts: Ints, tie: Floats | None = None) -> Floats:
    """Rank of each score in its segment as a quantile in (0, 1], 1 the best; ties are broken by `tie`, then place."""
    n = len(score)
    sizes = np.diff(np.r_[starts, n])
    group = np.repeat(np.arange(len(starts)), sizes)
    order = np.lexsort((np.arange(n), tie if tie is not None else np.zeros(n), score, group))
    rank = np.empty(n)
    rank[order] = np.arange(n) - np.repeat(starts, sizes) + 1.0
    return rank / np.repeat(sizes, sizes)


def inclusion_probabilities(
    score: Floats,
    starts: Ints,
    size: Ints,
    *,
    epsilon: float,
    tau: float,
    weight: Floats | None = None,
    tie: Floats | None = None,
) -> Floats:
    """Inclusion probability of every member, Σ within a segment = min(size, members of the segment).

    `score` is grouped by guide, `starts` are the first positions of the guides and `size` their list sizes.
    `tau` = 0 and `epsilon` = 0 give the plain top-k.  `weight` are frequency-arm weights (all 1 by default).
    """
    n = len(score)
    if n == 0:
        return np.zeros(0)
    counts = np.diff(np.r_[starts, n])
    k = np.minimum(size, counts).astype(np.float64)
    of = np.repeat(np.arange(len(starts)), counts)
    rank = rank_within(score, starts, tie)
    if tau <= 0 and epsilon <= 0 and weight is None:
        return (rank * counts[of] > counts[of] - k[of] + 0.5).astype(np.float64)
    w = np.ones(n) if weight is None else weight
    floor = np.minimum(1.0, epsilon * (k / counts)[of] * w)
    left = np.maximum(k - np.add.reduceat(floor, starts), 0.0)
    room = 1.0 - floor
    # Where the weights cannot fill the list (nearly all members are listed), the arms give way.
    short = np.add.reduceat(np.minimum(room, w), starts) < left + 1e-9
    w = np.where(short[of], 1.0, w)
    soft = max(tau, 1e-6)
    low = np.full(len(starts), -40.0 * soft - 1.0)
    high = np.full(len(starts), 2.0 + 40.0 * soft)
    for _ in range(BISECTIONS):
        theta = (low + high) / 2
        p = np.minimum(room, w / (1.0 + np.exp(np.clip((theta[of] - rank) / soft, -40, 40))))
        over = np.add.reduceat(p, starts) > left
        low = np.where(over, theta, low)
        high = np.where(over, high, theta)
    total = np.add.reduceat(p, starts)
    # What bisection leaves over (1e-12, or all when every member is listed) goes to those with room.
    gap = left - total
    slack = room - p
    p = p + slack * (np.maximum(gap, 0) / np.maximum(np.add.reduceat(slack, starts), 1e-300))[of]
    p = p * np.where(gap < 0, left / np.maximum(total, 1e-300), 1.0)[of]
    return np.clip(np.where((counts <= size)[of], 1.0, floor + p), 0.0, 1.0)
