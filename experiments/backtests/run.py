"""Judge the whole product on public data: `python -m experiments.backtests.run [NAME …]`, names as in config.toml.

Makes the contract folder in a temporary place, calls the same backtest as `huitou backtest`, keeps its figures in
result.json beside this file and prints them into README.md. The data are found through HUITOU_DATA.
"""

import json
import os
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import huitou
from experiments.contract_folders.run import make
from features.history import build_history
from features.tables import open_tables
from training.backtest import backtest

HERE = Path(__file__).parent
METRICS = {
    "churn": ("auc", "log_loss", "brier", "ece", "bias", "top10_revenue_share"),
    "timing": ("c_index", "ibs", "median_abs_error_days", "coverage_80", "width_80_days"),
    "value": ("spearman", "mae", "coverage_80"),
    "items": ("recall@10", "ndcg@10", "phr@10"),
}


def judge(name: str, settings: Mapping[str, Any], seed: int, data: Path) -> dict[str, Any]:
    """The report of one run, without what only a page needs."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / settings["data"]
        rows = make(settings["data"], folder, data)
        history = build_history(open_tables(folder))
        days = [date.fromisoformat(day) for day in settings["as_of"]]
        last = [""]

        def tell(message: str, done: float) -> None:
            if message != last[0]:
                last[0] = message
                print(f"{name} {100 * done:3.0f} % {message}", file=sys.stderr)

        report = backtest(history, days, settings["horizon_days"], tasks=settings["tasks"], seed=seed, progress=tell)
    kept = {key: value for key, value in report.items() if key != "tasks"}
    cards = report["tasks"].get("churn", {}).get("model_card", {})
    kept["calibration"] = {day: card.get("calibration") for day, card in cards.items()}
    kept |= {"rows_of_the_data": rows, "huitou": huitou.__version__, "tasks": {}}
    for task, block in report["tasks"].items():
        parts = block if task == "items" else {task: block}
        for part, one in parts.items():
            kept["tasks"][f"items, {part}" if task == "items" else part] = _figures(one)
    return kept


def _figures(block: Mapping[str, Any]) -> dict[str, Any]:
    figures = {name: block[name] for name in ("model", "baselines", "paired")}
    slices = block.get("slices") or {}
    figures["slices"] = {
        name: one and {"model": one["model"], "rows": one.get("rows")} for name, one in slices.items()
    }
    per_cutoff = block.get("per_cutoff") or {}
    figures["per_cutoff"] = {
        day: {"model": one["model"], "baselines": one["baselines"], "paired": _best(one), "rows": one["rows"]}
        for day, one in per_cutoff.items()
    }
    return figures


def _best(block: Mapping[str, Any]) -> Any:
    """The differences from the best peer of each metric."""
    return block["paired"] and {"best": block["paired"].get("best")}


def tables(result: Mapping[str, Any]) -> str:
    """The figures as Markdown: each run and task a table, methods down, metrics across."""
    out = []
    for name, report in result.items():
        days = ", ".join(report["cutoffs"])
        out.append(f"### {name}: as of {days}, {report['horizon_days']} days, {report['members']:,} members\n")
        for task, block in report["tasks"].items():
            metrics = METRICS[task.split(",")[0]]
            out.append(f"| {task} | " + " | ".join(metrics) + " |")
            out.append("|---" * (len(metrics) + 1) + "|")
            for method, figures in {"**Huitou**": block["model"], **block["baselines"]}.items():
                if figures:
                    out.append(f"| {method} | " + " | ".join(_cell(figures.get(metric)) for metric in metrics) + " |")
            best = (block["paired"] or {}).get("best") or {}
            cells = [_difference(best.get(metric)) for metric in metrics]
            out.append("| *Huitou less the best of the others* | " + " | ".join(cells) + " |\n")
    return "\n".join(out)


def _cell(one: Any) -> str:
    if not one or one.get("value") is None:
        return "–"
    return f"{one['value']:.4f}" if abs(one["value"]) < 2 else f"{one['value']:,.1f}"


def _difference(one: Any) -> str:
    if not one or one.get("low") is None:
        return "–"
    digits = 4 if abs(one["value"]) < 2 and abs(one["high"]) < 2 else 1
    return (
        f"{one['value']:+.{digits}f} [{one['low']:+.{digits}f}, {one['high']:+.{digits}f}] {one.get('baseline', '')}"
    )


def main(names: list[str]) -> int:
    """Run what is named, or everything; update result.json and README.md after each."""
    data = Path(os.environ.get("HUITOU_DATA", "no-such-folder"))
    if not data.is_dir():
        print("HUITOU_DATA is unset: it must name the folder of the public data", file=sys.stderr)
        return 2
    config = tomllib.loads((HERE / "config.toml").read_text("utf-8"))
    seed = config.pop("seed")
    unknown = [name for name in names if name not in config]
    if unknown:
        print(f"unknown runs {unknown}; known: {list(config)}", file=sys.stderr)
        return 2
    path = HERE / "result.json"
    result = json.loads(path.read_text("utf-8")) if path.exists() else {}
    for name in names or config:
        result[name] = judge(name, config[name], seed, data)
        ordered = {run: result[run] for run in config if run in result}
        path.write_text(json.dumps(ordered, indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
        readme = HERE / "README.md"
        head = readme.read_text("utf-8").split("<!-- figures -->")[0]
        readme.write_text(f"{head}<!-- figures -->\n\n{tables(ordered)}", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
