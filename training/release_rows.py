"""Members' predictions in; out: what a bulk call says of each, as JSON text that only has to be joined.

releases/<id>/members/rows/<task>.npy   S[width] [members]: a JSON object, spaces, a comma; "" for members not scored

Turning a thousand members' numbers into text takes most of a bulk call's time and gives the same text until the next
release, so the release holds it. What is asked otherwise (another horizon, an old card's number) is written here too, a
column at a time.
"""

import datetime as dt
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import orjson

from training.release import SCORED, TASKS, Release

Rows = npt.NDArray[np.int64]
# A column of JSON texts by its name; one text where it is the same for all.
Columns = Mapping[str, Sequence[str] | str]
# Members written at a time.
CHUNK = 50_000
# More digits than a model knows anything about.
YUAN_DECIMALS, DECIMALS = 2, 6
# Why there are no dates where the whole window lies before today.
WINDOW_PASSED = "window_passed"
VALUES = ("expected_spend_yuan", "expected_spend_low_yuan", "expected_spend_high_yuan", "expected_orders")


def columns_of(release: Release, task: str, rows: Rows, *, passed_days: int = 0) -> Columns:
    """What the call `task` says of members, a column at a time, so many days after the release's as_of."""
    if task == "churn":
        days = int(release.manifest["horizon_days"])
        return churn_columns(np.atleast_1d(release.survival_at(rows, float(days))), days)
    if task == "next_purchase":
        over = _window_over(release, rows, passed_days)
        reasons = words(release, "next_null_reason", rows)
        if over.any():
            said = [reasons] * len(over) if isinstance(reasons, str) else reasons
            reasons = [f'"{WINDOW_PASSED}"' if gone else reason for gone, reason in zip(over, said, strict=True)]
        return {
            "return_probability": _predicted(release, "return_probability", rows),
            **{
                name: days_said(release, f"next_{name}_days", rows, passed_days=passed_days, over=over)
                for name in ("low", "median", "high")
            },
            "null_reason": reasons,
        }
    held = [name for name in VALUES if name in release.predictions]
    return {name: _predicted(release, name, rows) for name in held} | {
        "tier": words(release, "tier", rows),
        "horizon_days": str(int(release.manifest["horizon_days"])),
    }


def churn_columns(survival: npt.NDArray[np.floating], days: int) -> Columns:
    """P(no purchase within so many days), as the churn call says it."""
    return {"churn_probability": numbers(survival, DECIMALS), "horizon_days": str(days)}


def said_number(name: str, value: float) -> float:
    """A prediction as it is told: yuan to the cent, everything else to six decimals."""
    return round(value, _decimals(name))


def joined_rows(ids: Sequence[str], columns: Columns, between: str) -> str:
    """One JSON object an id (a JSON text without its quotes), {"member_id", …columns, "error": null}, joined."""
    pattern: list[Sequence[str] | str] = [between + '{"member_id":"', ids]
    text = '"'
    for name, column in columns.items():
        text += f',"{name}":'
        if isinstance(column, str):
            text += column
        else:
            pattern += [text, column]
            text = ""
    pattern.append(text + ',"error":null}')
    pieces = [part if isinstance(part, str) else "" for part in pattern] * len(ids)
    for at, part in enumerate(pattern):
        if not isinstance(part, str):
            pieces[at :: len(pattern)] = part
    return "".join(pieces)[len(between) :]


def numbers(values: npt.NDArray[np.floating], decimals: int) -> list[str]:
    """A column of numbers as JSON texts; NaN becomes null."""
    column = np.round(np.ascontiguousarray(values, dtype=np.float64), decimals)
    return orjson.dumps(column, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].decode().split(",")


def words(release: Release, name: str, rows: Rows) -> list[str] | str:
    """A column of labels as JSON texts; null where there is none, or where the release has no such column."""
    if name not in release.codes:
        return "null"
    labels = release.manifest["labels"][name]
    texts = [orjson.dumps(label or None).decode() for label in labels] + ["null"]
    return [texts[code] for code in np.minimum(release.codes[name][rows], len(labels)).tolist()]


def days_said(
    release: Release, name: str, rows: Rows, *, passed_days: int, over: npt.NDArray[np.bool_]
) -> list[str] | str:
    """A column of days as JSON dates, as the card's window says them: T days from as_of is the day as_of + T − 1.

    Days that have passed since count as today; of windows that are over nothing is said.
    """
    if name not in release.predictions:
        return "null"
    days = release.predictions[name][rows].astype(float)
    there = np.isfinite(days) & ~over
    # Null is the day before all others, so that few texts are made.
    whole = np.where(there, np.maximum(np.rint(np.where(there, days, 0.0)) - 1, passed_days), -1).astype(np.int64)
    different, at = np.unique(whole, return_inverse=True)
    as_of = np.datetime64(dt.date.fromisoformat(str(release.manifest["as_of"])), "D")
    dates = np.datetime_as_string(as_of + different).tolist()
    texts = ["null" if day < 0 else f'"{date}"' for day, date in zip(different.tolist(), dates, strict=True)]
    return [texts[place] for place in at.tolist()]


def _window_over(release: Release, rows: Rows, passed_days: int) -> npt.NDArray[np.bool_]:
    """Members whose whole window of the next purchase lies before today."""
    if not passed_days or "next_high_days" not in release.predictions:
        return np.zeros(len(rows), bool)
    days = release.predictions["next_high_days"][rows].astype(float)
    over: npt.NDArray[np.bool_] = np.rint(np.nan_to_num(days, nan=np.inf)) - 1 < passed_days
    return over


def write_rows(release: Release) -> None:
    """Write every call's text of every member into a release that is being made."""
    folder = release.path / "members/rows"
    folder.mkdir(exist_ok=True)
    for task in TASKS:
        np.save(folder / f"{task}.npy", ready_rows(release, task), allow_pickle=False)


def ready_rows(release: Release, task: str) -> npt.NDArray[np.bytes_]:
    """The text of every member for one call, in one width; spaces before the comma fill it up."""
    parts: list[list[bytes]] = []
    for first in range(0, len(release.ids), CHUNK):
        kinds = np.asarray(release.kind[first : first + CHUNK])
        scored = np.flatnonzero(kinds == SCORED)
        texts = [b""] * len(kinds)
        if len(scored):
            ids = [orjson.dumps(one.decode()).decode()[1:-1] for one in release.ids[first + scored].tolist()]
            # No JSON text holds a line break of its own.
            lines = joined_rows(ids, columns_of(release, task, first + scored), "\n").encode().split(b"\n")
            for place, line in zip(scored.tolist(), lines, strict=True):
                texts[place] = line
        parts.append(texts)
    width = max((len(text) for texts in parts for text in texts), default=0)
    made = np.zeros(len(release.ids), f"S{width + 1}")
    first = 0
    for texts in parts:
        made[first : first + len(texts)] = [text and text.ljust(width) + b"," for text in texts]
        first += len(texts)
    return made


def _predicted(release: Release, name: str, rows: Rows) -> list[str]:
    return numbers(release.predictions[name][rows], _decimals(name))


def _decimals(name: str) -> int:
    return YUAN_DECIMALS if name.endswith("_yuan") else DECIMALS
