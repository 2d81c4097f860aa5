"""How well is expected net spend ordered and summed? `HUITOU_DATA=… PYTHONPATH=. python experiments/value-spend/run.py [develop|judge]`."""

import json
import os
import sys
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from experiments.contract_folders.run import SETS
from features.history import History, build_history
from features.tables import tables_from_frames
from features.vectors import build_vectors
from training.backtest import backtest
from training.curve_model import fit_curve_model
from training.labels import label_outcomes
from training.value import fit_value_model

HERE = Path(__file__).parent


def deciles(history: History, day: date, horizon_days: int, seed: int, draws: int) -> dict[str, Any]:
    """Predicted and observed sums of each decile of the prediction, highest first, with the observed 95 % interval."""
    vectors = build_vectors(history, [day])
    curve_model = fit_curve_model(history, day, horizon_days, max_days=horizon_days, seed=seed)
    curves = curve_model.predict(vectors)
    model = fit_value_model(history, day, horizon_days, curve_model=curve_model, seed=seed)
    told = model.predict(vectors, curves)["expected_spend_yuan"].to_numpy()
    labels = label_outcomes(history, vectors, [day], horizon_days).frame
    spent = labels["net_spend_yuan"].to_numpy(float)
    order = np.argsort(-told, kind="stable")
    rng, rows = np.random.default_rng(seed), []
    for part in np.array_split(order, 10):
        drawn = spent[part][rng.integers(0, len(part), (draws, len(part)))].sum(axis=1)
        low, high = np.quantile(drawn, [0.025, 0.975])
        predicted, observed = float(told[part].sum()), float(spent[part].sum())
        rows.append({"predicted": predicted, "observed": observed, "low": float(low), "high": float(high)})
    churned = 1.0 - float(labels["observed"].mean())
    return {
        "as_of": str(day),
        "inside": sum(row["low"] <= row["predicted"] <= row["high"] for row in rows),
        "sum_ratio": float(told.sum() / spent.sum()),
        "churn_bias": float(np.mean(curves.at(horizon_days)) - churned),
        "rows": rows,
    }


def main(part: str) -> None:
    """Judge one part of the configuration and add its figures to result.json."""
    config = tomllib.loads((HERE / "config.toml").read_text("utf-8"))
    data = Path(os.environ["HUITOU_DATA"])
    path = HERE / "result.json"
    results: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    for entry in config[part]:
        frames, _ = SETS[entry["data"]].frames(data)
        history = build_history(tables_from_frames(frames))
        found = backtest(
            history,
            [date.fromisoformat(day) for day in entry["as_of"]],
            entry["horizon_days"],
            tasks=("value",),
            seed=config["seed"],
            draws=config["draws"],
        )
        name = f"{entry['data']} H{entry['horizon_days']} {' '.join(entry['as_of'])}"
        value = found["tasks"]["value"]
        results.setdefault(part, {})[name] = {
            key: value[key] for key in ("model", "baselines", "paired", "slices") if key in value
        }
        results[part][name]["deciles"] = [
            deciles(history, date.fromisoformat(day), entry["horizon_days"], config["seed"], config["draws"])
            for day in entry["as_of"]
        ]
        path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8")
        print(name, json.dumps(results[part][name]["deciles"]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "judge")
