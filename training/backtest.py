"""The whole product judged on past days: a history, cut-offs and a horizon in; figures with intervals out, as JSON.

At each cut-off everything is fitted on what was known then, zero-config, beside its plain peers; what happened next is
the judge. Rows of all cut-offs are pooled, and intervals come from a bootstrap over members.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import InputError
from features.history import History
from features.progress import Progress, quiet
from features.vectors import MemberVectors, build_vectors
from training import metrics
from training.audit import SAMPLE_MEMBERS, audit_vectors
from training.curve_model import fit_curve_model
from training.cutoffs import LeakFound, check_cutoffs
from training.item_judge import judge_items
from training.judging import (
    SLICES,
    CurveRows,
    Truth,
    boil_down,
    churn_statistics,
    nest_deciles,
    timing_statistics,
    value_statistics,
)
from training.labels import label_outcomes
from training.metrics import DRAWS, Statistic, comparison, judge
from training.peers.curves import CURVE_PEERS, fit_curve_peers
from training.peers.value import VALUE_PEERS, fit_value_peers
from training.snapshots import NO_HISTORY
from training.timing import next_purchase
from training.value import fit_value_model

TASKS = ("churn", "timing", "items", "value")
MODEL = "model"
# A single column that alone ranks who comes back this well has most likely seen it.
TOO_GOOD_AUC = 0.985
PLOT_DAYS = 60

Floats = NDArray[np.float64]


@dataclass
class _Cutoff:
    """What was said and what happened at one cut-off, of the judged members."""

    day: date
    truth: Truth
    curves: dict[str, CurveRows | None] = field(default_factory=dict)
    mean_curves: dict[str, Floats] = field(default_factory=dict)
    spend: dict[str, Floats | None] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    null_dates: dict[str, int] = field(default_factory=dict)
    inside_spend: Floats | None = None
    card: Mapping[str, Any] = field(default_factory=dict)
    suspicious: list[str] = field(default_factory=list)


def backtest(
    history: History,
    as_of: Iterable[date],
    horizon_days: int,
    *,
    tasks: Collection[str] = TASKS,
    members: Collection[str] | None = None,
    item_members: int = 0,
    seed: int = 0,
    draws: int = DRAWS,
    progress: Progress = quiet,
) -> dict[str, Any]:
    """Judge every task asked for; the answer is what `huitou backtest` writes (docs: the JSON's keys).

    members: judge only these, train on everybody. item_members: judge item lists on so many drawn members (0: all).
    Raises InputError for a cut-off whose window the data have not observed, an unknown task or nobody to judge;
    LeakFound where the vectors know the future.
    """
    tasks = _known_tasks(tasks)
    days = check_cutoffs(as_of, horizon_days, history.coverage_start, history.coverage_end)
    wanted = None if members is None else {str(member) for member in members}
    cutoffs: list[_Cutoff] = []
    curve_work = {"churn", "timing", "value"} & set(tasks)
    share = 1.0 / (len(days) + (1 if "items" in tasks else 0) + 0.5)
    for k, day in enumerate(days):
        tell = _part(progress, f"{day}", k * share, share)
        if day == days[0]:  # the one with most future to rewrite
            tell("looking for the future in the vectors", 0.0)
            audited = audit_vectors(history, day, seed=seed, sample=SAMPLE_MEMBERS)
        cutoffs.append(
            _run_cutoff(history, day, horizon_days, wanted, seed, bool(curve_work), "value" in tasks, tell)
        )
    judged = np.unique(np.concatenate([cutoff.truth.members for cutoff in cutoffs]))
    if not len(judged):
        raise InputError(_nobody(wanted, days))
    report: dict[str, Any] = {
        "cutoffs": [day.isoformat() for day in days],
        "horizon_days": horizon_days,
        "excluded": dict(history.excluded),
        "brand_id": history.tables.brand_id,
        "coverage": [history.coverage_start.isoformat(), history.coverage_end.isoformat()],
        "fingerprint": history.tables.fingerprint,
        "seed": seed,
        "draws": draws,
        "rows": {cutoff.day.isoformat(): len(cutoff.truth.members) for cutoff in cutoffs},
        "members": len(judged),
        "restricted_to": None if wanted is None else {"asked": len(wanted), "found": len(judged)},
        "audit": {
            "members_compared": audited,
            "label_rows_before_cutoffs": True,
            "suspicious_columns": _suspicious(cutoffs),
        },
        "tasks": {},
    }
    found: dict[str, Any] = {}
    at = len(days) * share
    for task in sorted(tasks, key=lambda task: task != "items"):  # the long one first, so that progress goes forward
        if task == "items":
            found["items"] = judge_items(
                history,
                days,
                horizon_days,
                members=_draw(judged, item_members, seed, wanted),
                seed=seed,
                draws=draws,
                progress=_part(progress, "items", at, share),
            )
        else:
            progress(f"judging {task}", min(1.0, 1.0 - share / 4))
            found[task] = _judge_task(task, cutoffs, horizon_days, seed, draws)
    report["tasks"] = {task: found[task] for task in tasks}
    progress("judged", 1.0)
    return _plain(report)


def _known_tasks(tasks: Collection[str]) -> list[str]:
    unknown = sorted(set(tasks) - set(TASKS))
    if unknown or not tasks:
        raise InputError(f"--tasks: unknown {unknown}; expected some of {', '.join(TASKS)}")
    return [task for task in TASKS if task in tasks]


def _nobody(wanted: set[str] | None, days: Sequence[date]) -> str:
    when = ", ".join(day.isoformat() for day in days)
    if wanted is None:
        return f"orders: no member has a kept purchase before {when}; expected at least one; take a later --as-of"
    return (
        f"--members: none of the {len(wanted)} ids has a kept purchase before {when}; "
        f"ids are compared as text, such as {sorted(wanted)[:3]}"
    )


def _run_cutoff(
    history: History,
    day: date,
    horizon_days: int,
    wanted: set[str] | None,
    seed: int,
    with_curves: bool,
    with_value: bool,
    progress: Progress,
) -> _Cutoff:
    progress("member vectors", 0.05)
    vectors = build_vectors(history, [day])
    outcomes = label_outcomes(history, vectors, [day], horizon_days).frame
    keep = np.ones(len(outcomes), dtype=bool)
    if wanted is not None:
        keep = np.isin(vectors.members.astype(str), sorted(wanted))
    everyone = Truth(
        members=vectors.members.astype(str),
        visits=vectors.frame["visits"].to_numpy(dtype=float),
        days=outcomes["days_to_next"].fillna(horizon_days).to_numpy(dtype=np.int64),
        returned=outcomes["observed"].to_numpy(dtype=bool),
        spend_yuan=outcomes["spend_yuan"].to_numpy(dtype=float),
        net_spend_yuan=outcomes["net_spend_yuan"].to_numpy(dtype=float),
    )
    cutoff = _Cutoff(day, everyone.rows(keep))
    if not with_curves or not keep.any():
        return cutoff
    cutoff.suspicious = _too_good(vectors, everyone)
    progress("peers", 0.1)
    peers, cutoff.missing = fit_curve_peers(history, vectors, day, horizon_days, seed=seed)
    judged = vectors if keep.all() else MemberVectors(vectors.frame[keep].reset_index(drop=True), vectors.columns)
    chosen = np.flatnonzero(keep)
    for name in CURVE_PEERS:
        peer = peers[name]
        if peer is None:
            cutoff.curves[name] = None
            continue
        said = peer.predict(vectors)  # of everybody: scores that rank within the base need the whole base

        def peer_curves(rows: slice, curves: Any = said.curves) -> Floats:
            block = chosen[rows]
            if not len(block):
                return np.empty((0, horizon_days + 1))
            return np.asarray(curves(slice(block[0], block[-1] + 1)))[block - block[0]]

        later = None if said.later is None else said.later[keep]
        cutoff.curves[name], cutoff.mean_curves[name] = boil_down(
            peer_curves, cutoff.truth, horizon_days, risk=said.risk[keep], later=later
        )
    progress("model", 0.3)
    tell = _part(progress, "model", 0.3, 0.5)
    model = fit_curve_model(history, day, horizon_days, max_days=horizon_days, seed=seed, progress=tell)
    cutoff.card = model.card
    _check_card(model.card, day)
    curves = model.predict(judged)
    grid = np.arange(horizon_days + 1)
    cutoff.curves[MODEL], cutoff.mean_curves[MODEL] = boil_down(
        lambda rows: _daily(curves, rows, grid), cutoff.truth, horizon_days, risk=None, later=None
    )
    reasons = next_purchase(curves, max_days=horizon_days)["null_reason"].fillna("").astype(str)
    cutoff.null_dates = {str(reason): int(rows) for reason, rows in reasons[reasons != ""].value_counts().items()}
    if with_value:
        progress("value", 0.85)
        spend, missing = fit_value_peers(history, vectors, day, horizon_days, seed=seed)
        cutoff.missing |= missing
        cutoff.spend = {name: None if said is None else said[keep] for name, said in spend.items()}
        value = fit_value_model(history, day, horizon_days, curve_model=model, seed=seed)
        expected = value.predict(judged, curves)
        cutoff.spend[MODEL] = expected["expected_spend_yuan"].to_numpy(dtype=float)
        net = cutoff.truth.net_spend_yuan
        inside = (net >= expected["low_yuan"].to_numpy() - 0.005) & (net <= expected["high_yuan"].to_numpy() + 0.005)
        cutoff.inside_spend = inside.astype(float)
    progress("done", 1.0)
    return cutoff


def _daily(curves: Any, rows: slice, grid: NDArray[np.int64]) -> Floats:
    part = type(curves)(
        curves.member_ids[rows], curves.as_of, curves.grid_days, curves.survival[rows], np.asarray(curves.rung)[rows]
    )
    return np.asarray(part.daily(grid))


def _check_card(card: Mapping[str, Any], day: date) -> None:
    """The model must say which label windows it learned from, and each must end before the cut-off."""
    for snapshot in card.get("snapshots", ()):
        if isinstance(snapshot, Mapping) and date.fromisoformat(str(snapshot["label_end"])) >= day:
            raise LeakFound(
                f"the model as of {day} learned from the snapshot of {snapshot['as_of']} with labels to "
                f"{snapshot['label_end']}; labels must end before the cut-off"
            )


def _too_good(vectors: MemberVectors, truth: Truth) -> list[str]:
    if truth.returned.all() or not truth.returned.any():
        return []
    ones = np.ones((1, len(truth.returned)))
    found = []
    for column in (one for one in vectors.columns if one.name not in NO_HISTORY):  # what no model learns from
        values = np.nan_to_num(vectors.frame[column.name].to_numpy(dtype=float), nan=-1e30)
        area = float(metrics.auc(truth.returned, values)(ones)[0])
        if max(area, 1 - area) > TOO_GOOD_AUC:
            found.append(column.name)
    return found


def _suspicious(cutoffs: Sequence[_Cutoff]) -> list[str]:
    return sorted({name for cutoff in cutoffs for name in cutoff.suspicious})


def _draw(judged: NDArray[Any], most: int, seed: int, wanted: set[str] | None) -> list[str] | None:
    if most and len(judged) > most:
        return sorted(np.random.default_rng(seed).choice(judged, most, replace=False).tolist())
    return None if wanted is None else judged.tolist()


def _judge_task(task: str, cutoffs: Sequence[_Cutoff], horizon_days: int, seed: int, draws: int) -> dict[str, Any]:
    truth = Truth.pool([cutoff.truth for cutoff in cutoffs])
    said = _pooled(task, cutoffs)
    names = [MODEL, *(VALUE_PEERS if task == "value" else CURVE_PEERS)]
    inside = None
    if task == "value" and all(cutoff.inside_spend is not None for cutoff in cutoffs):
        inside = np.concatenate([cutoff.inside_spend for cutoff in cutoffs if cutoff.inside_spend is not None])
    everyone = np.ones(len(truth.members), dtype=bool)
    report = _figures(task, truth, said, names, everyone, inside, seed, draws)
    report["slices"] = {
        name: _figures(task, truth, said, names, belongs(truth.visits), inside, seed, draws)
        for name, belongs in SLICES.items()
    }
    edges = np.cumsum([0, *(len(cutoff.truth.members) for cutoff in cutoffs)])
    position = np.arange(len(truth.members))
    report["per_cutoff"] = {}
    for k, cutoff in enumerate(cutoffs):
        rows = (position >= edges[k]) & (position < edges[k + 1])
        one = {
            name: _or_none(task, cutoff, name, said[name], edges[k], edges[k + 1], len(position)) for name in names
        }
        figures = _figures(task, truth, one, names, rows, inside, seed, draws)
        figures["missing"] = {name: why for name, why in cutoff.missing.items() if name in names}
        report["per_cutoff"][cutoff.day.isoformat()] = figures
    if task == "churn":
        model = said[MODEL]
        report["ece_if_calibrated"] = metrics.ece_if_calibrated(model.churn, seed=seed)
        report["reliability"] = {name: _reliability(truth, said[name]) for name in names if said[name] is not None}
        report["lift"] = {name: _lift(truth, said[name]) for name in names if said[name] is not None}
        report["model_card"] = {cutoff.day.isoformat(): dict(cutoff.card) for cutoff in cutoffs}
    if task == "timing":
        rows_in_all = len(truth.members)
        nulls: dict[str, int] = {}
        for cutoff in cutoffs:
            for reason, rows in cutoff.null_dates.items():
                nulls[reason] = nulls.get(reason, 0) + rows
        report["null_dates"] = {"share": sum(nulls.values()) / rows_in_all, "by_reason": nulls}
        report["mean_curves"] = _mean_curves(cutoffs, truth, names, horizon_days)
    return report


def _or_none(task: str, cutoff: _Cutoff, name: str, pooled: Any, first: int, last: int, rows: int) -> Any:
    """A method's rows, also where it is missing at another cut-off and so not pooled."""
    if pooled is not None:
        return pooled
    own: Any = cutoff.spend.get(name) if task == "value" else cutoff.curves.get(name)
    if own is None:
        return None

    def spread(values: Floats) -> Floats:
        wide = np.zeros(rows)
        wide[first:last] = values
        return wide

    if task == "value":
        return spread(own)
    return CurveRows(**{name: spread(values) for name, values in vars(own).items()})


def _pooled(task: str, cutoffs: Sequence[_Cutoff]) -> dict[str, Any]:
    """Each method's rows over all cut-offs; None where it is missing at one of them, for then rows would differ."""
    said: dict[str, Any] = {}
    for name in (MODEL, *(VALUE_PEERS if task == "value" else CURVE_PEERS)):
        parts: list[Any] = [
            (c.spend if task == "value" else c.curves).get(name) for c in cutoffs if len(c.truth.members)
        ]
        if any(part is None for part in parts) or not parts:
            said[name] = None
        elif task == "value":
            said[name] = np.concatenate(parts)
        else:
            said[name] = CurveRows.pool(parts)
    return said


def _figures(
    task: str,
    truth: Truth,
    said: Mapping[str, Any],
    names: Sequence[str],
    keep: NDArray[np.bool_],
    inside: Floats | None,
    seed: int,
    draws: int,
) -> dict[str, Any]:
    """{"model", "baselines", "paired", "rows", "members", "returned"} of some rows."""
    some = truth.rows(keep)
    statistics: dict[str, dict[str, Statistic | None]] = {}
    for name in names:
        one = said[name]
        if one is None or not len(some.members):
            statistics[name] = {}
        elif task == "value":
            statistics[name] = value_statistics(some, one[keep])
        elif task == "churn":
            statistics[name] = churn_statistics(some, one.rows(keep))
        else:
            statistics[name] = timing_statistics(some, one.rows(keep))
    if inside is not None and statistics[MODEL]:
        statistics[MODEL]["coverage_80"] = metrics.mean_of(inside[keep])
    figures = comparison(judge(statistics, some.members, draws=draws, seed=seed), MODEL)
    if task == "value":
        figures = {
            "model": nest_deciles(figures["model"]),
            "baselines": {name: nest_deciles(found) for name, found in figures["baselines"].items()},
            "paired": {name: nest_deciles(found) for name, found in figures["paired"].items()},
        }
    return figures | {
        "rows": len(some.members),
        "members": len(np.unique(some.members)),
        "returned_share": float(some.returned.mean()) if len(some.members) else None,
    }


def _reliability(truth: Truth, said: CurveRows) -> list[dict[str, float]]:
    """Ten equal-mass bins of predicted churn: rows, mean predicted, observed with a 95 % Wilson interval."""
    bins = metrics.equal_mass_bins(said.churn, 10)
    table = []
    for k in range(10):
        inside = bins == k
        n = int(inside.sum())
        if n:
            seen = float((~truth.returned[inside]).mean())
            z2 = 1.96**2
            centre = (seen + z2 / (2 * n)) / (1 + z2 / n)
            half = 1.96 / (1 + z2 / n) * math.sqrt(seen * (1 - seen) / n + z2 / (4 * n * n))
            table.append(
                {
                    "rows": n,
                    "predicted": float(said.churn[inside].mean()),
                    "observed": seen,
                    "low": centre - half,
                    "high": centre + half,
                }
            )
    return table


def _lift(truth: Truth, said: CurveRows) -> list[dict[str, float | None]]:
    """What the k/20 of members likeliest to return brought: their share of returners and of the window's spend."""
    ones = np.ones((1, len(truth.members)))
    table: list[dict[str, float | None]] = []
    for k in range(1, 21):
        returners = metrics.top_share(-said.risk, truth.returned.astype(float), k / 20)(ones)[0]
        spend = metrics.top_share(-said.risk, truth.spend_yuan, k / 20)(ones)[0]
        table.append(
            {"share_of_members": k / 20, "share_of_returners": float(returners), "share_of_spend": float(spend)}
        )
    return table


def _mean_curves(
    cutoffs: Sequence[_Cutoff], truth: Truth, names: Sequence[str], horizon_days: int
) -> dict[str, list[float]]:
    """Mean survival said by each method and seen, on up to 60 days."""
    days = np.unique(np.round(np.linspace(0, horizon_days, min(PLOT_DAYS, horizon_days) + 1)).astype(int))
    mass = np.array([len(cutoff.truth.members) for cutoff in cutoffs], dtype=float)
    back = np.bincount(truth.days[truth.returned], minlength=horizon_days + 1)[: horizon_days + 1]
    seen = 1.0 - np.cumsum(back) / max(len(truth.members), 1)
    shown = {"days": days.astype(float).tolist(), "observed": seen[days].tolist()}
    for name in names:
        curves = [cutoff.mean_curves.get(name) for cutoff in cutoffs]
        if all(curve is not None for curve in curves):
            mean = np.average(np.stack([curve for curve in curves if curve is not None]), axis=0, weights=mass)
            shown[name] = mean[days].tolist()
    return shown


def _part(progress: Progress, name: str, start: float, share: float) -> Progress:
    return lambda message, fraction: progress(f"{name}: {message}", min(1.0, start + share * fraction))


def _plain(value: Any) -> Any:
    """The same with plain Python numbers, and null where a number does not exist."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, pd.Timestamp | date):
        return str(value)
    return value
