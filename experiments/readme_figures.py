"""The experiments' result.json files in, the figures of the README out: `python -m experiments.readme_figures`.

Prints the block that stands between the two `figures` marks of README.md; a test holds the README against it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BEGIN, END = "<!-- figures: python -m experiments.readme_figures -->", "<!-- end of figures -->"

# Run of experiments/backtests, task within its report, metric, how it is called.
BACKTESTS = (
    ("churn", "auc", "who stays away, AUC"),
    ("churn", "log_loss", "who stays away, log loss"),
    ("timing", "c_index", "when they return, C-index"),
    ("items, mixed", "recall@10", "what they buy, recall@10"),
    ("value", "spearman", "what they spend, rank correlation"),
)
TITLES = {
    "first_line": "Online Retail II, 90 days from 2011-03-01",
    "cdnow_180": "CDNOW, 180 days from 1998-01-01",
    "cdnow_90": "CDNOW, 90 days, two cut-offs",
    "tafeng_last_basket": "Ta-Feng, last basket",
    "ta_feng": "Ta-Feng, last basket",
    "tafeng": "Ta-Feng, last basket",
    "online_retail_ii": "Online Retail II, three cut-offs",
    "online_retail_ii_winter": "Online Retail II, two winter cut-offs",
}


def figures() -> str:
    """Markdown: each run's figures beside the best plain method, with the paired interval."""
    results = json.loads((HERE / "backtests/result.json").read_text(encoding="utf-8"))
    lines = [
        "| data | question | Huitou | best plain method | difference, 95 % interval |",
        "|---|---|---|---|---|",
    ]
    for run, report in results.items():
        for task, metric, name in BACKTESTS:
            row = _row(report["tasks"], task, metric)
            if row:
                lines.append(f"| {TITLES.get(run, run)} | {name} | {row} |")
    return "\n".join(lines)


def _row(tasks: Mapping[str, Any], task: str, metric: str) -> str | None:
    block = tasks.get(task)
    if not block or not block.get("model") or metric not in block["model"]:
        return None
    best = (block["paired"].get("best") or {}).get(metric)
    value = block["model"][metric]["value"]
    if value is None or not best or best.get("value") is None:
        return None
    peer = best.get("baseline") or best.get("name") or best.get("against")
    plain = block["baselines"][peer][metric]["value"] if peer else value - best["value"]
    return f"{value:.4f} | {plain:.4f} {f'({peer})' if peer else ''} | {best['value']:+.4f} [{best['low']:+.4f}, {best['high']:+.4f}]"


def block() -> str:
    return f"{BEGIN}\n{figures()}\n{END}"


if __name__ == "__main__":
    print(block())
