"""A release of any size out of a demo's, written by the product's own release writer.

Members are the demo's, again and again under new ids: vectors, curves, lists and cards are a model's real answers, and
the files are as large as those of a real brand of that size.
"""

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.release import Release, open_release
from training.release_writer import ReleaseParts, point_current_at, write_release
from training.scoring import ModelSource, Predictions

SLATES = ("again", "new", "mixed")
PARTS: dict[str, Callable[[Release, str], Any]] = {
    "": lambda release, name: release.items.slates[name],
    "_score": lambda release, name: release.items.scores[name],
    "_reason": lambda release, name: release.items.reasons[name],
    "_because": lambda release, name: release.items.because[name],
}


def demo_home(home: Path, members: int) -> Path:
    """The home of a finished demo; made where there is none yet."""
    if not (home / "releases/current").exists():
        demo = [sys.executable, "-m", "huitou", "demo", "--no-serve", "--members", str(members), "--home", str(home)]
        subprocess.run(demo, check=True, stdout=subprocess.DEVNULL)
    return home


def enlarged(base: Release, root: Path, members: int) -> Release:
    """Write a release of `members` scored members made of those of `base`, and point `current` at it."""
    scored = np.flatnonzero(np.asarray(base.kind) == 0)
    rows = scored[np.arange(members) % len(scored)]
    frame = pd.DataFrame({"member_id": [f"m{number:08d}" for number in range(members)]})
    frame["kind"] = np.zeros(members, np.uint8)
    for name, values in base.predictions.items():
        frame[name] = values[rows]
    for name, codes in base.codes.items():
        labels = list(base.manifest["labels"][name])
        at = codes[rows].astype(np.int64)
        frame[name] = pd.Categorical.from_codes(np.where(at < len(labels), at, -1), labels)
    manifest = base.manifest
    predictions = Predictions(
        as_of=date.fromisoformat(manifest["as_of"]),
        horizon_days=int(manifest["horizon_days"]),
        frame=frame,
        grid_days=np.asarray(base.grid_days),
        survival=base.curves[rows],
        vectors=base.vectors[rows],
    )
    cards = [base.card_bytes(int(row)) for row in scored]
    parts = ReleaseParts(
        brand_id=str(manifest["brand_id"]),
        predictions=predictions,
        cards=[cards[number % len(scored)] for number in range(members)],
        slates={
            **{f"{name}{part}": read(base, name)[rows] for name in SLATES for part, read in PARTS.items()},
            "rung": base.items.rung[rows],
            "due_days": base.items.due_days[rows],
            **{name: getattr(base.items, name) for name in ("similar", "together", "sold", "sellable", "cycle_days")},
            **_owned(base, rows),
        },
        catalogue=base.items.catalogue,
        popular=base.items.popular,
        item_reasons=manifest["item_reasons"],
        item_rungs=manifest["item_rungs"],
        places={"stores": base.stores, "guides": base.guides},
        aliases={},
        models={folder.name: folder for folder in (base.path / "models").iterdir()},
        sources={task: _source(said) for task, said in manifest["models"].items()},
        fingerprint=f"{manifest['data_fingerprint']}-{members}",
    )
    root.mkdir(parents=True, exist_ok=True)
    written = write_release(root, parts, created_at=str(manifest["created_at"]))
    point_current_at(root, written.release_id)
    return written


def _owned(base: Release, rows: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
    """What each member ever bought, as two arrays: offsets and codes."""
    owned = [np.asarray(base.items.owned(row)) for row in range(len(base.ids))]
    lengths = np.array([len(codes) for codes in owned], np.int64)
    return {
        "own_at": np.concatenate([[0], np.cumsum(lengths[rows])]),
        "own": np.concatenate([owned[row] for row in rows.tolist()]),
    }


def _source(said: dict[str, Any]) -> ModelSource:
    return ModelSource(**{field.name: said[field.name] for field in dataclasses.fields(ModelSource)})


if __name__ == "__main__":
    home, target, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    print(enlarged(open_release(home / "releases/current"), target / "releases", count).path)
