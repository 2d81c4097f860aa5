"""Past days to learn from: a history in; out, members as they were on each of those days, watched until the cut-off."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.history import History
from features.progress import Progress, quiet
from features.vectors import COLUMNS, MemberVectors, iter_vectors
from training.btyd import Btyd, Family, regularity
from training.labels import label_outcomes
from training.periods import Bins
from training.reasons import typical_member
from training.views import FloatArray, View, Watched, fit_families, make_view

NAMES: tuple[str, ...] = tuple(column.name for column in COLUMNS)
# Known only where the member's row has not changed since: on a past day they are missing for those who have bought
# since then, and today for nobody. A learner would read the future off the gaps, and see none when it serves.
NO_HISTORY: frozenset[str] = frozenset({"level_order", "level_paid", "points_balance", "age_years", "was_referred"})
CALENDAR: frozenset[str] = frozenset(column.name for column in COLUMNS if column.family == "calendar")


@dataclass(frozen=True)
class SnapshotSettings:
    """Which past days a curve learns from."""

    members: int = field(default=25_000, metadata={"doc": "most members followed through the past days"})
    days: int = field(default=13, metadata={"doc": "most past days a sixth of the horizon apart"})
    far_days: int = field(default=3, metadata={"doc": "further past days a horizon apart, for longer horizons"})
    fewest_days_known: int = field(default=14, metadata={"doc": "days of history a past day needs behind it"})


def snapshot_ages(span_days: int, bins: Bins, settings: SnapshotSettings) -> list[int]:
    """Days before the cut-off, ascending: on bin edges within the horizon, so that follow-up ends on an edge.

    span_days: days of history before the cut-off.
    """
    horizon = bins.horizon
    inside = bins.edges[1 : bins.at_horizon() + 1]
    grid = sorted({int(inside[k]) for k in range(len(inside) - 1, -1, -2)})
    rounds = 1 + settings.days // max(1, len(grid))
    near = [turn * horizon + age for turn in range(rounds + 1) for age in grid][: settings.days]
    far = [near[-1] + horizon * (k + 1) for k in range(settings.far_days)] if bins.max_days > horizon else []
    known = min(settings.fewest_days_known, max(2, horizon // 3))
    return [age for age in (*near, *far) if span_days - age >= known]


@dataclass(frozen=True)
class Snapshots:
    """Members on past days (newest first), the buy-till-you-die models and the typical member as of the cut-off."""

    watched: tuple[Watched, ...]
    days: tuple[date, ...]
    families: Mapping[Family, Btyd]
    typical: npt.NDArray[np.float32]

    def seen_from(self, age_days: int) -> tuple[Watched, ...]:
        """What a learner `age_days` before the cut-off would have had: older days, watched until then only."""
        return tuple(w.until(age_days) for w in self.watched if w.age_days > age_days)


def take_snapshots(
    history: History,
    as_of: date,
    ages: Sequence[int],
    bins: Bins,
    members: np.ndarray | None,
    *,
    rhythm: bool = True,
    seed: int = 0,
    progress: Progress = quiet,
) -> Snapshots:
    """Vectors, outcomes and buy-till-you-die curves of `members` (None: all) on each day.

    rhythm: let MBG/NBD learn how regular the brand's members buy; False leaves it as published.
    """
    views: dict[date, View] = {}
    families: dict[Family, Btyd] = {}
    typical = np.full(len(NAMES), np.nan, dtype=np.float32)
    days = sorted(as_of - timedelta(days=age) for age in ages)
    for vectors in iter_vectors(history, [*days, as_of], members=members, progress=progress):
        if not len(vectors.frame):
            continue
        day = vectors.frame["as_of"].iloc[0].date()
        families = families_of(vectors, families, rhythm, seed) or families
        if day == as_of:
            typical = typical_member(vectors.matrix())
        else:
            views[day] = make_view(vectors.members.astype(str), vectors.matrix(), NAMES, bins, families)
    watched = [
        Watched(views[day], seen, (as_of - day).days, (as_of - day).days)
        for day, seen in _days_to_next(history, views, as_of).items()
    ]
    watched.sort(key=lambda snapshot: snapshot.age_days)
    return Snapshots(tuple(watched), tuple(as_of - timedelta(days=w.age_days) for w in watched), families, typical)


def _days_to_next(history: History, views: Mapping[date, View], as_of: date) -> dict[date, FloatArray]:
    """T of every member after each day, inf where the cut-off came first."""
    if not views:
        return {}
    who = [pd.DataFrame({"member_id": view.member_ids, "as_of": pd.Timestamp(day)}) for day, view in views.items()]
    asked = MemberVectors(pd.concat(who, ignore_index=True), ())
    longest = max((as_of - day).days for day in views)
    outcomes = label_outcomes(history, asked, list(views), longest, known_before=as_of)
    seen = {day: outcomes.at(day)["days_to_next"].to_numpy(float) for day in views}
    return {day: np.where(np.isfinite(days), days, np.inf) for day, days in seen.items()}


def families_of(vectors: MemberVectors, start: Mapping[Family, Btyd], rhythm: bool, seed: int) -> dict[Family, Btyd]:
    """Both buy-till-you-die families as of the vectors' day, warm-started from an earlier day's."""
    frame = vectors.frame
    tenure = frame["tenure_days"].to_numpy(float)
    last = np.clip(tenure - frame["recency_days"].to_numpy(float), 0, tenure)
    repeats = np.maximum(frame["visits"].to_numpy(float) - 1, 0)
    k = regularity(repeats, frame["gap_cv"].to_numpy(float)) if rhythm else 1
    return fit_families(repeats, last, tenure, k=k, start=start or None, seed=seed)


def drawn_members(members: np.ndarray, most: int, seed: int) -> np.ndarray | None:
    """None where all may take part; else `most` of them, drawn by a seeded shuffle of the sorted ids."""
    if len(members) <= most:
        return None
    ids = np.sort(np.asarray(members, dtype=str))
    return np.sort(np.random.default_rng(seed).permutation(ids)[:most])


def thinned(watched: Sequence[Watched], rows: int, bins: Bins, seed: int) -> list[Watched]:
    """Snapshots cut down to about `rows` person-periods; a member stays in all snapshots or in none."""
    total = sum(expected_rows(w, bins) for w in watched)
    share = rows / max(total, 1.0)
    if share >= 1:
        return list(watched)
    everyone = np.unique(np.concatenate([w.view.member_ids for w in watched]))
    kept = everyone[np.random.default_rng(seed).random(len(everyone)) < share]
    return [w.rows(np.isin(w.view.member_ids, kept)) for w in watched]


def expected_rows(watched: Watched, bins: Bins) -> float:
    """Person-periods of one snapshot."""
    edge = bins.edges[min(bins.whole(watched.follow_up_days), bins.count)]
    return float(np.searchsorted(bins.edges, np.minimum(watched.days_to_next, edge), side="left").sum())
