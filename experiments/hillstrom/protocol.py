"""What both environments share: the data, the halves and the measure.  Only numpy, pandas and scikit-learn."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

HERE = Path(__file__).parent
CONFIG = json.loads((HERE / "config.json").read_text())
TREES = {
    "n_estimators": 80, "learning_rate": 0.05, "num_leaves": 8, "min_child_samples": 200, "subsample": 0.8,
    "subsample_freq": 1, "colsample_bytree": 0.8, "reg_lambda": 5, "n_jobs": 1, "verbose": -1, "random_state": 0,
}  # fmt: skip


def load() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(features, visit, treated) of the arm and its control."""
    d = pd.read_parquet(Path(os.environ["HUITOU_DATA"]) / "hillstrom" / "hillstrom.parquet")
    d = d[d["segment"].isin([CONFIG["arm"], "No E-Mail"])].reset_index(drop=True)
    x = pd.DataFrame({"recency": d["recency"], "log_history": np.log(d["history"]), "mens": d["mens"],
                      "womens": d["womens"], "newbie": d["newbie"], "both": d["mens"] * d["womens"]})  # fmt: skip
    for column in ("zip_code", "channel"):
        for value in sorted(d[column].unique()):
            x[f"{column}_{value}"] = d[column] == value
    return x.to_numpy(float), d[CONFIG["target"]].to_numpy(float), (d["segment"] != "No E-Mail").to_numpy()


def qini(score: np.ndarray, y: np.ndarray, t: np.ndarray) -> float:
    order = np.argsort(-score, kind="stable")
    y, t = y[order], t[order].astype(float)
    treated, others = np.cumsum(t), np.cumsum(1 - t)
    answered, anyway = np.cumsum(y * t), np.cumsum(y * (1 - t))
    curve = answered - np.where(others > 0, anyway * treated / np.maximum(others, 1), 0)
    return float((curve.mean() - curve[-1] / 2) / treated[-1] * 1000)


def halves(y: np.ndarray, t: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
    """(seed, train rows, test rows, jitter that breaks ties of a score) of each split."""
    for seed in range(CONFIG["splits"]):
        a, b = train_test_split(np.arange(len(y)), test_size=0.5, stratify=2 * y + t, random_state=seed)
        yield seed, a, b, 1e-9 * np.random.default_rng(seed).random(len(b))


def fingerprint(rows: np.ndarray) -> str:
    """Tells that two environments cut the same half."""
    return hashlib.sha256(rows.astype(np.int64).tobytes()).hexdigest()[:16]
