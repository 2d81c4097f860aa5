"""Calendar: where as_of stands in the year, and what the member did then before.

With fewer than two seasons of history these columns can hurt a model: they then tell one winter from one summer only.
"""

import math
from datetime import date
from functools import partial

import ibis
from ibis.expr.types import Table

from features.columns import VectorColumn
from features.festivals import next_festival
from features.purchases import day_of
from features.summary import SEASON_DAYS

_share = partial(VectorColumn, unit="share", family="calendar")
_days = partial(VectorColumn, unit="days", family="calendar")

COLUMNS = (
    _days("days_to_festival", meaning="Days from as_of to the next festival", meaning_zh="距下一个节日天数"),
    _days("days_to_spring_festival", meaning="Days from as_of to the next Spring Festival", meaning_zh="距下一个春节天数"),
    _days("days_to_sale_festival", meaning="Days from as_of to the next of 618, 11-11 and 12-12", meaning_zh="距下一个618/双11/双12天数"),
    VectorColumn("year_sine", "number", "calendar", "Sine of the place of as_of in the year", "年内位置正弦"),
    VectorColumn("year_cosine", "number", "calendar", "Cosine of the place of as_of in the year", "年内位置余弦"),
    VectorColumn(
        "season_visits", "visits", "calendar",
        f"Visits in the {SEASON_DAYS} days that began a year before as_of", f"去年同期{SEASON_DAYS}天购买次数",
    ),
    VectorColumn(
        "season_spend_yuan", "yuan", "calendar",
        f"Paid in the {SEASON_DAYS} days that began a year before as_of", f"去年同期{SEASON_DAYS}天消费",
    ),
    _share("festive_share", meaning="Visits on the days people shop for a festival", meaning_zh="节日期间购买占比"),
    _share("weekend_share", meaning="Visits on Saturday or Sunday", meaning_zh="周末购买占比"),
    _share("evening_share", meaning="Visits with an order from 18:00 on", meaning_zh="晚间购买占比"),
)  # fmt: skip


def express(t: Table, as_of: date) -> dict[str, ibis.Value]:
    """The family's columns from a member's summary."""

    def until(*names: str) -> ibis.Value:
        festival = next_festival(as_of, names or None)
        return ibis.null("float64") if festival is None else ibis.literal(float((festival.day - as_of).days))

    turn = 2 * math.pi * (as_of.timetuple().tm_yday - 1) / 365.25
    n = t.n.cast("float64")
    # Before the member's first visit a year ago lies outside of what is known of them: null, not "did not come".
    seen = t.first_day < day_of(as_of) - 365 + SEASON_DAYS
    return {
        "days_to_festival": until(),
        "days_to_spring_festival": until("spring_festival"),
        "days_to_sale_festival": until("june_18", "double_11", "double_12"),
        "year_sine": ibis.literal(math.sin(turn)),
        "year_cosine": ibis.literal(math.cos(turn)),
        "season_visits": seen.ifelse(t.season_visits, ibis.null("int64")),
        "season_spend_yuan": seen.ifelse(t.season_fen / 100.0, ibis.null("float64")),
        "festive_share": t.sum_festive / n,
        "weekend_share": t.sum_weekend / n,
        "evening_share": t.sum_evening / n,
    }
