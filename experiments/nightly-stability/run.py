"""Do tiers and reasons flap from night to night, and what do reasons cost? `HUITOU_DATA=… PYTHONPATH=. python experiments/nightly-stability/run.py`."""

import json
import os
import time
import tomllib
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.contract_folders.run import SETS
from features.history import History, build_history
from features.tables import tables_from_frames
from features.vectors import MemberVectors, build_vectors
from simulator.brand import simulate_brand
from training.curve_model import CurveModel, fit_curve_model
from training.reasons import CODES, top_groups
from training.scoring import Predictions, score
from training.tiers import assign_tiers
from training.value import fit_value_model

HERE = Path(__file__).parent


def history_of(brand: Mapping[str, Any], seed: int) -> History:
    """The brand's history."""
    if "data" in brand:
        frames, _ = SETS[brand["data"]].frames(Path(os.environ["HUITOU_DATA"]))
    else:
        frames = simulate_brand(brand["preset"], members=brand["members"], days=brand["days"], seed=seed)
    return build_history(tables_from_frames(frames))


def changed(before: pd.DataFrame, now: pd.DataFrame, column: str) -> float:
    """The share of members known on both nights whose value of a column is another."""
    both = before.merge(now, on="member_id", suffixes=("_before", "_now"))
    return float((both[f"{column}_before"] != both[f"{column}_now"]).mean())


def reasons_of(curve: CurveModel, history: History, night: date) -> pd.DataFrame:
    """What `explain` says of everybody on a night, with the loudest group told as `top` ("" where none speaks)."""
    explained = curve.explain(build_vectors(history, [night]))
    first = top_groups(explained, 1).set_index("member_id")["code"]
    return explained.assign(top=first.reindex(explained["member_id"]).fillna("").to_numpy())


def judge(brand: Mapping[str, Any], seed: int, nights: int, listed: float) -> dict[str, Any]:
    """Figures of one brand."""
    history, horizon = history_of(brand, seed), int(brand["horizon_days"])
    first = date.fromisoformat(brand["first_night"])
    curve = fit_curve_model(history, first, horizon, seed=seed)
    value = fit_value_model(history, first, horizon, curve_model=curve, seed=seed)
    flaps: list[float] = []
    bare: list[float] = []
    tiers: pd.DataFrame | None = None
    cut: pd.DataFrame | None = None
    took: list[float] = []
    told: Predictions | None = None
    for k in range(nights + 1):
        start = time.perf_counter()
        told = score(history, first + timedelta(days=k), horizon, curve=curve, value=value, tiers_before=tiers)
        took.append(time.perf_counter() - start)
        rows = told.frame[told.frame["kind"] == 0]
        fresh = assign_tiers(rows[["member_id", "expected_spend_yuan"]])
        if tiers is not None and cut is not None:
            flaps.append(changed(tiers, rows[["member_id", "tier"]], "tier"))
            bare.append(changed(cut, fresh, "tier"))
        tiers, cut = rows[["member_id", "tier"]], fresh
    assert told is not None
    one, two = (reasons_of(curve, history, first + timedelta(days=k)) for k in (0, 1))
    both = one.merge(two, on="member_id", suffixes=("_before", "_now"))
    # a member who bought on the day between has another story, and should
    calm = both[~both["member_id"].isin(bought_on(history, first))]
    gap = float(np.abs(one["base"] + one[list(CODES)].sum(axis=1) - one["score"]).max())
    vectors = build_vectors(history, [first])
    some = np.random.default_rng(seed).permutation(len(vectors.frame))[: round(listed * len(vectors.frame))]
    part = MemberVectors(vectors.frame.iloc[np.sort(some)].reset_index(drop=True), vectors.columns)
    return {
        "members": len(vectors.frame),
        "nights": nights,
        "tier_changes_a_night": {"mean": float(np.mean(flaps)), "most": float(np.max(flaps)), "each": flaps},
        "without_hysteresis": {"mean": float(np.mean(bare)), "most": float(np.max(bare))},
        "top_group_same": float((both["top_before"] == both["top_now"]).mean()),
        "top_group_same_without_a_purchase": float((calm["top_before"] == calm["top_now"]).mean()),
        "largest_gap_of_sum": gap,
        "seconds": {
            "score_a_night": float(np.median(took)),
            "reasons_of_listed": best_of(3, lambda: curve.explain(part)),
            "reasons_of_everybody": best_of(1, lambda: curve.explain(vectors)),
        },
        "listed": len(part.frame),
    }


def bought_on(history: History, day: date) -> set[str]:
    """Members with a kept purchase on a day."""
    visits = history.visit_frame()
    return set(visits.loc[visits["day"] == np.datetime64(day), "member_id"])


def best_of(times: int, work: Callable[[], object]) -> float:
    """Seconds of the fastest run."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


def main() -> None:
    """Judge every brand of the configuration and write result.json."""
    config = tomllib.loads((HERE / "config.toml").read_text("utf-8"))
    results: dict[str, Any] = {}
    for brand in config["brand"]:
        name = brand.get("data") or brand["preset"]
        results[name] = judge(brand, config["seed"], config["nights"], config["listed"])
        print(name, json.dumps(results[name]), flush=True)
        (HERE / "result.json").write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
