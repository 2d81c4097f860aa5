"""Checked raw tables in; out: a visit history, made once, from which any as_of day is one cheap pass.

Most members' visits never change after the day they happen: those are walked once. Members with an order that was late,
cancelled or wholly returned look different on different days: their visits are walked again for each as_of.
"""

from dataclasses import dataclass, field
from datetime import date

import ibis
import numpy as np
import pandas as pd
from ibis.expr.types import Table

from features.progress import Progress, quiet
from features.purchases import NEVER, Purchases, day_of, read_purchases
from features.stored import stored
from features.tables import Tables
from features.visits import visits_of, walk


@dataclass(frozen=True)
class History:
    """What members did, ready to be looked at from any as_of day.

    tables: the raw tables it was made of. purchases: their purchases and returns.
    steady: walked visits of members whose past never changes. changing: the members (key) whose past does.
    excluded: members left out altogether, by reason (staff, wholesale, deregistered, minor).
    """

    tables: Tables
    purchases: Purchases
    steady: Table
    changing: Table
    excluded: dict[str, int]
    coverage_start: date
    coverage_end: date
    _ids: dict[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    @property
    def visits(self) -> Table:
        """Every visit that happened, however it ended: member_id, day, known_day, spend_yuan, items, lines, orders.

        This is what labels look at: later returns do not undo a visit, cancelled orders never were one.
        `items` are pieces. `gap_days` counts from the visit before; null for the first.
        """
        orders = self.purchases.orders
        happened = visits_of(self.purchases, orders.filter(orders.final))
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

    def known_visits(self, as_of: date) -> Table:
        """The walked visits as they were known at as_of, of every member."""
        day = day_of(as_of)
        orders = self.purchases.orders.semi_join(self.changing, "member")
        changing = walk(visits_of(self.purchases, orders.filter((orders.known < day) & (orders.until >= day))))
        steady = self.steady.filter(self.steady.known < day)
        return steady.union(stored(changing.select(*steady.columns), "changing_visits"))


def _date(day: ibis.Value) -> ibis.Value:
    return ibis.date(1970, 1, 1) + day.as_interval("D")


def build_history(tables: Tables, *, progress: Progress = quiet) -> History:
    """Make the visit history of every member who may be looked at."""
    progress("reading purchases", 0.0)
    purchases = read_purchases(tables)
    progress("walking visits", 0.6)
    orders = purchases.orders
    late = (orders.known != orders.day) | (orders.until < NEVER)
    changing = stored(orders.filter(late).select("member").distinct(), "changing")
    visits = visits_of(purchases, orders)
    steady = stored(walk(visits.anti_join(changing, "member")), "steady")
    progress("history is ready", 1.0)
    return History(
        tables=tables,
        purchases=purchases,
        steady=steady,
        changing=changing,
        excluded=purchases.excluded,
        coverage_start=tables.coverage_start,
        coverage_end=tables.coverage_end,
    )


def population(history: History, as_of: date) -> np.ndarray:
    """Ids, sorted, of every member with a kept purchase before as_of."""
    day = day_of(as_of)
    orders = history.purchases.orders
    kept = orders.filter((orders.known < day) & (orders.until >= day)).semi_join(history.purchases.lines, "purchase")
    ids = history.purchases.members.semi_join(kept, "member").select("member_id").to_pyarrow()
    return np.sort(ids["member_id"].to_numpy(zero_copy_only=False).astype(str))
