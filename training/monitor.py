"""Kept predictions and the history since in; how true they came, which input moved, and whether to train again, out.

Three questions, each with its limit: are matured predictions still right (AUC, log loss, bias, calibration error held
against its own sampling noise, coverage of the 80 % window), do the inputs still look as they did (population stability
index of every vector column, beyond what it usually moves in as many days), and do the scores.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

from features.history import History
from features.progress import Progress, quiet
from features.vectors import MemberVectors, build_vectors
from training import metrics
from training.kept_predictions import Kept, digests
from training.labels import label_outcomes

# Columns of the calendar and of coupon waves move by themselves; what counts from joining only grows.
FAMILIES_THAT_MOVE = ("calendar", "tenure", "coupons")
BINS = 10
# With fewer members judged, every figure is noise: it is reported and never past a limit.
FEWEST_MEMBERS = 200
DRAWS = 200
# A movement beyond the usual that is named as the likely cause where predictions failed, though below its own limit.
CAUSE_EXCESS = 0.03
# Members whose vectors are compared; a draw of more says nothing new.
COMPARED = 50_000


@dataclass(frozen=True)
class MonitorSettings:
    """When a figure is past its limit."""

    bias: float = field(
        default=0.05, metadata={"doc": "largest |mean predicted − observed churn|, beyond its interval"}
    )
    ece_over_noise: float = field(
        default=0.03, metadata={"doc": "largest calibration error above what chance alone would show"}
    )
    auc_fall: float = field(default=0.05, metadata={"doc": "largest fall of AUC since the first matured predictions"})
    coverage_low: float = field(default=0.70, metadata={"doc": "lowest coverage of the 80 % next-purchase window"})
    coverage_high: float = field(default=0.90, metadata={"doc": "highest coverage of the 80 % next-purchase window"})
    input_psi: float = field(
        default=0.10, metadata={"doc": "largest stability index of an input column above its usual movement"}
    )
    score_psi: float = field(default=0.25, metadata={"doc": "largest stability index of the served scores"})


@dataclass(frozen=True)
class MonitorReport:
    """What was found on one day.

    matured: one mapping a kept day that can be judged. waiting: kept days with the day they mature. inputs: a row a
    vector column (column, family, psi, usual_psi, excess), the most moved first. moved: names of the columns past the
    limit, the most moved first. breaches: sentences, empty where everything is inside its limits. beside: one mapping a
    matured day on which a challenger in shadow spoke too (as_of, model, members, log loss and AUC of both, and the
    difference shadow − served with its 95 % interval).
    """

    as_of: date
    matured: tuple[dict[str, Any], ...]
    waiting: dict[str, str]
    inputs: pd.DataFrame
    score_psi: float | None
    moved: tuple[str, ...]
    breaches: tuple[str, ...]
    retrain: bool
    retrain_because: str
    beside: tuple[dict[str, Any], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        told = {k: v for k, v in self.__dict__.items() if k != "inputs"}
        rows = self.inputs.replace({np.nan: None}).to_dict(orient="records")
        return {**told, "as_of": str(self.as_of), "inputs": rows}


def monitor(
    history: History,
    kept: Sequence[Kept],
    *,
    scores_now: np.ndarray | None = None,
    trained_as_of: date | None = None,
    shadow: Sequence[Kept] = (),
    settings: MonitorSettings | None = None,
    seed: int = 0,
    progress: Progress = quiet,
) -> MonitorReport:
    """Judge every matured day and compare the inputs of the newest matured day with today's.

    scores_now: the churn probabilities that are served today. trained_as_of: the day the champion was trained on.
    shadow: what a challenger in shadow said on the same days.
    """
    limits = settings or MonitorSettings()
    today = history.coverage_end + timedelta(days=1)
    ripe = [one for one in kept if one.as_of + timedelta(days=one.horizon_days) <= today]
    waiting = {str(one.as_of): str(one.as_of + timedelta(days=one.horizon_days)) for one in kept if one not in ripe}
    matured = []
    for n, one in enumerate(ripe):
        progress("judging matured predictions", 0.5 * n / len(ripe))
        matured.append(judge_kept(history, one, seed=seed))
    unserved = {one.as_of: one for one in shadow}
    beside = [
        compare_kept(history, one, unserved[one.as_of], seed=seed)
        for one in ripe
        if one.as_of in unserved and unserved[one.as_of].release_id == one.release_id
    ]
    progress("comparing inputs", 0.5)
    inputs, score_psi = _no_shift(), None
    breaches: list[str] = []
    moved: list[str] = []
    for figures in matured[-1:]:
        breaches += _breaches(figures, matured[0], limits)
    if ripe:
        newest = ripe[-1]
        inputs = input_shift(history, newest.as_of, today, seed=seed)
        moved = inputs["column"].to_numpy(str)[inputs["excess"].to_numpy() > limits.input_psi].tolist()
        if breaches and not moved and len(inputs) and inputs["excess"].iloc[0] > CAUSE_EXCESS:
            first = inputs.iloc[0]
            breaches[0] += (
                f"; what moved most since is {first['column']} (stability index {first['psi']:.2f}, usually "
                f"{first['usual_psi']:.2f})"
            )
        if moved:
            first = inputs.iloc[0]
            breaches.append(
                f"inputs: {first['column']} moved since {newest.as_of} (stability index {first['psi']:.2f}, usually "
                f"{first['usual_psi']:.2f}; limit {limits.input_psi} above it), {len(moved)} columns in all"
            )
        if scores_now is not None and len(scores_now):
            score_psi = psi(newest.frame["churn_probability"].to_numpy(float), np.asarray(scores_now, dtype=float))
            if score_psi > limits.score_psi:
                breaches.append(
                    f"scores: stability index {score_psi:.2f} since {newest.as_of}, limit {limits.score_psi}"
                )
    retrain, because = _retrain(breaches, beside, trained_as_of, today, ripe)
    progress("monitored", 1.0)
    return MonitorReport(
        as_of=today,
        matured=tuple(matured),
        waiting=waiting,
        inputs=inputs,
        score_psi=score_psi,
        moved=tuple(moved),
        breaches=tuple(breaches),
        retrain=retrain,
        retrain_because=because,
        beside=tuple(beside),
    )


def judge_kept(history: History, kept: Kept, *, seed: int = 0) -> dict[str, Any]:
    """How true one day's predictions came: members, churn observed, and every figure with its 95 % interval."""
    ids = np.sort(history.purchases.members.select("member_id").to_pandas()["member_id"].to_numpy(str))
    codes = digests(ids.tolist(), kept.release_id)
    known = np.isin(codes, kept.frame["digest"].to_numpy())
    ids, codes = ids[known], codes[known]
    frame = kept.frame.set_index("digest").loc[codes].reset_index(drop=True)
    labels = label_outcomes(history, ids, [kept.as_of], kept.horizon_days).frame
    churned = ~labels["observed"].to_numpy(dtype=bool)
    predicted = frame["churn_probability"].to_numpy(dtype=float)
    told: dict[str, Any] = {
        "as_of": str(kept.as_of),
        "horizon_days": kept.horizon_days,
        "release_id": kept.release_id,
        "members": len(ids),
        "left_the_data": int(len(kept.frame) - len(ids)),
        "churn_observed": float(churned.mean()) if len(ids) else None,
        "churn_predicted": float(predicted.mean()) if len(ids) else None,
    }
    if not len(ids):
        return told
    statistics = {
        "auc": metrics.auc(churned, predicted),
        "log_loss": metrics.log_loss(churned, predicted),
        "bias": metrics.bias(churned, predicted),
        "ece": metrics.ece(churned, predicted),
        "coverage_80": metrics.mean_of(_inside_window(history, kept, ids, frame)),
    }
    judged = metrics.judge({"served": statistics}, ids, draws=DRAWS, seed=seed)["served"]
    told |= {name: metrics.interval(value, drawn) for name, (value, drawn) in judged.items()}
    told["ece_if_calibrated"] = metrics.ece_if_calibrated(predicted, seed=seed)
    return told


def compare_kept(history: History, served: Kept, shadow: Kept, *, seed: int = 0) -> dict[str, Any]:
    """What served and what a challenger in shadow said of the same members on one matured day, judged on what came."""
    ids = np.sort(history.purchases.members.select("member_id").to_pandas()["member_id"].to_numpy(str))
    codes = digests(ids.tolist(), served.release_id)
    both = np.intersect1d(served.frame["digest"].to_numpy(), shadow.frame["digest"].to_numpy())
    ids, codes = ids[np.isin(codes, both)], codes[np.isin(codes, both)]
    told: dict[str, Any] = {"as_of": str(served.as_of), "model": shadow.model, "members": len(ids)}
    if not len(ids):
        return told | {"served": None, "shadow": None, "difference": {"log_loss": None, "auc": None}}
    gone = ~label_outcomes(history, ids, [served.as_of], served.horizon_days).frame["observed"].to_numpy(dtype=bool)
    statistics: dict[str, dict[str, metrics.Statistic | None]] = {}
    for name, kept in (("shadow", shadow), ("served", served)):
        p = kept.frame.set_index("digest").loc[codes, "churn_probability"].to_numpy(dtype=float)
        statistics[name] = {"log_loss": metrics.log_loss(gone, p), "auc": metrics.auc(gone, p)}
    found = metrics.comparison(metrics.judge(statistics, ids, draws=DRAWS, seed=seed), "shadow")
    return told | {
        "served": found["baselines"]["served"],
        "shadow": found["model"],
        "difference": found["paired"]["served"],
    }


def _inside_window(history: History, kept: Kept, ids: np.ndarray, frame: pd.DataFrame) -> np.ndarray:
    """1 where a member who returned within the curves' reach did so in the window; NaN where that can't be known."""
    unknown = np.full(len(ids), np.nan)
    if kept.as_of + timedelta(days=kept.max_days) > history.coverage_end + timedelta(days=1):
        return unknown
    days = label_outcomes(history, ids, [kept.as_of], kept.max_days).frame["days_to_next"].to_numpy(float)
    low, high = frame["next_low_days"].to_numpy(float), frame["next_high_days"].to_numpy(float)
    asked = np.isfinite(days) & np.isfinite(low) & np.isfinite(high)
    inside = (days >= np.floor(low)) & (days <= np.ceil(high))
    return np.where(asked, inside, unknown)


def _breaches(now: dict[str, Any], first: dict[str, Any], limits: MonitorSettings) -> list[str]:
    if now["members"] < FEWEST_MEMBERS:
        return []
    found, of = [], f"predictions of {now['as_of']}"
    bias = now["bias"]
    if bias and abs(bias["value"]) > limits.bias and bias["low"] * bias["high"] > 0:
        way = "too many" if bias["value"] > 0 else "too few"
        found.append(f"{of}: bias {bias['value']:+.3f} ({way} expected to stay away), limit {limits.bias}")
    ece, noise = now["ece"], now["ece_if_calibrated"]
    if ece and ece["value"] - noise["high"] > limits.ece_over_noise:
        found.append(f"{of}: calibration error {ece['value']:.3f}, by chance at most {noise['high']:.3f}")
    auc, before = now["auc"], first["auc"]
    if auc and before and before["value"] - auc["value"] > limits.auc_fall:
        found.append(f"{of}: AUC fell from {before['value']:.3f} to {auc['value']:.3f}, limit {limits.auc_fall}")
    coverage = now["coverage_80"]
    if coverage and not limits.coverage_low <= coverage["value"] <= limits.coverage_high:
        found.append(f"{of}: the 80 % window held {coverage['value']:.2f} of the returns")
    return found


def _retrain(
    breaches: Sequence[str],
    beside: Sequence[dict[str, Any]],
    trained_as_of: date | None,
    today: date,
    ripe: Sequence[Kept],
) -> tuple[bool, str]:
    if breaches:
        return True, breaches[0]
    for figures in beside[-1:]:
        gain = figures["difference"]["log_loss"]
        if gain and gain["high"] < 0 and figures["members"] >= FEWEST_MEMBERS:
            return True, (
                f"on matured predictions of {figures['as_of']} the challenger in shadow ({figures['model']}) had a log "
                f"loss {-gain['value']:.4f} lower than what served"
            )
    if not ripe:
        return False, "no prediction has matured, so nothing says that the model is wrong"
    if trained_as_of is None:
        return False, "matured predictions and inputs are inside their limits"
    age, horizon = (today - trained_as_of).days, ripe[-1].horizon_days
    if age > 2 * horizon:
        return True, f"the champion was trained {age} days ago: {age - horizon} days of labels are new"
    return False, f"figures and inputs are inside their limits and the champion is {age} days old"


def input_shift(history: History, then: date, now: date, *, seed: int = 0) -> pd.DataFrame:
    """How far every vector column moved between two days, and how far it usually moves in as many days.

    Usual is the movement over the same number of days before `then` (0 where the record is too short). A column that
    looks further back than the record reaches is left out: it moves because the record grows. Sorted by excess =
    psi − usual_psi, largest first.
    """
    span = now - then
    before = then - span
    days = [then, now] + ([before] if before > history.coverage_start else [])
    record_days = (min(days) - history.coverage_start).days
    parts = {day: _drawn(build_vectors(history, [day]), seed) for day in sorted(days)}
    rows = []
    for column in parts[now].columns:
        if column.family in FAMILIES_THAT_MOVE or _looks_back_days(column.name) > record_days:
            continue
        values = {day: part.frame[column.name].to_numpy(dtype=float) for day, part in parts.items()}
        moved = psi(values[then], values[now])
        usual = psi(values[before], values[then]) if before in values and len(values[before]) else 0.0
        rows.append((column.name, column.family, moved, usual, moved - usual))
    frame = pd.DataFrame(rows, columns=["column", "family", "psi", "usual_psi", "excess"])
    return frame.sort_values(["excess", "column"], ascending=[False, True], ignore_index=True)


def _looks_back_days(column: str) -> int:
    """The days a column such as visits_90d looks back over; trends compare two spans; 0 for what has no window."""
    window = re.search(r"_(\d+)d(?:_|$)", column)
    return 0 if window is None else int(window[1]) * (2 if "trend" in column else 1)


def _no_shift() -> pd.DataFrame:
    return pd.DataFrame({name: [] for name in ("column", "family", "psi", "usual_psi", "excess")})


def _drawn(vectors: MemberVectors, seed: int) -> MemberVectors:
    if len(vectors.frame) <= COMPARED:
        return vectors
    rows = np.sort(np.random.default_rng(seed).choice(len(vectors.frame), COMPARED, replace=False))
    return MemberVectors(vectors.frame.iloc[rows].reset_index(drop=True), vectors.columns)


def psi(expected: np.ndarray, actual: np.ndarray) -> float:
    """Population stability index Σ (a − e) ln(a / e) over deciles of `expected`; nulls are a bin of their own.

    Shares are kept off 0 by half a row. 0.1 is small, 0.25 is large by custom.
    """
    if not len(expected) or not len(actual):
        return 0.0
    known = expected[np.isfinite(expected)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else np.empty(0)

    def shares(values: np.ndarray) -> np.ndarray:
        finite = np.isfinite(values)
        place = np.where(finite, np.searchsorted(edges, values, side="left"), len(edges) + 1)
        counts = np.bincount(place, minlength=len(edges) + 2).astype(float)
        return (counts + 0.5) / (counts + 0.5).sum()

    e, a = shares(expected), shares(actual)
    return float(((a - e) * np.log(a / e)).sum())
