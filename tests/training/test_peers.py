"""The plain peers: fitted on the past only, right where a closed answer exists, silent where data are too few."""

import os
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from features.errors import NotEnoughData
from features.history import History, build_history
from features.tables import tables_from_frames
from features.vectors import build_vectors
from training.labels import label_outcomes
from training.metrics import auc
from training.peers.curves import CURVE_PEERS, fit_curve_peers
from training.peers.value import fit_gamma_gamma, fit_value_peers
from training.value import ValueModel, fit_value_model

DATA = os.environ.get("HUITOU_DATA")
CUT, HORIZON = date(2025, 9, 1), 60


def brand(members: int, seed: int, *, shuffle: bool = False, upto: str = "2025-12-31") -> History:
    """Members buy at own rates and quit at own moments; spend per visit is a member's own habit."""
    rng = np.random.default_rng(seed)
    start = pd.Timestamp("2025-01-01")
    rows = []
    for k in range(members):
        rate, quits, habit = rng.gamma(1.2, 1 / 30), rng.exponential(250), rng.gamma(3, 30)
        day = float(rng.integers(0, 200))
        leaves = day + quits
        while day < min(365, leaves):
            rows.append((f"m{k:04d}", start + pd.Timedelta(days=int(day)), round(habit * rng.gamma(5, 0.2), 2)))
            day += 1 + rng.exponential(1 / max(rate, 1e-4))
    orders = pd.DataFrame(rows, columns=["member_id", "order_time", "paid_yuan"])
    orders["order_id"] = [f"o{k}" for k in range(len(orders))]
    orders = orders[orders.order_time <= upto]
    if shuffle:
        orders = orders.sample(frac=1, random_state=1)
    lines = orders[["order_id", "paid_yuan"]].assign(line_no=1, line_type="sale", item_id="tea", qty=1)
    people = pd.DataFrame({"member_id": [f"m{k:04d}" for k in range(members)], "status": "active"})
    people["registered_at"] = people["updated_at"] = start
    frames = {
        "members": people,
        "orders": orders.assign(channel="other", status="completed"),
        "order_lines": lines,
        "items": pd.DataFrame(
            [{"item_id": "tea", "spu_id": "tea", "title": "茶", "category_l1": "tea", "status": "on"}]
        ),
    }
    return build_history(tables_from_frames(frames, coverage_end=date(2025, 12, 31)))


@pytest.fixture(scope="module")
def history() -> History:
    return brand(500, 1)


def test_every_peer_makes_falling_curves_and_ranks_better_than_chance(history: History) -> None:
    vectors = build_vectors(history, [CUT])
    churned = label_outcomes(history, vectors, [CUT], HORIZON).churned
    peers, missing = fit_curve_peers(history, vectors, CUT, HORIZON)
    assert missing == {} and tuple(peers) == CURVE_PEERS
    for name, peer in peers.items():
        assert peer is not None
        said = peer.predict(vectors)
        curves = said.curves(slice(None))
        assert curves.shape == (len(vectors.members), HORIZON + 1)
        assert (curves[:, 0] == 1).all() and (np.diff(curves, axis=1) <= 1e-12).all() and (curves > 0).all(), name
        np.testing.assert_array_equal(curves[10:20], said.curves(slice(10, 20)))
        area = auc(churned, said.risk)(np.ones((1, len(churned))))[0]
        assert area > 0.62, name
        assert abs(curves[:, -1].mean() - churned.mean()) < 0.15, name


def test_a_later_visit_is_never_riskier_under_the_recency_rule(history: History) -> None:
    vectors = build_vectors(history, [CUT])
    peers, _ = fit_curve_peers(history, vectors, CUT, HORIZON)
    assert peers["recency"] is not None
    said = peers["recency"].predict(vectors)
    by_recency = np.argsort(vectors.frame["recency_days"].to_numpy(), kind="stable")
    assert (np.diff(said.curves(slice(None))[by_recency, -1]) >= -1e-12).all()


def test_peers_are_the_same_whatever_the_future_and_whatever_the_order_of_rows() -> None:
    answers = []
    for world in (brand(200, 4), brand(200, 4, shuffle=True), brand(200, 4, upto="2025-08-31")):
        vectors = build_vectors(world, [CUT])
        peers, _ = fit_curve_peers(world, vectors, CUT, HORIZON)
        values, _ = fit_value_peers(world, vectors, CUT, HORIZON)
        curves = [peer.predict(vectors).curves(slice(None)) for peer in peers.values() if peer is not None]
        answers.append((np.stack(curves), values["gamma_gamma_bg_nbd"]))
    for curves, values in answers[1:]:
        np.testing.assert_array_equal(curves, answers[0][0])
        np.testing.assert_array_equal(values, answers[0][1])


def test_too_few_members_leave_labelled_peers_out_with_the_reason() -> None:
    small = brand(30, 2)
    vectors = build_vectors(small, [CUT])
    peers, missing = fit_curve_peers(small, vectors, CUT, HORIZON)
    assert peers["recency"] is None and "a labelled peer needs 50 members" in missing["recency"]
    assert peers["bg_nbd"] is not None
    peers, missing = fit_curve_peers(small, vectors, CUT, 300)
    assert "no label window of 300 days" in missing["rfm"]


@pytest.mark.data
@pytest.mark.skipif(not DATA, reason="HUITOU_DATA is unset: the CDNOW sample is not in the repository")
def test_gamma_gamma_reproduces_the_published_cdnow_parameters() -> None:
    """Fader & Hardie, The Gamma-Gamma Model of Monetary Value, 2013: p 6.25, q 3.74, γ 15.44 on 946 repeat buyers."""
    folder = Path(str(DATA)) / "cdnow"
    sample = pd.read_csv(folder / "sample_customers.csv", dtype=str).iloc[:, 0]
    rows = pd.read_parquet(folder / "transactions.parquet")
    rows = rows[rows.customer_id.isin(sample) & (rows.date <= "1997-09-30")]
    days = rows.groupby(["customer_id", "date"], as_index=False).amount.sum().sort_values(["customer_id", "date"])
    repeat = days[days.duplicated("customer_id")].groupby("customer_id").amount.agg(["count", "mean"])
    assert len(repeat) == 946
    model = fit_gamma_gamma(repeat["count"], repeat["mean"])
    assert (model.p, model.q, model.v_yuan) == pytest.approx((6.25, 3.74, 15.44), rel=0.01)


def test_gamma_gamma_lies_between_the_members_own_mean_and_everybodys() -> None:
    rng = np.random.default_rng(0)
    own = 4.0 * 60 / rng.gamma(3.0, 1.0, 4000)
    visits = rng.integers(1, 20, 4000)
    mean = rng.gamma(4.0 * visits, own / 4.0 / visits)
    model = fit_gamma_gamma(visits, mean)
    assert (model.p, model.q) == pytest.approx((4.0, 3.0), rel=0.12)
    everybody = model.expected_spend(0, 0)
    told = model.expected_spend(visits, mean)
    assert ((told - mean) * (everybody - mean) >= -1e-9).all() and (
        np.abs(told - mean) <= np.abs(everybody - mean)
    ).all()
    with pytest.raises(NotEnoughData, match="found 0"):
        fit_gamma_gamma([1, 2], [0, 0])


class FlatCurves:
    max_days = HORIZON

    def __init__(self, survival: np.ndarray) -> None:
        self.survival = survival

    def at(self, days: float) -> np.ndarray:
        return self.survival


def test_expected_spend_ranks_well_keeps_its_interval_and_survives_saving(history: History, tmp_path: Path) -> None:
    vectors = build_vectors(history, [CUT])
    peers, _ = fit_curve_peers(history, vectors, CUT, HORIZON)
    assert peers["bg_nbd"] is not None
    curves = FlatCurves(peers["bg_nbd"].predict(vectors).risk)
    model = fit_value_model(history, CUT, HORIZON)
    told = model.predict(vectors, curves)
    spent = label_outcomes(history, vectors, [CUT], HORIZON).frame["net_spend_yuan"].to_numpy()
    assert spearmanr(told.expected_spend_yuan, spent).statistic > 0.3
    assert told.expected_spend_yuan.sum() == pytest.approx(spent.sum(), rel=0.35)
    inside = (spent >= told.low_yuan) & (spent <= told.high_yuan)
    assert 0.7 < inside.mean() < 0.97
    model.save(tmp_path)
    pd.testing.assert_frame_equal(ValueModel.load(tmp_path).predict(vectors, curves), told)
    plain = fit_value_model(history, CUT, HORIZON, only="last_year")
    assert plain.card["source"] == "fallback" and plain.card["rung"] == "last_year"
    expected = vectors.frame["spend_365d_yuan"] * HORIZON / 243
    np.testing.assert_allclose(plain.predict(vectors, curves).expected_spend_yuan, expected)
