"""The gate: who may serve, and what stays where a challenger loses."""

import copy
from pathlib import Path
from typing import Any

import pytest

from features.errors import InputError
from training.promote import FALLBACK_FOLDER, REPORT, promote, verdict
from training.settings import TrackingSettings
from training.tracking import CHALLENGER, CHAMPION, PREVIOUS, SHADOW, Tracker
from training.train import fallback_name


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


def challenge(tracker: Tracker, tmp_path: Path, judged: dict[str, Any], text: str) -> str:
    for folder in ("model", "plain"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "card.json").write_text(f"{folder} {text}")
    with tracker.run("curve") as run:
        run.json(REPORT, judged)
        tracker.client.log_artifacts(run.run_id, str(tmp_path / "plain"), FALLBACK_FOLDER)
        tags = {"source": "model", "as_of": "2026-01-01"}
        return tracker.register("curve", run, tmp_path / "model", alias=CHALLENGER, tags=tags).version


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
