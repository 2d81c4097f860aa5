"""Member vectors and the brand's own rhythm in; exactly one lifecycle stage a member and day out.

潜客 never bought · 新客 first visit not long ago · 活跃 within the usual gap · 沉默 · 睡眠 · 流失 ever longer silent ·
回流 bought again after a silence that was 睡眠 or longer, until the visit after.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from features.history import History
from features.vectors import MemberVectors

PROSPECT, NEW, ACTIVE, SILENT, ASLEEP, LOST, BACK = "潜客", "新客", "活跃", "沉默", "睡眠", "流失", "回流"
STAGES = (PROSPECT, NEW, ACTIVE, SILENT, ASLEEP, LOST, BACK)
STAGES_EN: Mapping[str, str] = {
    PROSPECT: "prospect",
    NEW: "new",
    ACTIVE: "active",
    SILENT: "silent",
    ASLEEP: "asleep",
    LOST: "lost",
    BACK: "back",
}
# Visits less than this many days apart are one purchase occasion.
ONE_OCCASION_DAYS = 3
# Quantiles of fewer gaps than this are noise: a category then takes the brand's, a brand the defaults.
FEWEST_GAPS = 200
# Starting guesses where a brand has too few gaps: usual shop rules for a two-to-three-month rhythm.
DEFAULT_P50, DEFAULT_P90 = 60.0, 90.0


@dataclass(frozen=True)
class Thresholds:
    """Days of silence from which a member is 沉默, 睡眠, 流失, and the gap quantiles they come from."""

    silent_days: float
    asleep_days: float
    lost_days: float
    p50_days: float
    p90_days: float
    gaps: int
    from_data: bool

    @staticmethod
    def of(p50: float, p90: float, gaps: int, *, from_data: bool = True) -> "Thresholds":
        """p50 × 1.5, p90 and 2 × p90; where p90 lies below p50 × 1.5 the second keeps a step above the first."""
        silent = 1.5 * p50
        asleep = max(p90, 1.25 * silent)
        return Thresholds(silent, asleep, max(2.0 * p90, 1.5 * asleep), p50, p90, gaps, from_data)


@dataclass(frozen=True)
class StageThresholds:
    """The brand's thresholds, those of categories with enough gaps, and each member's main category."""

    brand: Thresholds
    categories: Mapping[str, Thresholds]
    main_category: Mapping[str, str]

    def frame(self) -> pd.DataFrame:
        """One row for the brand ("") and each category: the thresholds and where they come from."""
        rows = {"": self.brand, **self.categories}
        return pd.DataFrame([{"category": name, **vars(value)} for name, value in rows.items()])


def stage_thresholds(history: History, as_of: date) -> StageThresholds:
    """Read the thresholds off the gaps known at `as_of`, for the brand and for each main category.

    A member's gaps weigh one together, else the busiest members would set everybody's thresholds. A member's main
    category is the one bought on most visits (ties: the first by name).
    """
    visits = history.visit_frame()
    visits = visits[(visits["day"] < pd.Timestamp(as_of)) & (visits["known_day"] < pd.Timestamp(as_of))]
    gap = visits.groupby("member_id")["day"].diff().dt.days
    gaps = visits.assign(gap=gap).loc[gap >= ONE_OCCASION_DAYS, ["member_id", "gap"]]
    main = _main_categories(history, as_of)
    brand = _thresholds(gaps) or Thresholds.of(DEFAULT_P50, DEFAULT_P90, len(gaps), from_data=False)
    of = gaps["member_id"].map(main)
    categories = {}
    for name, part in gaps.groupby(of):
        own = _thresholds(part)
        if own is not None:
            categories[str(name)] = own
    return StageThresholds(brand, categories, {str(k): str(v) for k, v in main.items()})


def _thresholds(gaps: pd.DataFrame) -> Thresholds | None:
    if len(gaps) < FEWEST_GAPS:
        return None
    weight = 1.0 / gaps.groupby("member_id")["gap"].transform("size")
    order = np.argsort(gaps["gap"].to_numpy(), kind="stable")
    share = np.cumsum(weight.to_numpy()[order]) / weight.sum()
    p50, p90 = (float(gaps["gap"].to_numpy()[order][np.searchsorted(share, q)]) for q in (0.5, 0.9))
    return Thresholds.of(p50, p90, len(gaps))


def _main_categories(history: History, as_of: date) -> pd.Series:
    tables, day = history.tables, pd.Timestamp(as_of)
    lines = tables["order_lines"].filter(tables["order_lines"].line_type == "sale").select("order_id", "item_id")
    orders = tables["orders"].filter(
        (tables["orders"].order_time < day)
        & (tables["orders"].loaded_at < day)
        & tables["orders"].member_id.notnull()
    )
    items = tables["items"].select("item_id", "category_l1")
    joined = lines.join(orders.select("order_id", "member_id"), "order_id").join(items, "item_id")
    by_category = joined.group_by(["member_id", "category_l1"])
    counts = by_category.agg(bought=joined.order_id.nunique()).to_pandas()
    counts = counts.sort_values(["member_id", "bought", "category_l1"], ascending=[True, False, True])
    return counts.drop_duplicates("member_id").set_index("member_id")["category_l1"]


def thresholds_from_vectors(vectors: MemberVectors) -> StageThresholds:
    """Thresholds from the members' own median gaps, for callers without a history."""
    gap = vectors.frame["gap_median_days"].to_numpy(float)
    gap = gap[np.isfinite(gap) & (gap >= ONE_OCCASION_DAYS)]
    if len(gap) < FEWEST_GAPS:
        brand = Thresholds.of(DEFAULT_P50, DEFAULT_P90, len(gap), from_data=False)
    else:
        brand = Thresholds.of(float(np.quantile(gap, 0.5)), float(np.quantile(gap, 0.9)), len(gap))
    return StageThresholds(brand, {}, {})


def assign_stage(vectors: MemberVectors, thresholds: StageThresholds | None = None) -> pd.DataFrame:
    """The stage of every member of the vectors (cold rows included), at one as_of.

    Without thresholds they are read off the vectors. Returns member_id, stage.
    """
    own = thresholds or thresholds_from_vectors(vectors)
    frame = vectors.frame
    ids = frame["member_id"].to_numpy(str)
    limits = np.array([own.brand.silent_days, own.brand.asleep_days, own.brand.lost_days])[None, :].repeat(
        len(ids), 0
    )
    if own.categories:
        category = pd.Series(ids).map(own.main_category)
        for name, value in own.categories.items():
            limits[(category == name).to_numpy()] = value.silent_days, value.asleep_days, value.lost_days
    silent, asleep, lost = limits.T
    visits = frame["visits"].fillna(0).to_numpy(float)
    recency = frame["recency_days"].to_numpy(float)
    tenure = frame["tenure_days"].to_numpy(float)
    last_gap = frame["gap_last_days"].to_numpy(float)
    stage = np.select(
        [
            visits < 1,
            recency >= lost,
            recency >= asleep,
            recency >= silent,
            (visits > 1) & (last_gap >= asleep),
            tenure < silent,
        ],
        [PROSPECT, LOST, ASLEEP, SILENT, BACK, NEW],
        default=ACTIVE,
    ).astype(object)
    return pd.DataFrame({"member_id": ids, "stage": stage})
