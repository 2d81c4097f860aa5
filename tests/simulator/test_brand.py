"""The simulated brand keeps the contract and the habits its preset promises."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.errors import InputError
from features.tables import SCHEMA
from simulator.brand import simulate_brand, simulate_with_truth
from simulator.preset import PRESETS, load_preset, preset_names


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


def test_every_preset_simulates_within_the_contract() -> None:
    for preset in preset_names():
        tables = simulate_brand(preset, members=200, days=150, seed=2)
        for name, frame in tables.items():
            spec = SCHEMA[name]
            known = {column.name: column for column in spec.columns}
            assert set(frame.columns) <= set(known), f"{preset}: {name}"
            assert set(spec.required_names) <= set(frame.columns), f"{preset}: {name}"
            for column in frame.columns:
                values = known[column].values
                if values:
                    assert frame[column].dropna().isin(values).all(), f"{preset}: {name}.{column}"


def test_a_staple_bought_twice_at_once_lasts_twice_as_long() -> None:
    truth = simulate_with_truth("beauty", members=6_000, days=540, seed=5)
    lines, orders, items = (truth.tables[name] for name in ("order_lines", "orders", "items"))
    sale = lines[lines["line_type"] == "sale"].merge(orders[["order_id", "member_id", "order_time"]], on="order_id")
    sale = sale.merge(items[["item_id", "category_l2"]], on="item_id")
    one = truth.truth["members"]
    one = one[(one["staple_1"] == "面膜") & (one["staple_2"] == "") & (one["kind"] == "")]
    mask = sale[sale["member_id"].isin(one["member_id"]) & (sale["category_l2"] == "面膜")]
    mask = mask.groupby(["member_id", mask["order_time"].dt.floor("D")])["qty"].sum().reset_index()
    gap = mask.groupby("member_id")["order_time"].diff().dt.days.shift(-1)
    gap[mask["member_id"] != mask["member_id"].shift(-1)] = np.nan
    single, double = gap[mask["qty"] == 1].median(), gap[mask["qty"] == 2].median()
    assert 38 <= single <= 50  # the category's cycle is 45 days
    assert 1.7 <= double / single <= 2.3


def test_planted_drift_moves_the_base_rate_by_what_was_asked() -> None:
    def churn(drift: float) -> float:
        frames = simulate_brand("beauty", members=4_000, days=540, seed=9, drift=drift)
        days, start = member_days(frames), pd.Timestamp("2026-02-16")
        before = days.loc[days["day"] < start, "member_id"].unique()
        after = days.loc[(days["day"] >= start) & (days["day"] < start + pd.Timedelta(days=90)), "member_id"]
        return float(1.0 - np.isin(before, after).mean())

    assert 0.07 <= churn(0.10) - churn(0.0) <= 0.13


def test_the_memoryless_brand_tells_nothing_by_its_last_purchase() -> None:
    days = member_days(simulate_brand("memoryless", members=6_000, days=540, seed=4))
    start = pd.Timestamp("2026-03-01")
    past = days[days["day"] < start].groupby("member_id")["day"].max()
    soon = days.loc[(days["day"] >= start) & (days["day"] < start + pd.Timedelta(days=90)), "member_id"].unique()
    came, recency = past.index.isin(soon), (start - past).dt.days
    recent = recency <= recency.median()
    assert abs(came[recent].mean() - came[~recent].mean()) < 0.04


def test_truth_is_never_inside_the_tables() -> None:
    both = simulate_with_truth("beauty", members=300, days=200, seed=3)
    plain = simulate_brand("beauty", members=300, days=200, seed=3)
    hidden = {"cycle_days", "leave_chance", "affinity", "left_on", "would_bring_visit", "staple_1"}
    for name, frame in both.tables.items():
        assert not hidden & set(frame.columns)
        pd.testing.assert_frame_equal(frame, plain[name])
    assert len(both.truth["contacts"]) == len(both.tables["contacts"])


def test_every_kind_of_dirt_is_planted_and_counted() -> None:
    spoiled = simulate_with_truth("beauty", members=1_500, days=400, seed=6, dirt=0.02)
    planted = spoiled.truth["dirt"].set_index("kind")["rows"]
    assert (planted > 0).all(), planted[planted == 0].index.tolist()
    tables = spoiled.tables
    assert tables["orders"].duplicated("order_id").sum() > 0
    assert tables["order_lines"]["item_id"].eq("SK-GONE").sum() > 0
    assert tables["orders"]["order_time"].max() > pd.Timestamp("2030-01-01")
    assert set(tables["order_lines"]["line_type"]) == {"sale", "return", "gift", "sample"}
    busy = member_days(tables).groupby("member_id").size()
    per_day = tables["orders"].groupby(["member_id", tables["orders"]["order_time"].dt.floor("D")]).size()
    assert per_day.max() > 20 and len(busy)
    assert tables["orders"]["loaded_at"].notna().all()


def test_a_preset_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    text = (PRESETS / "beauty.toml").read_text(encoding="utf-8").replace("shape = 2.0", "shape = 2.0\nspeed = 3")
    (tmp_path / "own.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="unknown keys \\['speed'\\]"):
        load_preset(tmp_path / "own.toml")
