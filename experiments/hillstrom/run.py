"""Which learner orders people best by what an e-mail changes?  Hillstrom, women's e-mail against none, visits.

Needs HUITOU_DATA.  Twenty half splits, seeds 0-19, stratified by arm and outcome; writes result.json beside itself.
Qini = mean over depth of (added visits above the random diagonal) per 1,000 treated in the test half.  The figures of
other libraries' learners come from libraries.json, which libraries.py writes in an environment of its own.
"""

import json
from collections.abc import Callable
from typing import Any

import lightgbm as lgb
import numpy as np
from protocol import CONFIG, HERE, TREES, fingerprint, halves, load, qini
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from outreach.effect_model import corrected, doubly_robust, fit_logit, logistic

Learner = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


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
    """The product's effect model: its doubly robust score, then its correction of a prior response.

    There is no cold score of a contact here; the prior is what moving everybody's odds alike would bring, μ₀(1 − μ₀).
    """
    scale = StandardScaler().fit(x)
    a, b = scale.transform(x), scale.transform(new)
    e = np.full(len(y), t.mean())
    psi, variance = doubly_robust(a, y, t, e, np.arange(len(y)), 0, np.ones(len(y)))

    def columns(z: np.ndarray) -> np.ndarray:
        return np.column_stack([z, z**2, np.ones(len(z))])

    anyway = fit_logit(columns(a)[~t], y[~t], np.ones(int((~t).sum())), 2 * a.shape[1])
    on, off = (logistic(columns(z) @ anyway) for z in (a, b))
    weights, _ = corrected(on * (1 - on), a, psi, 1 / variance, np.zeros(a.shape[1], dtype=np.int64))
    return np.asarray(off * (1 - off) * (weights[0] + b @ weights[1:]))


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


def main() -> None:
    x, y, t = load()
    found: dict[str, list[float]] = {name: [] for name in LEARNERS}
    cut = []
    for _, a, b, jitter in halves(y, t):
        cut.append(fingerprint(b))
        for name, learn in LEARNERS.items():
            found[name].append(qini(learn(x[a], y[a], t[a], x[b]) + jitter, y[b], t[b]))
    other = json.loads((HERE / "libraries.json").read_text())
    if other["test_halves"] != cut:
        raise SystemExit("libraries.json was made on other halves; run libraries.py again (README.md)")
    singles = {name: found[name] for name in SINGLE_TREES} | {
        name: values for name, values in other["each_split"].items() if name not in other["linear"]
    }
    best = max(singles, key=lambda name: float(np.mean(singles[name])))

    def wins(name: str, over: list[float]) -> int:
        return int(sum(p > q for p, q in zip(found[name], over, strict=True)))

    result = {
        "rows": len(y),
        "splits": CONFIG["splits"],
        "qini": {
            n: {"mean": round(float(np.mean(v)), 3), "sd": round(float(np.std(v, ddof=1)), 3)}
            for n, v in {**found, **other["each_split"]}.items()
        },
        "versions_of_libraries": other["versions"],
        "best_single_tree_learner": best,
        "paired_wins_over_it": {n: wins(n, singles[best]) for n in LINEAR},
        "paired_wins_over_propensity": {n: wins(n, found["propensity_lightgbm"]) for n in LINEAR},
        "each_split": {n: [round(v, 3) for v in values] for n, values in found.items()},
    }
    (HERE / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({k: v for k, v in result.items() if k != "each_split"}))


if __name__ == "__main__":
    main()
