"""Survival curves in; out: when a member is expected back, as a median and an 80 % window, or why that is not said."""

import numpy as np
import pandas as pd

from training.curves import SurvivalCurves
from training.ladder import RECENCY_BANDS

# Below this chance of returning within the longest horizon a date would be a guess about a few.
SMALLEST_RETURN = 0.2


def next_purchase(
    curves: SurvivalCurves, *, max_days: int | None = None, min_return: float = SMALLEST_RETURN
) -> pd.DataFrame:
    """Columns member_id, return_probability (within max_days), median_days, low_days, high_days, null_reason.

    The points are the 50, 10 and 90 % points of (1 - S(t)) / (1 - S(L)): the date among those who return within L.
    The median is the day that holds its point; the window's ends are the midnights nearest to theirs, so that whole
    days make it neither wider nor narrower. Days count from as_of and are at least 1; null where return_probability
    is below `min_return`: null_reason is then return_unlikely, or not_enough_data where no model knows the member.
    """
    longest = curves.max_days if max_days is None else max_days
    returning = 1.0 - curves.at(longest)
    told = returning >= min_return
    frame = pd.DataFrame({"member_id": curves.member_ids, "return_probability": returning})
    median = np.maximum(np.ceil(curves.quantile(0.5, longest)), 1.0)
    low = np.minimum(np.floor(curves.quantile(0.1, longest) + 0.5) + 1.0, median)
    high = np.maximum(np.floor(curves.quantile(0.9, longest) + 0.5), median)
    for name, day in (("median_days", median), ("low_days", low), ("high_days", high)):
        frame[name] = np.where(told, day, np.nan)
    unknown = np.where(curves.rung == RECENCY_BANDS, "not_enough_data", "return_unlikely")
    frame["null_reason"] = np.where(told, "", unknown)
    frame["null_reason"] = frame["null_reason"].replace("", None)
    return frame
