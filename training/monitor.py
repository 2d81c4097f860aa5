"""Kept predictions and the history since in; how true they came, which input moved, and whether to train again, out.

Three questions, each with its limit: are matured predictions still right (AUC, log loss, bias, calibration error held
against its own sampling noise, coverage of the 80 % window), do the inputs still look as they did (population stability
index of every vector column, beyond what it usually moves in as many days), and do the scores.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

from features.history import History
from features.progress import Progress, quiet
from training import metrics
from training.input_shift import SHIFT_COLUMNS, input_shift, psi
from training.kept_predictions import WITHIN_HORIZON, Kept, digests
from training.labels import label_outcomes

# With fewer members judged, every figure is noise: it is reported and never past a limit.
FEWEST_MEMBERS = 200
DRAWS = 200
# A movement beyond the usual that is named as the likely cause where predictions failed, though below its own limit.
CAUSE_EXCESS = 0.03


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
    vector column (column, family, psi, usual_psi, excess; the last two null where the record is too short to know what
    is usual), the most moved first. moved: names of the columns past the
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

    scores_now: the churn probabilities that are served today. trained_as_of: the day the champion was trained on; what
    an earlier model said is reported, but calls for no training once the champion has learned from its outcomes.
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
        moved = _moved(inputs, limits)
        if breaches and not moved and len(inputs) and inputs["excess"].iloc[0] > CAUSE_EXCESS:
            first = inputs.iloc[0]
            breaches[0] += (
                f"; what moved most since is {first['column']} (stability index {first['psi']:.2f}, usually "
                f"{first['usual_psi']:.2f})"
            )
        breaches += _input_breaches(inputs, newest.as_of, limits)
        if scores_now is not None and len(scores_now):
            score_psi = psi(newest.frame["churn_probability"].to_numpy(float), np.asarray(scores_now, dtype=float))
            if score_psi > limits.score_psi:
                breaches.append(
                    f"scores: stability index {score_psi:.2f} since {newest.as_of}, limit {limits.score_psi}"
                )
    of_champion = breaches
    if trained_as_of is not None and ripe and _learned_from(trained_as_of, ripe[-1]):
        again = bool(moved) and trained_as_of < today
        since = input_shift(history, trained_as_of, today, seed=seed) if again else _no_shift()
        of_champion = _input_breaches(since, trained_as_of, limits)
    retrain, because = _retrain(breaches, of_champion, beside, trained_as_of, today, ripe)
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
    inside, no_coverage = _inside_window(labels["days_to_next"].to_numpy(dtype=float), frame)
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
        "coverage_80": metrics.mean_of(inside),
    }
    judged = metrics.judge({"served": statistics}, ids, draws=DRAWS, seed=seed)["served"]
    told |= {name: metrics.interval(value, drawn) for name, (value, drawn) in judged.items()}
    told["coverage_null_reason"] = no_coverage
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


def _inside_window(days: np.ndarray, frame: pd.DataFrame) -> tuple[np.ndarray, str | None]:
    """1 where a member who returned within the horizon did so in the window kept for such returns, else 0.

    NaN for who did not return or was told no window; where that is everybody, the reason is given beside it.
    """
    unknown = np.full(len(days), np.nan)
    low, high = frame.reindex(columns=list(WITHIN_HORIZON)).to_numpy(dtype=float).T
    told = np.isfinite(low) & np.isfinite(high)
    if not told.any():
        return unknown, "no_window_within_horizon_kept"
    asked = told & np.isfinite(days)
    inside = np.where(asked, (days >= low) & (days <= high), unknown)
    return inside, None if asked.any() else "nobody_told_a_window_returned"


def _moved(inputs: pd.DataFrame, limits: MonitorSettings) -> list[str]:
    """The columns past the limit; one whose usual movement isn't known is never among them."""
    past: list[str] = inputs["column"].to_numpy(str)[inputs["excess"].to_numpy(float) > limits.input_psi].tolist()
    return past


def _input_breaches(inputs: pd.DataFrame, since: date, limits: MonitorSettings) -> list[str]:
    moved = _moved(inputs, limits)
    if not moved:
        return []
    first = inputs.iloc[0]
    return [
        f"inputs: {first['column']} moved since {since} (stability index {first['psi']:.2f}, usually "
        f"{first['usual_psi']:.2f}; limit {limits.input_psi} above it), {len(moved)} columns in all"
    ]


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
    outside = coverage and not limits.coverage_low <= coverage["value"] <= limits.coverage_high
    if outside and not coverage["low"] <= 0.8 <= coverage["high"]:
        found.append(f"{of}: the 80 % window held {coverage['value']:.2f} of the returns")
    return found


def _learned_from(trained_as_of: date | None, kept: Kept) -> bool:
    """Whether the champion was trained when what these predictions told of was known: they are an earlier model's."""
    return trained_as_of is not None and trained_as_of >= kept.as_of + timedelta(days=kept.horizon_days)


def _retrain(
    breaches: Sequence[str],
    of_champion: Sequence[str],
    beside: Sequence[dict[str, Any]],
    trained_as_of: date | None,
    today: date,
    ripe: Sequence[Kept],
) -> tuple[bool, str]:
    if of_champion:
        return True, of_champion[0]
    newer = bool(ripe) and _learned_from(trained_as_of, ripe[-1])
    for figures in () if newer else beside[-1:]:
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
    if breaches and newer:
        return False, (
            f"the champion, trained on {trained_as_of}, is newer than the predictions of {ripe[-1].as_of} that were "
            f"judged and has learned from what came of them; its own mature from {today + timedelta(days=horizon - age)} on"
        )
    return False, f"figures and inputs are inside their limits and the champion is {age} days old"


def _no_shift() -> pd.DataFrame:
    return pd.DataFrame({name: [] for name in SHIFT_COLUMNS})
