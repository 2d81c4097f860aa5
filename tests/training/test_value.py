"""Expected spend orders members, adds up, says its interval, and never looks ahead."""

import datetime
import itertools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from features.errors import InputError
from features.history import History, build_history
from features.tables import tables_from_frames
from features.vectors import MemberVectors, build_vectors
from simulator.brand import simulate_brand
from training.labels import label_outcomes
from training.release_readiness import readiness
from training.spend_calibration import learn_spend_map
from training.value import ValueModel, fit_value_model

AS_OF = datetime.date(2026, 3, 1)
HORIZON = 90


class KnownCurves:
    """P(buys) that follows recency, the same for all tests."""

    max_days = HORIZON

    def __init__(self, vectors: MemberVectors) -> None:
        recency = vectors.frame["recency_days"].to_numpy(float)
        self.buys = 0.85 * np.exp(-recency / 120.0) + 0.05

    def at(self, days: float) -> np.ndarray:
        return 1.0 - self.buys * (1 - np.exp(-days / 40.0)) / (1 - np.exp(-HORIZON / 40.0))


@pytest.fixture(scope="module")
def history(brand_frames: Mapping[str, pd.DataFrame]) -> History:
    return build_history(tables_from_frames(brand_frames))


@pytest.fixture(scope="module")
def vectors(history: History) -> MemberVectors:
    return build_vectors(history, [AS_OF])


@pytest.fixture(scope="module")
def model(history: History) -> ValueModel:
    return fit_value_model(history, AS_OF, HORIZON)


def test_expected_spend_is_orders_times_order_value_within_its_interval(
    model: ValueModel, vectors: MemberVectors
) -> None:
    told = model.predict(vectors, KnownCurves(vectors))
    assert model.rung == "curve_two_part"
    product = told["expected_orders"] * told["expected_order_value_yuan"]
    np.testing.assert_allclose(product, told["expected_spend_yuan"], rtol=1e-9)
    assert (told["low_yuan"] <= told["expected_spend_yuan"]).all()
    assert (told["expected_spend_yuan"] <= told["high_yuan"]).all()
    assert (told["low_yuan"] >= 0).all()


def test_it_orders_members_better_than_last_years_spend(
    history: History, model: ValueModel, vectors: MemberVectors
) -> None:
    spent = label_outcomes(history, vectors, [AS_OF], HORIZON).frame["net_spend_yuan"].to_numpy(float)
    told = model.predict(vectors, KnownCurves(vectors))["expected_spend_yuan"].to_numpy()
    plain = fit_value_model(history, AS_OF, HORIZON, only="last_year").predict(vectors, KnownCurves(vectors))
    ours, theirs = spearmanr(told, spent)[0], spearmanr(plain["expected_spend_yuan"], spent)[0]
    assert ours > theirs + 0.02


def test_eight_of_ten_members_spend_within_the_interval(
    history: History, model: ValueModel, vectors: MemberVectors
) -> None:
    spent = label_outcomes(history, vectors, [AS_OF], HORIZON).frame["net_spend_yuan"].to_numpy(float)
    told = model.predict(vectors, KnownCurves(vectors))
    inside = (spent >= told["low_yuan"] - 0.005) & (spent <= told["high_yuan"] + 0.005)
    assert 0.75 <= inside.mean() <= 0.95


class Maker:
    """A curve model whose P(buys) is the same function of recency on every day."""

    def predict(self, vectors: MemberVectors) -> KnownCurves:
        return KnownCurves(vectors)


def test_tenths_are_set_right_and_the_order_stays(
    history: History, model: ValueModel, vectors: MemberVectors, tmp_path: Path
) -> None:
    mapped = fit_value_model(history, AS_OF, HORIZON, curve_model=Maker())
    assert mapped.spend_map.log_ratio and not model.spend_map.log_ratio
    told = mapped.predict(vectors, KnownCurves(vectors))
    plain = model.predict(vectors, KnownCurves(vectors))
    assert spearmanr(told["expected_spend_yuan"], plain["expected_spend_yuan"])[0] > 0.9999
    product = told["expected_orders"] * told["expected_order_value_yuan"]
    np.testing.assert_allclose(product, told["expected_spend_yuan"], rtol=1e-9)
    mapped.save(tmp_path)
    pd.testing.assert_frame_equal(ValueModel.load(tmp_path).predict(vectors, KnownCurves(vectors)), told)


def test_a_past_day_that_knew_less_than_a_horizon_teaches_no_tenths(history: History) -> None:
    early = history.coverage_start + datetime.timedelta(days=2 * HORIZON - 20)
    young = fit_value_model(history, early, HORIZON, curve_model=Maker())
    assert young.rung == "curve_two_part" and not young.spend_map.log_ratio
    later = fit_value_model(history, early + datetime.timedelta(days=40), HORIZON, curve_model=Maker())
    assert later.spend_map.log_ratio


def test_the_map_moves_each_tenth_to_what_it_spent() -> None:
    rng = np.random.default_rng(2)
    true = rng.lognormal(3, 1.2, 20_000)
    spent = np.where(rng.random(20_000) < 0.4, true * rng.gamma(2.0, 0.5, 20_000) / 0.4, 0.0)
    flat = 3.0 * np.sqrt(true)  # the right order, sums too even and on another level
    learned = learn_spend_map(flat, spent)
    fresh = np.sort(rng.lognormal(3, 1.2, 20_000))
    told = 3.0 * np.sqrt(fresh) * learned.factor(3.0 * np.sqrt(fresh))
    assert (np.diff(told) > 0).all()
    tenths = np.array_split(np.arange(20_000), 10)
    off = np.array([told[rows].sum() / fresh[rows].sum() for rows in tenths])
    before = np.array([3.0 * np.sqrt(fresh[rows]).sum() / fresh[rows].sum() for rows in tenths])
    assert (np.abs(off[1:-1] - 1) < 0.1).all() and (np.abs(off - 1) < 0.2).all()
    assert before.max() / before.min() > 4
    assert learn_spend_map(flat[:50], spent[:50]).factor(flat[:3]).tolist() == [1.0, 1.0, 1.0]


def test_a_longer_horizon_never_brings_less(model: ValueModel, vectors: MemberVectors) -> None:
    spend = [
        model.predict(vectors, KnownCurves(vectors), horizon_days=days)["expected_spend_yuan"].to_numpy()
        for days in (30, 90, 180, 365)
    ]
    for shorter, longer in itertools.pairwise(spend):
        assert (longer >= 0.999 * shorter).all()
    assert 1.5 < spend[2].sum() / spend[1].sum() < 2.5
    with pytest.raises(InputError, match="at least 1"):
        model.predict(vectors, KnownCurves(vectors), horizon_days=-3)


def test_saved_and_loaded_it_says_the_same(model: ValueModel, vectors: MemberVectors, tmp_path: Path) -> None:
    model.save(tmp_path)
    again = ValueModel.load(tmp_path)
    assert again.card == model.card
    pd.testing.assert_frame_equal(
        again.predict(vectors, KnownCurves(vectors)), model.predict(vectors, KnownCurves(vectors))
    )


def test_rewriting_the_future_changes_nothing(brand_frames: Mapping[str, pd.DataFrame], model: ValueModel) -> None:
    future = brand_frames["orders"]["order_time"] >= pd.Timestamp(AS_OF)
    rewritten = dict(brand_frames)
    rewritten["orders"] = brand_frames["orders"].assign(
        paid_yuan=brand_frames["orders"]["paid_yuan"].where(~future, 7.0)
    )
    hit = brand_frames["order_lines"]["order_id"].isin(brand_frames["orders"].loc[future, "order_id"])
    lines = brand_frames["order_lines"]
    rewritten["order_lines"] = lines.assign(paid_yuan=lines["paid_yuan"].where(~hit, 7.0))
    other = fit_value_model(build_history(tables_from_frames(rewritten)), AS_OF, HORIZON)
    assert other == model


def test_baselines_answer_in_the_same_form_and_say_so(
    history: History, vectors: MemberVectors, tmp_path: Path
) -> None:
    for only in ("last_year", "gamma_gamma_bg_nbd"):
        plain = fit_value_model(history, AS_OF, HORIZON, only=only)
        assert plain.card["source"] == "fallback" and plain.card["rung"] == only
        plain.save(tmp_path / only)
        told = ValueModel.load(tmp_path / only).predict(vectors, KnownCurves(vectors))
        assert (told["expected_spend_yuan"] > 0).mean() > 0.8
        assert (told["low_yuan"] <= told["high_yuan"]).all()
    with pytest.raises(InputError, match="known: last_year"):
        fit_value_model(history, AS_OF, HORIZON, only="crystal_ball")


def test_sixty_members_get_the_fallback_with_its_name() -> None:
    small = build_history(tables_from_frames(simulate_brand("beauty", members=60, days=120, seed=1)))
    as_of = datetime.date(2026, 5, 1)
    vectors = build_vectors(small, [as_of])
    model = fit_value_model(small, as_of, 60)
    assert model.rung == "gamma_gamma_bg_nbd" and model.card["source"] == "fallback"
    told = model.predict(vectors, KnownCurves(vectors))
    assert np.isfinite(told.drop(columns="member_id").to_numpy(float)).all()


def test_five_members_get_their_own_mean_and_the_card_says_so(tmp_path: Path) -> None:
    few = build_history(tables_from_frames(simulate_brand("beauty", members=5, days=120, seed=1)))
    as_of = datetime.date(2026, 5, 1)
    vectors = build_vectors(few, [as_of])
    for only in (None, "gamma_gamma_bg_nbd"):
        model = fit_value_model(few, as_of, 60, only=only)
        assert model.gamma_gamma is None and model.bg_nbd is None
        assert model.rung == model.card["rung"] == "own_mean" and model.card["source"] == "fallback"
        model.save(tmp_path)
        told = readiness(few, as_of, 60, {"value": tmp_path})["value"]
        assert told["fallback"] == "own_mean" and told["have"]["past_days_with_known_spend"] == 0
        expected = model.predict(vectors, KnownCurves(vectors))["expected_order_value_yuan"]
        np.testing.assert_allclose(expected, vectors.frame["spend_mean_yuan"].to_numpy(float))
