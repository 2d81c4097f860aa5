"""Off-policy: the truth lies inside, exploration is needed, and giant weights are refused."""

import numpy as np
import pytest

from features.errors import InputError, NotEnoughData
from outreach.off_policy import Logged, evaluate


def logged(seed: int, epsilon: float = 0.5, n: int = 4000) -> tuple[Logged, np.ndarray, float]:
    """A log of a soft policy on members whose answers are known; (log, target policy, its true value)."""
    r = np.random.default_rng(seed)
    x = r.random(n)
    soft = np.clip((1 - epsilon) * (x > 0.7) + epsilon * 0.3, 0.002, 0.998)
    listed = r.random(n) < soft
    without, with_ = 0.05 + 0.1 * x, 0.05 + 0.1 * x + 0.2 * (1 - x)
    reward = (r.random(n) < np.where(listed, with_, without)).astype(float)
    target = np.where(x < 0.3, 0.9, 0.1)
    truth = float((target * with_ + (1 - target) * without).mean())
    return Logged(np.arange(n) // 4, listed, soft, reward, 0.25 - 0.1 * x, 0.05 + 0.1 * x), target, truth


def test_the_truth_lies_inside_in_nine_of_ten_runs() -> None:
    snips = robust = 0
    for seed in range(100):
        log, target, truth = logged(seed)
        found = evaluate(log, target, seed)
        snips += found.snips.low <= truth <= found.snips.high
        robust += found.doubly_robust.low <= truth <= found.doubly_robust.high
    assert snips >= 90 and robust >= 90


def test_the_logging_policy_itself_is_worth_what_it_earned() -> None:
    log, _, _ = logged(0)
    found = evaluate(log, log.propensity, 0)
    assert found.snips.value == pytest.approx(log.reward.mean()) and found.effective_rows == pytest.approx(found.rows)


def test_a_log_without_exploration_is_refused() -> None:
    log, target, _ = logged(0, epsilon=0.001)
    with pytest.raises(NotEnoughData, match=r"rows amount to \d+ for this policy, under 5%; explore more"):
        evaluate(log, target, 0)


def test_forced_rows_and_crooked_targets_are_refused() -> None:
    log, target, _ = logged(0)
    certain = Logged(log.member, log.listed, np.r_[1.0, log.propensity[1:]], log.reward)
    with pytest.raises(
        InputError, match=r"log\.propensity: expected values strictly between 0 and 1, found 1 of 4000"
    ):
        evaluate(certain, target, 0)
    with pytest.raises(InputError, match="target: expected 4000 probabilities"):
        evaluate(log, target[:3], 0)
