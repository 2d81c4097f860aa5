"""Predictions, item lists and models in; out: one verified release folder and the `current` link on it.

Nothing that serves is touched until the new folder is complete, signed, read back and has given its golden answers;
then one rename makes the folder appear and one rename moves the link. A crash at any point leaves the old release
answering; a re-run with the same inputs ends in the same folder.
"""

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.errors import InputError
from features.progress import Progress, quiet
from features.vectors import COLUMNS, MemberVectors
from training.curve_model import CurveModel
from training.release import SCHEMA, BrokenRelease, Release, mapped, open_release, sign
from training.release_index import write_index
from training.release_methods import ListMethods
from training.release_people import write_people
from training.release_rows import write_rows
from training.scoring import ModelSource, Predictions

# A label column holds at most 254 labels; 255 is null.
NULL_LABEL = 255
GOLDEN_ROWS = 8
# Golden answers must come back equal up to the rounding of float32 sums in another build of the same library.
GOLDEN_TOLERANCE = 1e-5


@dataclass(frozen=True)
class ReleaseParts:
    """All that goes into a release.

    predictions: what scoring made. cards: one JSON object (bytes) a member, in the order of predictions.frame.
    items: the arrays of `training.release.ItemArrays` by name, rows in the order of predictions.frame.
    places: rows of stores and guides. aliases: old card number -> member. models: folder of each task's saved model. sources: which version serves each task, and why.
    fingerprint: digest of the input tables. people: guide_id, store_id, is_friend, held_out in the order of the members. columns of `vectors` are features.vectors.COLUMNS.
    reason_parts: what made each member's churn score, [members, reason_groups], NaN where it was not computed.
    readiness: see training.release_readiness. item_methods: what served each member's lists, in the same order.
    """

    brand_id: str
    predictions: Predictions
    cards: Sequence[bytes]
    slates: Mapping[str, npt.NDArray[Any]]
    catalogue: Sequence[Mapping[str, Any]]
    popular: Mapping[str, Sequence[int]]
    item_reasons: Sequence[Mapping[str, str]]
    item_rungs: Sequence[str]
    places: Mapping[str, Sequence[Mapping[str, Any]]]
    aliases: Mapping[str, str]
    models: Mapping[str, Path]
    sources: Mapping[str, ModelSource]
    fingerprint: str
    people: pd.DataFrame | None = None
    reason_parts: npt.NDArray[np.float32] | None = None
    reason_groups: Sequence[Mapping[str, str]] = ()
    readiness: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    item_methods: ListMethods | None = None


def release_id(parts: ReleaseParts) -> str:
    """The as_of day and a digest of what went in: the same inputs make the same release."""
    ingredients = [str(SCHEMA), parts.fingerprint, parts.brand_id, str(parts.predictions.horizon_days)]
    ingredients += [f"{task}:{source.name}:{source.version}" for task, source in sorted(parts.sources.items())]
    digest = hashlib.sha256("\n".join(ingredients).encode()).hexdigest()
    return f"{parts.predictions.as_of:%Y%m%d}-{digest[:10]}"


def write_release(root: Path, parts: ReleaseParts, *, created_at: str, progress: Progress = quiet) -> Release:
    """Write, verify and publish a release under `root`; returns it opened. Does not move `current`."""
    name = release_id(parts)
    target = root / name
    if target.exists():
        try:
            return _proven(open_release(target))
        except BrokenRelease:
            shutil.rmtree(target)
    staging = root / f"{name}.tmp"
    shutil.rmtree(staging, ignore_errors=True)
    (staging / "members/codes").mkdir(parents=True)
    (staging / "items").mkdir()
    progress("members", 0.1)
    labels = _write_members(staging / "members", parts)
    if parts.people is not None:
        write_people(staging, parts.people)
    if parts.reason_parts is not None:
        np.save(staging / "members/reasons.npy", parts.reason_parts.astype(np.float32), allow_pickle=False)
    if parts.item_methods is not None:
        np.save(staging / "members/item_methods.npy", parts.item_methods.codes, allow_pickle=False)
    progress("items", 0.5)
    for key, array in parts.slates.items():
        np.save(staging / f"items/{key}.npy", array, allow_pickle=False)
    _dump(staging / "items/catalogue.json", list(parts.catalogue))
    _dump(staging / "items/popular.json", {store: [int(c) for c in codes] for store, codes in parts.popular.items()})
    _dump(staging / "aliases.json", dict(parts.aliases))
    for place, rows in parts.places.items():
        _dump(staging / f"{place}.json", list(rows))
    progress("models", 0.6)
    for task, folder in parts.models.items():
        shutil.copytree(folder, staging / "models" / task)
    _dump(staging / "golden.json", golden_answers(CurveModel.load(staging / "models/curve"), parts.predictions.as_of))
    progress("signing", 0.7)
    frame = parts.predictions.frame
    manifest = {
        "release_id": name,
        "brand_id": parts.brand_id,
        "created_at": created_at,
        "as_of": parts.predictions.as_of.isoformat(),
        "horizon_days": parts.predictions.horizon_days,
        "max_days": int(parts.predictions.grid_days[-1]),
        "members": len(frame),
        "scored": int((frame["kind"] == 0).sum()),
        "data_fingerprint": parts.fingerprint,
        "columns": [column.name for column in COLUMNS],
        "predictions": _numeric(frame),
        "labels": labels,
        "propensities": dict(parts.predictions.propensities),
        "reason_groups": [dict(group) for group in parts.reason_groups],
        "readiness": {task: dict(said) for task, said in parts.readiness.items()},
        "item_reasons": list(parts.item_reasons),
        "item_rungs": list(parts.item_rungs),
        "item_methods": None if parts.item_methods is None else dict(parts.item_methods.said),
        "models": {task: dataclasses.asdict(source) for task, source in parts.sources.items()},
        "model_version": "+".join(f"{t}:{s.version}" for t, s in sorted(parts.sources.items())),
    }
    made_of = mapped(staging, manifest)
    write_index(staging, made_of.ids)
    write_rows(made_of)
    sign(staging, manifest)
    _flush(staging)
    progress("verifying", 0.85)
    _proven(open_release(staging)).verify()
    staging.rename(target)
    progress("written", 1.0)
    return open_release(target)


def point_current_at(root: Path, name: str) -> None:
    """Move the `current` link to a release, in one rename. Raises InputError where there is no such release."""
    if not (root / name / "manifest.json").is_file():
        raise InputError(f"no release {name!r} under {root}; there are: {[r.name for r in list_releases(root)]}")
    link = root / f".current.{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(name)
    link.replace(root / "current")


def current_release(root: Path) -> str | None:
    """Name of the release that `current` points at, or None."""
    link = root / "current"
    return link.readlink().name if link.is_symlink() and link.exists() else None


def list_releases(root: Path) -> list[Path]:
    """Complete releases under `root`, oldest first by the time they were created."""
    found = [path.parent for path in root.glob("*/manifest.json") if not path.parent.is_symlink()]
    found = [path for path in found if not path.name.endswith(".tmp")]
    return sorted(found, key=lambda path: (json.loads((path / "manifest.json").read_text())["created_at"], path.name))


def prune_releases(root: Path, keep: int) -> list[str]:
    """Delete all but the newest `keep` releases, never the current one, and half-written leftovers; returns names."""
    gone = [path for path in root.glob("*.tmp") if path.is_dir()]
    releases = list_releases(root)
    gone += [path for path in releases[: max(len(releases) - keep, 0)] if path.name != current_release(root)]
    for path in gone:
        shutil.rmtree(path)
    return [path.name for path in gone]


def golden_answers(model: CurveModel, as_of: date) -> dict[str, Any]:
    """Synthetic vectors and the survival `model` gives them. The vectors are drawn at random: no member is in them."""
    rng = np.random.default_rng(20260101)
    scale = np.array([{"days": 60.0, "yuan": 300.0}.get(column.unit, 3.0) for column in COLUMNS])
    matrix = rng.gamma(2.0, 0.5, (GOLDEN_ROWS, len(COLUMNS))) * scale
    return {"as_of": as_of.isoformat(), "matrix": matrix.tolist(), "survival": _golden_survival(model, as_of, matrix)}


def _golden_survival(model: CurveModel, as_of: date, matrix: npt.NDArray[np.float64]) -> list[list[float]]:
    frame = pd.DataFrame(matrix, columns=[column.name for column in COLUMNS])
    frame.insert(0, "member_id", [f"golden-{row}" for row in range(len(frame))])
    frame.insert(1, "as_of", pd.Timestamp(as_of))
    curves = model.predict(MemberVectors(frame, COLUMNS))
    values: list[list[float]] = np.asarray(curves.survival, dtype=float).tolist()
    return values


def _proven(release: Release) -> Release:
    """`release`, after its model has given the golden answers. Raises BrokenRelease where it does not."""
    golden = json.loads((release.path / "golden.json").read_text(encoding="utf-8"))
    model = CurveModel.load(release.path / "models/curve")
    found = _golden_survival(model, date.fromisoformat(golden["as_of"]), np.array(golden["matrix"]))
    worst = float(np.abs(np.array(found) - np.array(golden["survival"])).max())
    if not worst <= GOLDEN_TOLERANCE:
        raise BrokenRelease(f"release {release.path.name}: golden answers differ by {worst:.2g}; write it again")
    return release


def _write_members(folder: Path, parts: ReleaseParts) -> dict[str, list[str]]:
    frame = parts.predictions.frame
    encoded = [member.encode() for member in frame["member_id"]]
    ids = np.array(encoded, dtype=np.bytes_) if encoded else np.zeros(0, "S1")
    if len(ids) > 1 and not bool((ids[:-1] < ids[1:]).all()):
        raise ValueError("members of a release must be sorted by the bytes of their ids, each once")
    np.save(folder / "ids.npy", ids, allow_pickle=False)
    np.save(folder / "kind.npy", frame["kind"].to_numpy(np.uint8))
    for column in _numeric(frame):
        np.save(folder / f"{column}.npy", frame[column].to_numpy(np.float32))
    labels: dict[str, list[str]] = {}
    for column in _labels(frame):
        values = frame[column].astype("category").cat
        labels[column] = [str(label) for label in values.categories]
        if len(labels[column]) >= NULL_LABEL:
            raise ValueError(f"label column {column} has {len(labels[column])} labels, at most {NULL_LABEL - 1}")
        np.save(folder / f"codes/{column}.npy", values.codes.to_numpy().astype(np.uint8))
    np.save(folder / "grid.npy", parts.predictions.grid_days.astype(np.int32))
    np.save(folder / "curve.npy", parts.predictions.survival.astype(np.float32))
    np.save(folder / "vectors.npy", parts.predictions.vectors.astype(np.float32))
    np.save(
        folder / "cards_at.npy",
        np.concatenate([[0], np.cumsum([len(card) for card in parts.cards])]).astype(np.int64),
    )
    with (folder / "cards.bin").open("wb") as out:
        out.writelines(parts.cards)
    return labels


def _numeric(frame: pd.DataFrame) -> list[str]:
    return [c for c in frame.columns if c not in ("member_id", "kind") and pd.api.types.is_numeric_dtype(frame[c])]


def _labels(frame: pd.DataFrame) -> list[str]:
    return [c for c in frame.columns if c not in ("member_id", "kind") and c not in _numeric(frame)]


def _dump(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, default=str), encoding="utf-8")


def _flush(folder: Path) -> None:
    """Have the disk hold every byte before the rename says that the release is there."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as handle:
                os.fsync(handle.fileno())
