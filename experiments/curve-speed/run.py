"""What do curves cost? One core: `OMP_NUM_THREADS=1 PYTHONPATH=. python experiments/curve-speed/run.py [fit|curves] FOLDER`.

FOLDER keeps the simulated brand between the two parts; each part is a process of its own, so that its peak is its own.
"""

import json
import pickle
import resource
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.history import build_history
from features.tables import tables_from_frames
from features.vectors import build_vectors
from simulator.brand import simulate_brand
from training.curve_model import CurveModel, fit_curve_model
from training.hazard import _training_table
from training.views import make_view

HERE = Path(__file__).parent


def made(config: dict[str, Any], folder: Path) -> dict[str, pd.DataFrame]:
    """The brand's tables, simulated once."""
    path = folder / "tables.pkl"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        size = {name: config[name] for name in ("members", "days", "seed")}
        path.write_bytes(pickle.dumps(simulate_brand(config["preset"], **size)))
    frames: dict[str, pd.DataFrame] = pickle.loads(path.read_bytes())
    return frames


def fit(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Processor seconds (what one core would take alone) and peak memory of a fit and of a score of everybody."""
    frames = made(config, folder)
    frames = {name: frames[name] for name in ("members", "items", "orders", "order_lines")}
    loaded = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    start = time.process_time()
    history = build_history(tables_from_frames(frames))
    built = time.process_time()
    as_of = (pd.Timestamp(history.coverage_end) + pd.Timedelta(days=1)).date()
    model = fit_curve_model(history, as_of, config["horizon_days"], seed=config["seed"])
    fitted = time.process_time()
    vectors = build_vectors(history, [as_of])
    ready = time.process_time()
    model.predict(vectors)
    done = time.process_time()
    model.save(folder / "curve")
    np.save(folder / "vectors.npy", vectors.matrix())
    return {
        "members": config["members"],
        "scored": len(vectors.frame),
        "lines": len(frames["order_lines"]),
        "seconds": {
            "history": built - start,
            "fit": fitted - built,
            "vectors": ready - fitted,
            "curves": done - ready,
            "all": done - start,
        },
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "peak_gb_after_reading": loaded,
    }


def curves(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Processor seconds of curves of many rows, over one bare prediction of the trees on the same rows."""
    model = CurveModel.load(folder / "curve")
    known = np.load(folder / "vectors.npy")
    rng = np.random.default_rng(config["seed"])
    values = np.ascontiguousarray(known[rng.integers(0, len(known), config["rows"])])
    trees = model.parts.trees
    assert trees is not None
    # The trees' own columns, those that change from bin to bin as they are in the first bin.
    everyone, first_bin = np.arange(len(values)), np.zeros(len(values), np.int64)
    view = make_view(np.empty(len(values), "U1"), values, model.names, model.bins, model.families)
    inputs = _training_table(view, trees.names, trees.bins, everyone, first_bin)
    del view
    trees.booster.predict(inputs[:1000], num_threads=1)
    start = time.process_time()
    trees.booster.predict(inputs, num_threads=1)
    bare = time.process_time() - start
    start = time.process_time()
    survival = model.survival(values, model.names)
    whole = time.process_time() - start
    return {
        "rows": len(values),
        "grid": survival.shape[1],
        "trees": trees.booster.num_trees(),
        "inputs": trees.booster.num_feature(),
        "bare_predict_seconds": bare,
        "curves_seconds": whole,
        "ratio": whole / bare,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }


def main(part: str, folder: Path) -> None:
    """Run one part and add it to result.json."""
    config = tomllib.loads((HERE / "config.toml").read_text("utf-8"))
    path = HERE / "result.json"
    results: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    results[part] = {"fit": fit, "curves": curves}[part](config, folder)
    print(part, json.dumps(results[part]), flush=True)
    path.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
