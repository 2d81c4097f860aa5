"""Member vectors: what they hold, and that they know nothing after their as_of day."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from features.baskets import build_baskets
from features.errors import InputError
from features.history import build_history, population
from features.tables import Tables, tables_from_frames
from features.vectors import COLUMNS, build_vectors


def _members(*ids: str, **columns: object) -> pd.DataFrame:
    day = pd.Timestamp("2023-12-01")
    given = {"member_id": list(ids), "registered_at": day, "status": "active", "updated_at": day}
    return pd.DataFrame({**given, **columns})


def _small_world() -> dict[str, pd.DataFrame]:
    """Ann buys a and b on day 1 and a on day 11; Bob buys once and brings it back; Cat never buys; Dan is staff."""
    orders = pd.DataFrame(
        {
            "order_id": ["o1", "o2", "o3", "o4"],
            "member_id": ["ann", "ann", "bob", "dan"],
            "order_time": pd.to_datetime(
                ["2024-01-01 10:00", "2024-01-11 19:00", "2024-01-05 12:00", "2024-01-02 09:00"]
            ),
            "channel": ["store", "wechat_mp", "store", "store"],
            "store_id": ["s1", None, "s1", "s1"],
            "status": "completed",
            "paid_yuan": [30.0, 12.5, 40.0, 9.0],
        }
    )
    lines = pd.DataFrame(
        {
            "order_id": ["o1", "o1", "o2", "o3", "o3", "o4"],
            "line_no": [1, 2, 1, 1, 2, 1],
            "line_type": ["sale", "sale", "sale", "sale", "return", "sale"],
            "item_id": ["a", "b", "a", "c", "c", "a"],
            "qty": [1, 2, 1, 1, 1, 1],
            "paid_yuan": [10.0, 20.0, 12.5, 40.0, 40.0, 9.0],
            "returned_at": pd.to_datetime([None, None, None, None, "2024-01-20 10:00", None]),
        }
    )
    items = pd.DataFrame({"item_id": ["a", "b", "c"], "spu_id": ["a", "b", "c"], "title": ["A", "B", "C"]})
    items = items.assign(category_l1=["x", "y", "y"], status="on")
    members = _members("ann", "bob", "cat", "dan", is_staff=[False, False, False, True])
    return {"members": members, "orders": orders, "order_lines": lines, "items": items}


@pytest.fixture(scope="module")
def small_world() -> Tables:
    return tables_from_frames(_small_world())


def test_a_vector_says_what_the_member_did(small_world: Tables) -> None:
    vectors = build_vectors(build_history(small_world), [date(2024, 1, 21)])
    ann = vectors.frame.set_index("member_id").loc["ann"]
    expected = {
        "recency_days": 10,
        "visits": 2,
        "repeat_visits": 1,
        "tenure_days": 20,
        "first_to_last_days": 10,
        "gap_mean_days": 10,
        "gap_median_days": 10,
        "gap_last_days": 10,
        "visits_30d": 2,
        "spend_total_yuan": 42.5,
        "spend_mean_yuan": 21.25,
        "last_visit_spend_yuan": 12.5,
        "items_distinct": 2,
        "categories_distinct": 2,
        "basket_mean_items": 2,
    }
    assert {name: ann[name] for name in expected} == expected
    assert np.isnan(ann["gap_std_days"])


def test_a_wholly_returned_purchase_is_gone_only_once_the_return_is_known(small_world: Tables) -> None:
    history = build_history(small_world)
    assert list(population(history, date(2024, 1, 20))) == ["ann", "bob"]
    assert list(population(history, date(2024, 1, 21))) == ["ann"]


def test_staff_are_left_out_and_counted(small_world: Tables) -> None:
    history = build_history(small_world)
    assert history.excluded == {"staff": 1, "wholesale": 0, "deregistered": 0, "minor": 0}
    assert "dan" not in set(history.visit_frame()["member_id"])


def test_cold_members_join_only_when_asked_for(small_world: Tables) -> None:
    history = build_history(small_world)
    with_cold = build_vectors(history, [date(2024, 1, 10)], cold=True).frame.set_index("member_id")
    assert list(with_cold.index) == ["ann", "bob", "cat"]
    assert with_cold.loc["cat", "visits"] == 0 and np.isnan(with_cold.loc["cat", "recency_days"])


def test_the_population_is_the_rows_of_the_vectors(small_world: Tables) -> None:
    history = build_history(small_world)
    for day in (date(2024, 1, 2), date(2024, 1, 12), date(2024, 1, 30)):
        assert list(build_vectors(history, [day]).members) == list(population(history, day))


def test_an_as_of_before_the_data_is_refused(small_world: Tables) -> None:
    with pytest.raises(InputError, match="as_of: 2023-12-31 is not after the first day"):
        build_vectors(build_history(small_world), [date(2023, 12, 31)])


def test_every_column_says_its_unit_family_and_meaning_once() -> None:
    assert len({c.name for c in COLUMNS}) == len(COLUMNS)
    assert all(c.unit and c.family and c.meaning and c.meaning_zh for c in COLUMNS)


def test_a_matrix_has_one_float32_column_each(small_world: Tables) -> None:
    matrix = build_vectors(build_history(small_world), [date(2024, 1, 21)]).matrix()
    assert matrix.shape == (1, len(COLUMNS)) and matrix.dtype == np.float32 and matrix.flags["C_CONTIGUOUS"]


def test_labels_see_a_visit_that_was_later_returned(small_world: Tables) -> None:
    frame = build_history(small_world).visit_frame()
    assert list(frame["member_id"]) == ["ann", "ann", "bob"]
    assert list(frame["spend_yuan"]) == [30.0, 12.5, 40.0]


def test_baskets_forget_a_returned_line_once_it_is_known(small_world: Tables) -> None:
    history = build_history(small_world)
    early, late = build_baskets(history, date(2024, 1, 20)), build_baskets(history, date(2024, 1, 21))
    assert list(early.item_ids) == ["a", "b", "c"] and list(late.item_ids) == ["a", "b"]
    assert len(build_baskets(history, include_returned=True).rows) == 4
    assert len(late.before(date(2024, 1, 11)).rows) == 2
