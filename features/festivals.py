"""The festivals that ship as data in; out: how far a day is from the next one, and which days are festive.

features/data/festivals.csv holds date, name, name_zh, kind (lunar, moving, fixed) and lead_days: how many days before the
day people shop for it (a judgement of the trade, not a measurement). Lunar dates were computed once and are data.
"""

import csv
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib import resources

from features.errors import InputError
from features.purchases import day_of


@dataclass(frozen=True)
class Festival:
    """A festival of one year."""

    day: date
    name: str
    name_zh: str
    kind: str
    lead_days: int


@cache
def festivals() -> tuple[Festival, ...]:
    """Every festival known, by day and name."""
    text = resources.files("features").joinpath("data/festivals.csv").read_text("utf-8")
    rows = csv.DictReader(text.splitlines())
    read = (
        Festival(date.fromisoformat(r["date"]), r["name"], r["name_zh"], r["kind"], int(r["lead_days"])) for r in rows
    )
    return tuple(sorted(read, key=lambda f: (f.day, f.name)))


def next_festival(as_of: date, names: tuple[str, ...] | None = None) -> Festival | None:
    """The first festival on or after a day, of the names given; None beyond the years the data hold."""
    if names is not None and (unknown := sorted(set(names) - {f.name for f in festivals()})):
        raise InputError(
            f"festivals.name: no such festival {unknown}; known are {sorted({f.name for f in festivals()})}"
        )
    # Outside the years of the file nothing is known, and the first festival of the file is not the next one.
    if as_of < date(festivals()[0].day.year, 1, 1):
        return None
    return next((f for f in festivals() if f.day >= as_of and (names is None or f.name in names)), None)


def festive_days(first: date, last: date) -> list[int]:
    """The day numbers from first to last on which people shop for a festival: its day and the lead days before it."""
    days = {
        day_of(f.day - timedelta(k))
        for f in festivals()
        for k in range(f.lead_days + 1)
        if first <= f.day - timedelta(k) <= last
    }
    return sorted(days)
