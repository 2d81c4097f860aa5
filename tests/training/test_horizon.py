"""The proposed horizon follows the gaps between visits, overall and in each category, and says why."""

import datetime
from collections.abc import Mapping

import pandas as pd

from features.history import build_history
from features.tables import tables_from_frames
from training.horizon import FEWEST_GAPS, SAME_OCCASION_DAYS, propose_horizon

AS_OF = datetime.date(2026, 6, 1)


def test_each_category_has_the_horizon_of_its_own_gaps(brand_frames: Mapping[str, pd.DataFrame]) -> None:
    history = build_history(tables_from_frames(brand_frames))
    found = propose_horizon(history, AS_OF, per_category=True)
    assert len(found.categories) >= 2
    for own in found.categories.values():
        assert own.gap_p50_days is not None and f"{own.gap_p50_days:.0f} days" in own.why
        # between two visits for one category lie visits for others, never the other way round
        assert found.gap_p50_days is not None and own.gap_p50_days >= found.gap_p50_days
        assert own.days >= found.days
    # the same by hand for the largest category
    orders, lines, items = (brand_frames[name] for name in ("orders", "order_lines", "items"))
    bought = lines[lines["line_type"] == "sale"].merge(orders, on="order_id").merge(items, on="item_id")
    bought = bought[(bought["order_time"] < pd.Timestamp(AS_OF)) & bought["member_id"].notna()]
    largest = max(found.categories, key=lambda name: (bought["category_l1"] == name).sum())
    days = bought[bought["category_l1"] == largest].assign(day=lambda f: f["order_time"].dt.normalize())
    days = days[["member_id", "day"]].drop_duplicates().sort_values(["member_id", "day"])
    gaps = days.groupby("member_id")["day"].diff().dt.days.dropna()
    gaps = gaps[gaps >= SAME_OCCASION_DAYS]
    assert len(gaps) >= FEWEST_GAPS
    assert abs(gaps.median() - found.categories[largest].gap_p50_days) <= 2  # type: ignore[operator]
