"""The proposed horizon follows the gaps between visits, overall and in each category, and says why."""

import datetime
from collections.abc import Mapping

import numpy as np
import pandas as pd

from features.history import build_history
from features.tables import tables_from_frames
from training.horizon import FEWEST_GAPS, SAME_OCCASION_DAYS, Horizon, _propose, propose_horizon

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


def why_of(gaps: list[float], span: int) -> Horizon:
    return _propose(np.array(gaps, float), span)


def test_the_why_says_what_really_held_the_horizon() -> None:
    yearly = why_of([365.0] * 9, 2_200)
    assert yearly.days == 365 and yearly.why.endswith("and held to a year, the longest horizon proposed")
    assert "三分之一" not in yearly.why_zh and "一年" in yearly.why_zh
    short = why_of([200.0] * 9, 400)
    assert short.days == 90 and short.why.endswith("and held to a third of the 400 days of history")
    assert "held to" not in why_of([20.0] * 9, 2_200).why


def test_the_why_names_the_gaps_that_were_counted() -> None:
    found = why_of([1.0] * 50 + [40.0] * 3, 700)
    assert found.gap_p50_days == 40
    assert found.why.startswith("of gaps of 3 days and more between visits half are shorter than 40 days")
    assert found.why_zh.startswith("在3天及以上的到店间隔中")
