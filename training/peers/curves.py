"""Plain answers to "who comes back, and when": vectors and one matured snapshot in, survival curves and a ranking out.

    recency               Kaplan–Meier in bands of recency, later never safer
    rfm                   Kaplan–Meier by the sum of the three quintile scores (A. M. Hughes, Strategic Database
                          Marketing, 1994)
    logistic_rfm          logistic regression on recency, frequency, money and tenure
    bg_nbd, mbg_nbd       training.btyd, fitted on the histories themselves; needs no labels
    lightgbm_one_cutoff   a LightGBM classifier on all vector columns with a history, of the one snapshot

The snapshot is as of D−H, so that its labels end before the cut-off D. A classifier's probability at H becomes a curve
by the population's own shape: S(t) = S(H)^(Λ(t)/Λ(H)), Λ the snapshot's Nelson–Aalen hazard (proportional hazards).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Protocol

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from features.errors import NotEnoughData
from features.history import History
from features.vectors import MemberVectors, build_vectors
from training.btyd import Btyd, Family, fit_btyd
from training.cutoffs import check_label_rows, snapshot_days
from training.growing import growing
from training.labels import label_outcomes
from training.snapshots import NO_HISTORY

Floats = NDArray[np.float64]

# A snapshot with fewer members, or with one answer for all, teaches nothing.
FEWEST_MEMBERS = 50
FEWEST_OF_EACH = 10
RECENCY_BANDS = 20
LIGHTGBM = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 40,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
}
LIGHTGBM_ROUNDS, LIGHTGBM_PATIENCE = 500, 30


@dataclass(frozen=True)
class PeerAnswer:
    """What a peer says of n members.

    curves: rows -> float64[rows, H+1], survival on days 0 … H; made on demand, so that a large base fits in memory.
    risk: float64[n], higher means rather not coming back within H. later: float64[n], higher means a later return;
    None where the order of the curves' areas says it.
    """

    curves: Callable[[slice], Floats]
    risk: Floats
    later: Floats | None = None


class CurvePeer(Protocol):
    def predict(self, vectors: MemberVectors) -> PeerAnswer: ...


@dataclass(frozen=True)
class Snapshot:
    """Vectors as of D−H and what happened in the H days after, all of it before D.

    days_to_next: float64[n], NaN where the member did not return within the horizon. visits, net_spend_yuan:
    float64[n], within the horizon.
    """

    vectors: MemberVectors
    days_to_next: Floats
    visits: Floats
    net_spend_yuan: Floats
    horizon_days: int

    @property
    def churned(self) -> NDArray[np.bool_]:
        return np.isnan(self.days_to_next)


def take_snapshot(history: History, before: date, horizon_days: int, *, first_day: date | None = None) -> Snapshot:
    """The newest matured snapshot before the cut-off; NotEnoughData where none has both answers often enough."""
    days = snapshot_days(before, horizon_days, first_day or history.coverage_start, most=1)
    if not days:
        raise NotEnoughData(
            f"no label window of {horizon_days} days lies between {history.coverage_start} and {before}; "
            "give a longer history or a shorter horizon"
        )
    vectors = build_vectors(history, days)
    outcomes = label_outcomes(history, vectors, days, horizon_days, known_before=before).frame
    ends = outcomes["as_of"] + np.timedelta64(horizon_days - 1, "D")
    check_label_rows(outcomes.assign(label_end=ends), outcomes.iloc[:0], test_as_of=before)
    churned = int((~outcomes["observed"]).sum())
    if len(outcomes) < FEWEST_MEMBERS or min(churned, len(outcomes) - churned) < FEWEST_OF_EACH:
        raise NotEnoughData(
            f"the snapshot of {days[0]} has {len(outcomes)} members, {churned} of them gone for {horizon_days} days; "
            f"a labelled peer needs {FEWEST_MEMBERS} members and {FEWEST_OF_EACH} of each kind"
        )
    days_to_next, visits, net_spend = (
        outcomes[name].to_numpy(dtype=float) for name in ("days_to_next", "orders", "net_spend_yuan")
    )
    return Snapshot(vectors, days_to_next, visits, net_spend, horizon_days)


def _kaplan_meier(days_to_next: Floats, horizon_days: int, *, ghosts: float = 0.0) -> Floats:
    """S on days 0 … H where everybody was watched for H days; `ghosts` extra members of each kind keep it off 0 and 1."""
    back = np.bincount(days_to_next[~np.isnan(days_to_next)].astype(int), minlength=horizon_days + 1)[
        : horizon_days + 1
    ]
    lost = np.cumsum(back) + ghosts * np.arange(horizon_days + 1) / horizon_days
    return 1.0 - lost / (len(days_to_next) + 2 * ghosts)


@dataclass(frozen=True)
class _Ladder:
    """Curves by one number, interpolated between the centres of its bands."""

    centres: Floats
    curves: Floats
    measure: Callable[[MemberVectors], Floats]

    def predict(self, vectors: MemberVectors) -> PeerAnswer:
        risk = self.measure(vectors)

        def curves(rows: slice) -> Floats:
            if len(self.centres) == 1:
                return np.repeat(self.curves, len(risk[rows]), axis=0)
            right = np.clip(np.searchsorted(self.centres, risk[rows]), 1, len(self.centres) - 1)
            low, high = self.centres[right - 1], self.centres[right]
            share = np.clip((risk[rows] - low) / (high - low), 0.0, 1.0)[:, None]
            return self.curves[right - 1] * (1 - share) + self.curves[right] * share

        return PeerAnswer(curves, risk, later=risk)


def _fit_ladder(snapshot: Snapshot, measure: Callable[[MemberVectors], Floats], bands: int) -> _Ladder:
    risk = measure(snapshot.vectors)
    edges = np.unique(np.quantile(risk, np.linspace(0, 1, bands + 1)[1:-1]))
    band = np.searchsorted(edges, risk, side="left")
    kept = np.unique(band)
    curves = np.stack(
        [_kaplan_meier(snapshot.days_to_next[band == b], snapshot.horizon_days, ghosts=0.5) for b in kept]
    )
    mass = np.array([(band == b).sum() for b in kept], dtype=float)
    # Riskier bands are never safer on any day; done day by day this also keeps every curve falling.
    steps = np.arange(len(kept))
    for day in range(1, curves.shape[1]):
        curves[:, day] = IsotonicRegression().fit_transform(steps, curves[:, day], sample_weight=mass)
    centres = np.array([np.median(risk[band == b]) for b in kept])
    return _Ladder(centres, curves, measure)


def _column(vectors: MemberVectors, name: str) -> Floats:
    return vectors.frame[name].to_numpy(dtype=float)


def _recency(vectors: MemberVectors) -> Floats:
    return _column(vectors, "recency_days")


def _minus_rfm_sum(vectors: MemberVectors) -> Floats:
    def score(values: Floats) -> Floats:  # quintile 1 … 5 within the population, ties at their middle
        return np.ceil(rankdata(values, "average") / len(values) * 5 - 1e-9)

    parts = -_column(vectors, "recency_days"), _column(vectors, "visits"), _column(vectors, "spend_total_yuan")
    return -np.sum([score(np.nan_to_num(part)) for part in parts], axis=0)


@dataclass(frozen=True)
class _Classifier:
    """A probability at H, drawn out into a curve by the snapshot's own shape of returns."""

    probability: Callable[[MemberVectors], Floats]
    shape: Floats  # Λ(t)/Λ(H) on days 0 … H

    def predict(self, vectors: MemberVectors) -> PeerAnswer:
        churn = np.clip(self.probability(vectors), 1e-6, 1 - 1e-6)
        return PeerAnswer(lambda rows: np.exp(np.log(churn[rows])[:, None] * self.shape[None, :]), churn, later=churn)


def _shape(snapshot: Snapshot) -> Floats:
    hazard = -np.log(_kaplan_meier(snapshot.days_to_next, snapshot.horizon_days, ghosts=0.5))
    return hazard / hazard[-1]


def _fit_logistic(snapshot: Snapshot) -> _Classifier:
    def inputs(vectors: MemberVectors) -> Floats:
        names = "recency_days", "visits", "spend_mean_yuan", "tenure_days"
        return np.column_stack([np.log1p(np.maximum(np.nan_to_num(_column(vectors, n)), 0)) for n in names])

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(inputs(snapshot.vectors), snapshot.churned)
    return _Classifier(lambda vectors: model.predict_proba(inputs(vectors))[:, 1], _shape(snapshot))


def _with_history(vectors: MemberVectors) -> NDArray[np.float32]:
    """The vectors without columns whose gaps tell who bought later."""
    keep = [k for k, column in enumerate(vectors.columns) if column.name not in NO_HISTORY]
    return np.ascontiguousarray(vectors.matrix()[:, keep])


def _fit_lightgbm(snapshot: Snapshot, seed: int) -> _Classifier:
    x, y = _with_history(snapshot.vectors), snapshot.churned.astype(float)
    params = LIGHTGBM | growing(seed, len(y))
    held_out = np.random.default_rng(seed).random(len(y)) < 0.2
    train = lgb.Dataset(x[~held_out], y[~held_out], params=params, free_raw_data=False)
    valid = lgb.Dataset(x[held_out], y[held_out], reference=train, params=params, free_raw_data=False)
    stop = lgb.early_stopping(LIGHTGBM_PATIENCE, verbose=False)
    rounds = lgb.train(params, train, LIGHTGBM_ROUNDS, valid_sets=[valid], callbacks=[stop]).best_iteration
    booster = lgb.train(params, lgb.Dataset(x, y, params=params), max(10, rounds))
    return _Classifier(lambda vectors: np.asarray(booster.predict(_with_history(vectors))), _shape(snapshot))


@dataclass(frozen=True)
class _BtydPeer:
    model: Btyd
    horizon_days: int

    def predict(self, vectors: MemberVectors) -> PeerAnswer:
        inputs = btyd_inputs(vectors)

        def curves(rows: slice) -> Floats:
            return self.model.survival(np.arange(self.horizon_days + 1), *(one[rows] for one in inputs))

        return PeerAnswer(curves, self.model.survival(self.horizon_days, *inputs)[:, 0])


def btyd_inputs(vectors: MemberVectors) -> tuple[Floats, Floats, Floats]:
    """repeat_visits, first_to_last_days, tenure_days of the members."""
    tenure = _column(vectors, "tenure_days")
    return _column(vectors, "visits") - 1, tenure - _column(vectors, "recency_days"), tenure


def _fit_btyd_peer(vectors: MemberVectors, family: Family, horizon_days: int, seed: int) -> _BtydPeer:
    return _BtydPeer(fit_btyd(*btyd_inputs(vectors), family=family, seed=seed), horizon_days)


CURVE_PEERS = ("recency", "rfm", "logistic_rfm", "bg_nbd", "mbg_nbd", "lightgbm_one_cutoff")


def fit_curve_peers(
    history: History, vectors: MemberVectors, as_of: date, horizon_days: int, *, seed: int = 0
) -> tuple[Mapping[str, CurvePeer | None], dict[str, str]]:
    """Every peer by name, None where the data are too few, with the reason; nothing from as_of on is looked at.

    vectors: those of the whole population at as_of, on which the buy-till-you-die families are fitted.
    """
    peers: dict[str, CurvePeer | None] = dict.fromkeys(CURVE_PEERS)
    missing: dict[str, str] = {}
    try:
        snapshot = take_snapshot(history, as_of, horizon_days)
    except NotEnoughData as too_few:
        missing |= dict.fromkeys(("recency", "rfm", "logistic_rfm", "lightgbm_one_cutoff"), str(too_few))
    else:
        peers["recency"] = _fit_ladder(snapshot, _recency, RECENCY_BANDS)
        peers["rfm"] = _fit_ladder(snapshot, _minus_rfm_sum, 15)
        peers["logistic_rfm"] = _fit_logistic(snapshot)
        peers["lightgbm_one_cutoff"] = _fit_lightgbm(snapshot, seed)
    for family in ("bg_nbd", "mbg_nbd"):
        try:
            peers[family] = _fit_btyd_peer(vectors, family, horizon_days, seed)
        except NotEnoughData as too_few:
            missing[family] = str(too_few)
    return peers, missing
