"""Tiers keep their shares and don't flap."""

import numpy as np
import pandas as pd
import pytest

from features.errors import InputError
from training.tiers import TierSettings, assign_tiers


def spend(seed: int, n: int = 2_000) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"member_id": [f"M{k:05d}" for k in range(n)], "expected_spend_yuan": rng.lognormal(4, 1, n)})


def test_shares_are_exactly_those_of_the_settings_with_and_without_a_past() -> None:
    today = spend(1)
    first = assign_tiers(today)
    again = assign_tiers(spend(2), previous=first)
    for tiers in (first, again):
        assert tiers["tier"].value_counts().to_dict() == {"A": 400, "B": 600, "C": 1000}


def test_the_best_are_in_a_when_there_is_no_past() -> None:
    today = spend(3)
    tiers = assign_tiers(today).set_index("member_id")["tier"]
    by_spend = today.set_index("member_id")["expected_spend_yuan"]
    assert by_spend[tiers == "A"].min() > by_spend[tiers == "B"].max()
    assert by_spend[tiers == "B"].min() > by_spend[tiers == "C"].max()


def test_a_few_percent_of_noise_moves_under_two_percent_of_members() -> None:
    today = spend(4)
    noise = np.random.default_rng(5).lognormal(0, 0.05, len(today))
    tomorrow = today.assign(expected_spend_yuan=today["expected_spend_yuan"] * noise)
    first = assign_tiers(today)
    held = assign_tiers(tomorrow, previous=first)
    free = assign_tiers(tomorrow)
    assert (held["tier"] != first["tier"]).mean() < 0.005
    assert (free["tier"] != first["tier"]).mean() > 0.02  # without hysteresis they would flap


def test_a_clear_change_moves_the_member() -> None:
    today = spend(6)
    first = assign_tiers(today)
    fallen = first.loc[first["tier"] == "A", "member_id"].iloc[0]
    tomorrow = today.copy()
    tomorrow.loc[tomorrow["member_id"] == fallen, "expected_spend_yuan"] = 0.0
    now = assign_tiers(tomorrow, previous=first).set_index("member_id")["tier"]
    assert now[fallen] == "C"


def test_row_order_changes_nothing() -> None:
    today = spend(7)
    today["expected_spend_yuan"] = today["expected_spend_yuan"].round(-2)  # many ties
    mixed = assign_tiers(today.sample(frac=1.0, random_state=1)).sort_values("member_id", ignore_index=True)
    pd.testing.assert_frame_equal(mixed, assign_tiers(today))


def test_members_without_a_score_are_refused_with_their_number() -> None:
    today = spend(8)
    today.loc[:4, "expected_spend_yuan"] = np.nan
    with pytest.raises(InputError, match="null for 5 members"):
        assign_tiers(today)
    with pytest.raises(InputError, match="leave room for C"):
        TierSettings(share_a=0.6, share_b=0.5)
