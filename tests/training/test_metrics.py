"""The harness's figures against scikit-learn, scipy and lifelines, and the bootstrap against what it promises."""

import lifelines.utils
import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn import metrics as sk

from training import metrics
from training.metrics import MemberBootstrap, comparison, judge


@pytest.fixture(scope="module")
def world() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(4)
    rows = 900
    truth = rng.beta(2, 1, rows)
    days = np.ceil(rng.exponential(40 / (1.05 - truth))).astype(int)
    p = np.round(np.clip(truth + rng.normal(0, 0.15, rows), 0.01, 0.99), 2)  # rounded: many ties
    return {
        "p": p,
        "churned": days > 60,
        "days": np.minimum(days, 60),
        "money": np.where(days > 60, 0.0, rng.gamma(1, 50, rows)),
        "members": rng.integers(0, 400, rows),
    }


def at_weights(statistic: metrics.Statistic, weights: np.ndarray) -> float:
    return float(statistic(weights[None, :].astype(float))[0])


@pytest.mark.parametrize("seed", [None, 1])
def test_churn_figures_equal_scikit_learn_weighted_or_not(world: dict[str, np.ndarray], seed: int | None) -> None:
    y, p = world["churned"], world["p"]
    w = np.ones(len(y)) if seed is None else np.random.default_rng(seed).integers(0, 4, len(y)).astype(float)
    assert at_weights(metrics.auc(y, p), w) == pytest.approx(sk.roc_auc_score(y, p, sample_weight=w), abs=1e-12)
    assert at_weights(metrics.log_loss(y, p), w) == pytest.approx(sk.log_loss(y, p, sample_weight=w), abs=1e-12)
    assert at_weights(metrics.brier(y, p), w) == pytest.approx(sk.brier_score_loss(y, p, sample_weight=w), abs=1e-12)
    assert at_weights(metrics.bias(y, p), w) == pytest.approx(np.average(p - y, weights=w), abs=1e-12)


def test_ece_equals_the_plain_loop_over_ten_bins(world: dict[str, np.ndarray]) -> None:
    y, p = world["churned"], world["p"]
    bins = np.array_split(np.argsort(p, kind="stable"), 10)
    plain = sum(len(b) / len(y) * abs(y[b].mean() - p[b].mean()) for b in bins)
    assert at_weights(metrics.ece(y, p), np.ones(len(y))) == pytest.approx(plain, abs=1e-12)


def test_ece_of_calibrated_probabilities_lies_in_its_own_noise() -> None:
    rng = np.random.default_rng(0)
    p = rng.beta(2, 1, 600)
    noise = metrics.ece_if_calibrated(p, seed=1)
    found = [at_weights(metrics.ece(rng.random(600) < p, p), np.ones(600)) for _ in range(50)]
    assert noise["low"] < np.mean(found) < noise["high"]
    assert noise["value"] == pytest.approx(np.mean(found), rel=0.1)


def test_c_index_equals_lifelines_with_ties_and_censoring(world: dict[str, np.ndarray]) -> None:
    days, seen, later = world["days"], ~world["churned"], world["p"]
    theirs = lifelines.utils.concordance_index(days, later, seen)
    assert at_weights(metrics.c_index(days, seen, later), np.ones(len(days))) == pytest.approx(theirs, abs=1e-12)


def test_c_index_of_a_draw_equals_the_same_members_written_out(world: dict[str, np.ndarray]) -> None:
    days, seen = world["days"], ~world["churned"]
    later = world["p"] + np.random.default_rng(0).normal(0, 0.01, len(days))  # more than 256 different scores
    count = np.random.default_rng(2).integers(0, 4, len(days))
    rows = np.repeat(np.arange(len(days)), count)
    theirs = lifelines.utils.concordance_index(days[rows], later[rows], seen[rows])
    assert at_weights(metrics.c_index(days, seen, later), count) == pytest.approx(theirs, abs=2e-4)


def test_spearman_equals_scipy_and_a_draw_equals_the_rows_written_out(world: dict[str, np.ndarray]) -> None:
    p, money = world["p"], world["money"]
    statistic = metrics.spearman(p, money)
    assert at_weights(statistic, np.ones(len(p))) == pytest.approx(spearmanr(p, money).statistic, abs=1e-12)
    count = np.random.default_rng(2).integers(0, 4, len(p))
    rows = np.repeat(np.arange(len(p)), count)
    assert at_weights(statistic, count) == pytest.approx(spearmanr(p[rows], money[rows]).statistic, abs=1e-12)


def test_median_and_top_share_of_a_draw_equal_the_rows_written_out(world: dict[str, np.ndarray]) -> None:
    p, money = world["p"] + np.random.default_rng(0).normal(0, 1e-4, len(world["p"])), world["money"]
    count = np.random.default_rng(3).integers(0, 4, len(p))
    rows = np.repeat(np.arange(len(p)), count)
    values = np.where(world["churned"], np.nan, p)
    assert at_weights(metrics.median_of(values), count) == pytest.approx(np.nanmedian(values[rows]), abs=1e-12)
    ranked = money[rows][np.argsort(-p[rows], kind="stable")]
    tenth = len(rows) / 10
    whole = int(tenth)
    share = (ranked[:whole].sum() + (tenth - whole) * ranked[whole]) / ranked.sum()
    assert at_weights(metrics.top_share(p, money), count) == pytest.approx(share, abs=1e-9)


def test_ties_never_favour_the_order_of_rows(world: dict[str, np.ndarray]) -> None:
    money = world["money"]
    flat = metrics.top_share(np.zeros(len(money)), money)
    assert at_weights(flat, np.ones(len(money))) == pytest.approx(0.1)
    assert at_weights(metrics.auc(world["churned"], np.zeros(len(money))), np.ones(len(money))) == 0.5


def test_members_are_drawn_whole_and_alike_each_time(world: dict[str, np.ndarray]) -> None:
    bootstrap = MemberBootstrap(world["members"], 50, seed=9)
    first, again = np.concatenate(list(bootstrap.batches())), np.concatenate(list(bootstrap.batches()))
    np.testing.assert_array_equal(first, again)
    one = world["members"] == np.bincount(world["members"]).argmax()
    assert one.sum() > 1 and (first[:, one] == first[:, one][:, :1]).all()
    assert first.std() > 0 and first.mean() == pytest.approx(1, abs=0.02)


def test_the_interval_covers_the_truth_about_nineteen_times_in_twenty() -> None:
    rng = np.random.default_rng(5)
    inside = 0
    for k in range(200):
        members = np.repeat(np.arange(80), 3)
        values = np.repeat(rng.normal(0, 1, 80), 3) + rng.normal(0, 0.1, 240)  # rows of a member are alike
        judged = judge({"model": {"mean": metrics.mean_of(values)}}, members, draws=200, seed=k)
        found = metrics.interval(*judged["model"]["mean"])
        assert found is not None
        inside += found["low"] <= 0 <= found["high"]
    assert 0.90 <= inside / 200 <= 0.985


def test_paired_is_model_minus_baseline_and_best_is_chosen_metric_by_metric(world: dict[str, np.ndarray]) -> None:
    y, p = world["churned"], world["p"]
    noisy = np.clip(p + np.random.default_rng(0).normal(0, 0.3, len(p)), 0.01, 0.99)
    near = p + np.random.default_rng(1).normal(0, 0.02, len(p))
    sure = 1 / (1 + np.exp(-25 * (near - 0.5)))  # ranks like the model, but its probabilities lie

    def of(score: np.ndarray) -> dict[str, metrics.Statistic | None]:
        return {"auc": metrics.auc(y, score), "log_loss": metrics.log_loss(y, score), "c_index": None}

    judged = judge({"model": of(p), "noisy": of(noisy), "sure": of(sure)}, world["members"], draws=200, seed=1)
    found = comparison(judged)
    model, pair = found["model"], found["paired"]
    assert pair["noisy"]["auc"]["value"] == pytest.approx(
        model["auc"]["value"] - found["baselines"]["noisy"]["auc"]["value"]
    )
    assert pair["best"]["auc"]["baseline"] == "sure" and pair["best"]["log_loss"]["baseline"] == "noisy"
    assert pair["best"]["log_loss"]["high"] < 0
    assert model["c_index"] is None and pair["best"]["c_index"] is None
    wide = pair["sure"]["auc"]["high"] - pair["sure"]["auc"]["low"]
    assert wide < (model["auc"]["high"] - model["auc"]["low"]) / 3  # pairing takes the members' luck out


def test_a_single_class_gives_no_auc_instead_of_a_wrong_one() -> None:
    judged = judge({"model": {"auc": metrics.auc(np.ones(5, dtype=bool), np.arange(5))}}, np.arange(5))
    assert comparison(judged)["model"] is None
