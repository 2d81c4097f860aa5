"""A history in; out: judged challengers of every task, registered, with the report that promotion reads.

Rolling cut-offs first: each model is fitted as of a past day and judged on what happened next, beside its baselines.
Then the same recipe is fitted on everything known today; that model is the challenger.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from features.errors import InputError
from features.history import History
from features.progress import Progress, quiet
from features.vectors import build_vectors
from training.backtest import backtest
from training.curve_model import CurveModel, Horizon, fit_curve_model, propose_horizon
from training.item_model import fit_item_model
from training.labels import label_outcomes
from training.metrics import LOG_LOSS_CLIP
from training.model_card import model_card
from training.promote import FALLBACK_FOLDER, GATES, REPORT, Verdict, baseline_scores, verdict
from training.propensities import fit_propensities
from training.settings import TrainingSettings
from training.tracking import CHALLENGER, CHAMPION, Registered, Run, Tracker
from training.value import fit_value_model

# The plain baselines that can be installed as a fallback, the safest first: it is taken where nothing was measured.
INSTALLABLE: dict[str, tuple[str, ...]] = {
    "curve": ("recency", "bg_nbd", "mbg_nbd"),
    "value": ("last_year", "gamma_gamma_bg_nbd"),
    "items": ("own_counts", "popularity", "decayed_counts", "cosine", "bm25", "als", "tifu_knn"),
}
REPORT_TASKS = ("churn", "timing", "items", "value")


@dataclass(frozen=True)
class Training:
    """What a training made: registered challengers, the report, and what the gate will say.

    proposed: the horizon that the data suggest, overall and per category, and why, also where another was asked for.
    """

    as_of: date
    horizon_days: int
    cutoffs: tuple[date, ...]
    run_id: str
    report: Mapping[str, Any] | None
    challengers: Mapping[str, Registered]
    verdicts: Mapping[str, Verdict]
    proposed: Horizon


def matured_cutoffs(history: History, horizon_days: int, count: int) -> tuple[date, ...]:
    """The newest `count` days, one horizon apart, whose label windows end by coverage_end, oldest first.

    A cut-off needs at least one horizon of history before it; there may be fewer than `count`, or none.
    """
    newest = history.coverage_end + timedelta(days=1 - horizon_days)
    days = [newest - timedelta(days=horizon_days * back) for back in range(count)]
    return tuple(sorted(day for day in days if (day - history.coverage_start).days >= horizon_days))


def train(
    history: History, tracker: Tracker, settings: TrainingSettings, *, work: Path, progress: Progress = quiet
) -> Training:
    """Judge and fit every task; register the challengers. `work` is a folder for saved models on their way."""
    as_of = history.coverage_end + timedelta(days=1)
    proposed = propose_horizon(history, as_of, per_category=True)
    horizon = settings.horizon_days or proposed.days
    cutoffs = matured_cutoffs(history, horizon, settings.cutoffs)
    with tracker.run("train", tags={"as_of": as_of.isoformat()}) as parent:
        parent.params(
            {"as_of": as_of, "horizon_days": horizon, "cutoffs": [str(c) for c in cutoffs], "seed": settings.seed}
        )
        parent.json("horizon.json", asdict(proposed))
        parent.dataset("tables", history.tables.fingerprint, _profile(history))
        report = None
        if cutoffs:
            report = backtest(
                history,
                list(cutoffs),
                horizon,
                tasks=REPORT_TASKS,
                item_members=settings.judged_members,
                seed=settings.seed,
                progress=_part(progress, "judging", 0.0, 0.6),
            )
            parent.json(REPORT, report)
            parent.metrics(report["tasks"])
        progress("friend loss and first purchase", 0.59)
        chances = fit_propensities(history, as_of, horizon)
        parent.json("propensities.json", chances.card)
        challengers, verdicts = {}, {}
        curve: CurveModel | None = None
        for step, task in enumerate(GATES):
            tell = _part(progress, f"fitting {task}", 0.6 + 0.13 * step, 0.13)
            tell("start", 0.0)
            verdicts[task] = (
                verdict(task, report) if report else Verdict(task, False, "", None, None, None, _TOO_YOUNG)
            )
            model = _fit(task, history, as_of, horizon, settings.seed, curve, None, tell)
            curve = model if task == "curve" else curve
            folder = work / task
            model.save(folder)
            if task == "curve":
                chances.save(folder)
            with tracker.run(task, parent=parent, tags={"task": task}) as child:
                _log(child, task, model.card, report, verdicts[task])
                if not verdicts[task].passed:
                    name = fallback_name(task, report)
                    plain = _fit(task, history, as_of, horizon, settings.seed, curve, name, tell)
                    plain.save(work / f"{task}-{FALLBACK_FOLDER}")
                    if task == "curve":
                        chances.save(work / f"{task}-{FALLBACK_FOLDER}")
                    child.json("fallback.json", {"baseline": name})
                    tracker.client.log_artifacts(
                        child.run_id, str(work / f"{task}-{FALLBACK_FOLDER}"), FALLBACK_FOLDER
                    )
                elif task == "curve" and report is not None:
                    paired = beside_champion(tracker, history, report, work)
                    if paired is not None:
                        child.json("champion.json", paired)
                tags = {"source": "model", "as_of": as_of.isoformat(), "horizon_days": str(horizon)}
                challengers[task] = tracker.register(task, child, folder, alias=CHALLENGER, tags=tags)
        progress("trained", 1.0)
        return Training(as_of, horizon, cutoffs, parent.run_id, report, challengers, verdicts, proposed)


def beside_champion(
    tracker: Tracker, history: History, report: Mapping[str, Any], work: Path
) -> dict[str, Any] | None:
    """The log loss of the recipe just judged minus the champion's, on the newest cut-off; keys version, as_of, difference.

    None where there is no champion, where it was trained on that window (a comparison would flatter it), or where it
    was made by an older version: for other vector columns, or saved in another format.
    """
    champion = tracker.get("curve", CHAMPION)
    day = str(max(report["cutoffs"]))
    if champion is None or champion.tags.get("as_of", "9999") > day:
        return None
    as_of, horizon = date.fromisoformat(day), int(report["horizon_days"])
    try:
        model = CurveModel.load(tracker.fetch(champion, work / "champion"))
    except InputError:  # saved in the format of an older version
        return None
    vectors = build_vectors(history, [as_of])
    if list(model.names) != [column.name for column in vectors.columns]:
        return None
    churned = label_outcomes(history, vectors, [as_of], horizon).churned
    curves = model.predict(vectors)
    if horizon > curves.max_days:
        return None
    p = np.clip(curves.at(horizon), LOG_LOSS_CLIP, 1 - LOG_LOSS_CLIP)
    loss = float(-np.where(churned, np.log(p), np.log1p(-p)).mean())
    own = report["tasks"]["churn"]["per_cutoff"][day]["model"]["log_loss"]["value"]
    return {"version": champion.version, "as_of": day, "difference": own - loss}


_TOO_YOUNG = "no matured cut-off to judge on: the history is shorter than two horizons"


def _fit(
    task: str,
    history: History,
    as_of: date,
    horizon: int,
    seed: int,
    curve: CurveModel | None,
    only: str | None,
    progress: Progress,
) -> Any:
    if task == "curve":
        return fit_curve_model(history, as_of, horizon, seed=seed, only=only, progress=progress)
    if task == "value":
        return fit_value_model(history, as_of, horizon, curve_model=curve, seed=seed, only=only, progress=progress)
    return fit_item_model(history, as_of, horizon_days=horizon, seed=seed, only=only, progress=progress)


def fallback_name(task: str, report: Mapping[str, Any] | None) -> str:
    """The installable baseline that did best in the report; the safest one where nothing was measured."""
    names = INSTALLABLE[task]
    scores = baseline_scores(task, report) if report else {}
    known = [name for name in names if name in scores]
    if not known:
        return names[0]
    return (max if GATES[task].higher_is_better else min)(known, key=scores.__getitem__)


def _log(run: Run, task: str, card: Mapping[str, Any], report: Mapping[str, Any] | None, found: Verdict) -> None:
    run.json("card.json", dict(card))
    run.text("model_card.md", model_card(task, card, report, found))
    run.params({"passed_gate": found.passed, "best_baseline": found.best_baseline})
    if report is None:
        return
    run.json(REPORT, report)
    names = {"curve": ("churn", "timing"), "value": ("value",), "items": ("items",)}[task]
    for name in names:
        run.metrics(report["tasks"].get(name) or {}, prefix=f"{name}/")


def _profile(history: History) -> dict[str, Any]:
    return {
        "coverage_start": history.coverage_start,
        "coverage_end": history.coverage_end,
        "excluded": dict(history.excluded),
    }


def _part(progress: Progress, title: str, start: float, share: float) -> Progress:
    return lambda message, fraction: progress(f"{title}: {message}", start + share * fraction)
