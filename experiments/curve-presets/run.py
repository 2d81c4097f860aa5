"""Is the curve ever worse than its best component, or than a LightGBM classifier made for the horizon, on other brands?

python experiments/curve-presets/run.py [BRAND …]

Simulates each brand of config.toml, fits the curve zero-config on what was known one horizon before the end of the log,
and judges it, its components and the plain peers on the days after, at the horizon H and at H/3. The classifier at H/3
is trained for H/3 alone.
"""

import dataclasses
import json
import sys
import tempfile
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from experiments.readme_block import write_block
from features.history import build_history
from features.tables import open_tables, write_tables
from features.vectors import build_vectors
from simulator.brand import DEFAULT_END, simulate_brand
from simulator.preset import load_preset
from training.curve_model import fit_curve_model
from training.curves import resample
from training.labels import label_outcomes
from training.metrics import auc, log_loss
from training.peers.curves import fit_curve_peers
from training.timing import next_purchase
from training.views import make_view

HERE = Path(__file__).parent
PEERS = ("bg_nbd", "mbg_nbd", "logistic_rfm", "lightgbm_one_cutoff")
TABLES = ("members", "orders", "order_lines", "items", "stores")


def brand(settings: dict[str, Any], members: int, seed: int, folder: Path) -> None:
    """The contract folder of one simulated brand."""
    preset = load_preset(settings["preset"])
    if "clock" in settings:
        preset = dataclasses.replace(preset, clock=dataclasses.replace(preset.clock, **settings["clock"]))
    frames = simulate_brand(preset, members=members, days=settings["log_days"], seed=seed)
    start = DEFAULT_END - timedelta(days=settings["log_days"] - 1)
    span = {"coverage_start": start.isoformat(), "coverage_end": DEFAULT_END.isoformat()}
    write_tables({name: frames[name] for name in TABLES}, folder, manifest={"brand_id": "simulated", **span})


def judge(settings: dict[str, Any], members: int, seed: int, judge_seed: int) -> dict[str, Any]:
    """AUC and log loss at H and H/3 of the curve, its components and the peers, and the window's coverage."""
    horizon = int(settings["horizon_days"])
    third = max(1, horizon // 3)
    as_of = DEFAULT_END - timedelta(days=horizon - 1)
    with tempfile.TemporaryDirectory() as scratch:
        brand(settings, members, seed, Path(scratch))
        history = build_history(open_tables(Path(scratch), threads=1))
        vectors = build_vectors(history, [as_of])
        outcomes = label_outcomes(history, vectors, [as_of], horizon).frame
        model = fit_curve_model(history, as_of, horizon, max_days=horizon, seed=judge_seed)
        peers, _ = fit_curve_peers(history, vectors, as_of, horizon, seed=judge_seed)
        early, _ = fit_curve_peers(history, vectors, as_of, third, seed=judge_seed)
    days = np.where(outcomes["observed"], outcomes["days_to_next"], np.inf).astype(float)
    curves = model.predict(vectors)
    said = {"curve": (curves.at(horizon), curves.at(third))}
    view = make_view(
        vectors.members.astype(str), vectors.matrix(), [c.name for c in vectors.columns], model.bins, model.families
    )
    for name, curve in model.parts.curves(view).items():
        at = resample(model.bins.edges, curve, np.array([third, horizon]))
        said[f"component {name}"] = (at[:, 1], at[:, 0])
    for name in PEERS:
        whole, part = peers[name], early[name]
        if whole is not None and part is not None:
            rows = slice(0, len(days))
            said[f"peer {name}"] = (
                whole.predict(vectors).curves(rows)[:, horizon],
                part.predict(vectors).curves(rows)[:, third],
            )
    ones = np.ones((1, len(days)))
    figures: dict[str, Any] = {}
    for name, (late, soon) in said.items():
        gone, gone_soon = days > horizon, days > third
        figures[name] = {
            "auc": float(auc(gone, late)(ones)[0]),
            "log_loss": float(log_loss(gone, late)(ones)[0]),
            "auc_third": float(auc(gone_soon, soon)(ones)[0]),
            "log_loss_third": float(log_loss(gone_soon, soon)(ones)[0]),
        }
    told = next_purchase(curves, max_days=horizon, min_return=0.0)
    inside = (days >= told["low_days"]) & (days <= told["high_days"])
    back = np.isfinite(days)
    visits = vectors.frame["visits"].to_numpy()
    groups = {"all": back, "n=2-4": back & (visits >= 2) & (visits <= 4), "n>=5": back & (visits >= 5)}
    return {
        "buyers": len(days),
        "churn": float((days > horizon).mean()),
        "rung": model.rung,
        "weights": {name: round(weight, 3) for name, weight in model.weights.items()},
        "bias": float(curves.at(horizon).mean() - (days > horizon).mean()),
        "figures": {name: {key: round(v, 4) for key, v in one.items()} for name, one in figures.items()},
        "coverage_80": {name: [int(rows.sum()), int(inside[rows].sum())] for name, rows in groups.items()},
    }


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over a brand's runs. Positive AUC and negative log loss differences speak for the curve."""
    keys = ("auc", "log_loss", "auc_third", "log_loss_third")

    def less(name: str) -> dict[str, float] | None:
        if not all(name in run["figures"] for run in runs):
            return None
        return {
            key: round(float(np.mean([r["figures"]["curve"][key] - r["figures"][name][key] for r in runs])), 4)
            for key in keys
        }

    components = [name for name in runs[0]["figures"] if name.startswith("component ")]
    components = [name for name in components if all(name in run["figures"] for run in runs)]
    differences = {name: less(name) for name in components}
    hardest: dict[str, Any] = {}
    for key in keys:  # the component that is best over the runs, metric by metric
        worst = (min if key.startswith("auc") else max)(components, key=lambda name: differences[name][key])
        hardest[key] = [differences[worst][key], worst.removeprefix("component ")]
    covered = {
        name: [sum(run["coverage_80"][name][k] for run in runs) for k in (0, 1)] for name in runs[0]["coverage_80"]
    }
    return {
        "runs": len(runs),
        "curve": {key: round(float(np.mean([run["figures"]["curve"][key] for run in runs])), 4) for key in keys},
        "less_best_component": hardest,
        **{f"less_{name}": less(f"peer {name}") for name in PEERS},
        "coverage_80": {name: round(inside / back, 3) for name, (back, inside) in covered.items() if back},
        "bias": round(float(np.mean([run["bias"] for run in runs])), 4),
    }


def table(result: dict[str, Any]) -> str:
    """The means as Markdown."""
    lines = [
        "| brand | AUC, log loss | at H/3 | less the best component | at H/3 | less LightGBM for H | less LightGBM for H/3 "
        "| coverage, n = 2–4, n ≥ 5 | bias |",
        "|---" * 9 + "|",
    ]
    for name, block in result.items():
        one, best, peer = (
            block["mean"],
            block["mean"]["less_best_component"],
            block["mean"]["less_lightgbm_one_cutoff"],
        )
        gap = {key: f"{best[key][0]:+.4f} ({best[key][1]})" for key in best}
        rival = {key: f"{peer[key]:+.4f}" for key in peer} if peer else dict.fromkeys(best, "–")
        cells = [
            name.replace("_", " "),
            f"{one['curve']['auc']:.4f}, {one['curve']['log_loss']:.4f}",
            f"{one['curve']['auc_third']:.4f}, {one['curve']['log_loss_third']:.4f}",
            f"{gap['auc']}, {gap['log_loss']}",
            f"{gap['auc_third']}, {gap['log_loss_third']}",
            f"{rival['auc']}, {rival['log_loss']}",
            f"{rival['auc_third']}, {rival['log_loss_third']}",
            ", ".join(f"{share:.3f}" for share in one["coverage_80"].values()),
            f"{one['bias']:+.3f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(names: list[str]) -> int:
    config = tomllib.loads((HERE / "config.toml").read_text("utf-8"))
    path = HERE / "result.json"
    result = json.loads(path.read_text("utf-8")) if path.exists() else {}
    for name in names or list(config["brands"]):
        runs = []
        for size, seeds in config["seeds"].items():
            for seed in seeds:
                run = judge(config["brands"][name], int(size), seed, config["judge_seed"])
                runs.append({"members": int(size), "seed": seed, **run})
        result[name] = {"mean": summary(runs), "runs": runs}
        print(name, json.dumps(result[name]["mean"]), flush=True)
        path.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
        write_block(HERE / "README.md", table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
