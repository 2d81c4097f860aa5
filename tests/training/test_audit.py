"""The harness's own leak check: silent on honest vectors, loud where one column knows the future."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from features.history import History, build_history, population
from features.tables import tables_from_frames
from features.vectors import COLUMNS, MemberVectors, build_vectors
from training.audit import audit_vectors, rewrite_future
from training.cutoffs import LeakFound

CUT = date(2026, 3, 1)


@pytest.fixture(scope="module")
def history() -> History:
    rng = np.random.default_rng(7)
    rows = []
    for k in range(60):
        day = int(rng.integers(0, 40))
        while day < 120:
            rows.append((f"m{k:02d}", pd.Timestamp("2026-01-01") + pd.Timedelta(days=day, hours=11), 10.0 + k))
            day += int(rng.integers(3, 40))
    orders = pd.DataFrame(rows, columns=["member_id", "order_time", "paid_yuan"])
    orders["order_id"] = [f"o{k}" for k in range(len(orders))]
    orders["status"], orders["status_at"] = "completed", orders["order_time"]
    refused = orders.index[orders.order_time.between("2026-02-01", "2026-02-28")][:5]
    orders.loc[refused, ["status", "status_at"]] = (
        "cancelled",
        pd.Timestamp("2026-03-09"),
    )  # not yet so at the cut-off
    lines = orders[["order_id", "paid_yuan"]].assign(
        line_no=1, line_type="sale", item_id="tea", qty=1, returned_at=""
    )
    back = lines[::7].assign(line_no=2, line_type="return")
    back["returned_at"] = (orders.order_time[::7] + pd.Timedelta(days=12)).astype(str)
    members = pd.DataFrame({"member_id": sorted(set(orders.member_id)), "status": "active", "level": "gold"})
    members["registered_at"] = pd.Timestamp("2025-12-30")
    members["updated_at"] = pd.Timestamp("2026-04-01")
    frames = {
        "members": members,
        "orders": orders.assign(channel="other"),
        "order_lines": pd.concat([lines, back], ignore_index=True),
        "items": pd.DataFrame(
            [{"item_id": "tea", "spu_id": "tea", "title": "茶", "category_l1": "tea", "status": "on"}]
        ),
    }
    return build_history(tables_from_frames(frames))


def test_honest_vectors_do_not_change_when_the_future_is_rewritten(history: History) -> None:
    assert audit_vectors(history, CUT) == len(population(history, CUT)) > 50


def test_the_rewritten_future_is_really_another_one(history: History) -> None:
    rewritten = rewrite_future(history.tables, CUT)
    start = pd.Timestamp(CUT)
    orders, true = rewritten["orders"].to_pandas(), history.tables["orders"].to_pandas()
    assert len(orders) == (true.order_time < start).sum() < len(true)
    assert (orders.status == "cancelled").sum() == 0 < (true.status == "cancelled").sum()
    lines = rewritten["order_lines"].to_pandas()
    assert (lines.returned_at.dropna() < start).all() and lines.returned_at.notna().any()
    assert set(rewritten["members"].to_pandas().level) == {"rewritten"}


def planted(tell: Callable[[History], pd.Series]) -> Callable[[History, date], MemberVectors]:
    def build(history: History, day: date) -> MemberVectors:
        vectors = build_vectors(history, [day])
        told = tell(history).reindex(vectors.members).fillna(0).to_numpy(dtype=float)
        column = replace(COLUMNS[0], name="planted")
        return MemberVectors(vectors.frame.assign(planted=told), (*vectors.columns, column))

    return build


def test_a_planted_column_that_knows_the_next_purchase_is_caught_by_name(history: History) -> None:
    def visits_to_come(history: History) -> pd.Series:
        visits = history.visit_frame()
        return visits[visits.day >= pd.Timestamp(CUT)].groupby("member_id").size()

    with pytest.raises(LeakFound, match=rf"changed 1 of {len(COLUMNS) + 1} vector columns: planted \("):
        audit_vectors(history, CUT, build=planted(visits_to_come))


def test_a_planted_column_that_knows_a_later_return_is_caught(history: History) -> None:
    def returns_ever(history: History) -> pd.Series:
        return history.return_frame().groupby("member_id").size()

    with pytest.raises(LeakFound, match="planted"):
        audit_vectors(history, CUT, build=planted(returns_ever))


def test_a_population_that_knows_who_comes_later_is_caught(history: History) -> None:
    def build(history: History, day: date) -> MemberVectors:
        return build_vectors(history, [min(date(2026, 4, 20), history.coverage_end)], members=None)

    def short(history: History, day: date) -> MemberVectors:
        vectors = build(history, day)
        later = history.visit_frame().groupby("member_id").day.max() >= pd.Timestamp(CUT)
        keep = later.reindex(vectors.members).fillna(False).to_numpy(dtype=bool)
        return MemberVectors(vectors.frame[keep].reset_index(drop=True), vectors.columns)

    with pytest.raises(LeakFound, match="changed who was a member"):
        audit_vectors(history, CUT, build=short)
