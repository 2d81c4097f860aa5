"""Checked raw tables in; out: a visit history, made once, from which any as_of day is one cheap pass.

Most members' visits never change after the day they happen: those are walked once. Members with an order that was late,
cancelled or wholly returned look different on different days: their visits are walked again for each as_of.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import ibis
import numpy as np
import pandas as pd
from ibis.expr.types import Table

from features.progress import Progress, quiet
from features.purchases import NEVER, Purchases, day_of, minor, read_purchases
from features.sides import read_sides
from features.stored import let_go, stored
from features.tables import Tables
from features.visits import visits_of, walk


@dataclass(frozen=True)
class History:
    """What members did, ready to be looked at from any as_of day.

    tables: the raw tables it was made of. purchases: their purchases and returns. sides: events, contacts and so on.
    steady: walked visits of members whose past never changes. changing: the members (key) whose past does.
    excluded: members left out, by reason (staff, wholesale, deregistered; minors as of the day after coverage_end).
    """

    tables: Tables
    purchases: Purchases
    sides: dict[str, Table]
    steady: Table
    changing: Table
    excluded: dict[str, int]
    coverage_start: date
    coverage_end: date

    @property
    def visits(self) -> Table:
        """Every visit that happened, however it ended: member_id, day, known_day, spend_yuan, items, lines, orders.

        This is what labels look at: later returns do not undo a visit, cancelled orders never were one.
        `items` are pieces. `gap_days` counts from the visit before; null for the first.
        """
        orders = self.purchases.orders
        happened = visits_of(self.purchases, orders.filter(orders.final))
        happened = happened.semi_join(self.grown_ups(self.coverage_end + timedelta(days=1)), "member")
        gap = happened.day - happened.day.lag().over(ibis.window(group_by="member", order_by="day"))
        named = happened.mutate(gap_days=gap).join(self.purchases.members.select("member", "member_id"), "member")
        return named.select(
            "member_id",
            day=_date(named.day),
            known_day=_date(named.known),
            spend_yuan=named.fen / 100.0,
            items="qty",
            lines="lines",
            orders="orders",
            gap_days="gap_days",
        )

    def visit_frame(self) -> pd.DataFrame:
        """`visits` as a frame sorted by member_id and day; the days are datetime64."""
        frame = self.visits.to_pandas()
        for column in ("day", "known_day"):
            frame[column] = pd.to_datetime(frame[column])
        return frame.sort_values(["member_id", "day"], ignore_index=True)

    def return_frame(self) -> pd.DataFrame:
        """Every returned line of a member: member_id, day (known), sold_day, returned_yuan, items; sorted."""
        back = self.purchases.returns.join(self.purchases.members.select("member", "member_id"), "member")
        frame = back.select(
            "member_id",
            day=_date(back.day),
            sold_day=_date(back.sold_day),
            returned_yuan=back.fen / 100.0,
            items="qty",
        ).to_pandas()
        for column in ("day", "sold_day"):
            frame[column] = pd.to_datetime(frame[column])
        return frame.sort_values([*frame.columns], ignore_index=True)

    def grown_ups(self, as_of: date) -> Table:
        """The members who may be looked at on a day: everyone inside who is not known to be a minor then."""
        return self.purchases.members.filter(~minor(self.purchases.members, as_of))

    def changing_visits(self, as_of: date) -> Table:
        """The walked visits, as known at as_of, of members whose past changes; stored, to be let go by the caller."""
        day = day_of(as_of)
        orders = self.purchases.orders.semi_join(self.changing, "member")
        known = orders.filter((orders.known < day) & (orders.until >= day))
        return stored(walk(visits_of(self.purchases, known)).select(*self.steady.columns), "changing_visits")


def _date(day: ibis.Value) -> ibis.Value:
    return ibis.date(1970, 1, 1) + day.as_interval("D")


def build_history(tables: Tables, *, progress: Progress = quiet) -> History:
    """Make the visit history of every member who may be looked at."""
    progress("reading purchases", 0.0)
    purchases = read_purchases(tables)
    progress("walking visits", 0.6)
    steady, changing = walked_visits(purchases)
    progress("reading what else is known", 0.9)
    sides = read_sides(tables, purchases.members)
    progress("history is ready", 1.0)
    return History(
        tables=tables,
        purchases=purchases,
        sides=sides,
        steady=steady,
        changing=changing,
        excluded=purchases.excluded,
        coverage_start=tables.coverage_start,
        coverage_end=tables.coverage_end,
    )


def walked_visits(purchases: Purchases) -> tuple[Table, Table]:
    """Walked visits of the members whose past never changes, and the members whose past does.

    A past changes when an order ends (returned whole, cancelled later), when orders of one visit became known on
    different days, or when a visit became known after a later one. Otherwise what was known at any as_of is the first
    so many of the member's visits, and each visit keeps the gap it has.
    """
    orders = purchases.orders
    ended = orders.filter(orders.until < NEVER).select("member").distinct()
    walked = walk(visits_of(purchases, orders).anti_join(ended, "member"))
    walked = stored(walked, "walked")
    out_of_turn = (walked.first_known < walked.known) | (walked.previous_known > walked.known).fill_null(False)
    late = stored(walked.filter(out_of_turn).select("member").distinct(), "late")
    changing = stored(ended.union(late), "changing")
    if not late.count().to_pyarrow().as_py():
        return walked, changing
    steady = stored(walked.anti_join(late, "member"), "steady")
    let_go(walked)
    return steady, changing


def population(history: History, as_of: date) -> np.ndarray:
    """Ids, sorted, of every member with a kept purchase before as_of who is not known to be a minor then."""
    day = day_of(as_of)
    orders = history.purchases.orders
    kept = orders.filter((orders.known < day) & (orders.until >= day))
    ids = history.grown_ups(as_of).semi_join(kept, "member").select("member_id").to_pyarrow()
    return np.sort(ids["member_id"].to_numpy(zero_copy_only=False).astype(str))
