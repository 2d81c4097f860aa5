"""The vectors agree with an arithmetic of their own, written in pandas for experiments/feature-speed."""

import importlib.util
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd

from features.history import build_history
from features.tables import Tables
from features.vectors import build_vectors

HERE = Path(__file__).parents[2] / "experiments" / "feature-speed"


def _module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"feature_speed_{name}", HERE / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_vectors_agree_with_pandas_on_every_row(tables_of: Callable[..., Tables], tmp_path: Path) -> None:
    folder = _module("brand").write_brand(tmp_path / "brand", members=800, lines=9_000, seed=3)
    frames = {path.stem: pd.read_parquet(path) for path in folder.glob("*.parquet")}
    history = build_history(tables_of(frames))
    for day in (date(2025, 10, 1), date(2024, 7, 1)):
        theirs = _module("pandas_vectors").pandas_vectors(folder, day)
        mine = build_vectors(history, [day]).frame
        assert list(mine.member_id) == list(theirs.member_id) and len(mine) > 50
        for name in theirs.columns.drop("member_id"):
            np.testing.assert_allclose(mine[name], theirs[name].astype(float), rtol=1e-9, atol=1e-9, err_msg=name)
