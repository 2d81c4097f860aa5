"""Up to 1,000 member ids in, one row each out: a prediction, or an error that names the id."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from serving.access import Caller
from serving.answers.members import label
from serving.answers.slates import recommendations
from serving.releases import Served
from serving.runtime import Runtime
from training.release import COLD, SCORED, Release

MOST = 1_000
Row = dict[str, Any]


def rows_of(
    runtime: Runtime, member_ids: Sequence[str], task: str, predict: Callable[[Served, np.ndarray], list[Row]]
) -> Row:
    """The answer of a bulk call: versions, and one row an id in the order asked.

    `predict(served, rows)` gives a row for each member that was scored; all others get an error.
    """
    served = runtime.served
    release = served.release
    found = places_of(release, member_ids)
    kinds = release.kind
    asked = [place for place, row in enumerate(found) if row is not None and kinds[row] == SCORED]
    answers = predict(served, np.array([found[place] for place in asked], dtype=np.int64)) if asked else []
    results: list[Row] = [_error(member_id, row, kinds) for member_id, row in zip(member_ids, found, strict=True)]
    for place, answer in zip(asked, answers, strict=True):
        results[place] = {"member_id": member_ids[place], **answer, "error": None}
    said = served.source(*task.split("|"))
    runtime.metrics.answers.labels(task.split("|")[0], said["source"]).inc(len(asked))
    return {
        "model_version": served.version,
        "as_of": served.as_of,
        **said,
        "answered": len(asked),
        "results": results,
    }


def places_of(release: Release, member_ids: Sequence[str]) -> list[int | None]:
    """What `release.index` says of each id, looked up in one go."""
    keys = [release.aliases.get(member_id, member_id).encode() for member_id in member_ids]
    if not len(release.ids):
        return [None] * len(keys)
    # In the width of the ids, so that they are not copied; the comparison below is with the whole key.
    cut = np.array([key[: release.ids.dtype.itemsize] for key in keys], dtype=release.ids.dtype)
    at = np.minimum(release.ids.searchsorted(cut), len(release.ids) - 1)
    there = release.ids[at].tolist()
    return [row if have == key else None for row, have, key in zip(at.tolist(), there, keys, strict=True)]


def churn(runtime: Runtime, member_ids: Sequence[str], horizon_days: int | None) -> Row:
    """Churn probability: no purchase within the horizon (the brand's, unless another is asked for)."""
    served = runtime.served
    days = horizon_days or int(served.release.manifest["horizon_days"])

    def predict(served: Served, rows: np.ndarray) -> list[Row]:
        values = np.atleast_1d(served.release.survival_at(rows, float(days)))
        return [{"churn_probability": value, "horizon_days": days} for value in np.round(values, 6).tolist()]

    return rows_of(runtime, member_ids, "churn|curve", predict)


def next_purchase(runtime: Runtime, member_ids: Sequence[str]) -> Row:
    """The probability of a return, and the window of the next purchase as dates."""

    def predict(served: Served, rows: np.ndarray) -> list[Row]:
        returns = served.release.predictions["return_probability"][rows].astype(float).tolist()
        windows = [days_said(served, f"next_{name}_days", rows) for name in ("low", "median", "high")]
        reasons = [label(served, "next_null_reason", row) or None for row in rows.tolist()]
        names = ("return_probability", "low", "median", "high", "null_reason")
        return [dict(zip(names, line, strict=True)) for line in zip(returns, *windows, reasons, strict=True)]

    return rows_of(runtime, member_ids, "next_purchase|timing|curve", predict)


def days_said(served: Served, name: str, rows: np.ndarray) -> list[str | None]:
    """A column of days as dates, as the card's window says them: T days from as_of is the day as_of + T − 1."""
    if name not in served.release.predictions:
        return [None] * len(rows)
    days = served.release.predictions[name][rows].astype(float)
    there = np.isfinite(days)
    whole = np.maximum(np.rint(np.where(there, days, 0.0)) - 1, 0).astype(np.int64)
    dates = np.datetime_as_string(np.datetime64(served.as_of, "D") + whole).tolist()
    return [day if known else None for day, known in zip(dates, there.tolist(), strict=True)]


def value(runtime: Runtime, member_ids: Sequence[str]) -> Row:
    """Expected net spend over the next year with its interval, and the tier made from it. Yuan."""
    names = ("expected_spend_yuan", "expected_spend_low_yuan", "expected_spend_high_yuan", "expected_orders")

    def predict(served: Served, rows: np.ndarray) -> list[Row]:
        release = served.release
        columns = [release.predictions[name][rows].astype(float) for name in names if name in release.predictions]
        held = [name for name in names if name in release.predictions]
        lists = [[None if v != v else v for v in column.tolist()] for column in columns]  # NaN is not itself
        labels = release.manifest["labels"]["tier"]
        codes = release.codes["tier"][rows].tolist()
        tiers = [None if code >= len(labels) else str(labels[code]) for code in codes]
        return [dict(zip((*held, "tier"), line, strict=True)) for line in zip(*lists, tiers, strict=True)]

    return rows_of(runtime, member_ids, "value", predict)


def recommend(
    runtime: Runtime,
    caller: Caller,
    member_ids: Sequence[str],
    *,
    slate: str,
    n: int,
    store_id: str | None,
    request_id: str,
) -> Row:
    """Items for each member; opt-outs and unknown members get the popular list, as in the single call."""
    results = []
    for place, member_id in enumerate(member_ids):
        answer = recommendations(
            runtime, caller, member_id, slate=slate, n=n, store_id=store_id, request_id=f"{request_id}-{place}"
        )
        names = ("member_id", "personalised", "source", "fallback_reason", "items", "short", "why_short")
        results.append({**{name: answer[name] for name in names}, "error": None})
    served = runtime.served
    return {
        "model_version": served.version,
        "as_of": served.as_of,
        **served.source("items"),
        "answered": len(results),
        "results": results,
    }


def _error(member_id: str, row: int | None, kinds: np.ndarray) -> Row:
    if row is None:
        code, message = "not_found", "no such member in the release"
    elif kinds[row] == COLD:
        code, message = "no_purchase", "registered, but nothing was bought before as_of"
    else:
        code, message = "not_scored", "this member is left out of scoring"
    return {"member_id": member_id, "error": {"code": code, "message": message}}
