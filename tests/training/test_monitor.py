"""The monitor is quiet when predictions hold, and names the cause when they don't."""

import dataclasses
import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from features.history import History, build_history, population
from features.tables import tables_from_frames
from features.vectors import build_vectors
from simulator.brand import simulate_brand
from training import monitor as monitoring
from training.curves import SurvivalCurves
from training.input_shift import input_shift, psi
from training.kept_predictions import WITHIN_HORIZON, digests, keep_release, kept_days, read_kept, write_kept
from training.labels import label_outcomes
from training.monitor import MonitorSettings, monitor
from training.release import COLD, SCORED, Release
from training.timing import next_purchase

AS_OF, HORIZON = datetime.date(2026, 3, 1), 90
# How far served curves reach: far beyond the horizon, so that the served window can't be judged for years.
REACH = 720
MATURE = AS_OF + datetime.timedelta(days=HORIZON)


def keep(root: Path, history: History, probability: np.ndarray, as_of: datetime.date = AS_OF) -> None:
    ids = population(history, as_of)
    frame = pd.DataFrame({"member_id": ids, "churn_probability": probability})
    write_kept(root, as_of, frame, horizon_days=HORIZON, max_days=REACH, release_id="r1")


def release_of(ids: np.ndarray, mean_days: float, *, unscored: int = 0) -> Release:
    """What keep_release reads of a release: the same exponential curve for everybody, its last rows not scored."""
    grid = np.array([0, 15, 30, 45, 60, 75, 90, 180, 365, REACH], dtype=np.int32)
    survival = np.tile(np.exp(-grid / mean_days).astype(np.float32), (len(ids), 1))
    survival[len(ids) - unscored :] = np.nan
    kind = np.where(np.arange(len(ids)) < len(ids) - unscored, SCORED, COLD)
    served = next_purchase(SurvivalCurves(ids, AS_OF, grid, survival, np.array("")))
    predictions = {
        "churn_probability": survival[:, 6],
        "next_low_days": served["low_days"].to_numpy(),
        "next_high_days": served["high_days"].to_numpy(),
    }
    stands_in: dict[str, Any] = {
        "manifest": {"as_of": str(AS_OF), "horizon_days": HORIZON},
        "release_id": "r1",
        "kind": kind,
        "ids": np.char.encode(ids.astype(str), "utf-8"),
        "predictions": predictions,
        "grid_days": grid,
        "curves": survival,
    }
    return cast(Release, SimpleNamespace(**stands_in))


@pytest.fixture(scope="module")
def memoryless() -> History:
    # every buyer has the same rate: the true probability of no purchase within H is exp(−H / 90)
    return build_history(tables_from_frames(simulate_brand("memoryless", members=2_500, days=540, seed=3)))


def test_true_probabilities_pass_and_wrong_ones_are_named(memoryless: History, tmp_path: Path) -> None:
    n = len(population(memoryless, AS_OF))
    keep(tmp_path / "true", memoryless, np.full(n, np.exp(-HORIZON / 90.0)))
    keep(tmp_path / "wrong", memoryless, np.full(n, np.exp(-HORIZON / 90.0) + 0.15))
    good = monitor(memoryless, [read_kept(tmp_path / "true", AS_OF)])
    bad = monitor(memoryless, [read_kept(tmp_path / "wrong", AS_OF)])
    assert good.breaches == () and not good.retrain
    assert abs(good.matured[0]["bias"]["value"]) < 0.03
    assert [line.split(": ")[1][:4] for line in bad.breaches] == ["bias", "cali"]
    assert bad.retrain and bad.retrain_because == bad.breaches[0]
    json.dumps(bad.as_dict())


def test_a_challenger_in_shadow_that_was_right_calls_for_a_training(memoryless: History, tmp_path: Path) -> None:
    n = len(population(memoryless, AS_OF))
    right, high = np.full(n, np.exp(-HORIZON / 90.0)), np.full(n, np.exp(-HORIZON / 90.0) + 0.06)
    keep(tmp_path / "high", memoryless, high)
    keep(tmp_path / "right", memoryless, right)
    loose = MonitorSettings(bias=0.2, ece_over_noise=0.2)
    served, shadow = (read_kept(tmp_path / name, AS_OF) for name in ("high", "right"))
    found = monitor(memoryless, [served], shadow=[dataclasses.replace(shadow, model="curve/7")], settings=loose)
    assert found.beside[0]["members"] == n and found.beside[0]["difference"]["log_loss"]["high"] < 0
    assert found.retrain and "curve/7" in found.retrain_because
    # the other way round nothing is to be done
    calm = monitor(memoryless, [shadow], shadow=[served], settings=loose)
    assert calm.beside[0]["difference"]["log_loss"]["low"] > 0
    assert not calm.retrain and "inside their limits" in calm.retrain_because


def test_what_an_earlier_model_said_calls_for_no_training(
    memoryless: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = len(population(memoryless, AS_OF))
    keep(tmp_path, memoryless, np.full(n, np.exp(-HORIZON / 90.0) + 0.15))
    kept = [read_kept(tmp_path, AS_OF)]
    # trained when the outcomes were not all in: nothing says yet that it is any better
    early = monitor(memoryless, kept, trained_as_of=MATURE - datetime.timedelta(days=1))
    assert early.retrain and early.retrain_because == early.breaches[0]
    late = monitor(memoryless, kept, trained_as_of=MATURE, scores_now=np.full(n, 0.9))
    assert any("bias" in line for line in late.breaches) and any("scores" in line for line in late.breaches)
    assert not late.retrain and "is newer than the predictions of 2026-03-01" in late.retrain_because
    assert str(MATURE + datetime.timedelta(days=HORIZON)) in late.retrain_because
    # a shadow that was better than the model that was replaced says nothing of its successor either
    keep(tmp_path / "right", memoryless, np.full(n, np.exp(-HORIZON / 90.0)))
    shadow = [read_kept(tmp_path / "right", AS_OF)]
    loose = MonitorSettings(bias=0.2, ece_over_noise=0.2)
    assert monitor(memoryless, kept, shadow=shadow, settings=loose).retrain
    assert not monitor(memoryless, kept, shadow=shadow, settings=loose, trained_as_of=MATURE).retrain

    def shifted(still: float) -> Any:
        def shift(history: History, then: datetime.date, now: datetime.date, *, seed: int = 0) -> pd.DataFrame:
            excess = 0.4 if then == AS_OF else still
            row = {"column": "visits", "family": "rhythm", "psi": excess, "usual_psi": 0.0, "excess": excess}
            return pd.DataFrame([row])

        return shift

    # inputs that moved count where they moved on after the training, not where they had moved before
    monkeypatch.setattr(monitoring, "input_shift", shifted(0.0))
    before = monitor(memoryless, kept, trained_as_of=MATURE)
    assert before.moved == ("visits",) and not before.retrain
    monkeypatch.setattr(monitoring, "input_shift", shifted(0.3))
    after = monitor(memoryless, kept, trained_as_of=MATURE)
    assert after.retrain and f"visits moved since {MATURE}" in after.retrain_because


def test_the_window_is_judged_among_returns_within_the_horizon(memoryless: History, tmp_path: Path) -> None:
    ids = population(memoryless, AS_OF)
    keep_release(tmp_path / "true", release_of(ids, 90.0))
    keep_release(tmp_path / "short", release_of(ids, 20.0))
    true, short = (read_kept(tmp_path / name, AS_OF) for name in ("true", "short"))
    assert true.max_days == REACH
    figures = monitor(memoryless, [true]).matured[0]
    assert figures["coverage_null_reason"] is None and abs(figures["coverage_80"]["value"] - 0.8) < 0.05
    told = monitor(memoryless, [short])
    assert told.matured[0]["coverage_80"]["value"] < 0.7
    assert any("80 % window" in line for line in told.breaches)


def test_days_kept_without_that_window_are_still_read(memoryless: History, tmp_path: Path) -> None:
    keep_release(tmp_path, release_of(population(memoryless, AS_OF), 90.0))
    path = tmp_path / f"{AS_OF}.parquet"
    pd.read_parquet(path).drop(columns=list(WITHIN_HORIZON)).to_parquet(path, index=False)
    figures = monitor(memoryless, [read_kept(tmp_path, AS_OF)]).matured[0]
    assert figures["coverage_80"] is None and figures["coverage_null_reason"] == "no_window_within_horizon_kept"
    assert figures["auc"] is not None and figures["bias"] is not None


def test_a_release_keeps_the_window_within_its_horizon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.kept_predictions.CURVES_AT_ONCE", 3)
    ids = np.array([f"m{n}" for n in range(9)])
    release = release_of(ids, 90.0, unscored=2)
    keep_release(tmp_path, release)
    kept = read_kept(tmp_path, AS_OF).frame
    curves = SurvivalCurves(ids[:7], AS_OF, release.grid_days, release.curves[:7], np.array(""))
    expected = next_purchase(curves, max_days=HORIZON)
    assert len(kept) == 7
    assert kept["within_horizon_low_days"].tolist() == expected["low_days"].tolist()
    assert kept["within_horizon_high_days"].tolist() == expected["high_days"].tolist()
    # the served one beside it reaches far further
    assert (kept["within_horizon_high_days"] <= HORIZON).all() and (kept["next_high_days"] > 1.5 * HORIZON).all()
    # curves under which hardly anybody returns within the horizon promise no day
    keep_release(tmp_path / "never", release_of(ids, 5_000.0))
    assert read_kept(tmp_path / "never", AS_OF).frame[list(WITHIN_HORIZON)].isna().all(axis=None)


def test_few_returns_by_chance_outside_the_window_are_no_breach() -> None:
    figures: dict[str, Any] = {"as_of": "d", "members": 500, "bias": None, "ece": None, "auc": None}
    figures["ece_if_calibrated"] = {"high": 0.1}

    def said(**coverage: float) -> list[str]:
        now = figures | {"coverage_80": coverage}
        return monitoring._breaches(now, now, MonitorSettings())

    assert said(value=0.68, low=0.55, high=0.81) == []
    assert len(said(value=0.68, low=0.64, high=0.72)) == 1


def test_nothing_is_judged_before_it_has_matured(memoryless: History, tmp_path: Path) -> None:
    late = datetime.date(2026, 5, 1)
    keep(tmp_path, memoryless, np.full(len(population(memoryless, late)), 0.3), late)
    told = monitor(memoryless, [read_kept(tmp_path, late)])
    assert told.matured == () and told.waiting == {"2026-05-01": "2026-07-30"}
    assert not told.retrain and "no prediction has matured" in told.retrain_because


def test_planted_drift_is_seen_and_the_rhythm_is_named(tmp_path: Path) -> None:
    day = datetime.date(2026, 2, 16)  # the drift sets in on this day
    # what a model trained before the drift would say: the rate of a calm brand of the same kind, by recency
    calm_brand = build_history(tables_from_frames(simulate_brand("footwear", members=2_500, days=540, seed=6)))
    past = build_vectors(calm_brand, [day]).frame
    gone = ~label_outcomes(calm_brand, past["member_id"].to_numpy(str), [day], HORIZON).frame["observed"].to_numpy()
    edges = np.quantile(past["recency_days"], np.linspace(0, 1, 11)[1:-1])
    rate = pd.Series(gone).groupby(np.searchsorted(edges, past["recency_days"])).mean()

    def run(drift: float) -> tuple[tuple[str, ...], tuple[str, ...], float]:
        history = build_history(
            tables_from_frames(simulate_brand("footwear", members=2_500, days=540, seed=5, drift=drift))
        )
        members = population(history, day)
        vectors = build_vectors(history, [day]).frame
        said = rate.reindex(np.searchsorted(edges, vectors["recency_days"])).to_numpy(float)
        folder = tmp_path / str(drift)
        write_kept(folder, day, pd.DataFrame({"member_id": members, "churn_probability": said}),
                   horizon_days=HORIZON, max_days=REACH, release_id="r")  # fmt: skip
        told = monitor(history, [read_kept(folder, day)])
        family = told.inputs.set_index("column").loc[list(told.moved), "family"].tolist()
        return told.breaches, tuple(family), told.matured[0]["bias"]["value"]

    calm, _, calm_bias = run(0.0)
    drifted, families, bias = run(0.10)
    assert not [line for line in calm if "bias" in line] and abs(calm_bias) < 0.05
    assert bias < -0.06 and any("bias" in line for line in drifted)
    assert families and families[0] in {"rhythm", "trend", "spend"}


def test_the_stability_index_is_nought_for_the_same_and_large_for_a_shift() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=20_000)
    assert psi(values, rng.permutation(values)) < 1e-9
    # two unit normals one apart have a symmetrised divergence of 1, here cut into ten bins
    assert 0.8 < psi(values, rng.normal(1.0, 1.0, 20_000)) < 1.1
    holes = values.copy()
    holes[:5_000] = np.nan
    assert psi(values, holes) > 0.25


def test_a_column_that_moves_as_usual_is_not_named(brand_frames: Mapping[str, pd.DataFrame]) -> None:
    history = build_history(tables_from_frames(brand_frames))
    shift = input_shift(history, datetime.date(2026, 4, 1), datetime.date(2026, 7, 1))
    assert shift["excess"].is_monotonic_decreasing
    assert not {"calendar", "tenure"} & set(shift["family"])
    assert dict(zip(shift["column"], shift["excess"], strict=True))["visits"] < 0.25


def test_the_usual_gap_of_one_time_buyers_is_no_drift(memoryless: History) -> None:
    then, now = datetime.date(2026, 4, 2), datetime.date(2026, 7, 1)
    frames = [build_vectors(memoryless, [day]).frame for day in (then, now)]
    # all who came once stand at the brand's usual gap, which went up by whole days
    atoms = [set(f.loc[f["visits"] == 1, "gap_shrunk_days"]) for f in frames]
    assert [len(one) for one in atoms] == [1, 1] and atoms[0] != atoms[1]
    assert psi(*(f["gap_shrunk_days"].to_numpy(float) for f in frames)) > 0.3
    moved = input_shift(memoryless, then, now).set_index("column")["psi"].to_dict()
    assert moved["gap_shrunk_days"] < 0.1


def test_a_window_that_outlasts_the_record_is_left_out(memoryless: History) -> None:
    start = memoryless.coverage_start
    then, now = (start + datetime.timedelta(days=d) for d in (150, 240))
    columns = set(input_shift(memoryless, then, now)["column"])
    # before = day 60: what looks back further moves because the record grows
    assert "visits_60d" in columns and "visits_per_30d" in columns and "visits_90d" not in columns
    assert not {"spend_recent_share", "answer_share", "visits_trend_90d"} & columns


def test_without_a_day_before_the_usual_is_unknown_and_nothing_breaches(memoryless: History, tmp_path: Path) -> None:
    then = memoryless.coverage_start + datetime.timedelta(days=180)
    now = memoryless.coverage_end + datetime.timedelta(days=1)
    shift = input_shift(memoryless, then, now)
    assert shift["usual_psi"].isna().all() and shift["excess"].isna().all()
    assert shift["psi"].is_monotonic_decreasing and shift["psi"].iloc[0] > 0.25
    n = len(population(memoryless, then))
    keep(tmp_path, memoryless, np.full(n, np.exp(-HORIZON / 90.0)), then)
    told = monitor(memoryless, [read_kept(tmp_path, then)])
    assert told.moved == () and not [line for line in told.breaches if line.startswith("inputs")]
    row = json.loads(json.dumps(told.as_dict(), allow_nan=False))["inputs"][0]
    assert row["usual_psi"] is None and row["excess"] is None and row["psi"] > 0.25


def test_no_member_id_stands_in_what_is_kept(memoryless: History, tmp_path: Path) -> None:
    ids = population(memoryless, AS_OF)
    keep(tmp_path, memoryless, np.full(len(ids), 0.4))
    assert kept_days(tmp_path) == [AS_OF]
    raw = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert ids[0].encode() not in raw
    assert len(np.unique(digests(ids.tolist(), "r1"))) == len(ids)
