"""The monitor is quiet when predictions hold, and names the cause when they don't."""

import dataclasses
import datetime
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.history import History, build_history, population
from features.tables import tables_from_frames
from features.vectors import build_vectors
from simulator.brand import simulate_brand
from training.kept_predictions import digests, kept_days, read_kept, write_kept
from training.labels import label_outcomes
from training.monitor import MonitorSettings, input_shift, monitor, psi

AS_OF, HORIZON = datetime.date(2026, 3, 1), 90


def keep(root: Path, history: History, probability: np.ndarray, as_of: datetime.date = AS_OF) -> None:
    ids = population(history, as_of)
    frame = pd.DataFrame({"member_id": ids, "churn_probability": probability})
    write_kept(root, as_of, frame, horizon_days=HORIZON, max_days=HORIZON, release_id="r1")


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
        said = rate.loc[np.searchsorted(edges, vectors["recency_days"])].to_numpy(float)
        folder = tmp_path / str(drift)
        write_kept(folder, day, pd.DataFrame({"member_id": members, "churn_probability": said}),
                   horizon_days=HORIZON, max_days=HORIZON, release_id="r")  # fmt: skip
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
    assert shift.set_index("column").loc["visits", "excess"] < 0.25


def test_no_member_id_stands_in_what_is_kept(memoryless: History, tmp_path: Path) -> None:
    ids = population(memoryless, AS_OF)
    keep(tmp_path, memoryless, np.full(len(ids), 0.4))
    assert kept_days(tmp_path) == [AS_OF]
    raw = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert ids[0].encode() not in raw
    assert len(np.unique(digests(ids.tolist(), "r1"))) == len(ids)
