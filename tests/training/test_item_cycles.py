"""When an item is used up: a staple's own cycle, the member's own pace, and the quantity bought."""

import numpy as np
import pandas as pd

from training.item_model import fit_items
from training.recommend.own_items import own_items
from training.recommend.source import ItemSource, day_number, source_from_frames
from training.recommend.visits import visits_before

DAY = day_number("2026-06-30")


def staple_shop(cycle: int = 45, members: int = 80, seed: int = 2) -> ItemSource:
    """Everyone buys "staple" every `cycle` days (±10 %) a piece: two pieces last twice as long; "toy" at any time."""
    rng = np.random.default_rng(seed)
    rows = []
    for member in range(members):
        day = DAY - 720 + int(rng.integers(0, cycle))
        while day < DAY + 120:
            qty = int(rng.integers(1, 3))
            rows.append((f"m{member:02d}", day, "staple", qty))
            day += round(cycle * qty * rng.normal(1, 0.08))
        for toy_day in rng.integers(DAY - 720, DAY, 6):
            rows.append((f"m{member:02d}", int(toy_day), "toy", 1))
    frame = pd.DataFrame(rows, columns=["member_id", "day", "item_id", "qty"])
    return source_from_frames(frame.assign(day=frame["day"].to_numpy().astype("datetime64[D]")))


def test_the_due_day_of_a_45_day_staple_is_within_7_days_for_most_members() -> None:
    source = staple_shop()
    lists = fit_items(source, DAY).recommend(source.member_ids, 5)
    staple = int(np.flatnonzero(source.item_ids == "staple")[0])
    later = source.purchases(DAY + 120)
    errors = []
    for row in range(len(source.member_ids)):
        told = lists.again_due_days[row][lists.again[row] == staple]
        next_day = later.day[(later.member == row) & (later.item == staple) & (later.day >= DAY)].min()
        errors.append(abs(int(told[0]) - (int(next_day) - DAY)))
    assert np.mean(np.array(errors) <= 7) >= 0.7


def test_double_quantity_doubles_the_gap() -> None:
    source = staple_shop()
    own = own_items(visits_before(source.purchases(DAY), DAY, source.n_members, source.n_items))
    staple = own.item == int(np.flatnonzero(source.item_ids == "staple")[0])
    one, two = (np.median(own.pace_days[staple & (own.last_qty == qty)]) for qty in (1, 2))
    assert 1.8 < two / one < 2.2
    assert 40 < one < 50


def test_an_item_bought_at_any_time_has_no_due_day() -> None:
    source = staple_shop()
    lists = fit_items(source, DAY).recommend(source.member_ids, 5)
    toy = int(np.flatnonzero(source.item_ids == "toy")[0])
    assert (lists.again_due_days[lists.again == toy] == -1).all()


def test_own_items_count_what_was_bought() -> None:
    frame = pd.DataFrame(
        {
            "member_id": ["a"] * 4,
            "day": np.array([DAY - 30, DAY - 20, DAY - 10, DAY - 10]).astype("datetime64[D]"),
            "item_id": ["x", "x", "x", "y"],
        }
    )
    source = source_from_frames(frame)
    own = own_items(visits_before(source.purchases(DAY), DAY, 1, 2))
    assert own.count.tolist() == [3, 1]
    assert own.last_days.tolist() == [10, 10]
    assert own.gap_days[0] == 10
    assert np.isnan(own.gap_days[1])
    assert own.last_age.tolist() == [0, 0]


def test_pieces_bought_in_between_move_neither_the_power_of_quantity_nor_the_pace() -> None:
    source = staple_shop(members=60)
    known = source.purchases(DAY)
    staple = int(np.flatnonzero(source.item_ids == "staple")[0])
    rng = np.random.default_rng(5)
    rows = [
        (f"m{member:02d}", int(day), "staple", 1)
        for member in range(60)
        for day in rng.choice(np.arange(DAY - 600, DAY - 30), 3, replace=False)
    ]
    frame = pd.DataFrame(
        {
            "member_id": source.member_ids[known.member],
            "day": known.day,
            "item_id": source.item_ids[known.item],
            "qty": known.qty,
        }
    )
    mixed = pd.concat([frame, pd.DataFrame(rows, columns=frame.columns)])
    spoiled = source_from_frames(mixed.assign(day=mixed["day"].to_numpy().astype("datetime64[D]")))
    clean, dirty = (
        own_items(visits_before(s.purchases(DAY), DAY, s.n_members, s.n_items)) for s in (source, spoiled)
    )
    assert dirty.quantity_power > 0.8
    one = [np.median(own.pace_days[(own.item == staple) & (own.last_qty == 1)]) for own in (clean, dirty)]
    assert abs(one[1] - one[0]) < 5
