"""A release that does not fit this version is refused with what is wrong, and the old one keeps answering."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from house import House
from small_brand import point_at, write_small_release

from features.vector_names import NAMES
from serving.releases import ReleaseStore, load_served
from training.release import BrokenRelease, sign


def release_with(root: Path, name: str, columns: Any, vectors: int = len(NAMES)) -> Path:
    """A release whose manifest names other columns, signed anew."""
    folder = write_small_release(root, name, current=False)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    n = len(np.load(folder / "members/ids.npy"))
    np.save(folder / "members/vectors.npy", np.zeros((n, vectors), np.float32))
    sign(folder, manifest | {"columns": columns})
    return folder


@pytest.mark.parametrize(
    ("columns", "vectors", "named"),
    [
        (["a", "b", "c"], 3, "lacks"),
        ([*NAMES, "shoe_size"], len(NAMES) + 1, "shoe_size"),
        (list(NAMES[1:]), len(NAMES) - 1, NAMES[0]),
        ([NAMES[1], NAMES[0], *NAMES[2:]], len(NAMES), "another order"),
        (None, len(NAMES), "names 0 columns"),
        (list(NAMES), 3, "vectors.npy"),
    ],
)
def test_a_release_with_other_columns_is_refused_by_name(
    tmp_path: Path, columns: Any, vectors: int, named: str
) -> None:
    with pytest.raises(BrokenRelease, match="huitou release") as refusal:
        load_served(release_with(tmp_path, "odd", columns, vectors))
    assert "odd" in str(refusal.value) and named in str(refusal.value)


def test_a_start_with_nothing_but_such_a_release_is_not_ready_and_says_why(tmp_path: Path) -> None:
    release_with(tmp_path, "odd", ["a", "b", "c"], 3)
    point_at(tmp_path, "odd")
    store = ReleaseStore(tmp_path)
    assert not store.look() and not store.ready
    assert "3 columns" in store.refused["odd"]


def test_the_old_release_keeps_answering_beside_a_refused_one(house: House) -> None:
    release_with(house.home / "releases", "odd", ["a", "b", "c"], 3)
    point_at(house.home / "releases", "odd")
    assert not house.runtime.look()
    assert house.runtime.served.release.release_id == "r1"
    assert "odd" in house.ask(None, "GET", "/readyz").json()["refused"]
