"""Up to 1,000 member ids in, one JSON row each out: a prediction, or an error that names the id.

Where the release holds the rows' text ready they are only joined; otherwise an answer is written column by column.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from serving.access import Caller
from serving.answers.happened import days_passed
from serving.answers.slates import recommendations
from serving.releases import Served
from serving.runtime import Runtime
from training.release import COLD, SCORED, Release, between
from training.release_index import keys_of
from training.release_rows import Columns, Rows, churn_columns, columns_of, joined_rows

MOST = 1_000
# The models behind a call, the nearest first.
BEHIND: Mapping[str, tuple[str, ...]] = {
    "churn": ("churn", "curve"),
    "next_purchase": ("next_purchase", "timing", "curve"),
    "value": ("value",),
}


def churn(runtime: Runtime, member_ids: Sequence[str], horizon_days: int | None, *, computed: bool = False) -> bytes:
    """Churn probability: no purchase within the horizon (the brand's, unless another is asked for).

    computed: ask the release's model again instead of reading the curve that it wrote; the answer is the same.
    """
    served = runtime.served
    brands = int(served.release.manifest["horizon_days"])
    days = horizon_days or brands
    places = places_of(served.release, member_ids)
    if computed:
        columns = served.computed_survival(_scored(served.release, places))
        values = between(served.curve_model.bins.edges, float(days), lambda column: columns[:, column])
        return _written(runtime, served, "churn", member_ids, places, churn_columns(values, days))
    if days != brands:
        values = np.atleast_1d(served.release.survival_at(_scored(served.release, places), float(days)))
        return _written(runtime, served, "churn", member_ids, places, churn_columns(values, days))
    return _told(runtime, served, "churn", member_ids, places)


def next_purchase(runtime: Runtime, member_ids: Sequence[str]) -> bytes:
    """The probability of a return, and the window of the next purchase as dates."""
    served = runtime.served
    places = places_of(served.release, member_ids)
    passed = days_passed(served, runtime.now().date())
    if not passed:
        return _told(runtime, served, "next_purchase", member_ids, places)
    # The night has not come through: what the release holds ready would name days that have passed.
    rows = _scored(served.release, places)
    columns = columns_of(served.release, "next_purchase", rows, passed_days=passed) if len(rows) else {}
    return _written(runtime, served, "next_purchase", member_ids, places, columns)


def value(runtime: Runtime, member_ids: Sequence[str]) -> bytes:
    """Expected net spend within the brand's horizon with its interval, and the tier made from it. Yuan."""
    served = runtime.served
    return _told(runtime, served, "value", member_ids, places_of(served.release, member_ids))


def places_of(release: Release, member_ids: Sequence[str]) -> Rows:
    """What `release.index` says of each id (-1: not known), looked up in one go."""
    asked = [release.aliases.get(member_id, member_id) for member_id in member_ids] if release.aliases else member_ids
    keys, fits = keys_of(asked, release.ids.dtype)
    places = release.rows_of(keys)
    return places if fits is None else np.where(fits, places, -1)


def _scored(release: Release, places: Rows) -> Rows:
    """The rows of those who were scored, in the order asked."""
    known = places if places.min(initial=0) >= 0 else places[places >= 0]
    scored = release.kind[known] == SCORED
    return known if scored.all() else known[scored]


def _told(runtime: Runtime, served: Served, task: str, member_ids: Sequence[str], places: Rows) -> bytes:
    """The answer from the text that the release holds ready; written where it holds none, or knows an id by another."""
    release = served.release
    ready = release.ready_rows.get(task)
    rows = _scored(release, places)
    if ready is None or (release.aliases and not release.aliases.keys().isdisjoint(member_ids)):
        return _written(
            runtime, served, task, member_ids, places, columns_of(release, task, rows) if len(rows) else {}
        )
    texts = ready[rows]
    if len(rows) == len(places):
        return _answer(runtime, served, task, len(rows), texts.view(np.uint8).data[:-1])
    return _answer(runtime, served, task, len(rows), _with_errors(texts.tolist(), member_ids, places, release))


def _written(
    runtime: Runtime, served: Served, task: str, member_ids: Sequence[str], places: Rows, columns: Columns
) -> bytes:
    """The answer from columns for those who were scored."""
    release = served.release
    scored = places >= 0
    scored[scored] = release.kind[places[scored]] == SCORED
    ids = [orjson.dumps(member_ids[place]).decode()[1:-1] for place in np.flatnonzero(scored).tolist()]
    # No JSON text holds a line break of its own.
    lines = [line + b"," for line in joined_rows(ids, columns, "\n").encode().split(b"\n")] if ids else []
    return _answer(runtime, served, task, len(ids), _with_errors(lines, member_ids, places, release))


def _with_errors(texts: Sequence[bytes], member_ids: Sequence[str], places: Rows, release: Release) -> bytes:
    """The rows of those who were scored, each with its comma, and an error for each of the others, in the order asked."""
    scored = iter(texts)
    kinds = release.kind[np.maximum(places, 0)] if len(release.ids) else np.zeros(len(places), np.uint8)
    rows = [
        next(scored) if place >= 0 and kind == SCORED else orjson.dumps(_error(member_id, place, kind)) + b","
        for member_id, place, kind in zip(member_ids, places.tolist(), kinds.tolist(), strict=True)
    ]
    return b"".join(rows)[:-1]


def _error(member_id: str, place: int, kind: int) -> dict[str, Any]:
    if place < 0:
        code, message = "not_found", "no such member in the release"
    elif kind == COLD:
        code, message = "no_purchase", "registered, but nothing was bought before as_of"
    else:
        code, message = "not_scored", "this member is left out of scoring"
    return {"member_id": member_id, "error": {"code": code, "message": message}}


def _answer(runtime: Runtime, served: Served, task: str, answered: int, results: bytes | memoryview) -> bytes:
    said = served.source(*BEHIND[task])
    runtime.metrics.answered(task, said["source"], answered)
    return _headed(served, said, answered, results)


def _headed(served: Served, source: Mapping[str, Any], answered: int, results: bytes | memoryview) -> bytes:
    head = {"model_version": served.version, "as_of": served.as_of, **source, "answered": answered}
    return b"".join((orjson.dumps(head)[:-1], b',"results":[', results, b"]}"))


def recommend(
    runtime: Runtime,
    caller: Caller,
    member_ids: Sequence[str],
    *,
    slate: str,
    n: int,
    store_id: str | None,
    request_id: str,
    personalised: bool = True,
) -> bytes:
    """Items for each member; opt-outs and unknown members get the popular list, as in the single call."""
    results = []
    live = runtime.live.look()
    names = (
        "member_id",
        "personalised",
        "source",
        "fallback_reason",
        "method",
        "store_id",
        "items",
        "short",
        "why_short",
    )
    for place, member_id in enumerate(member_ids):
        answer = recommendations(
            runtime,
            live,
            caller,
            member_id,
            slate=slate,
            n=n,
            store_id=store_id,
            personalised=personalised,
            request_id=f"{request_id}-{place}",
        )
        results.append(orjson.dumps({**{name: answer[name] for name in names}, "error": None}))
    served = runtime.served
    return _headed(served, served.item_methods.of_list(slate).said, len(results), b",".join(results))
