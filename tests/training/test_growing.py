"""The same trees on every machine."""

import lightgbm as lgb
import numpy as np
import pytest

from training.growing import growing, growing_threads


def test_one_thread_and_two_grow_the_same_trees() -> None:
    """A promise of the library, held against its next version: this one keeps it row by row as well."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, 12)).astype(np.float32)
    y = (x[:, 0] + x[:, 1] * x[:, 2] + rng.normal(size=len(x)) > 0).astype(float)

    def grown(threads: int) -> str:
        parameters = {"objective": "binary", "feature_fraction": 0.5, "bagging_fraction": 0.8, "bagging_freq": 1}
        parameters |= growing(7, len(x)) | {"num_threads": threads}
        return lgb.train(parameters, lgb.Dataset(x, y), 20).model_to_string().split("\nparameters:")[0]

    assert grown(1) == grown(2)


def test_who_asks_for_fewer_threads_gets_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert growing_threads() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert growing_threads() >= 1


def test_few_rows_are_not_spread_over_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.growing.growing_threads", lambda: 16)
    assert growing(0, 300)["num_threads"] == 1
    assert growing(0, 300_000)["num_threads"] == 16
