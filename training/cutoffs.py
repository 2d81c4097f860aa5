"""Which days may be asked what: cut-offs and label rows in, an error out where the future would leak into the past.

A cut-off D knows what was known before D 00:00. Its labels cover D … D+H−1. A learner tested at D may use snapshots
whose label windows end before D; a later snapshot only with its labels censored at D.
"""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

import numpy as np
import pandas as pd

from features.errors import HuitouError, InputError


class LeakFound(HuitouError):
    """The harness caught the future in what a model was shown; no figure of this run can be believed."""


def last_cutoff(coverage_end: date, horizon_days: int) -> date:
    """The latest day whose whole label window the data have observed."""
    return coverage_end - timedelta(days=horizon_days - 1)


def check_cutoffs(as_of: Iterable[date], horizon_days: int, coverage_start: date, coverage_end: date) -> list[date]:
    """The cut-offs in order, each once. Raises InputError where one cannot be judged on these data."""
    days = sorted(set(as_of))
    if not days:
        raise InputError("no cut-off given; name at least one day, such as --as-of 2026-03-01")
    if horizon_days < 1:
        raise InputError(f"--horizon: expected 1 or more days, found {horizon_days}")
    latest = last_cutoff(coverage_end, horizon_days)
    for day in days:
        if day <= coverage_start:
            raise InputError(
                f"--as-of {day}: the data begin on {coverage_start}, so nothing was known before that day; "
                f"take {coverage_start + timedelta(days=1)} or later"
            )
        if day > latest:
            end = day + timedelta(days=horizon_days - 1)
            raise InputError(
                f"--as-of {day}: its window of {horizon_days} days ends on {end}, after the data's coverage_end "
                f"{coverage_end}; take {latest} or earlier, or a shorter --horizon"
            )
    return days


def snapshot_days(
    before: date, horizon_days: int, coverage_start: date, *, step_days: int | None = None, most: int = 12
) -> list[date]:
    """Days whose label windows of `horizon_days` end before `before`, newest first, `step_days` apart.

    >>> snapshot_days(date(2026, 4, 1), 30, date(2026, 1, 1), step_days=20)
    [datetime.date(2026, 3, 2), datetime.date(2026, 2, 10), datetime.date(2026, 1, 21)]
    """
    step = timedelta(days=max(1, step_days or horizon_days))
    day = before - timedelta(days=horizon_days)
    days: list[date] = []
    while day > coverage_start and len(days) < most:
        days.append(day)
        day -= step
    return days


def check_label_rows(train: pd.DataFrame, test: pd.DataFrame, *, test_as_of: date) -> None:
    """Label rows must be earlier than, and disjoint from, test rows.

    train: member_id, as_of, label_end (the last day its label looked at). test: member_id, as_of.
    Raises LeakFound with the count of rows and one of them.
    """
    ends = pd.to_datetime(train["label_end"]).to_numpy("datetime64[D]")
    late = ends >= np.datetime64(test_as_of, "D")
    if late.any():
        row = train[late].iloc[0]
        raise LeakFound(
            f"{int(late.sum())} of {len(train)} label rows look at {test_as_of} or later, such as member "
            f"{row['member_id']} as of {pd.Timestamp(row['as_of']).date()} with labels to "
            f"{pd.Timestamp(row['label_end']).date()}; labels must end before the test cut-off"
        )
    both = train[["member_id", "as_of"]].merge(test[["member_id", "as_of"]], on=["member_id", "as_of"])
    if len(both):
        raise LeakFound(
            f"{len(both)} label rows are test rows too, such as member {both.iloc[0]['member_id']} as of "
            f"{pd.Timestamp(both.iloc[0]['as_of']).date()}; a model may not learn the answers it is asked for"
        )


def same_bytes(known: np.ndarray, rewritten: np.ndarray, columns: Sequence[str]) -> None:
    """Vectors made twice, the second time with the future rewritten, must be byte-identical.

    Both arrays are [members, len(columns)]. Raises LeakFound naming the columns that changed.
    """
    if known.shape != rewritten.shape:
        raise LeakFound(
            f"rewriting the future changed the population: {known.shape[0]} members before, {rewritten.shape[0]} after"
        )
    changed = []
    for k, name in enumerate(columns):
        one, two = _bytes(known[:, k]), _bytes(rewritten[:, k])
        rows = int((one != two).any(axis=1).sum())
        if rows:
            changed.append(f"{name} ({rows} rows)")
    if changed:
        raise LeakFound(
            f"rewriting the future changed {len(changed)} of {len(columns)} vector columns: {', '.join(changed[:8])}; "
            "these columns know what happened on or after the cut-off"
        )


def _bytes(column: np.ndarray) -> np.ndarray:
    flat = np.ascontiguousarray(column)
    return flat.view(np.uint8).reshape(len(flat), flat.dtype.itemsize)
