"""Walked visits in; out: one row a member as of a day – totals so far, the last visit, and sums of recent windows."""

from datetime import date

import ibis
from ibis.expr.types import Table

from features.purchases import day_of

WINDOWS = (30, 90, 180, 365)  # days before as_of
WINDOWED = ("fen", "qty", "new_items")
_LAST = ("known", "first_known", "until")


def summarise(visits: Table, as_of: date) -> Table:
    """One row a member with a visit known before as_of.

    Columns: those of the last walked visit (day, gap, prev_gap, n, first_day, max_fen, sum_…, and the visit's own measures);
    visits_<w> and <measure>_<w> over the w days before as_of; gap_median; season_visits (the same season a year before).
    """
    day = day_of(as_of)
    last = visits.filter(visits.next_known >= day).drop(*_LAST, "next_known")
    sums: dict[str, ibis.Value] = {}
    for w in WINDOWS:
        recent = visits.day >= day - w
        sums[f"visits_{w}"] = recent.cast("int32").sum().cast("int64")
        for measure in WINDOWED:
            sums[f"{measure}_{w}"] = ibis.coalesce(visits[measure].sum(where=recent), 0).cast("int64")
    season = (visits.day >= day - 365) & (visits.day < day - 365 + 90)
    sums["season_visits"] = season.cast("int32").sum().cast("int64")
    sums["gap_median"] = visits.gap.median().cast("float64")
    return last.join(visits.group_by("member").agg(**sums), "member")
