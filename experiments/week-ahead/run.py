"""Who buys within the week anyway: which of three answers should the contact lists read?

HUITOU_DATA=… python experiments/week-ahead/run.py
"""

import json
import os
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from experiments.contract_folders.run import make
from experiments.item_lists.run import preset_history
from experiments.readme_block import write_block
from features.baskets import build_baskets
from features.history import History, build_history
from features.tables import open_tables
from features.vectors import build_vectors
from outreach.rhythm import Outlook, fit_rhythm
from outreach.rhythm_filter import RhythmFilter
from outreach.score import buys_anyway_from_churn
from training.curve_model import fit_curve_model
from training.labels import label_outcomes
from training.metrics import auc, log_loss

HERE = Path(__file__).parent
CONFIG = tomllib.loads((HERE / "config.toml").read_text("utf-8"))
WINDOW = CONFIG["window_days"]
ANSWERS = {"constant": "constant hazard from S(H)", "curve": "the curve, 1 − S(7)", "chain": "hidden Markov chain"}


def histories() -> Iterator[tuple[str, History, date, int]]:
    """Name, history, cut-off and horizon of every case."""
    data = Path(os.environ["HUITOU_DATA"])
    for name, cases in CONFIG["public"].items():
        folder = Path(tempfile.mkdtemp()) / name
        make(name, folder, data)
        history = build_history(open_tables(folder))
        for day, horizon in cases:
            yield f"{name} {day}", history, date.fromisoformat(day), horizon
    for preset, (members, days, horizon) in CONFIG["simulated"].items():
        history, _ = preset_history(preset, members, days, CONFIG["seed"])
        yield f"{preset}, simulated", history, history.coverage_end - timedelta(days=horizon - 1), horizon


def outlook_of(history: History, as_of: date, members: np.ndarray) -> Outlook:
    """What the rhythm of the judge's policies says of the members, from their days of purchase."""
    baskets = build_baskets(history, as_of)
    place = np.searchsorted(members, baskets.member_ids.astype(str))
    place = np.where(members[np.minimum(place, len(members) - 1)] == baskets.member_ids.astype(str), place, -1)
    rows = baskets.rows.assign(member=place[baskets.rows["member"]])
    rows = rows[rows["member"] >= 0].drop_duplicates(["member", "day"]).sort_values(["member", "day"])
    day = (rows["day"].to_numpy("datetime64[D]") - np.datetime64(as_of)).astype(np.int64)
    member, n = rows["member"].to_numpy(np.int64), len(members)
    again = np.r_[False, member[1:] == member[:-1]]
    gap = np.where(again, day - np.r_[0, day[:-1]], 1)
    visits = np.bincount(member, minlength=n)
    first, last = np.zeros(n, np.int64), np.full(n, np.iinfo(np.int64).min)
    np.minimum.at(first, member, day)
    np.maximum.at(last, member, day)
    seen = visits > 0
    rhythm = fit_rhythm(
        (visits - 1.0)[seen],
        (last - first)[seen].astype(float),
        np.bincount(member, weights=np.log(gap), minlength=n)[seen],
        -last[seen].astype(float),
        np.zeros(int(seen.sum())),
    )
    followed = RhythmFilter(rhythm, -(as_of - history.coverage_start).days, n)
    followed.history(day, member)
    return followed.outlook(0, WINDOW, stake_days=120.0, stake_max=20.0)


def judged(history: History, as_of: date, horizon: int) -> dict[str, Any]:
    """Log loss and AUC of a purchase within the window by each answer, and AUC of none within the horizon."""
    vectors = build_vectors(history, [as_of])
    members = vectors.members.astype(str)
    curves = fit_curve_model(history, as_of, horizon, max_days=horizon, seed=0).predict(vectors)
    outlook = outlook_of(history, as_of, members)
    outcomes = label_outcomes(history, vectors, [as_of], horizon).frame
    days = np.where(outcomes["observed"], outcomes["days_to_next"], np.inf)
    soon, stays_away, ones = days <= WINDOW, days > horizon, np.ones((1, len(days)))
    said = {
        "constant": buys_anyway_from_churn(curves.at(horizon), horizon, WINDOW),
        "curve": 1.0 - curves.at(WINDOW),
        "chain": outlook.buys_soon,
    }
    return {
        "members": len(days),
        "bought": round(float(soon.mean()), 4),
        "log_loss": {name: round(float(log_loss(soon, chance)(ones)[0]), 4) for name, chance in said.items()},
        "auc": {name: round(float(auc(soon, chance)(ones)[0]), 4) for name, chance in said.items()},
        "auc_of_staying_away": {
            "curve": round(float(auc(stays_away, curves.at(horizon))(ones)[0]), 4),
            "chain": round(float(auc(stays_away, -outlook.visits_90d)(ones)[0]), 4),
        },
    }


def table(result: dict[str, Any]) -> str:
    """The figures as Markdown."""
    heads = [f"{told}: log loss, AUC" for told in ANSWERS.values()]
    lines = [
        "| brand and day | members | bought within 7 days | "
        + " | ".join(heads)
        + " | AUC of staying away for H: curve, chain |",
        "|---" * (4 + len(heads)) + "|",
    ]
    for name, one in result.items():
        pairs = [f"{one['log_loss'][answer]:.4f}, {one['auc'][answer]:.4f}" for answer in ANSWERS]
        away = ", ".join(f"{value:.4f}" for value in one["auc_of_staying_away"].values())
        lines.append(f"| {name} | {one['members']:,} | {one['bought']:.4f} | {' | '.join(pairs)} | {away} |")
    return "\n".join(lines)


def main() -> int:
    if not Path(os.environ.get("HUITOU_DATA", "no-such-folder")).is_dir():
        print("HUITOU_DATA is unset: it must name the folder of the public data", file=sys.stderr)
        return 2
    result = {}
    for name, history, as_of, horizon in histories():
        result[name] = judged(history, as_of, horizon)
        print(name, json.dumps(result[name]), flush=True)
    (HERE / "result.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    write_block(HERE / "README.md", table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
