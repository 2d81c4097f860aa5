"""Propensities and the draw: exact sums, exact marginals, a floor for everybody."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outreach.arms import hash_ids, held_out, salt_word, uniform
from outreach.propensities import inclusion_probabilities
from outreach.selection import madow
from outreach.settings import ContactSettings


def segments(sizes: list[int]) -> np.ndarray:
    return np.r_[0, np.cumsum(sizes)[:-1]].astype(np.int64)


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=6),
    st.integers(0, 25),
    st.sampled_from([0.0, 0.05, 0.3]),
    st.sampled_from([0.005, 0.05]),
    st.booleans(),
    st.integers(0, 10_000),
)
@settings(max_examples=200, deadline=None)
def test_probabilities_sum_to_the_list_size_and_keep_the_floor(
    sizes: list[int], k: int, epsilon: float, tau: float, arms: bool, seed: int
) -> None:
    r = np.random.default_rng(seed)
    n, starts = sum(sizes), segments(sizes)
    weight = r.choice([0.4, 1.0, 3.0], n) if arms else np.ones(n)
    pi = inclusion_probabilities(
        r.standard_normal(n), starts, np.full(len(sizes), k), epsilon=epsilon, tau=tau, weight=weight
    )
    counts = np.array(sizes)
    np.testing.assert_allclose(np.add.reduceat(pi, starts), np.minimum(k, counts), atol=1e-9)
    floor = np.minimum(1, epsilon * np.repeat(np.minimum(k, counts) / counts, counts) * weight)
    assert (pi >= floor - 1e-12).all() and (pi <= 1).all()
    drawn = madow(pi, starts, r.random(n), r.random(len(sizes)))
    np.testing.assert_array_equal(np.add.reduceat(drawn.astype(int), starts), np.minimum(k, counts))


def test_twenty_thousand_redraws_meet_the_stated_propensities() -> None:
    r = np.random.default_rng(3)
    n, k, redraws = 140, 10, 20_000
    weight = r.choice([0.4, 1.0, 3.0], n)
    starts = np.zeros(1, dtype=np.int64)
    pi = inclusion_probabilities(r.random(n), starts, np.array([k]), epsilon=0.15, tau=0.05, weight=weight)
    ids = hash_ids([f"m{i}" for i in range(n)])
    count = np.zeros(n)
    for draw in range(redraws):
        start = uniform(np.zeros(1, np.uint64), salt_word("start", draw))
        count += madow(pi, starts, uniform(ids, salt_word("order", draw)), start)
    assert np.abs(count / redraws - pi).max() <= 0.016
    assert pi.min() >= 0.15 * k / n * 0.4 - 1e-12


def test_without_softness_and_exploration_the_best_are_taken() -> None:
    score = np.array([3.0, 1.0, 2.0, 5.0, 4.0])
    pi = inclusion_probabilities(score, np.array([0, 3]), np.array([1, 1]), epsilon=0.0, tau=0.0)
    np.testing.assert_array_equal(pi, [1, 0, 0, 1, 0])


def test_the_holdout_is_permanent_and_grows_without_letting_anyone_go() -> None:
    ids = hash_ids([f"member-{i}" for i in range(20_000)])
    small, large = (
        held_out(ids, ContactSettings(holdout_share=share, arm_shares=(0.3, 0.3, 0.2))) for share in (0.05, 0.1)
    )
    assert small.mean() == pytest.approx(0.05, abs=0.006) and not (small & ~large).any()
    assert (held_out(ids, ContactSettings(salt="other")) != small).any()
