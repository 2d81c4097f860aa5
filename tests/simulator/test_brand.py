"""The simulated brand keeps the contract and the habits its preset promises."""

import numpy as np
import pandas as pd
import pytest

from features.errors import InputError
from simulator.brand import simulate_brand


def member_days(frames: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row per member and day with a kept order."""
    orders = frames["orders"].dropna(subset=["member_id"])
    orders = orders[orders["status"] != "cancelled"]
    days = orders.assign(day=orders["order_time"].dt.floor("D"))
    return days.drop_duplicates(["member_id", "day"]).sort_values(["member_id", "day"])


def test_the_same_seed_gives_the_same_brand() -> None:
    one, two = (simulate_brand("beauty", members=300, days=200, seed=3) for _ in range(2))
    for name in one:
        pd.testing.assert_frame_equal(one[name], two[name])
    other = simulate_brand("beauty", members=300, days=200, seed=4)
    assert len(other["orders"]) != len(one["orders"])


def test_every_reference_of_a_clean_brand_has_its_target(brand_frames: dict[str, pd.DataFrame]) -> None:
    keys = {
        "order_id": "orders",
        "member_id": "members",
        "item_id": "items",
        "store_id": "stores",
        "guide_id": "guides",
    }
    for name, frame in brand_frames.items():
        for column, target in keys.items():
            if column in frame and name != target:
                held = frame[column].dropna()
                assert held.isin(brand_frames[target][column]).all(), f"{name}.{column}"


def test_keys_are_unique(brand_frames: dict[str, pd.DataFrame]) -> None:
    keys = {
        "members": ["member_id"],
        "orders": ["order_id"],
        "order_lines": ["order_id", "line_no"],
        "items": ["item_id"],
        "stores": ["store_id"],
        "guides": ["guide_id"],
        "assignments": ["member_id", "guide_id", "start_at"],
        "contacts": ["contact_id"],
        "consents": ["member_id", "purpose", "at"],
    }
    for name, key in keys.items():
        assert not brand_frames[name].duplicated(key).any(), name


def test_sale_lines_add_up_to_what_the_order_was_paid(brand_frames: dict[str, pd.DataFrame]) -> None:
    lines = brand_frames["order_lines"]
    total = lines[lines["line_type"] == "sale"].groupby("order_id")["paid_yuan"].sum()
    paid = brand_frames["orders"].set_index("order_id")["paid_yuan"]
    assert np.allclose(total.reindex(paid.index), paid, atol=0.005)


def test_a_return_follows_the_sale_it_undoes(brand_frames: dict[str, pd.DataFrame]) -> None:
    lines = brand_frames["order_lines"]
    back = lines[lines["line_type"] == "return"]
    assert len(back) > 50
    sale = lines[lines["line_type"] == "sale"].set_index(["order_id", "line_no"])
    of = sale.loc[list(zip(back["orig_order_id"], back["orig_line_no"].astype(int), strict=True))]
    assert (of["item_id"].to_numpy() == back["item_id"].to_numpy()).all()
    bought = brand_frames["orders"].set_index("order_id")["order_time"].loc[back["order_id"]]
    assert (back["returned_at"].to_numpy() > bought.to_numpy()).all()


def test_nobody_buys_before_registering(brand_frames: dict[str, pd.DataFrame]) -> None:
    orders = brand_frames["orders"].dropna(subset=["member_id"])
    opened = brand_frames["members"].set_index("member_id")["registered_at"].loc[orders["member_id"]]
    assert (orders["order_time"].to_numpy() >= opened.to_numpy()).all()


def test_sizes_that_make_no_brand_are_refused() -> None:
    with pytest.raises(InputError, match="at least 1 member"):
        simulate_brand("beauty", members=0, days=100, seed=1)
    with pytest.raises(InputError, match=r"known presets: .*beauty"):
        simulate_brand("jewels", members=10, days=100, seed=1)
