"""Which learner orders people best by what an e-mail changes?  Hillstrom, women's e-mail against none, visits.

Needs HUITOU_DATA.  Twenty half splits, seeds 0-19, stratified by arm and outcome; writes result.json beside itself.
Qini = mean over depth of (added visits above the random diagonal) per 1,000 treated in the test half.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from outreach.uplift import doubly_robust

HERE = Path(__file__).parent
CONFIG = json.loads((HERE / "config.json").read_text())
TREES = {
    "n_estimators": 80, "learning_rate": 0.05, "num_leaves": 8, "min_child_samples": 200, "subsample": 0.8,
    "subsample_freq": 1, "colsample_bytree": 0.8, "reg_lambda": 5, "n_jobs": 1, "verbose": -1, "random_state": 0,
}  # fmt: skip
Learner = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


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


def logit(x: np.ndarray, y: np.ndarray) -> LogisticRegression:
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=500)).fit(x, y)


def trees(x: np.ndarray, y: np.ndarray) -> lgb.LGBMClassifier:
    return lgb.LGBMClassifier(**TREES).fit(x, y)


def p(model: Any, x: np.ndarray) -> np.ndarray:
    return np.asarray(model.predict_proba(x)[:, 1])


def two_models(fit: Callable[..., object]) -> Learner:
    return lambda x, y, t, new: p(fit(x[t], y[t]), new) - p(fit(x[~t], y[~t]), new)


def one_model(fit: Callable[..., object], interactions: bool) -> Learner:
    def join(x: np.ndarray, t: np.ndarray) -> np.ndarray:
        return np.column_stack([x, t, x * t[:, None]]) if interactions else np.column_stack([x, t])

    def learn(x: np.ndarray, y: np.ndarray, t: np.ndarray, new: np.ndarray) -> np.ndarray:
        model, ones = fit(join(x, t.astype(float)), y), np.ones(len(new))
        return p(model, join(new, ones)) - p(model, join(new, 0 * ones))

    return learn


def x_trees(x: np.ndarray, y: np.ndarray, t: np.ndarray, new: np.ndarray) -> np.ndarray:
    e = t.mean()
    gained = y[t] - p(trees(x[~t], y[~t]), x[t])
    missed = p(trees(x[t], y[t]), x[~t]) - y[~t]
    on, off = (lgb.LGBMRegressor(**TREES).fit(*pair) for pair in ((x[t], gained), (x[~t], missed)))
    return np.asarray((1 - e) * on.predict(new) + e * off.predict(new))


def ours(x: np.ndarray, y: np.ndarray, t: np.ndarray, new: np.ndarray) -> np.ndarray:
    """The product's doubly robust score with a linear final; the ridge by generalised cross-validation."""
    from sklearn.linear_model import RidgeCV

    scale = StandardScaler().fit(x)
    e = np.full(len(y), t.mean())
    psi = doubly_robust(scale.transform(x), y, t, e, np.arange(len(y)), 0, np.ones(len(y)))
    return np.asarray(RidgeCV(np.logspace(0, 5, 11)).fit(scale.transform(x), psi).predict(scale.transform(new)))


LEARNERS: dict[str, Learner] = {
    "two_logits": two_models(logit),
    "one_logit_interactions": one_model(logit, True),
    "doubly_robust_linear": ours,
    "one_lightgbm": one_model(trees, False),
    "two_lightgbm": two_models(trees),
    "x_lightgbm": x_trees,
    "propensity_lightgbm": lambda x, y, t, new: p(trees(x, y), new),
}
LINEAR = ("two_logits", "one_logit_interactions", "doubly_robust_linear")
SINGLE_TREES = ("one_lightgbm", "two_lightgbm", "x_lightgbm")


def qini(score: np.ndarray, y: np.ndarray, t: np.ndarray) -> float:
    order = np.argsort(-score, kind="stable")
    y, t = y[order], t[order].astype(float)
    treated, others = np.cumsum(t), np.cumsum(1 - t)
    answered, anyway = np.cumsum(y * t), np.cumsum(y * (1 - t))
    curve = answered - np.where(others > 0, anyway * treated / np.maximum(others, 1), 0)
    return float((curve.mean() - curve[-1] / 2) / treated[-1] * 1000)


def main() -> None:
    x, y, t = load()
    found: dict[str, list[float]] = {name: [] for name in LEARNERS}
    for seed in range(CONFIG["splits"]):
        a, b = train_test_split(np.arange(len(y)), test_size=0.5, stratify=2 * y + t, random_state=seed)
        jitter = 1e-9 * np.random.default_rng(seed).random(len(b))
        for name, learn in LEARNERS.items():
            found[name].append(qini(learn(x[a], y[a], t[a], x[b]) + jitter, y[b], t[b]))
    best = max(SINGLE_TREES, key=lambda name: float(np.mean(found[name])))
    result = {
        "rows": len(y),
        "splits": CONFIG["splits"],
        "qini": {
            n: {"mean": round(float(np.mean(v)), 3), "sd": round(float(np.std(v, ddof=1)), 3)}
            for n, v in found.items()
        },
        "best_single_tree_learner": best,
        "paired_wins_over_it": {
            n: int(sum(p > q for p, q in zip(found[n], found[best], strict=True))) for n in LINEAR
        },
        "paired_wins_over_propensity": {
            n: int(sum(p > q for p, q in zip(found[n], found["propensity_lightgbm"], strict=True))) for n in LINEAR
        },
        "each_split": {n: [round(v, 3) for v in values] for n, values in found.items()},
    }
    (HERE / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({k: v for k, v in result.items() if k != "each_split"}))


if __name__ == "__main__":
    main()
