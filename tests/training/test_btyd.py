"""The buy-till-you-die models against published figures, a brute-force simulation and their own laws."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import approx_fprime
from scipy.stats import beta

from features.errors import InputError, NotEnoughData
from training import btyd
from training.btyd import FAMILIES, Btyd, Family, fit_btyd, regularity

DATA = os.environ.get("HUITOU_DATA")


def simulate(
    family: Family, members: int, tenure: float, horizon: float, seed: int, k: int = 1
) -> dict[str, np.ndarray]:
    """Live the story itself: draw rates and quitting chances, buy until quitting, count before and after `tenure`."""
    rng = np.random.default_rng(seed)
    r, alpha, a, b = 0.8, 20.0, 0.7, 2.5
    rate, quitting = rng.gamma(r, 1 / alpha, members), rng.beta(a, b, members)
    clock, last = np.zeros(members), np.zeros(members)
    before, after = np.zeros(members), np.zeros(members)
    here = rng.random(members) >= quitting if family == "mbg_nbd" else np.ones(members, dtype=bool)
    while here.any():
        who = np.flatnonzero(here)
        clock[who] += rng.gamma(k, 1 / np.maximum(rate[who], 1e-300))
        early = who[clock[who] <= tenure]
        last[early] = clock[early]
        before[early] += 1
        after[who[(clock[who] > tenure) & (clock[who] <= tenure + horizon)]] += 1
        here[who] = (clock[who] <= tenure + horizon) & (rng.random(len(who)) >= quitting[who])
    return {"x": before, "tx": last, "tenure": np.full(members, tenure), "after": after}


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_closed_forms_agree_with_living_the_story(family: Family, k: int) -> None:
    world = simulate(family, 300_000, tenure=120.0, horizon=60.0, seed=3, k=k)
    model = Btyd(family, 0.8, 20.0, 0.7, 2.5, 0.0, 0, k)
    silent = model.survival(60.0, world["x"], world["tx"], world["tenure"])[:, 0]
    visits = model.expected_visits(60.0, world["x"], world["tx"], world["tenure"]) if k == 1 else None
    group = np.minimum(world["x"], 6) * 10 + np.floor(world["tx"] / 40)
    checked = 0
    for cell in np.unique(group):
        inside = group == cell
        n = inside.sum()
        if n < 2_000:
            continue
        seen = (world["after"][inside] == 0).mean()
        noise = np.sqrt(seen * (1 - seen) / n)
        assert abs(seen - silent[inside].mean()) < 4.5 * noise
        checked += 1
        if visits is None:
            continue
        count = world["after"][inside]
        assert abs(count.mean() - visits[inside].mean()) < 4.5 * count.std() / np.sqrt(n)
    assert checked >= 10


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("family", FAMILIES)
def test_fit_finds_the_parameters_that_made_the_world(family: Family, k: int) -> None:
    world = simulate(family, 40_000, tenure=365.0, horizon=1.0, seed=5, k=k)
    model = fit_btyd(world["x"], world["tx"], world["tenure"], family=family, k=k)
    np.testing.assert_allclose([model.r, model.alpha_days], [0.8, 20.0], rtol=0.06)
    assert model.a / (model.a + model.b) == pytest.approx(0.7 / 3.2, rel=0.06)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("a", [0.3, 1.0, 2.7])
def test_expected_visits_equal_the_integral_they_stand_for(family: Family, a: float) -> None:
    model = Btyd(family, 0.6, 30.0, a, 1.4, 0.0, 0)
    for x, tx, tenure in [(0.0, 0.0, 50.0), (3.0, 40.0, 90.0), (40.0, 300.0, 310.0)]:
        b = 1.4 + x + (family == "mbg_nbd")
        rate, since = 0.6 + x, 30.0 + tenure

        def visits(p: float, rate: float = rate, since: float = since, b: float = b) -> float:
            return -np.expm1(-rate * np.log1p(p * 90 / since)) / p * beta.pdf(p, a, b)

        mean = quad(visits, 0, 1e-3)[0] + quad(visits, 1e-3, 1, limit=200)[0]
        found = model.expected_visits(90.0, [x], [tx], [tenure])[0]
        assert found == pytest.approx(mean * model.alive([x], [tx], [tenure])[0], rel=1e-3)


@pytest.mark.data
@pytest.mark.skipif(not DATA, reason="HUITOU_DATA is unset: the CDNOW sample is not in the repository")
def test_bg_nbd_reproduces_the_published_cdnow_parameters() -> None:
    """Fader, Hardie & Lee 2005, table 2: r .243, α 4.414 (weeks), a .793, b 2.426, LL −9582.4; MBG/NBD beside it."""
    folder = Path(str(DATA)) / "cdnow"
    sample = pd.read_csv(folder / "sample_customers.csv", dtype=str).iloc[:, 0]
    rows = pd.read_parquet(folder / "transactions.parquet")
    rows = rows[rows.customer_id.isin(sample) & (rows.date <= "1997-09-30")]
    days = rows.drop_duplicates(["customer_id", "date"]).groupby("customer_id").date.agg(["min", "max", "count"])
    assert len(days) == 2357
    weeks = (days["max"] - days["min"]).dt.days / 7, (pd.Timestamp("1997-09-30") - days["min"]).dt.days / 7
    model = fit_btyd(days["count"] - 1, *weeks, family="bg_nbd")
    assert [round(v, 3) for v in (model.r, model.alpha_days, model.a, model.b)] == [0.243, 4.414, 0.793, 2.426]
    assert round(model.log_likelihood, 1) == -9582.4
    modified = fit_btyd(days["count"] - 1, *weeks, family="mbg_nbd")
    assert modified.log_likelihood > model.log_likelihood  # it fits CDNOW a little better in the literature too


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("family", FAMILIES)
def test_gradient_is_the_slope_of_the_loss(family: Family, k: int) -> None:
    world = simulate(family, 300, tenure=100.0, horizon=1.0, seed=1)
    histories = world["x"], world["tx"] / 100, world["tenure"] / 100
    point = np.array([-0.4, 0.3, -0.6, 0.5])
    weights = np.ones(300)
    slope = approx_fprime(point, lambda p: btyd._loss(p, family, k, histories, weights)[0], 1e-7)
    np.testing.assert_allclose(btyd._loss(point, family, k, histories, weights)[1], slope, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(
    family=st.sampled_from(FAMILIES),
    theta=st.tuples(*[st.floats(0.02, 60.0)] * 4),
    x=st.integers(0, 400),
    last=st.floats(0, 1),
    tenure=st.floats(1, 3000),
    k=st.integers(1, btyd.MOST_REGULAR),
)
def test_survival_is_a_falling_curve_and_longer_silence_is_never_safer(
    family: Family, theta: tuple[float, ...], x: int, last: float, tenure: float, k: int
) -> None:
    model = Btyd(family, *theta, 0.0, 0, k)
    tx = tenure * last if x else 0.0
    curve = model.survival(np.arange(0, 400, 7), [x], [tx], [tenure])[0]
    assert curve[0] == 1 and np.isfinite(curve).all() and (np.diff(curve) <= 1e-12).all() and curve[-1] >= 0
    if k > 1:  # with a rhythm, who has just bought may well be silent for longer than who is due
        return
    quieter = model.survival([90.0], [x], [tx * 0.5], [tenure])[0, 0]
    assert quieter >= model.survival([90.0], [x], [tx], [tenure])[0, 0] - 1e-9
    visits = model.expected_visits(90.0, [x], [tx], [tenure])[0]
    assert np.isfinite(visits) and visits >= -1e-9


def test_order_of_members_changes_nothing_and_a_saved_model_answers_the_same() -> None:
    world = simulate("bg_nbd", 2_000, tenure=200.0, horizon=1.0, seed=2)
    rows = np.round(np.column_stack([world["x"], world["tx"], world["tenure"]]))
    shuffled = rows[np.random.default_rng(0).permutation(len(rows))]
    model = fit_btyd(*rows.T)
    assert fit_btyd(*shuffled.T) == model
    assert Btyd.from_dict(model.as_dict()) == model


def test_a_brand_where_nobody_returns_still_gets_a_finite_model() -> None:
    model = fit_btyd(np.zeros(50), np.zeros(50), np.linspace(10, 400, 50))
    assert model.survival([90.0], [0], [0], [30])[0, 0] > 0.97


def test_impossible_histories_and_too_few_members_are_refused() -> None:
    with pytest.raises(InputError, match="1 of 2 members break"):
        fit_btyd([1, 1], [5, 9], [7, 7])
    with pytest.raises(InputError, match="lengths differ"):
        fit_btyd([1, 1], [5], [7, 7])
    with pytest.raises(NotEnoughData, match="at least 10 members"):
        fit_btyd([1] * 9, [5] * 9, [7] * 9)
    with pytest.raises(InputError, match="unknown buy-till-you-die family"):
        fit_btyd([1] * 20, [5] * 20, [7] * 20, family="pareto")  # type: ignore[arg-type]


def test_the_series_answers_where_the_library_gives_no_number() -> None:
    # ∫ form of 2F1(1, 1; c; z) = (c−1) ∫₀¹ (1−u)^(c−2) / (1−zu) du, by quadrature.
    c, z = 104.0, 90 / 92
    by_quadrature = (c - 1) * quad(lambda u: (1 - u) ** (c - 2) / (1 - z * u), 0, 1)[0]
    assert btyd._hyp2f1(np.array([1.0]), 1.0, np.array([c]), np.array([z]))[0] == pytest.approx(
        by_quadrature, rel=1e-9
    )
    impossible = Btyd("bg_nbd", 1.0, 1.0, 2.0, 1.0, 0.0, 0)
    assert np.isfinite(impossible.expected_visits(90.0, [102], [0.0], [1.0])).all()


@pytest.mark.parametrize("k", [1, 2, 4])
def test_the_rhythm_is_read_from_the_spread_of_gaps_whatever_the_members_rates(k: int) -> None:
    rng = np.random.default_rng(k)
    gaps = [rng.gamma(k, rate, n) for rate, n in zip(rng.gamma(1.0, 40.0, 900), rng.integers(1, 9, 900), strict=True)]
    spread = [np.std(one, ddof=1) / np.mean(one) if len(one) > 1 else np.nan for one in gaps]
    assert regularity([len(one) for one in gaps], spread) == k
    few = slice(0, btyd.FEWEST_RHYTHMS - 1)
    assert regularity([len(one) for one in gaps][few], spread[few]) == 1


def test_expected_visits_are_refused_where_there_is_no_closed_form() -> None:
    with pytest.raises(InputError, match="k = 2"):
        Btyd("mbg_nbd", 0.8, 20.0, 0.7, 2.5, 0.0, 0, 2).expected_visits(60.0, [1.0], [5.0], [9.0])
