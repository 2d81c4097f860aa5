"""Releases in; small files of what was predicted, kept until it can be judged, out.

Releases are pruned long before a 90-day prediction has matured, so the few numbers to be judged are kept beside them:
`<root>/<as_of>.parquet` with one row a scored member and `<as_of>.json` with the horizon. A member is named by a keyed
digest of the id, never by the id: nobody can be read off the file, and a forgotten member matches no later input.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from training.curves import SurvivalCurves
from training.release import SCORED, Release
from training.timing import next_purchase

# A prediction a week is enough to see drift; daily ones share nearly all their label days.
KEEP_EVERY_DAYS = 7
# The 80 % window among returns within the horizon, which can be judged as soon as the horizon has passed; the served
# one, next_…, speaks of returns within the curves' reach, often years. Days older versions kept lack these columns.
WITHIN_HORIZON = ("within_horizon_low_days", "within_horizon_high_days")
COLUMNS = ("churn_probability", "return_probability", "next_low_days", "next_high_days", *WITHIN_HORIZON)
# Curves read at once, so that a large base is never copied whole.
CURVES_AT_ONCE = 100_000


@dataclass(frozen=True)
class Kept:
    """Predictions of one day. frame: digest (uint64, sorted) and COLUMNS; max_days is the reach of the curves.

    model: the version that made them, where it was not the one that served.
    """

    as_of: date
    horizon_days: int
    max_days: int
    release_id: str
    frame: pd.DataFrame
    model: str = ""


def digests(member_ids: Iterable[str], key: str) -> np.ndarray:
    """A keyed 64-bit digest of each id, uint64[n]."""
    seed = hashlib.blake2b(key.encode(), digest_size=32).digest()
    found = b"".join(hashlib.blake2b(one.encode(), digest_size=8, key=seed).digest() for one in member_ids)
    return np.frombuffer(found, dtype="<u8").copy()


def keep_release(root: Path, release: Release) -> Path | None:
    """Keep a release's predictions unless a day of the last KEEP_EVERY_DAYS is kept; returns the file written."""
    as_of = date.fromisoformat(str(release.manifest["as_of"]))
    if any(abs((as_of - day).days) < KEEP_EVERY_DAYS for day in kept_days(root)):
        return None
    rows = np.flatnonzero(np.asarray(release.kind) == SCORED)
    ids = [one.decode() for one in np.asarray(release.ids)[rows].tolist()]
    values = {name: np.asarray(release.predictions[name])[rows] for name in COLUMNS if name in release.predictions}
    values |= windows_within_horizon(release, rows)
    return write_kept(
        root,
        as_of,
        pd.DataFrame({"member_id": ids, **values}),
        horizon_days=int(release.manifest["horizon_days"]),
        max_days=int(release.grid_days[-1]),
        release_id=release.release_id,
    )


def windows_within_horizon(release: Release, rows: np.ndarray) -> dict[str, np.ndarray]:
    """WITHIN_HORIZON of the release's scored rows, read off its curves; NaN where no window would be told."""
    as_of, horizon = date.fromisoformat(str(release.manifest["as_of"])), int(release.manifest["horizon_days"])
    low, high = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    for start in range(0, len(rows), CURVES_AT_ONCE):
        part = slice(start, start + CURVES_AT_ONCE)
        chosen = rows[part]
        curves = SurvivalCurves(
            np.asarray(release.ids)[chosen], as_of, release.grid_days, release.curves[chosen], np.array("")
        )
        told = next_purchase(curves, max_days=horizon)
        low[part], high[part] = told["low_days"], told["high_days"]
    return dict(zip(WITHIN_HORIZON, (low, high), strict=True))


def write_kept(
    root: Path,
    as_of: date,
    predictions: pd.DataFrame,
    *,
    horizon_days: int,
    max_days: int,
    release_id: str,
    model: str = "",
) -> Path:
    """Keep predictions (member_id and COLUMNS) of one day; model: the version, where it did not serve."""
    root.mkdir(parents=True, exist_ok=True)
    frame = predictions.reindex(columns=list(COLUMNS)).astype("float32")
    frame.insert(0, "digest", digests(predictions["member_id"], release_id))
    frame = frame.sort_values("digest", ignore_index=True)
    told: dict[str, object] = {
        "as_of": str(as_of),
        "horizon_days": horizon_days,
        "max_days": max_days,
        "release_id": release_id,
    }
    if model:
        told["model"] = model
    path = root / f"{as_of}.parquet"
    frame.to_parquet(path.with_suffix(".tmp"), index=False)
    (root / f"{as_of}.json").write_text(json.dumps(told) + "\n", encoding="utf-8")
    path.with_suffix(".tmp").rename(path)
    return path


def forget_kept(root: Path, member_id: str) -> list[date]:
    """Take a member out of every day that is kept; returns the days that held them."""
    found = []
    for day in kept_days(root):
        kept = read_kept(root, day)
        theirs = kept.frame["digest"] == digests([member_id], kept.release_id)[0]
        if theirs.any():
            path = root / f"{day}.parquet"
            kept.frame[~theirs].to_parquet(path.with_suffix(".tmp"), index=False)
            path.with_suffix(".tmp").rename(path)
            found.append(day)
    return found


def kept_days(root: Path) -> list[date]:
    """The days of which predictions are kept, oldest first."""
    return sorted(date.fromisoformat(path.stem) for path in root.glob("*.parquet")) if root.is_dir() else []


def read_kept(root: Path, as_of: date) -> Kept:
    """The predictions kept of one day."""
    told = json.loads((root / f"{as_of}.json").read_text(encoding="utf-8"))
    frame = pd.read_parquet(root / f"{as_of}.parquet")
    return Kept(
        as_of, int(told["horizon_days"]), int(told["max_days"]), str(told["release_id"]), frame, told.get("model", "")
    )
