"""Ranked own and new items in; the mixed list out: by calibrated probability, or with places kept for new items."""

import numpy as np
from numpy.typing import NDArray

from training.items import NONE
from training.recommend.simple import Lists

# Instead of a number of places: own and new items in one order of their calibrated probabilities.
BY_PROBABILITY = 0


def mixed_by_slots(lists: Lists, new_slots: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The mixed list with the last `new_slots` places for new items; what one kind lacks the other fills."""
    if new_slots == BY_PROBABILITY:
        return lists.mixed, lists.mixed_score
    n = lists.mixed.shape[1]
    keep = max(n - new_slots, 0)
    # Order of taking: own up to `keep`, new up to `new_slots`, then the rest of new, then the rest of own.
    codes = np.hstack(
        [lists.again[:, :keep], lists.new[:, : n - keep], lists.new[:, n - keep :], lists.again[:, keep:]]
    )
    scores = np.hstack(
        [
            lists.again_score[:, :keep],
            lists.new_score[:, : n - keep],
            lists.new_score[:, n - keep :],
            lists.again_score[:, keep:],
        ]
    )
    left = np.argsort(codes < 0, axis=1, kind="stable")[:, :n]
    codes, scores = np.take_along_axis(codes, left, 1), np.take_along_axis(scores, left, 1)
    return codes, np.where(codes == NONE, 0.0, scores).astype(np.float32)
