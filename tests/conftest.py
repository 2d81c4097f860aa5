"""What all tests share: one simulated brand, compared after use so that nobody changes it."""

import datetime
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from simulator.brand import simulate_brand
from simulator.export import write_brand

BRAND_DAYS = 540
BRAND_END = datetime.date(2026, 6, 30)


@pytest.fixture(scope="session")
def brand_frames() -> Iterator[dict[str, pd.DataFrame]]:
    """Beauty, 1,500 members, 540 days to 2026-06-30, seed 7: contract table → frame. Not to be changed in place."""
    frames = simulate_brand("beauty", members=1_500, days=BRAND_DAYS, seed=7, end=BRAND_END)
    before = {name: frame.copy() for name, frame in frames.items()}
    yield frames
    assert frames.keys() == before.keys(), "a test added or removed a table of the shared brand"
    for name, frame in before.items():
        pd.testing.assert_frame_equal(frames[name], frame)


@pytest.fixture(scope="session")
def brand_folder(brand_frames: dict[str, pd.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same brand as a contract folder of Parquet files. Not to be written into."""
    folder = tmp_path_factory.mktemp("brand")
    return write_brand(brand_frames, folder, days=BRAND_DAYS, end=BRAND_END)
