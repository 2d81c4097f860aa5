"""What happened next, on a world small enough to check by eye."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from features.errors import InputError
from features.history import History, build_history
from features.tables import tables_from_frames
from features.vectors import build_vectors
from training.cutoffs import LeakFound, check_label_rows, snapshot_days
from training.labels import label_outcomes

# member, day, yuan, status; a return is (member, day, yuan, "return of", order number)
SALES = [
    ("amy", "2026-01-05", 100.0),
    ("amy", "2026-03-01", 50.0),  # on the cut-off day itself
    ("amy", "2026-03-31", 40.0),  # after the window of 30 days
    ("bob", "2026-01-10", 80.0),
    ("bob", "2026-03-30", 0.0),  # the window's last day, worth nothing, and still a purchase
    ("cat", "2026-02-01", 60.0),
    ("dan", "2026-02-20", 70.0),
    ("dan", "2026-03-10", 30.0),  # all of it brought back on 2026-03-20
    ("eve", "2026-03-05", 20.0),  # no purchase before the cut-off
    ("zoe", "2026-04-10", 10.0),  # only so that the data reach into April
]
CUT = date(2026, 3, 1)


def brand(sales: list[tuple[str, str, float]] = SALES) -> History:
    orders = pd.DataFrame(sales, columns=["member_id", "day", "paid_yuan"])
    orders["order_id"] = [f"o{k}" for k in range(len(orders))]
    lines = orders[["order_id", "paid_yuan"]].assign(
        line_no=1, line_type="sale", item_id="tea", qty=1, returned_at=pd.NaT
    )
    bought = orders[(orders.member_id == "dan") & (orders.day == "2026-03-10")]
    back = bought[["order_id", "paid_yuan"]].assign(
        line_no=2, line_type="return", item_id="tea", qty=1, returned_at="2026-03-20 10:00"
    )
    orders["order_time"] = pd.to_datetime(orders.pop("day")) + pd.Timedelta(hours=10)
    members = pd.DataFrame({"member_id": sorted(set(orders.member_id)), "status": "active"})
    members["registered_at"] = members["updated_at"] = pd.Timestamp("2026-01-01")
    frames = {
        "members": members,
        "orders": orders.assign(channel="other", status="completed"),
        "order_lines": pd.concat([lines, back], ignore_index=True),
        "items": pd.DataFrame(
            [{"item_id": "tea", "spu_id": "tea", "title": "茶", "category_l1": "tea", "status": "on"}]
        ),
    }
    return build_history(tables_from_frames(frames))


@pytest.fixture(scope="module")
def history() -> History:
    return brand()


def test_durations_count_the_cut_off_day_as_day_one_and_the_window_ends_on_its_last_day(history: History) -> None:
    found = label_outcomes(history, build_vectors(history, [CUT]), [CUT], 30).frame.set_index("member_id")
    assert found.index.tolist() == ["amy", "bob", "cat", "dan"]
    assert found.loc[["amy", "bob", "dan"], "days_to_next"].tolist() == [1, 30, 10]
    assert found.observed.tolist() == [True, True, False, True] and np.isnan(found.days_to_next["cat"])
    assert label_outcomes(history, ["bob"], [CUT], 29).frame.observed.tolist() == [False]


def test_a_later_return_takes_the_money_back_but_not_the_purchase(history: History) -> None:
    found = label_outcomes(history, ["dan"], [CUT], 30).frame.iloc[0]
    assert found.observed and found.spend_yuan == 30 and found.net_spend_yuan == 0 and found.orders == 1
    assert label_outcomes(history, ["dan"], [CUT], 15).frame.net_spend_yuan[0] == 30  # not yet brought back


def test_a_learner_sees_nothing_from_its_own_day_on(history: History) -> None:
    known = label_outcomes(history, ["amy", "bob", "dan"], [date(2026, 2, 15)], 30, known_before=CUT).frame
    assert known.follow_up_days.tolist() == [14, 14, 14]
    assert known.observed.tolist() == [False, False, True] and known.days_to_next[2] == 6
    later = [
        (m, "2026-03-02" if d >= "2026-03-01" else d, y + 1 if d >= "2026-03-01" else y) for m, d, y in SALES[:-1]
    ]
    again = label_outcomes(
        brand([*later, SALES[-1]]), ["amy", "bob", "dan"], [date(2026, 2, 15)], 30, known_before=CUT
    ).frame
    pd.testing.assert_frame_equal(known, again)


def test_a_window_past_the_data_is_refused_with_the_last_day_that_works(history: History) -> None:
    with pytest.raises(InputError, match=r"ends on 2026-05-30.*take 2026-03-12 or earlier"):
        label_outcomes(history, ["amy"], [date(2026, 5, 1)], 30)
    with pytest.raises(InputError, match="the data begin on 2026-01-05"):
        label_outcomes(history, ["amy"], [date(2026, 1, 5)], 30)
    with pytest.raises(InputError, match="--horizon: expected 1 or more"):
        label_outcomes(history, ["amy"], [CUT], 0)
    with pytest.raises(InputError, match="no cut-off given"):
        label_outcomes(history, ["amy"], [], 30)


def test_an_unknown_member_has_no_purchase(history: History) -> None:
    found = label_outcomes(history, ["amy", "nobody", "zzz"], [CUT], 30).frame
    assert found.observed.tolist() == [True, False, False] and found.spend_yuan.tolist() == [50, 0, 0]


def test_snapshots_end_before_the_cut_off_and_step_back_to_the_first_day() -> None:
    days = snapshot_days(date(2026, 4, 1), 30, date(2026, 1, 1), step_days=20)
    assert days == [date(2026, 3, 2), date(2026, 2, 10), date(2026, 1, 21)]
    assert snapshot_days(date(2026, 1, 20), 30, date(2026, 1, 1)) == []


def test_label_rows_that_look_too_far_or_are_test_rows_are_caught() -> None:
    rows = pd.DataFrame({"member_id": ["a", "b"], "as_of": pd.to_datetime(["2026-01-01", "2026-02-01"])})
    fine = rows.assign(label_end=pd.to_datetime(["2026-01-30", "2026-02-28"]))
    test = pd.DataFrame({"member_id": ["a", "b"], "as_of": pd.Timestamp(CUT)})
    check_label_rows(fine, test, test_as_of=CUT)
    with pytest.raises(LeakFound, match="1 of 2 label rows look at 2026-03-01 or later, such as member b"):
        check_label_rows(fine.assign(label_end=pd.to_datetime(["2026-01-30", "2026-03-01"])), test, test_as_of=CUT)
    with pytest.raises(LeakFound, match="1 label rows are test rows too, such as member b"):
        check_label_rows(fine, pd.concat([test, rows[1:]]), test_as_of=CUT)
