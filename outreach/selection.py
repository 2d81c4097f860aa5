"""Inclusion probabilities and the dice of a day in, the listed members out: exactly k a guide, P(listed) = π exactly.

Madow's systematic sampling (W. G. Madow, 1949): walk along the cumulated π of a guide's members in random order and
take whoever covers u, u + 1, u + 2 …  The size is fixed and every marginal is exact.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def madow(pi: Floats, starts: Ints, order_dice: Floats, start_dice: Floats) -> NDArray[np.bool_]:
    """Draw each segment's sample: `order_dice` one uniform a member, `start_dice` one uniform a segment."""
    n = len(pi)
    if n == 0:
        return np.zeros(0, dtype=bool)
    counts = np.diff(np.r_[starts, n])
    of = np.repeat(np.arange(len(starts)), counts)
    order = np.lexsort((order_dice, of))
    p = pi[order]
    total = np.add.reduceat(p, starts)
    size = np.rint(total)
    running = np.cumsum(p)
    before = np.r_[0.0, running[:-1]]
    base = before[starts]
    # Cumulated within the segment and scaled to the whole number it must be (differences are about 1e-12).
    scale = np.where(total > 0, size / np.where(total > 0, total, 1.0), 0.0)
    end = (running - base[of]) * scale[of]
    begin = (before - base[of]) * scale[of]
    last = np.r_[starts[1:] - 1, n - 1]
    end[last] = size
    begin[starts] = 0.0
    begin[1:] = np.where(of[1:] == of[:-1], end[:-1], 0.0)
    u = start_dice[of]
    # A point u + j, j whole, lies in [begin, end) exactly when ceil(end − u) and ceil(begin − u) differ.
    hit = np.ceil(end - u) > np.ceil(begin - u)
    drawn = np.zeros(n, dtype=bool)
    drawn[order[hit]] = True
    return drawn
