"""One feature code, two engines: the vectors made by Spark are those made by DuckDB."""

import shutil
import subprocess
from collections.abc import Callable
from datetime import date

import numpy as np
import pandas as pd
import pytest

from features.baskets import build_baskets
from features.history import build_history, population
from features.tables import Tables
from features.vectors import COLUMNS, build_vectors


def _why_not() -> str | None:
    if shutil.which("java") is None:
        return "Java is missing: install openjdk-17-jre-headless"
    try:
        import pyspark  # noqa: F401
    except ImportError:
        return "pyspark is missing: install huitou[spark]"
    working = subprocess.run(["java", "-version"], capture_output=True, check=False).returncode == 0
    return None if working else "java does not run"


pytestmark = [
    pytest.mark.spark,
    pytest.mark.slow,
    pytest.mark.skipif(_why_not() is not None, reason=str(_why_not())),
]


def test_spark_and_duckdb_make_the_same_vectors(
    world: Callable[[int], dict[str, pd.DataFrame]], tables_of: Callable[..., Tables], as_of: date
) -> None:
    frames = world(3)
    duck, spark = build_history(tables_of(frames)), build_history(tables_of(frames, engine="pyspark"))
    assert duck.excluded == spark.excluded
    assert list(population(duck, as_of)) == list(population(spark, as_of))
    one, other = (build_vectors(h, [as_of], cold=True).frame for h in (duck, spark))
    assert list(one["member_id"]) == list(other["member_id"])
    for column in COLUMNS:
        np.testing.assert_allclose(
            other[column.name], one[column.name], rtol=1e-9, atol=0, equal_nan=True, err_msg=column.name
        )
    pd.testing.assert_frame_equal(duck.visit_frame(), spark.visit_frame(), check_dtype=False)
    pd.testing.assert_frame_equal(build_baskets(duck, as_of).rows, build_baskets(spark, as_of).rows)
