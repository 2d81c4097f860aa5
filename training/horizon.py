"""A visit history in; out: the churn horizon its own rhythm suggests, overall and for each category, and why."""

from dataclasses import dataclass, field
from datetime import date

import numpy as np

from features.baskets import build_baskets
from features.history import History

STEPS = (7, 14, 30, 60, 90, 180, 365)
# Fewer gaps than this say nothing of a category.
FEWEST_GAPS = 50
# A gap shorter than this belongs to the same shopping occasion (exchanges, forgotten items).
SAME_OCCASION_DAYS = 3


@dataclass(frozen=True)
class Horizon:
    """A proposed churn horizon in days, and why. `categories`: the same for each category with enough gaps."""

    days: int
    why: str
    why_zh: str = ""
    gap_p50_days: float | None = None
    gap_p80_days: float | None = None
    categories: dict[str, "Horizon"] = field(default_factory=dict)


def propose_horizon(history: History, as_of: date, *, per_category: bool = False) -> Horizon:
    """H = twice the median gap between visits, rounded to a usual step, at most a third of the history."""
    visits = history.visit_frame()
    visits = visits[visits["day"] < np.datetime64(as_of)].sort_values(["member_id", "day"], kind="stable")
    gaps = visits.groupby("member_id")["day"].diff().dt.days.to_numpy(float)
    span = (as_of - history.coverage_start).days
    whole = _propose(gaps[np.isfinite(gaps)], span)
    if not per_category or "items" not in history.tables.frames:
        return whole
    found = {name: _propose(own, span) for name, own in sorted(_category_gaps(history, as_of).items())}
    return Horizon(whole.days, whole.why, whole.why_zh, whole.gap_p50_days, whole.gap_p80_days, found)


def _propose(gaps: np.ndarray, span: int) -> Horizon:
    gaps = gaps[gaps >= SAME_OCCASION_DAYS]
    longest = max(span // 3, 7)
    steps = [step for step in STEPS if step <= longest] or [min(longest, STEPS[0])]
    if not len(gaps):
        days = min(steps, key=lambda step: abs(np.log(step / 90)))
        return Horizon(days, "nobody has come twice yet; a usual horizon", "还没有会员来过两次，先用常用周期")
    median, late = (float(v) for v in np.quantile(gaps, [0.5, 0.8]))
    days = min(steps, key=lambda step: abs(np.log(step / (2 * median))))
    cut = days == steps[-1] and 2 * median > 1.4 * days
    why = (
        f"of gaps of {SAME_OCCASION_DAYS} days and more between visits half are shorter than {median:.0f} days; "
        "twice that, rounded"
    )
    why_zh = f"在{SAME_OCCASION_DAYS}天及以上的到店间隔中，一半短于{median:.0f}天，取其两倍并取整"
    if cut and days == STEPS[-1]:
        why += ", and held to a year, the longest horizon proposed"
        why_zh += "，且不超过一年，即可建议的最长周期"
    elif cut:
        why += f", and held to a third of the {span} days of history"
        why_zh += f"，且不超过{span}天历史的三分之一"
    return Horizon(days, why, why_zh, median, late)


def _category_gaps(history: History, as_of: date) -> dict[str, np.ndarray]:
    """Gaps between a member's visits that bought of the same category."""
    items = history.tables["items"].select("item_id", "category_l1").to_pandas()
    baskets = build_baskets(history, as_of)
    category = items.drop_duplicates("item_id").set_index("item_id")["category_l1"]
    rows = baskets.rows[["member", "day"]].copy()
    rows["category"] = category.reindex(baskets.item_ids).to_numpy()[baskets.rows["item"].to_numpy()]
    rows = rows.dropna().drop_duplicates().sort_values(["category", "member", "day"], kind="stable")
    rows["gap"] = rows.groupby(["category", "member"])["day"].diff().dt.days
    gaps = {str(name): part["gap"].dropna().to_numpy(float) for name, part in rows.groupby("category")}
    return {name: own for name, own in gaps.items() if len(own) >= FEWEST_GAPS}
