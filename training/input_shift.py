"""A history and two days in; how far every vector column moved between them, beyond what it usually moves, out."""

import re
from datetime import date

import numpy as np
import pandas as pd

from features.history import History
from features.vectors import MemberVectors, build_vectors

# Columns of the calendar and of coupon waves move by themselves; what counts from joining only grows.
FAMILIES_THAT_MOVE = ("calendar", "tenure", "coupons")
BINS = 10
# What a column looks back over where its name doesn't say it, in days; what looks back over the whole record is 0.
LOOK_BACK_DAYS = {
    "visits_trend_30d": 60,
    "visits_trend_90d": 180,
    "visits_trend_180d": 365,
    "spend_recent_share": 180,
    "answer_share": 365,
    "visits_per_30d": 0,
}
# Members whose vectors are compared; a draw of more says nothing new.
COMPARED = 50_000
SHIFT_COLUMNS = ("column", "family", "psi", "usual_psi", "excess")


def input_shift(history: History, then: date, now: date, *, seed: int = 0) -> pd.DataFrame:
    """How far every vector column moved between two days, and how far it usually moves in as many days.

    Usual is the movement over the same number of days before `then`, null where the record is too short. A column that
    looks further back than the record reaches is left out: it moves because the record grows. Gaps are compared among
    members with two visits or more: the others all stand at the brand's usual gap, a whole number of days that may
    change for all of them at once. Sorted by excess = psi − usual_psi, largest first.
    """
    span = now - then
    before = then - span
    days = [then, now] + ([before] if before > history.coverage_start else [])
    record_days = (min(days) - history.coverage_start).days
    parts = {day: _drawn(build_vectors(history, [day]), seed) for day in sorted(days)}
    rows = []
    for column in parts[now].columns:
        if column.family in FAMILIES_THAT_MOVE or _looks_back_days(column.name) > record_days:
            continue
        values = {day: _values(part.frame, column.name) for day, part in parts.items()}
        moved = psi(values[then], values[now])
        usual = psi(values[before], values[then]) if before in values and len(values[before]) else np.nan
        rows.append((column.name, column.family, moved, usual, moved - usual))
    frame = pd.DataFrame(rows, columns=list(SHIFT_COLUMNS))
    return frame.sort_values(["excess", "psi", "column"], ascending=[False, False, True], ignore_index=True)


def _values(frame: pd.DataFrame, column: str) -> np.ndarray:
    rows = frame["visits"] >= 2 if column.startswith("gap_") else slice(None)
    return frame.loc[rows, column].to_numpy(dtype=float)


def _looks_back_days(column: str) -> int:
    """The days a column such as visits_90d looks back over; 0 for what has no window."""
    if column in LOOK_BACK_DAYS:
        return LOOK_BACK_DAYS[column]
    window = re.search(r"_(\d+)d(?:_|$)", column)
    return 0 if window is None else int(window[1])


def _drawn(vectors: MemberVectors, seed: int) -> MemberVectors:
    if len(vectors.frame) <= COMPARED:
        return vectors
    rows = np.sort(np.random.default_rng(seed).choice(len(vectors.frame), COMPARED, replace=False))
    return MemberVectors(vectors.frame.iloc[rows].reset_index(drop=True), vectors.columns)


def psi(expected: np.ndarray, actual: np.ndarray) -> float:
    """Population stability index Σ (a − e) ln(a / e) over deciles of `expected`; nulls are a bin of their own.

    Shares are kept off 0 by half a row. 0.1 is small, 0.25 is large by custom.
    """
    if not len(expected) or not len(actual):
        return 0.0
    known = expected[np.isfinite(expected)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else np.empty(0)

    def shares(values: np.ndarray) -> np.ndarray:
        finite = np.isfinite(values)
        place = np.where(finite, np.searchsorted(edges, values, side="left"), len(edges) + 1)
        counts = np.bincount(place, minlength=len(edges) + 2).astype(float)
        return (counts + 0.5) / (counts + 0.5).sum()

    e, a = shares(expected), shares(actual)
    return float(((a - e) * np.log(a / e)).sum())
