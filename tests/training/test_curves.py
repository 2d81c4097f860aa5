"""Survival curves: reading them, tiling time, and being right on a world whose hazard is known."""

import dataclasses
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import InputError
from training.curves import SurvivalCurves, from_hazards, to_hazards
from training.hazard import TreeSettings
from training.judging import Truth, boil_down
from training.ladder import RECENCY_BANDS, RUNGS, band_curves, choose_step
from training.periods import make_bins, person_periods
from training.timing import next_purchase
from training.views import Watched, fit_families, make_view

DAY = date(2026, 1, 1)
NAMES = (
    *("recency_days", "tenure_days", "visits", "spend_total_yuan", "spend_mean_yuan", "visits_30d", "visits_90d"),
    *("visits_365d", "gap_mean_days", "gap_median_days", "gap_shrunk_days", "gap_std_days", "recency_over_gap"),
)


def curves(survival: list[list[float]], grid: tuple[int, ...] = (0, 10, 20)) -> SurvivalCurves:
    members = np.array([f"m{k}" for k in range(len(survival))])
    return SurvivalCurves(members, DAY, np.array(grid), np.array(survival, dtype=np.float32), np.array("blend"))


def watched_world(daily: float, members: int, follow_up: int, seed: int, horizon: int = 90) -> Watched:
    """Members of all kinds whose chance to buy is `daily` on every day, whatever their history says."""
    rng = np.random.default_rng(seed)
    bins = make_bins(horizon)
    visits = rng.integers(1, 6, members).astype(float)
    tenure = rng.integers(60, 300, members).astype(float)
    recency = np.where(visits > 1, np.floor(tenure * rng.random(members)) + 1, tenure)
    gap = np.where(visits > 1, (tenure - recency) / np.maximum(visits - 1, 1), np.nan)
    values = {name: rng.random(members) * 10 for name in NAMES}
    values |= {"recency_days": recency, "tenure_days": tenure, "visits": visits, "gap_mean_days": gap}
    values |= {"gap_median_days": gap, "gap_shrunk_days": np.where(np.isfinite(gap), gap, 40.0)}
    values["recency_over_gap"] = recency / np.maximum(values["gap_shrunk_days"], 1)
    matrix = np.stack([values[name] for name in NAMES], axis=1).astype(np.float32)
    families = fit_families(visits - 1, tenure - recency, tenure)
    view = make_view(np.array([f"m{k}" for k in range(members)]), matrix, NAMES, bins, families)
    next_day = rng.geometric(daily, members).astype(float)
    return Watched(view, np.where(next_day <= follow_up, next_day, np.inf), follow_up, follow_up)


def test_between_grid_days_the_logarithm_runs_straight() -> None:
    found = curves([[1.0, 0.64, 0.32]])
    assert found.at(0)[0] == 1.0
    assert found.at(5)[0] == pytest.approx(0.8)
    assert found.daily()[0, 15] == pytest.approx(np.sqrt(0.64 * 0.32), rel=1e-6)


def test_asking_beyond_the_longest_day_is_refused_with_the_way_out() -> None:
    with pytest.raises(InputError, match="max_days"):
        curves([[1.0, 0.5, 0.4]]).at(21)


@pytest.mark.parametrize("grid", [(1, 10, 20), (0, 10, 10), (0, 20, 10)])
def test_a_grid_that_does_not_ascend_from_zero_is_refused(grid: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"curves\.grid_days"):
        curves([[1.0, 0.5, 0.4]], grid)


@given(
    hazards=st.lists(st.floats(0.001, 0.6), min_size=2, max_size=2),
    q=st.floats(0.05, 0.95),
    horizon=st.integers(3, 20),
)
def test_the_quantile_day_is_where_that_share_of_returns_has_come(
    hazards: list[float], q: float, horizon: int
) -> None:
    found = curves(from_hazards(np.array([hazards])).tolist())
    day = found.quantile(q, horizon)
    assert 0 <= day[0] <= horizon + 1e-6
    reached = (1 - found.at_each(day)) / (1 - found.at(horizon))
    assert reached[0] == pytest.approx(q, abs=2e-3)


def test_hazards_and_survival_are_two_ways_to_say_one_thing() -> None:
    hazards = np.array([[0.1, 0.2, 0.05], [0.5, 0.01, 0.3]])
    assert to_hazards(from_hazards(hazards)) == pytest.approx(hazards)


@given(horizon=st.integers(1, 400), more=st.integers(0, 600), count=st.integers(1, 24))
def test_bins_tile_the_horizon_exactly(horizon: int, more: int, count: int) -> None:
    bins = make_bins(horizon, horizon + more, count)
    assert bins.edges[0] == 0 and bins.edges[-1] == horizon + more
    assert bins.edges[bins.at_horizon()] == horizon
    assert (np.diff(bins.edges) > 0).all()


@given(
    days=st.lists(st.one_of(st.integers(1, 60), st.just(10_000)), min_size=1, max_size=30),
    follow_up=st.integers(0, 70),
)
def test_follow_up_ends_at_a_whole_bin_for_buyers_and_the_silent_alike(days: list[int], follow_up: int) -> None:
    bins = make_bins(60, count=5)
    duration = np.array(days, dtype=float)
    rows = person_periods(duration, follow_up, bins)
    end = bins.edges[min(bins.whole(follow_up), bins.count)]
    assert int(rows.event.sum()) == int((duration <= end).sum())
    if len(rows):
        assert bins.edges[rows.bin.max() + 1] <= end


@pytest.mark.parametrize("follow_up", [23, 45, 61, 90])
@pytest.mark.parametrize("daily", [0.004, 0.02])
def test_on_a_known_constant_hazard_the_mean_curve_is_kaplan_meier(daily: float, follow_up: int) -> None:
    """Mean S at the last whole bin within 1 % of Kaplan–Meier, for any follow-up length."""
    from training.curve_fit import fit_components

    world = watched_world(daily, 4_000, follow_up, seed=3)
    bins = world.view.bins
    # Trees of the size they were when this was first asked: thirty of fifteen leaves follow the noise of a single day
    # without any signal, and end 1.6 % off at S = .16.
    settings = TreeSettings(rounds=30, leaves=8)
    parts = fit_components([world], bins, NAMES, settings, trees=True, seed=0)
    last = bins.whole(follow_up)
    kaplan_meier = 1.0 - np.mean(world.days_to_next <= bins.edges[last])
    for name in ("pooled", "trees"):
        mean = parts.curves(world.view)[name][:, last].mean()
        assert mean == pytest.approx(kaplan_meier, rel=0.01), name


def test_the_first_trees_say_the_same_as_a_stage_of_all_and_as_trees_cut_off_there() -> None:
    from training.curve_fit import fit_components

    world = watched_world(0.02, 1_500, 90, seed=4)
    parts = fit_components([world], world.view.bins, NAMES, TreeSettings(rounds=12), trees=True, seed=0)
    assert parts.trees is not None
    pooled = parts.curves(world.view)["pooled"]
    five, all_trees = parts.trees.curves(world.view, pooled, (5, 12))
    shorter = parts.cut(5)
    assert shorter.trees is not None and shorter.trees.booster.num_trees() == 5
    assert shorter.trees.curve(world.view, pooled) == pytest.approx(five, abs=1e-9)
    assert parts.trees.curve(world.view, pooled) == pytest.approx(all_trees, abs=1e-9)
    assert np.abs(five - all_trees).max() > 1e-6


def test_a_loud_week_is_not_learned_as_a_trait_of_members() -> None:
    """One stretch of the calendar with three times the purchases: predictions keep to the ordinary level."""
    from training.pooled import fit_pooled

    rng = np.random.default_rng(5)
    bins, snapshots = make_bins(90), []
    for age in (15, 30, 45, 60, 75, 90):
        quiet = watched_world(0.01, 3_000, age, seed=age)
        days_back = age - np.arange(1, age + 1)
        daily = np.where((days_back >= 8) & (days_back < 16), 0.03, 0.01)
        bought = rng.random((3_000, age)) < daily
        first = np.where(bought.any(1), bought.argmax(1) + 1.0, np.inf)
        snapshots.append(Watched(quiet.view, first, age, age))
    test = watched_world(0.01, 3_000, 90, seed=99)
    truth = 0.99**90
    with_calendar = fit_pooled(snapshots, bins)
    without = fit_pooled(snapshots, bins, calendar_ridge=1e9)
    off = [abs(from_hazards(m.hazards(test.view))[:, -1].mean() - truth) for m in (with_calendar, without)]
    assert off[0] < off[1]
    assert np.argmax(with_calendar.cells) == 1


def test_next_purchase_is_never_in_the_past_and_null_where_return_is_unlikely() -> None:
    told = next_purchase(curves([[1.0, 0.2, 0.1], [1.0, 0.999, 0.998], [1.0, 0.001, 0.0005]]))
    assert told["null_reason"].tolist() == [None, "return_unlikely", None]
    said = told[told["null_reason"].isna()]
    assert (said["low_days"] >= 1).all()
    assert (said["low_days"] <= said["median_days"]).all() and (said["median_days"] <= said["high_days"]).all()
    assert told.loc[1, ["low_days", "median_days", "high_days"]].isna().all()
    assert told["return_probability"].between(0, 1).all()


def test_a_missing_date_says_whether_anything_is_known_of_the_member() -> None:
    survival = [[1.0, 0.999, 0.998], [1.0, 0.999, 0.998], [1.0, 0.2, 0.1]]
    known = curves(survival)
    told = next_purchase(dataclasses.replace(known, rung=np.array(["blend", RECENCY_BANDS, RECENCY_BANDS])))
    assert told["null_reason"].tolist() == ["return_unlikely", "not_enough_data", None]


def test_the_window_of_whole_days_holds_four_fifths_of_the_returns_also_where_the_horizon_is_short() -> None:
    days = 20
    falling = 1.0 - 0.7 * np.arange(days + 1) / days
    curve = SurvivalCurves(np.array(["m"]), date(2026, 3, 1), np.arange(days + 1), falling[None, :], np.array("x"))
    told = next_purchase(curve)
    assert told.loc[0, ["low_days", "median_days", "high_days"]].tolist() == [3, 10, 18]
    back = np.repeat(np.arange(1, days + 1), 5)
    n = len(back)
    truth = Truth(np.arange(n).astype(str), np.ones(n), back, np.ones(n, bool), np.zeros(n), np.zeros(n))
    rows, _ = boil_down(lambda part: np.tile(falling, (n, 1))[part], truth, days, risk=None, later=None)
    assert ((back >= rows.low_day) & (back <= rows.high_day)).mean() == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("given_", "rung"),
    [
        ((50, 500, 500, 400, 90, 2), "recency_bands"),
        ((5_000, 3, 3, 400, 90, 2), "recency_bands"),
        ((200, 500, 90, 400, 90, 2), "btyd"),
        ((200, 500, 500, 400, 90, 2), "equal_blend"),
        ((900, 500, 500, 400, 90, 2), "weighted_blend"),
        ((9_000, 500, 500, 100, 90, 2), "equal_blend"),
        ((9_000, 9_000, 9_000, 400, 90, 2), "weighted_blend"),
    ],
)
def test_each_rung_of_the_ladder_has_its_amount_of_data(given_: tuple[int, ...], rung: str) -> None:
    step = choose_step(*given_)
    assert step.rung == rung and rung in RUNGS
    assert bool(step.reason) == (rung != RUNGS[-1])
    assert step.rung != RECENCY_BANDS or step.reason.startswith("not enough data")


def test_recency_bands_go_on_beyond_what_was_watched() -> None:
    world = watched_world(0.01, 2_000, 30, seed=1)
    bands = band_curves([world], world.view.bins)
    assert np.isfinite(bands).all() and (np.diff(bands, axis=1) <= 0).all()
    assert bands[:, -1].mean() == pytest.approx(0.99**90, abs=0.08)
    nothing = band_curves([], world.view.bins)
    assert ((nothing > 0) & (nothing <= 1)).all()


def test_row_order_of_members_changes_no_curve() -> None:
    world = watched_world(0.01, 500, 90, seed=2)
    order = np.random.default_rng(0).permutation(500)
    again = world.rows(order)
    from training.pooled import fit_pooled

    model, other = fit_pooled([world], world.view.bins), fit_pooled([again], world.view.bins)
    pd.testing.assert_series_equal(pd.Series(model.weights), pd.Series(other.weights), rtol=1e-6, atol=1e-8)
