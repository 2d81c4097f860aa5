"""A challenger's measured report in; out: which version serves, by a gate that a losing model cannot pass.

A task's challenger passes where, on the same members and the same cut-offs, it is no worse than the best plain
baseline (and, once there is a champion that has not seen the window, no worse than the champion). A challenger that
loses leaves the champion in place or, the first time, gives way to the best baseline, labelled as fallback, so that
every brand gets a release. So does one whose figure is not measurable, for instance because nobody bought in the judged
windows. The loser goes on in shadow (see training.shadow).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.errors import InputError
from training.tracking import CHALLENGER, CHAMPION, PREVIOUS, SHADOW, Registered, Run, Tracker

REPORT, FALLBACK_FOLDER = "backtest.json", "fallback"


@dataclass(frozen=True)
class Gate:
    """How a task is judged: where its figures stand in a backtest report and which way is better."""

    task: str
    path: tuple[str, ...]
    metric: str
    higher_is_better: bool


GATES = {
    # Log loss is proper: it punishes a wrong level as well as a wrong order, and both reach the guide.
    "curve": Gate("curve", ("churn",), "log_loss", higher_is_better=False),
    "value": Gate("value", ("value",), "spearman", higher_is_better=True),
    "items": Gate("items", ("items", "mixed"), "recall@10", higher_is_better=True),
}


@dataclass(frozen=True)
class Verdict:
    """What a gate decided about a challenger, in words and figures."""

    task: str
    passed: bool
    best_baseline: str
    model: float | None
    baseline: float | None
    difference: tuple[float, float, float] | None
    reason: str


def baseline_scores(task: str, report: Mapping[str, Any]) -> dict[str, float]:
    """The gate's metric of every baseline that could be judged."""
    metric, block = GATES[task].metric, _block(task, report)
    return {
        name: figures[metric]["value"]
        for name, figures in (block["baselines"] if block else {}).items()
        if figures and (figures.get(metric) or {}).get("value") is not None
    }


def _block(task: str, report: Mapping[str, Any]) -> Any:
    block: Any = report["tasks"]
    for key in GATES[task].path:
        block = (block or {}).get(key)
    return block


def verdict(task: str, report: Mapping[str, Any]) -> Verdict:
    """Judge a challenger by its backtest report (the JSON of `huitou backtest`).

    The best baseline is the one with the best value of the gate's metric. The challenger passes where the paired
    difference (model minus baseline) is not to its disadvantage.
    """
    gate, block = GATES[task], _block(task, report)
    if not block:
        return Verdict(task, False, "", None, None, None, "no matured cut-off to judge on: not enough history")
    scores = baseline_scores(task, report)
    own = ((block.get("model") or {}).get(gate.metric) or {}).get("value")
    if own is None:
        return Verdict(task, False, min(scores, default=""), None, None, None, _not_measurable(gate.metric, block))
    if not scores:
        return Verdict(task, False, "", own, None, None, "nothing to compare with")
    best = (max if gate.higher_is_better else min)(sorted(scores), key=scores.__getitem__)
    paired = ((block.get("paired") or {}).get(best) or {}).get(gate.metric)
    if paired is None:
        return Verdict(task, False, best, own, scores[best], None, f"{gate.metric} cannot be compared with {best}")
    gain = paired["value"] if gate.higher_is_better else -paired["value"]
    difference = (paired["value"], paired["low"], paired["high"])
    words = (
        f"{gate.metric} {own:.4f} against {scores[best]:.4f} of {best} "
        f"(difference {difference[0]:+.4f}, 95 % interval {difference[1]:+.4f} to {difference[2]:+.4f})"
    )
    return Verdict(task, gain >= 0, best, own, scores[best], difference, words)


def _not_measurable(metric: str, block: Mapping[str, Any]) -> str:
    why = "nobody bought in the judged windows" if block.get("returned_share") == 0 else "too little to judge on"
    return f"{metric} is not measurable: {why}"


class NeverTrained(InputError):
    """A task has neither a challenger nor a champion."""


@dataclass(frozen=True)
class Promotion:
    """What `promote` did for a task."""

    task: str
    outcome: str  # promoted, fallback installed, champion kept, nothing to do, never trained
    verdict: Verdict | None
    champion: Registered | None

    @property
    def refused(self) -> bool:
        return self.outcome == "champion kept"

    @property
    def missing(self) -> bool:
        return self.outcome == "never trained"


def promote(tracker: Tracker, task: str, *, work: Path) -> Promotion:
    """Run a task's gate and move the `champion` alias.

    `work` is a folder for copies. Raises InputError for an unknown task, NeverTrained where nothing was trained yet.
    """
    if task not in GATES:
        raise InputError(f"promote: unknown task {task!r}; known: {sorted(GATES)}")
    challenger, champion = tracker.get(task, CHALLENGER), tracker.get(task, CHAMPION)
    if challenger is None:
        if champion is not None:
            return Promotion(task, "nothing to do", None, champion)
        raise NeverTrained(f"promote: task {task!r} has no challenger; run `huitou train` first")
    found = verdict(task, tracker.read_json(challenger.run_id, REPORT))
    beaten = _beaten_by_champion(tracker, challenger, champion)
    if found.passed and beaten is None:
        _crown(tracker, task, challenger.version, champion)
        tracker.drop_alias(task, CHALLENGER)
        if tracker.get(task, SHADOW) is not None:
            tracker.drop_alias(task, SHADOW)
        return Promotion(task, "promoted", found, tracker.get(task, CHAMPION))
    tracker.drop_alias(task, CHALLENGER)
    tracker.set_alias(task, SHADOW, challenger.version)
    if champion is not None:
        kept = found if beaten is None else Verdict(**{**found.__dict__, "passed": False, "reason": beaten})
        return Promotion(task, "champion kept", kept, champion)
    fallback = tracker.fetch_folder(challenger.run_id, FALLBACK_FOLDER, work / f"{task}-fallback")
    told = tracker.read_json(challenger.run_id, "fallback.json") or {}
    tags = {
        "source": "fallback",
        "reason": found.reason,
        "baseline": told.get("baseline") or found.best_baseline,
        "as_of": challenger.tags["as_of"],
    }
    installed = tracker.register(
        task,
        Run(tracker.client, challenger.run_id),
        fallback,
        alias=CHAMPION,
        tags=tags,
        folder_name="fallback-model",
    )
    return Promotion(task, "fallback installed", found, installed)


def promote_each(tracker: Tracker, tasks: Iterable[str], *, work: Path) -> list[Promotion]:
    """Promote task by task; one that was never trained is told as such and does not hold up the others."""
    done = []
    for task in tasks:
        try:
            done.append(promote(tracker, task, work=work))
        except NeverTrained:
            done.append(Promotion(task, "never trained", None, None))
    return done


def _beaten_by_champion(tracker: Tracker, challenger: Registered, champion: Registered | None) -> str | None:
    """Why the champion stays though the challenger beat the baselines, or None.

    `champion.json` of the challenger's run holds the champion's paired figures on the newest cut-off; it is absent
    where the champion has seen that window and a comparison would not be fair.
    """
    if champion is None:
        return None
    paired = tracker.read_json(challenger.run_id, "champion.json")
    if not paired or paired.get("version") != champion.version:
        return None
    gate = GATES[challenger.task]
    gain = paired["difference"] if gate.higher_is_better else -paired["difference"]
    if gain >= 0:
        return None
    return f"{gate.metric} is worse than version {champion.version}'s by {abs(paired['difference']):.4f} on {paired['as_of']}"


def _crown(tracker: Tracker, task: str, version: str, old: Registered | None) -> None:
    if old is not None:
        tracker.set_alias(task, PREVIOUS, old.version)
    tracker.set_alias(task, CHAMPION, version)
