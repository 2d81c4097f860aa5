"""Trees that say the horizon at once: the curve passes through what they say, and too little gives none."""

import numpy as np
import pytest

from training.blend import learn_weights, start_weights
from training.curves import expit
from training.direct import DirectTrees, grow_direct
from training.periods import make_bins
from training.views import View, Watched

BINS = make_bins(60, count=12)


def watched(members: int, seed: int, follow_up_days: int = 60) -> Watched:
    """Members whose chance to stay away depends on a product of two columns, which no single column tells."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(members, 3)).astype(np.float32)
    stays = rng.random(members) < expit(3.0 * values[:, 0] * values[:, 1])
    seen = np.where(stays, np.inf, rng.integers(1, 61, members)).astype(float)
    flat = np.tile(np.linspace(1.0, 0.5, len(BINS.edges)), (members, 1))
    ids = np.array([f"m{row:06d}" for row in range(members)])
    view = View(ids, values, ("left", "right", "noise"), BINS, {"bg_nbd": flat})
    return Watched(view, seen, follow_up_days, follow_up_days)


def test_a_curve_passes_through_what_the_trees_say_and_never_rises() -> None:
    learned = grow_direct([watched(4_000, 1)], BINS, ("left", "right", "noise"), seed=0)
    assert isinstance(learned, DirectTrees)
    judge = watched(2_000, 2)
    curve = learned.curve(judge.view, BINS, judge.view.btyd["bg_nbd"])
    assert np.allclose(curve[:, 0], 1.0) and (np.diff(curve, axis=1) <= 1e-12).all()
    at = BINS.at_horizon()
    stays = judge.days_to_next > 60
    loss = -np.mean(np.where(stays, np.log(curve[:, at]), np.log1p(-curve[:, at])))
    assert loss < 0.55 < np.log(2)


def test_weights_move_to_a_component_that_is_far_better_and_stay_where_all_are_alike() -> None:
    rng = np.random.default_rng(3)
    truth = rng.uniform(0.05, 0.95, 5_000)
    stays = rng.random(5_000) < truth
    days = np.where(stays, np.inf, 30.0)
    edges = np.array([0, 60])
    said = np.column_stack([np.ones(5_000), truth])
    blunt = np.column_stack([np.ones(5_000), np.full(5_000, truth.mean())])
    curves = {"bg_nbd": blunt, "mbg_nbd": blunt, "pooled": blunt, "direct": said}
    assert learn_weights(curves, days, edges, [1])["direct"] > 0.8
    same = dict.fromkeys(curves, said)
    moved, start = learn_weights(same, days, edges, [1]), start_weights(list(same))
    assert all(abs(moved[name] - start[name]) < 0.02 for name in same)


@pytest.mark.parametrize(("members", "follow_up"), [(500, 60), (4_000, 40)])
def test_too_few_members_or_too_short_a_watch_gives_none(members: int, follow_up: int) -> None:
    assert grow_direct([watched(members, 1, follow_up)], BINS, ("left", "right"), seed=0) is None
