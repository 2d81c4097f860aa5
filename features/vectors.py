"""A visit history in; out: member vectors – one row a member and as_of – that know nothing after their as_of day."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import ibis
import numpy as np
import pandas as pd
from ibis.expr.types import Table

from features.columns import VectorColumn
from features.errors import InputError
from features.families import (
    behaviours,
    breadth,
    calendar,
    channels,
    coupons,
    guides,
    returns,
    rhythm,
    spend,
    tenure,
    touches,
    trend,
)
from features.history import History
from features.progress import Progress, quiet
from features.purchases import day_of
from features.stored import let_go
from features.summary import summarise

# From a member's visits and row alone.
OF_VISITS = (rhythm, spend, breadth, trend, calendar, channels, tenure)
# With something gathered beside the visits.
BESIDE = (returns, behaviours, touches, guides, coupons)
COLUMNS: tuple[VectorColumn, ...] = tuple(c for family in (*OF_VISITS, *BESIDE) for c in family.COLUMNS)
# What is zero for a member who never bought. Their other columns of visits are null.
ZERO_WHEN_COLD = (
    *("visits", "orders", "visits_30d", "visits_60d", "visits_90d", "visits_180d", "visits_365d", "visits_weighted"),
    *("spend_total_yuan", "spend_30d_yuan", "spend_60d_yuan", "spend_90d_yuan", "spend_180d_yuan", "spend_365d_yuan"),
    *("items_distinct", "new_items_90d", "new_items_365d", "categories_distinct", "pieces_365d", "stores_distinct"),
)


@dataclass(frozen=True)
class MemberVectors:
    """Member vectors: frame (member_id, as_of, then one float64 column each of `columns`), sorted by as_of, member_id."""

    frame: pd.DataFrame
    columns: tuple[VectorColumn, ...]

    @property
    def members(self) -> np.ndarray:
        """The member ids, one a row."""
        return self.frame["member_id"].to_numpy()

    def at(self, as_of: date) -> "MemberVectors":
        """The rows of one as_of day."""
        rows = self.frame[self.frame["as_of"] == pd.Timestamp(as_of)]
        return MemberVectors(rows.reset_index(drop=True), self.columns)

    def matrix(self) -> np.ndarray:
        """The columns as float32 in C order [rows, columns], as models want them; null is NaN."""
        names = [c.name for c in self.columns]
        out = np.empty((len(self.frame), len(names)), dtype=np.float32)
        for j, name in enumerate(names):
            out[:, j] = self.frame[name].to_numpy()
        return out


def vector_table(history: History, as_of: date, changing: Table, *, cold: bool = False) -> Table:
    """The vectors of one day as a table: member_id, then the columns. `changing`: history.changing_visits(as_of)."""
    day = day_of(as_of)
    visits = history.steady.filter(history.steady.known < day).union(changing)
    usual = visits.agg(usual_gap=visits.gap.median().cast("float64"))
    summary = summarise(visits, as_of)
    people = tenure.told(history.grown_ups(as_of), as_of)
    if cold:
        t = _beside(people, summary)
        t = t.filter(t.joined.notnull() | t.n.notnull())
    else:
        t = people.join(summary, "member")
    t = t.cross_join(usual)
    values: dict[str, ibis.Value] = {}
    given = []
    for family in BESIDE:
        gathered = family.gather(history, as_of)
        if gathered is None:
            values |= {c.name: ibis.null("float64") for c in family.COLUMNS}
        else:
            t = _beside(t, gathered)
            given.append(family)
    for told in (*OF_VISITS, *given):
        values |= told.express(t, as_of)
    if cold:
        values |= {name: ibis.coalesce(values[name].cast("float64"), 0.0) for name in ZERO_WHEN_COLD}
    return t.select("member_id", **{c.name: values[c.name].cast("float64") for c in COLUMNS})


def _beside(t: Table, more: Table) -> Table:
    return t.left_join(more, "member").drop("member_right")


def iter_vectors(
    history: History,
    as_of: Sequence[date],
    *,
    members: Sequence[str] | np.ndarray | None = None,
    cold: bool = False,
    progress: Progress = quiet,
) -> Iterator[MemberVectors]:
    """The vectors of one as_of day after another, for bases too large to hold several at once."""
    days = sorted(set(as_of))
    if days and days[0] <= history.coverage_start:
        raise InputError(
            f"as_of: {days[0]} is not after the first day of the data ({history.coverage_start}); choose a later day"
        )
    wanted = None if members is None else np.unique(np.asarray(members).astype(str))
    for i, day in enumerate(days):
        progress(f"vectors of {day}", i / len(days))
        changing = history.changing_visits(day)
        table = vector_table(history, day, changing, cold=cold).to_pyarrow()
        let_go(changing)
        ids = table["member_id"].to_numpy(zero_copy_only=False).astype(str)
        order = np.argsort(ids)
        if wanted is not None:
            order = order[np.isin(ids[order], wanted)]
        arrays: dict[str, np.ndarray] = {"member_id": ids[order].astype(object)}
        arrays["as_of"] = np.full(len(order), np.datetime64(day, "s"))
        for c in COLUMNS:
            at = table.schema.get_field_index(c.name)
            arrays[c.name] = table.column(at).to_numpy()[order]
            table = table.remove_column(at)  # so that two copies of everything never stand side by side
        yield MemberVectors(pd.DataFrame(arrays, copy=False), COLUMNS)


def build_vectors(
    history: History,
    as_of: Sequence[date],
    *,
    members: Sequence[str] | np.ndarray | None = None,
    cold: bool = False,
    progress: Progress = quiet,
) -> MemberVectors:
    """The vectors of every member with a kept purchase before each as_of day.

    `members` restricts the rows (never what is learned of the brand). `cold` adds registered members without a purchase.
    """
    parts = list(iter_vectors(history, as_of, members=members, cold=cold, progress=progress))
    if not parts:
        raise InputError("as_of: give at least one day")
    return MemberVectors(pd.concat([p.frame for p in parts], ignore_index=True), COLUMNS)
