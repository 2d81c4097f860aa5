"""The effect model: ψ is unbiased with any purchase model, its variance is true, and a prior is kept without evidence."""

import numpy as np
import pytest

from outreach.effect_model import corrected, doubly_robust, fit_logit, logistic


def trial(n: int, seed: int, slope: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(x, y, listed, e, effect): the base depends on x squared, the effect on the first column."""
    r = np.random.default_rng(seed)
    x = r.standard_normal((n, 3))
    e = 0.1 + 0.5 * r.random(n)
    base, effect = 0.02 + 0.3 * (np.abs(x[:, 1]) > 1), 0.06 + slope * x[:, 0]
    listed = r.random(n) < e
    y = (r.random(n) < np.clip(base + listed * effect, 0, 1)).astype(float)
    return x, y, listed, e, effect


def test_psi_has_the_right_mean_and_scatters_as_it_says() -> None:
    x, y, listed, e, effect = trial(60_000, 0, 0.0)
    psi, variance = doubly_robust(x, y, listed, e, np.arange(len(y)), 0, np.ones(len(y)))
    assert psi.mean() == pytest.approx(effect.mean(), abs=0.008)
    quiet = variance < np.median(variance)
    assert psi[quiet].var() < psi[~quiet].var() / 1.5
    # Weighing rows by their precision makes the mean surer and leaves it where it is.
    assert np.average(psi, weights=1 / variance) == pytest.approx(effect.mean(), abs=0.006)


def test_a_correction_follows_the_evidence_and_nothing_else() -> None:
    x, y, listed, e, _ = trial(60_000, 1, 0.04)
    psi, variance = doubly_robust(x, y, listed, e, np.arange(len(y)), 0, np.ones(len(y)))
    prior = np.full(len(y), 0.06)
    found, _ = corrected(prior, x, psi, 1 / variance, np.array([0, 1, 1]))
    assert found[0] == pytest.approx(1.0, abs=0.15) and found[1] == pytest.approx(0.67, abs=0.2)
    assert np.abs(found[2:]).max() < 0.12
    few = slice(0, 100)
    kept, _ = corrected(prior[few], x[few], psi[few], 1 / variance[few], np.array([0, 1, 1]))
    assert np.abs(kept[1:]).max() < np.abs(found[1])


def test_newton_finds_the_logit() -> None:
    r = np.random.default_rng(2)
    x = np.column_stack([r.standard_normal((20_000, 2)), np.ones(20_000)])
    y = (r.random(20_000) < logistic(x @ [1.0, -0.5, -2.0])).astype(float)
    assert fit_logit(x, y, np.ones(20_000), 2) == pytest.approx([1.0, -0.5, -2.0], abs=0.1)
