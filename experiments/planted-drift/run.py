"""Is planted drift seen, named and corrected? `PYTHONPATH=. python experiments/planted-drift/run.py`."""

import json
import tempfile
import tomllib
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.history import History, build_history
from features.tables import tables_from_frames
from features.vectors import build_vectors
from simulator.brand import simulate_with_truth
from training.curve_model import CurveModel, fit_curve_model
from training.kept_predictions import read_kept, write_kept
from training.labels import label_outcomes
from training.monitor import monitor

HERE = Path(__file__).parent


def bias(model: CurveModel, history: History, day: date, horizon: int) -> dict[str, float]:
    """Mean predicted minus observed churn of everybody on a day."""
    vectors = build_vectors(history, [day])
    gone = ~label_outcomes(history, vectors, [day], horizon).frame["observed"].to_numpy(bool)
    told = np.asarray(model.predict(vectors).at(horizon), dtype=float)
    return {"observed": float(gone.mean()), "predicted": float(told.mean()), "bias": float(told.mean() - gone.mean())}


def judge(preset: str, drift: float, config: dict[str, Any]) -> dict[str, Any]:
    """Figures of one brand: before, what the monitor says of it once matured, and after a fit on new days."""
    horizon, seed = config["horizon_days"], config["seed"]
    world = simulate_with_truth(preset, members=config["members"], days=config["days"], seed=seed, drift=drift)
    history = build_history(tables_from_frames(world.tables))
    told = world.truth["drift"]["from_day"].iloc[0]
    moved = pd.Timestamp(told).date()
    frozen = fit_curve_model(history, moved, horizon, max_days=horizon, seed=seed)
    vectors = build_vectors(history, [moved])
    curves = frozen.predict(vectors)
    with tempfile.TemporaryDirectory() as folder:
        rows = pd.DataFrame({"member_id": vectors.members, "churn_probability": curves.at(horizon)})
        write_kept(Path(folder), moved, rows, horizon_days=horizon, max_days=horizon, release_id="drift")
        # what the monitor sees on the day the predictions of the drift's first day have matured
        until = moved + timedelta(days=horizon)
        seen = build_history(tables_from_frames(_cut(world.tables, until)))
        report = monitor(seen, [read_kept(Path(folder), moved)], trained_as_of=moved, seed=seed)
    found: dict[str, Any] = {
        "drift_from": str(moved),
        "on_the_day": bias(frozen, history, moved, horizon),
        "monitor": {
            "breaches": list(report.breaches),
            "moved_most": report.inputs.head(3).to_dict(orient="records"),
            "retrain": report.retrain,
            "because": report.retrain_because,
        },
        "after": {},
    }
    for days in config["refits"]:
        day = moved + timedelta(days=days)
        again = fit_curve_model(history, day, horizon, max_days=horizon, seed=seed)
        found["after"][str(days)] = {
            "frozen": bias(frozen, history, day, horizon),
            "fitted_again": bias(again, history, day, horizon),
            "calibration": again.card.get("calibration"),
        }
    return found


def _cut(tables: dict[str, pd.DataFrame], until: date) -> dict[str, pd.DataFrame]:
    """An export made on the morning of `until`: rows by their time, so that nothing later is in it."""
    orders = tables["orders"][tables["orders"]["order_time"] < pd.Timestamp(until)]
    lines = tables["order_lines"][tables["order_lines"]["order_id"].isin(orders["order_id"])]
    needed = {name: tables[name] for name in ("members", "items")}
    return {**needed, "orders": orders, "order_lines": lines}


def main() -> None:
    """Judge every preset and write result.json."""
    config = tomllib.loads((HERE / "config.toml").read_text("utf-8"))
    results: dict[str, Any] = {}
    for preset in config["presets"]:
        for drift in config["drifts"]:
            results[f"{preset} {drift:+.2f}"] = found = judge(preset, drift, config)
            print(preset, drift, json.dumps(found, default=str), flush=True)
            (HERE / "result.json").write_text(json.dumps(results, indent=1, default=str) + "\n", "utf-8")


if __name__ == "__main__":
    main()
