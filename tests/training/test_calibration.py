"""Blending, bending the shape and moving the level of curves."""

import numpy as np
import pytest

from training.blend import blend, free_loss, halved, learn_weights, start_weights, with_unproven
from training.calibration import SHAPE_KNOTS, ShapeMap, drift_level, lean_on, learn_shape, shift_level
from training.curves import from_hazards

GRID = np.array([0, 30, 60, 90])


def flat(daily: float, rows: int = 1) -> np.ndarray:
    return np.repeat(np.power(1 - daily, GRID)[None, :], rows, axis=0)


def test_a_blend_lies_between_its_components_and_never_rises() -> None:
    low, high = flat(0.02), flat(0.005)
    mixed = blend({"a": low, "b": high}, {"a": 0.5, "b": 0.5})
    assert ((mixed >= low) & (mixed <= high)).all()
    assert mixed[0, 0] == 1.0 and (np.diff(mixed, axis=1) <= 0).all()


def test_weights_start_with_a_quarter_for_the_families_and_move_to_the_component_that_was_right() -> None:
    rng = np.random.default_rng(0)
    risk = rng.uniform(0.001, 0.05, 4_000)
    days = rng.geometric(risk).astype(float)
    right = np.power(1 - risk[:, None], GRID[None, :])
    wrong = flat(0.02, 4_000)
    said = {"bg_nbd": wrong, "mbg_nbd": wrong, "pooled": wrong, "trees": right}
    start = {"bg_nbd": 0.125, "mbg_nbd": 0.125, "pooled": 0.375, "trees": 0.375}
    assert start_weights(list(said)) == start
    assert halved(start) == dict.fromkeys(said, 0.25)
    found = learn_weights(said, days, GRID, [1, 2, 3])
    assert sum(found.values()) == pytest.approx(1.0)
    assert found["trees"] > 0.6
    assert min(found.values()) > 0


def test_equal_components_keep_their_starting_weights() -> None:
    said = {"bg_nbd": flat(0.01, 50), "pooled": flat(0.01, 50)}
    found = learn_weights(said, np.full(50, 40.0), GRID, [1, 2, 3])
    assert found == pytest.approx({"bg_nbd": 0.25, "pooled": 0.75}, abs=1e-3)


def test_a_wrong_level_costs_nothing_where_the_level_is_free_and_a_wrong_order_does() -> None:
    rng = np.random.default_rng(2)
    truth = rng.uniform(0.05, 0.95, (3_000, 1))
    lasting = rng.random((3_000, 1)) < truth
    shifted = 1 / (1 + np.exp(-(np.log(truth / (1 - truth)) + 1.0)))
    assert free_loss(shifted, lasting) == pytest.approx(free_loss(truth, lasting), abs=1e-4)
    assert free_loss(truth, lasting) < free_loss(rng.permutation(truth), lasting) - 0.1


def test_a_component_no_past_day_could_judge_gets_half_its_starting_share() -> None:
    names = ["bg_nbd", "pooled", "trees", "direct"]
    found = with_unproven({"bg_nbd": 0.1, "pooled": 0.1, "trees": 0.8}, names)
    assert found == pytest.approx({"bg_nbd": 0.0875, "pooled": 0.0875, "trees": 0.7, "direct": 0.125})
    assert with_unproven({}, names) == start_weights(names)


@pytest.mark.parametrize(("windows", "share"), [(0.5, 1.0), (1.0, 1.0), (4.0, 0.25)])
def test_the_level_leans_on_the_families_the_more_the_fewer_windows_were_watched(
    windows: float, share: float
) -> None:
    said = {"bg_nbd": flat(0.01, 3), "pooled": flat(0.02, 3)}
    weights = {"bg_nbd": 0.1, "pooled": 0.9}
    leaned = blend(said, weights, lean_on(said, weights, windows))
    own, half = blend(said, weights), blend(said, halved(weights))
    assert leaned == pytest.approx((1 - share) * own + share * half, abs=1e-6)
    assert (leaned[:, 1:] > own[:, 1:]).all()


def test_returns_of_many_days_bend_the_shape_less_than_those_of_one() -> None:
    claimed = np.full(300, 0.2)
    one, many = (learn_shape(claimed, np.full(300, 3.0), days=days).true_share[1, 10] for days in (1, 6))
    assert one > many > 0.5


def test_a_bent_shape_keeps_the_horizon_and_puts_returns_where_they_fell() -> None:
    rng = np.random.default_rng(1)
    claimed = rng.random(5_000) ** 2
    shape = learn_shape(claimed, np.full(5_000, 3.0))
    curve = flat(0.01)
    bent = shape.bend(curve, 3, np.array([3.0]))
    assert bent[0, -1] == pytest.approx(curve[0, -1])
    assert bent[0, 1] < curve[0, 1]
    assert (np.diff(bent, axis=1) <= 1e-12).all()
    assert shape.returners == (0, 5_000, 0)


def test_without_returners_the_shape_stays() -> None:
    curve = flat(0.01)
    assert learn_shape(np.empty(0), np.empty(0)).true_share == pytest.approx(np.tile(SHAPE_KNOTS, (3, 1)))
    assert ShapeMap.unchanged().bend(curve, 3, np.array([1.0])) == pytest.approx(curve)
    assert ShapeMap.from_dict(ShapeMap.unchanged().as_dict()).true_share.shape == (3, 21)


def test_a_lasting_level_is_carried_on_and_a_single_loud_week_is_not() -> None:
    lasting = np.array([-0.4, -0.38, -0.42, -0.41, -0.4, 0.1, 0.3, 0.35, 0.3, 0.33, 0.31, 0.3])
    loud = np.array([0.02, 0.9, -0.05, 0.03, -0.02, 0.04, -0.03, 0.02, -0.04, 0.01, -0.02, 0.03])
    assert drift_level(lasting, 6) < -0.15
    assert drift_level(loud, 6) == 0.0
    assert drift_level(loud[:3], 6) == 0.0


def test_a_shift_of_the_level_moves_every_hazard_by_its_odds() -> None:
    hazards = np.array([[0.1, 0.2, 0.3]])
    moved = 1 - shift_level(from_hazards(hazards), np.log(2.0))
    expected = 1 - from_hazards(2 * hazards / (1 + hazards))
    assert moved == pytest.approx(expected)
