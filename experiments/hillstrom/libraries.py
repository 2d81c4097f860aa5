"""The uplift learners of scikit-uplift and causalml on the same halves; writes libraries.json beside itself.

Runs in this folder's own locked environment:  HUITOU_DATA=… uv run --locked --project . python libraries.py
"""

import json
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import version

import lightgbm as lgb
import numpy as np
from protocol import HERE, TREES, fingerprint, halves, load, qini

warnings.filterwarnings("ignore")
Learner = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
FOREST = {"n_estimators": 20, "max_depth": 5, "min_samples_leaf": 200, "min_samples_treatment": 50, "n_reg": 100}


def classifier() -> lgb.LGBMClassifier:
    return lgb.LGBMClassifier(**TREES)


def regressor() -> lgb.LGBMRegressor:
    return lgb.LGBMRegressor(**TREES)


def sklift(model_of: Callable[[], object]) -> Learner:
    def learn(x: np.ndarray, y: np.ndarray, t: np.ndarray, new: np.ndarray) -> np.ndarray:
        return np.asarray(model_of().fit(x, y, t.astype(int)).predict(new))

    return learn


def meta(model_of: Callable[[], object], *, with_p: bool) -> Learner:
    def learn(x: np.ndarray, y: np.ndarray, t: np.ndarray, new: np.ndarray) -> np.ndarray:
        known = {"p": np.full(len(y), t.mean())} if with_p else {}
        model = model_of()
        model.fit(x, t.astype(int), y, **known)
        later = {"p": np.full(len(new), t.mean())} if with_p else {}
        return np.asarray(model.predict(new, **later)).ravel()

    return learn


def forest(criterion: str, trees: int | None) -> Learner:
    def learn(x: np.ndarray, y: np.ndarray, t: np.ndarray, new: np.ndarray) -> np.ndarray:
        from causalml.inference.tree import UpliftRandomForestClassifier, UpliftTreeClassifier

        kind = {"control_name": "control", "evaluationFunction": criterion}
        options = dict(FOREST)
        arm = np.where(t, "treatment", "control")
        if trees is None:
            options.pop("n_estimators")
            model = UpliftTreeClassifier(**options, **kind)
            model.fit(x, arm, y.astype(int))
            found = np.asarray(model.predict(new))
            return found[:, 1] - found[:, 0]
        model = UpliftRandomForestClassifier(**(options | {"n_estimators": trees}), **kind, n_jobs=1, random_state=0)
        model.fit(x, arm, y.astype(int))
        return np.asarray(model.predict(new)).ravel()

    return learn


def learners() -> dict[str, Learner]:
    from causalml.inference.meta import (
        BaseDRRegressor,
        BaseRRegressor,
        BaseSRegressor,
        BaseTRegressor,
        BaseXRegressor,
    )
    from sklift.models import ClassTransformation, SoloModel, TwoModels

    return {
        "sklift_solo": sklift(lambda: SoloModel(classifier())),
        "sklift_solo_interaction": sklift(lambda: SoloModel(classifier(), method="treatment_interaction")),
        "sklift_two_models": sklift(lambda: TwoModels(classifier(), classifier())),
        "sklift_two_models_ddr_control": sklift(lambda: TwoModels(classifier(), classifier(), method="ddr_control")),
        "sklift_class_transformation": sklift(lambda: ClassTransformation(classifier())),
        "causalml_s": meta(lambda: BaseSRegressor(regressor()), with_p=False),
        "causalml_t": meta(lambda: BaseTRegressor(regressor()), with_p=False),
        "causalml_x": meta(lambda: BaseXRegressor(regressor()), with_p=True),
        "causalml_r": meta(lambda: BaseRRegressor(regressor(), random_state=0), with_p=True),
        "causalml_dr": meta(lambda: BaseDRRegressor(regressor()), with_p=True),
        "causalml_uplift_tree_kl": forest("KL", None),
        "causalml_uplift_forest_kl": forest("KL", 20),
        "causalml_uplift_forest_ed": forest("ED", 20),
    }


def main() -> None:
    x, y, t = load()
    chosen = {name: learn for name, learn in learners().items() if not sys.argv[1:] or name in sys.argv[1:]}
    path = HERE / "libraries.json"
    kept = json.loads(path.read_text())["each_split"] if path.exists() and sys.argv[1:] else {}
    found: dict[str, list[float]] = {name: [] for name in chosen}
    cut = []
    for seed, a, b, jitter in halves(y, t):
        cut.append(fingerprint(b))
        for name, learn in chosen.items():
            found[name].append(qini(learn(x[a], y[a], t[a], x[b]) + jitter, y[b], t[b]))
        print(seed, {name: round(values[-1], 2) for name, values in found.items()}, flush=True)
    result = {
        "versions": {name: version(name) for name in ("scikit-uplift", "causalml", "lightgbm", "scikit-learn")},
        "test_halves": cut,
        "linear": [],
        "each_split": kept | {name: [round(v, 3) for v in values] for name, values in found.items()},
    }
    path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
