"""Walked visits in; out: one row a member as of a day – totals so far, the last visit, and sums of recent windows."""

from datetime import date

import ibis
from ibis.expr.types import Table

from features.purchases import day_of
from features.visits import spread_unit

WINDOWS = (30, 60, 90, 180, 365)  # days before as_of
RECENT_WEIGHT_DAYS = 90  # a visit this long ago counts half of one today
SEASON_DAYS = 90  # the season ahead, as it was a year before
TOTALS = ("fen", "qty", "lines", "orders", "new_items", "new_categories", "new_stores")
FLAGS = ("online", "evening", "assisted", "weekend", "festive")
LAST = ("day", "n", "gap", "prev_gap", "fen", "qty", "lines", "new_items", "online")


def summarise(visits: Table, as_of: date) -> Table:
    """One row a member with a visit known before as_of; whole numbers all, null where there is nothing.

    last_<x>: the last visit's own x. n: visits. sum_<measure>: over all visits. <x>_<w>: over the w days before as_of.
    first_day, gap_median, gap_min, gap_max, sum_gap_squared, sum_jiao_squared, max_fen, fen_median, weighted_visits
    (millionths), season_visits and season_fen (the SEASON_DAYS that began a year before as_of), early_visits (older than
    180 days of the last 365).
    """
    v, day = visits, day_of(as_of)
    jiao = spread_unit(v)
    sums: dict[str, ibis.Value] = {
        "first_day": v.day.min(),
        "gap_median": v.gap.median(),
        "gap_min": v.gap.min(),
        "gap_max": v.gap.max(),
        "sum_gap_squared": _whole((v.gap.cast("int64") * v.gap).sum()),
        "sum_jiao_squared": _whole((jiao * jiao).sum()),
        "max_fen": v.fen.max(),
        "fen_median": v.fen.median(),
        # 1 / (1 + age / 90), in millionths: whole-number division gives the same sum in any order.
        "weighted_visits": _whole((RECENT_WEIGHT_DAYS * 1_000_000 // (RECENT_WEIGHT_DAYS + day - v.day)).sum()),
    }
    sums |= {f"sum_{m}": _whole(v[m].sum()) for m in (*TOTALS, *FLAGS)}
    for w in WINDOWS:
        recent = v.day >= day - w
        sums[f"visits_{w}"] = v.count(where=recent)
        sums[f"fen_{w}"] = _whole(v.fen.sum(where=recent))
    for w in (90, 365):
        for measure in ("qty", "new_items", "online"):
            sums[f"{measure}_{w}"] = _whole(v[measure].sum(where=v.day >= day - w))
    season = (v.day >= day - 365) & (v.day < day - 365 + SEASON_DAYS)
    sums["season_visits"] = v.count(where=season)
    sums["season_fen"] = _whole(v.fen.sum(where=season))
    last = v.filter(v.next_known >= day).select("member", **{f"last_{c}": v[c] for c in LAST})
    return last.join(v.group_by("member").agg(**sums), "member").rename(n="last_n")


def _whole(total: ibis.Value) -> ibis.Value:
    """A sum as 64 bits, 0 where there was nothing to add."""
    return ibis.coalesce(total, 0).cast("int64")
