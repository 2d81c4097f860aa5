"""How many members does the curve need? Draws of members in; AUC on members not drawn, of the curve and its components.

HUITOU_DATA=… python experiments/learning-curves/run.py [online_retail_ii cdnow]

Snapshots are taken once; each draw keeps its own members' rows, fits the buy-till-you-die families anew on them and
learns everything else from them alone, by the same steps as the product.
"""

import json
import os
import sys
import tempfile
import time
import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.contract_folders.run import make
from experiments.readme_block import write_block
from features.history import History, build_history, population
from features.tables import open_tables
from features.vectors import MemberVectors, build_vectors
from training.blend import blend
from training.calibration import shift_level
from training.curve_fit import fit_components, tree_columns
from training.hazard import TreeSettings
from training.labels import label_outcomes
from training.ladder import choose_step
from training.metrics import auc
from training.past_days import learn_curve
from training.periods import Bins, make_bins
from training.snapshots import NAMES, Snapshots, SnapshotSettings, families_of, snapshot_ages, take_snapshots
from training.views import Watched, make_view

HERE = Path(__file__).parent


def of_members(taken: Snapshots, drawn: np.ndarray, bins: Bins, as_of_values: np.ndarray, seed: int) -> Snapshots:
    """The snapshots as they would be had only the drawn members existed."""
    families: Any = {}
    watched = []
    for snapshot in reversed(taken.watched):  # oldest first, each fit warm-started from the one before
        rows = np.isin(snapshot.view.member_ids, drawn)
        values = snapshot.view.values[rows]
        families = _families(values, families, seed) or families
        view = make_view(snapshot.view.member_ids[rows], values, NAMES, bins, families)
        watched.append(Watched(view, snapshot.days_to_next[rows], snapshot.follow_up_days, snapshot.age_days))
    families = _families(as_of_values, families, seed) or families
    return Snapshots(tuple(reversed(watched)), taken.days, families, taken.typical)


def _families(values: np.ndarray, start: Any, seed: int) -> Any:
    return families_of(MemberVectors(pd.DataFrame(values, columns=NAMES), ()), start, True, seed)


def judge(history: History, as_of: date, horizon: int, config: Mapping[str, Any]) -> dict[str, Any]:
    """AUC of each draw and size, of the curve and of every component."""
    span = (as_of - history.coverage_start).days
    bins = make_bins(horizon, horizon)
    everyone = np.sort(population(history, as_of).astype(str))
    taken = take_snapshots(history, as_of, snapshot_ages(span, bins, SnapshotSettings()), bins, None, seed=0)
    vectors = build_vectors(history, [as_of])
    ids, values = vectors.members.astype(str), vectors.matrix()
    churned = ~label_outcomes(history, vectors, [as_of], horizon).frame["observed"].to_numpy(dtype=bool)
    found: dict[str, Any] = {}
    for size, times in ((int(size), times) for size, times in config["draws"].items()):
        began, draws = time.process_time(), []
        for draw in range(times):
            rng = np.random.default_rng([config["seed"], size, draw])
            shuffled = rng.permutation(everyone)
            drawn, rest = np.sort(shuffled[:size]), shuffled[size : size + config["most_judged"]]
            mine = np.isin(ids, drawn)
            own = of_members(taken, drawn, bins, values[mine], seed=draw)
            repeats = int((values[mine, NAMES.index("visits")] - 1).clip(0).sum())
            returns = sum(int(np.isfinite(w.days_to_next).sum()) for w in own.watched)
            step = choose_step(size, repeats, returns, span, horizon, len(own.families))
            learned = learn_curve(own, bins, step, span, TreeSettings(), seed=draw)
            judged = np.isin(ids, rest)
            view = make_view(ids[judged], values[judged], NAMES, bins, own.families)
            said = learned.parts.curves(view)
            curve = shift_level(blend(said, learned.weights, learned.lean), learned.level)
            if learned.parts.pooled is None:  # components that the rung leaves out are shown all the same
                parts = fit_components(
                    own.watched,
                    bins,
                    tree_columns(span),
                    TreeSettings(),
                    trees=True,
                    seed=draw,
                    direct=True,
                )
                said = parts.curves(view)
            ones = np.ones((1, int(judged.sum())))
            at = bins.at_horizon()
            draws.append(
                {
                    "rung": step.rung,
                    "weights": {name: round(weight, 3) for name, weight in learned.weights.items()},
                    "auc": {
                        name: round(float(auc(churned[judged], one[:, at])(ones)[0]), 5)
                        for name, one in {"curve": curve, **said}.items()
                    },
                }
            )
        found[str(size)] = summary(draws) | {"cpu_seconds": round(time.process_time() - began)}
        print(size, json.dumps({key: found[str(size)][key] for key in ("mean_auc", "curve_less_best")}), flush=True)
    return found


def summary(draws: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the draws; a component counts as single only where every draw could fit it."""
    names = [name for name in draws[0]["auc"] if all(name in draw["auc"] for draw in draws)]
    mean = {name: round(float(np.mean([draw["auc"][name] for draw in draws])), 5) for name in names}
    best = max((name for name in names if name != "curve"), key=lambda name: mean[name])
    gaps = [draw["auc"]["curve"] - draw["auc"][best] for draw in draws]
    return {
        "draws": len(draws),
        "rungs": sorted({draw["rung"] for draw in draws}),
        "mean_auc": mean,
        "best_component": best,
        "curve_less_best": round(mean["curve"] - mean[best], 5),
        "standard_error": round(float(np.std(gaps) / np.sqrt(len(gaps))), 5),
        "mean_weights": {
            name: round(float(np.mean([draw["weights"].get(name, 0.0) for draw in draws])), 3)
            for name in sorted({name for draw in draws for name in draw["weights"]})
        },
    }


SHOWN = {
    "curve": "curve",
    "bg_nbd": "BG/NBD",
    "mbg_nbd": "MBG/NBD",
    "pooled": "pooled",
    "trees": "trees",
    "direct": "direct",
}


def table(result: Mapping[str, Any]) -> str:
    """The means as Markdown."""
    heads = ["set", "members", "draws", "rung", *SHOWN.values(), "curve less the best single component"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name, one in result.items():
        for size, found in one["sizes"].items():
            mean = found["mean_auc"]
            cells = [
                f"{name} {one['as_of']}",
                f"{int(size):,}",
                str(found["draws"]),
                ", ".join(found["rungs"]),
                *(f"{mean[part]:.4f}" if part in mean else "–" for part in SHOWN),
                f"{found['curve_less_best']:+.4f} ± {found['standard_error']:.4f} ({found['best_component']})",
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(names: list[str]) -> int:
    data = Path(os.environ.get("HUITOU_DATA", "no-such-folder"))
    if not data.is_dir():
        print("HUITOU_DATA is unset: it must name the folder of the public data", file=sys.stderr)
        return 2
    config = tomllib.loads((HERE / "config.toml").read_text("utf-8"))
    path = HERE / "result.json"
    result = json.loads(path.read_text("utf-8")) if path.exists() else {}
    for name in names or list(config["sets"]):
        one = config["sets"][name]
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / name
            make(name, folder, data)
            history = build_history(open_tables(folder, threads=1))
            print(name, flush=True)
            result[name] = {
                **one,
                "sizes": judge(history, date.fromisoformat(one["as_of"]), one["horizon_days"], config),
            }
        path.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
        write_block(HERE / "README.md", table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
