"""The gate: who may serve, and what stays where a challenger loses."""

import copy
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.errors import InputError
from features.history import History, build_history
from features.tables import tables_from_frames
from features.vectors import build_vectors
from huitou.commands.promote import command as promote_command
from simulator.brand import simulate_brand
from training import metrics
from training.curve_model import CurveModel, fit_curve_model
from training.labels import label_outcomes
from training.promote import FALLBACK_FOLDER, REPORT, promote, promote_each, verdict
from training.settings import TrackingSettings
from training.snapshots import SnapshotSettings
from training.tracking import CHALLENGER, CHAMPION, PREVIOUS, SHADOW, Tracker
from training.train import beside_champion, fallback_name


def report(model: float, baseline: float) -> dict[str, Any]:
    def cell(value: float) -> dict[str, Any]:
        return {"log_loss": {"value": value, "low": value - 0.01, "high": value + 0.01}}

    return {
        "tasks": {
            "churn": {
                "model": cell(model),
                "baselines": {"recency": cell(0.9), "bg_nbd": cell(baseline), "rfm": None},
                "paired": {"recency": cell(model - 0.9), "bg_nbd": cell(model - baseline)},
            }
        }
    }


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("registry")
    Tracker(home, TrackingSettings(experiment="template"))
    return home


@pytest.fixture
def tracker(tmp_path: Path, empty_registry: Path) -> Tracker:
    (tmp_path / "mlflow.db").write_bytes((empty_registry / "mlflow.db").read_bytes())
    return Tracker(tmp_path)


def unmeasured(share: float = 0.0) -> dict[str, Any]:
    """A report of the value task on windows in which nobody bought: ranks, and their differences, do not exist."""
    cells = {"spearman": None, "mae": {"value": 0.0, "low": 0.0, "high": 0.0}}
    block = {"model": cells, "baselines": {"last_year": cells}, "paired": {"last_year": cells}}
    return {"tasks": {"value": block | {"returned_share": share}}}


def challenge(tracker: Tracker, tmp_path: Path, judged: dict[str, Any], text: str, task: str = "curve") -> str:
    for folder in ("model", "plain"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "card.json").write_text(f"{folder} {text}")
    with tracker.run(task) as run:
        run.json(REPORT, judged)
        tracker.client.log_artifacts(run.run_id, str(tmp_path / "plain"), FALLBACK_FOLDER)
        tags = {"source": "model", "as_of": "2026-01-01"}
        return tracker.register(task, run, tmp_path / "model", alias=CHALLENGER, tags=tags).version


def test_a_challenger_that_beats_the_best_baseline_becomes_champion(tracker: Tracker, tmp_path: Path) -> None:
    version = challenge(tracker, tmp_path, report(0.50, 0.52), "first")
    done = promote(tracker, "curve", work=tmp_path / "work")
    assert done.outcome == "promoted" and not done.refused
    champion = tracker.get("curve", CHAMPION)
    assert champion is not None and champion.version == version and not champion.is_fallback
    assert tracker.get("curve", CHALLENGER) is None
    assert (tracker.fetch(champion, tmp_path / "copy") / "card.json").read_text() == "model first"


def test_the_first_challenger_that_loses_gives_way_to_the_best_baseline_labelled_as_fallback(
    tracker: Tracker, tmp_path: Path
) -> None:
    challenge(tracker, tmp_path, report(0.55, 0.52), "bad")
    done = promote(tracker, "curve", work=tmp_path / "work")
    assert done.outcome == "fallback installed" and not done.refused
    champion = tracker.get("curve", CHAMPION)
    assert champion is not None and champion.is_fallback and champion.tags["baseline"] == "bg_nbd"
    assert "bg_nbd" in champion.tags["reason"]
    assert (tracker.fetch(champion, tmp_path / "copy") / "card.json").read_text() == "plain bad"


def test_a_champion_stays_against_a_challenger_that_loses(tracker: Tracker, tmp_path: Path) -> None:
    first = challenge(tracker, tmp_path, report(0.50, 0.52), "good")
    promote(tracker, "curve", work=tmp_path / "work")
    second = challenge(tracker, tmp_path, report(0.53, 0.52), "worse")
    done = promote(tracker, "curve", work=tmp_path / "work")
    assert done.refused and done.champion is not None and done.champion.version == first
    shadow = tracker.get("curve", SHADOW)
    assert shadow is not None and shadow.version == second
    challenge(tracker, tmp_path, report(0.49, 0.52), "better")
    promote(tracker, "curve", work=tmp_path / "work")
    assert tracker.get("curve", SHADOW) is None


def test_the_old_champion_is_kept_as_previous(tracker: Tracker, tmp_path: Path) -> None:
    first = challenge(tracker, tmp_path, report(0.50, 0.52), "one")
    promote(tracker, "curve", work=tmp_path / "work")
    second = challenge(tracker, tmp_path, report(0.49, 0.52), "two")
    promote(tracker, "curve", work=tmp_path / "work")
    champion, previous = tracker.get("curve", CHAMPION), tracker.get("curve", PREVIOUS)
    assert champion is not None and champion.version == second
    assert previous is not None and previous.version == first


def test_a_champion_that_was_better_on_the_newest_window_stays(tracker: Tracker, tmp_path: Path) -> None:
    first = challenge(tracker, tmp_path, report(0.50, 0.52), "one")
    promote(tracker, "curve", work=tmp_path / "work")
    challenge(tracker, tmp_path, report(0.51, 0.52), "two")
    challenger = tracker.get("curve", CHALLENGER)
    assert challenger is not None
    with tracker.run("beside") as _:
        pass
    paired = {"version": first, "as_of": "2026-01-01", "difference": 0.01}
    tracker.client.log_dict(challenger.run_id, paired, "champion.json")
    assert promote(tracker, "curve", work=tmp_path / "work").refused


def test_promoting_what_was_never_trained_tells_the_next_step(tracker: Tracker, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="huitou train"):
        promote(tracker, "curve", work=tmp_path)
    with pytest.raises(InputError, match="known"):
        promote(tracker, "weather", work=tmp_path)


def test_a_figure_that_does_not_exist_installs_the_baseline_and_says_why(tracker: Tracker, tmp_path: Path) -> None:
    challenge(tracker, tmp_path, unmeasured(), "young", task="value")
    done = promote(tracker, "value", work=tmp_path / "work")
    assert done.outcome == "fallback installed" and done.champion is not None and done.champion.is_fallback
    assert done.champion.tags["reason"] == "spearman is not measurable: nobody bought in the judged windows"
    assert fallback_name("value", unmeasured()) == "last_year"
    challenge(tracker, tmp_path, unmeasured(), "again", task="value")
    assert promote(tracker, "value", work=tmp_path / "work").outcome == "champion kept"


def test_a_difference_that_does_not_exist_never_passes() -> None:
    assert "nobody" not in verdict("value", unmeasured(share=0.1)).reason
    judged = report(0.50, 0.52)
    judged["tasks"]["churn"]["paired"]["bg_nbd"] = None
    found = verdict("curve", judged)
    assert not found.passed and found.reason == "log_loss cannot be compared with bg_nbd"


def test_a_task_that_was_never_trained_does_not_hold_up_the_others(tracker: Tracker, tmp_path: Path) -> None:
    challenge(tracker, tmp_path, unmeasured(), "young", task="value")
    curve, value = promote_each(tracker, ["curve", "value"], work=tmp_path / "work")
    assert curve.missing and not curve.refused and curve.champion is None
    assert value.outcome == "fallback installed" and not value.missing


def test_the_command_promotes_the_others_and_then_tells_in_one_line_what_is_missing(
    tracker: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    challenge(tracker, tmp_path, unmeasured(), "young", task="value")
    tasks = ["curve", "value"]
    monkeypatch.setattr("huitou.config.load_config", lambda *_, **__: None)
    monkeypatch.setattr("huitou.pipeline.promote_brand", lambda *_: promote_each(tracker, tasks, work=tmp_path / "w"))
    with pytest.raises(InputError, match=r"^promote: no challenger for curve; run `huitou train` first$"):
        promote_command.main([], standalone_mode=False)
    assert tracker.get("value", CHAMPION) is not None


@pytest.fixture(scope="module")
def small_history() -> History:
    return build_history(tables_from_frames(simulate_brand("beauty", members=150, days=200, seed=1)))


@pytest.fixture(scope="module")
def fitted(small_history: History) -> CurveModel:
    day = small_history.coverage_end - timedelta(days=40)
    return fit_curve_model(small_history, day, 30, snapshots=SnapshotSettings(days=3, far_days=1))


def crown(tracker: Tracker, model: CurveModel, folder: Path) -> date:
    """Save a curve model and make it the champion; returns its day."""
    model.save(folder)
    tags = {"source": "model", "as_of": str(model.card["as_of"])}
    with tracker.run("curve") as run:
        tracker.register("curve", run, folder, alias=CHAMPION, tags=tags)
    return date.fromisoformat(tags["as_of"])


def judged_on(day: date, log_loss: float) -> dict[str, Any]:
    figures = {day.isoformat(): {"model": {"log_loss": {"value": log_loss}}}}
    return {"cutoffs": [day.isoformat()], "horizon_days": 30, "tasks": {"churn": {"per_cutoff": figures}}}


def test_a_challenger_is_compared_with_the_saved_champion(
    tracker: Tracker, tmp_path: Path, small_history: History, fitted: CurveModel
) -> None:
    day = crown(tracker, fitted, tmp_path / "model")
    vectors = build_vectors(small_history, [day])
    churned = label_outcomes(small_history, vectors, [day], 30).churned
    loss = float(metrics.log_loss(churned, fitted.predict(vectors).at(30))(np.ones((1, len(churned))))[0])
    paired = beside_champion(tracker, small_history, judged_on(day, 0.5), tmp_path / "work")
    assert paired is not None and paired["as_of"] == day.isoformat()
    assert paired["difference"] == pytest.approx(0.5 - loss, abs=1e-6)


def test_a_champion_of_other_columns_or_that_has_seen_the_window_is_not_compared(
    tracker: Tracker, tmp_path: Path, small_history: History, fitted: CurveModel
) -> None:
    day = crown(tracker, fitted, tmp_path / "model")
    earlier = judged_on(day - timedelta(days=1), 0.5)
    assert beside_champion(tracker, small_history, earlier, tmp_path / "work") is None
    crown(tracker, replace(fitted, names=fitted.names[:-1]), tmp_path / "model")
    assert beside_champion(tracker, small_history, judged_on(day, 0.5), tmp_path / "work") is None


def test_a_report_without_a_matured_cut_off_never_passes() -> None:
    judged = copy.deepcopy(report(0.1, 0.9))
    judged["tasks"]["churn"] = None
    assert not verdict("curve", judged).passed


def test_the_fallback_is_the_best_baseline_that_can_be_installed() -> None:
    judged = report(0.55, 0.52)
    block = judged["tasks"]["churn"]
    block["baselines"]["lightgbm_one_cutoff"] = {"log_loss": {"value": 0.40, "low": 0.39, "high": 0.41}}
    assert fallback_name("curve", judged) == "bg_nbd"
    assert fallback_name("curve", None) == "recency"
    assert fallback_name("value", judged) == "last_year"
