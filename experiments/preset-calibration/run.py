"""What do the presets give beside the founding figures? `python experiments/preset-calibration/run.py`."""

import dataclasses
import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from simulator.brand import simulate_with_truth
from simulator.preset import Preset, load_preset

HERE = Path(__file__).parent


def friend_loss(tables: dict[str, pd.DataFrame], end: pd.Timestamp, days: int = 180) -> float:
    """Share of those who were friends `days` before the end and are no more."""
    friends = tables["assignments"].dropna(subset=["friend_since"])
    start = end - pd.Timedelta(days=days)
    then = friends[(friends["friend_since"] < start) & ~(friends["friend_lost_at"] < start)]
    return float((then["friend_lost_at"] < end).mean())


def with_contacts(preset: Preset, per_friend: float, mass: float) -> Preset:
    touch = dataclasses.replace(preset.contacts, per_friend_year=per_friend, mass_per_year=mass)
    return dataclasses.replace(preset, contacts=touch)


def figures(name: str, config: dict[str, Any]) -> dict[str, float]:
    """The figures of one preset."""
    size = {key: config[key] for key in ("members", "days", "seed")}
    preset = load_preset(name)
    made = simulate_with_truth(preset, **size)
    tables = made.tables
    orders = tables["orders"].dropna(subset=["member_id"])
    orders = orders[(orders["status"] != "cancelled") & (orders["order_type"] == "normal")]
    day = orders["order_time"].dt.floor("D")
    visits = orders.assign(day=day).groupby(["member_id", "day"], as_index=False)["paid_yuan"].sum()
    end = day.max() + pd.Timedelta(days=1)
    count = visits.groupby("member_id").size()
    gap = visits.groupby("member_id")["day"].diff().dt.days
    mean_gap = gap.groupby(visits["member_id"]).mean()
    recent = visits[visits["day"] >= end - pd.Timedelta(days=90)]
    last90 = recent.groupby("member_id").size()
    lines = tables["order_lines"]
    sales, back = (lines["line_type"] == kind for kind in ("sale", "return"))
    told = {
        "members_who_bought": float(len(count)),
        "visits_per_buyer": float(count.mean()),
        "one_time_buyers": float((count == 1).mean()),
        "median_of_members_mean_gap_days": float(mean_gap[count >= 3].median()),
        "buy_monthly_of_buyers_in_90_days": float((last90 >= 3).mean()),
        "cycle_30_days_or_less_of_3_plus_visits": float((mean_gap[count >= 3] <= 30).mean()),
        "baskets_above_100_yuan": float((visits["paid_yuan"] > 100).mean()),
        "median_basket_yuan": float(visits["paid_yuan"].median()),
        "mean_basket_yuan": float(visits["paid_yuan"].mean()),
        "lines_per_order": float(sales.sum() / lines.loc[sales, "order_id"].nunique()),
        "returned_lines": float(back.sum() / sales.sum()),
        "items": float(len(tables["items"])),
    }
    for horizon in (30, 90):
        start = end - pd.Timedelta(days=horizon)
        before = visits.loc[visits["day"] < start, "member_id"].unique()
        told[f"churn_{horizon}_days"] = float(
            1 - np.isin(before, visits.loc[visits["day"] >= start, "member_id"]).mean()
        )
    # the 4.4 % best (880 of 20,000): most spent in the year before, who buy within 14 days
    start = end - pd.Timedelta(days=60)
    past = visits[(visits["day"] < start) & (visits["day"] >= start - pd.Timedelta(days=365))]
    best = past.groupby("member_id")["paid_yuan"].sum().nlargest(round(0.044 * size["members"])).index
    soon = visits[(visits["day"] >= start) & (visits["day"] < start + pd.Timedelta(days=14))]["member_id"].unique()
    told["best_4_4_percent_buy_within_14_days"] = float(best.isin(soon).mean())
    told["friends_lost_in_180_days"] = friend_loss(tables, end)
    none = simulate_with_truth(with_contacts(preset, 0.0, 0.0), **size).tables
    malign = simulate_with_truth(with_contacts(preset, 0.0, config["malign_mass_per_year"]), **size).tables
    told["friends_lost_in_180_days_no_contact"] = friend_loss(none, end)
    told["friends_lost_in_180_days_mass_every_third_day"] = friend_loss(malign, end)
    return {key: round(value, 4) for key, value in told.items()}


def main() -> None:
    """Write result.json and print the table."""
    config = tomllib.loads((HERE / "config.toml").read_text("utf-8"))
    found = {name: figures(name, config) for name in config["presets"]}
    (HERE / "result.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(pd.DataFrame(found).to_string())


if __name__ == "__main__":
    main()
