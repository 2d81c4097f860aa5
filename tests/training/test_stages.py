"""Every member has exactly one stage, and the thresholds are the brand's own."""

import datetime
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from features.history import History, build_history
from features.tables import tables_from_frames
from features.vectors import MemberVectors, build_vectors
from training.stages import (
    ACTIVE,
    ASLEEP,
    BACK,
    LOST,
    NEW,
    PROSPECT,
    SILENT,
    STAGES,
    StageThresholds,
    Thresholds,
    assign_stage,
    stage_thresholds,
)

AS_OF = datetime.date(2026, 6, 1)


@pytest.fixture(scope="module")
def history(brand_frames: Mapping[str, pd.DataFrame]) -> History:
    return build_history(tables_from_frames(brand_frames))


def row(visits: float, recency: float, tenure: float, last_gap: float) -> dict[str, object]:
    return {
        "visits": visits,
        "recency_days": recency,
        "tenure_days": tenure,
        "gap_last_days": last_gap,
        "gap_median_days": last_gap,
    }


def test_each_stage_is_what_its_name_says(history: History) -> None:
    nan = np.nan
    rows = {
        PROSPECT: row(0, nan, nan, nan),
        NEW: row(1, 10, 10, nan),
        ACTIVE: row(6, 10, 300, 30),
        SILENT: row(6, 50, 300, 30),
        ASLEEP: row(6, 80, 300, 30),
        LOST: row(6, 150, 300, 30),
        BACK: row(2, 10, 300, 90),
    }
    frame = pd.DataFrame(rows.values()).assign(member_id=list(rows), as_of=pd.Timestamp(AS_OF))
    columns = build_vectors(history, [AS_OF], members=[]).columns
    thresholds = StageThresholds(Thresholds.of(30.0, 70.0, 1000), {}, {})
    staged = assign_stage(MemberVectors(frame, columns), thresholds)
    assert staged["stage"].tolist() == list(rows)


def test_every_known_member_has_exactly_one_stage_on_every_day(history: History) -> None:
    for day in (datetime.date(2025, 6, 1), AS_OF):
        vectors = build_vectors(history, [day], cold=True)
        staged = assign_stage(vectors, stage_thresholds(history, day))
        assert staged["member_id"].tolist() == vectors.frame["member_id"].tolist()
        assert staged["stage"].isin(STAGES).all()
        bought = vectors.frame["visits"].to_numpy() > 0
        assert ((staged["stage"] == PROSPECT).to_numpy() == ~bought).all()


def test_all_seven_stages_occur_on_the_simulated_brand(history: History) -> None:
    staged = assign_stage(build_vectors(history, [AS_OF], cold=True), stage_thresholds(history, AS_OF))
    assert set(staged["stage"]) == set(STAGES)


def test_thresholds_are_the_gap_quantiles_weighted_by_member(history: History) -> None:
    found = stage_thresholds(history, AS_OF).brand
    visits = history.visit_frame()
    visits = visits[visits["day"] < pd.Timestamp(AS_OF)]
    gap = visits.groupby("member_id")["day"].diff().dt.days
    gaps = visits.assign(gap=gap)[gap >= 3]
    # the plain definition: repeat each member's gaps so that everybody counts alike
    weight = 1.0 / gaps.groupby("member_id")["gap"].transform("size")
    below = [float(weight[gaps["gap"] <= q].sum() / weight.sum()) for q in (found.p50_days, found.p90_days)]
    under = [float(weight[gaps["gap"] < q].sum() / weight.sum()) for q in (found.p50_days, found.p90_days)]
    assert under[0] < 0.5 <= below[0] + 1e-9 and under[1] < 0.9 <= below[1] + 1e-9
    assert found.silent_days == 1.5 * found.p50_days
    assert found.silent_days < found.asleep_days < found.lost_days


def test_the_future_never_changes_a_stage(history: History, brand_frames: Mapping[str, pd.DataFrame]) -> None:
    day = datetime.date(2026, 1, 1)
    cut = dict(brand_frames)
    orders = cut["orders"]
    cut["orders"] = orders[orders["order_time"] < pd.Timestamp(day)]
    cut["order_lines"] = cut["order_lines"][cut["order_lines"]["order_id"].isin(cut["orders"]["order_id"])]
    cut["coupons"] = cut["coupons"][cut["coupons"]["used_order_id"].isna()]
    past = build_history(tables_from_frames(cut, coverage_end=datetime.date(2026, 6, 30)))
    one = assign_stage(build_vectors(history, [day]), stage_thresholds(history, day))
    two = assign_stage(build_vectors(past, [day]), stage_thresholds(past, day))
    pd.testing.assert_frame_equal(one, two)


def test_a_brand_with_few_gaps_takes_the_defaults_and_says_so() -> None:
    days = pd.to_datetime(["2026-01-01", "2026-02-01", "2026-03-01"])
    frames = {
        "members": pd.DataFrame({"member_id": ["a"], "registered_at": days[:1], "status": "active"}),
        "orders": pd.DataFrame(
            {"order_id": list("123"), "member_id": "a", "order_time": days, "channel": "store", "status": "completed",
             "paid_yuan": 10.0}
        ),
        "order_lines": pd.DataFrame(
            {"order_id": list("123"), "line_no": 1, "line_type": "sale", "item_id": "i", "qty": 1, "paid_yuan": 10.0}
        ),
        "items": pd.DataFrame({"item_id": ["i"], "spu_id": "i", "title": "t", "category_l1": "c", "status": "on"}),
    }  # fmt: skip
    found = stage_thresholds(build_history(tables_from_frames(frames)), datetime.date(2026, 3, 2))
    assert not found.brand.from_data
    assert found.brand.silent_days == 90.0
