"""Survival curves in; out: when a member is expected back, as a median and an 80 % window, or why that is not said."""

import numpy as np
import pandas as pd

from training.curves import SurvivalCurves

# Below this chance of returning within the longest horizon a date would be a guess about a few.
SMALLEST_RETURN = 0.2


def next_purchase(
    curves: SurvivalCurves, *, max_days: int | None = None, min_return: float = SMALLEST_RETURN
) -> pd.DataFrame:
    """Columns member_id, return_probability (within max_days), median_days, low_days, high_days, null_reason.

    The points are the 50, 10 and 90 % points of (1 - S(t)) / (1 - S(L)): the date among those who return within L.
    Days count from as_of and are at least 1; null where return_probability is below `min_return`.
    """
    longest = curves.max_days if max_days is None else max_days
    returning = 1.0 - curves.at(longest)
    told = returning >= min_return
    frame = pd.DataFrame({"member_id": curves.member_ids, "return_probability": returning})
    for name, share in (("median_days", 0.5), ("low_days", 0.1), ("high_days", 0.9)):
        frame[name] = np.where(told, np.maximum(np.ceil(curves.quantile(share, longest)), 1.0), np.nan)
    frame["null_reason"] = np.where(told, "", "return_unlikely")
    frame["null_reason"] = frame["null_reason"].replace("", None)
    return frame
