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
from features.families import breadth, returns, rhythm, spend
from features.history import History
from features.progress import Progress, quiet
from features.purchases import day_of
from features.summary import summarise

FAMILIES = (rhythm, spend, breadth, returns)
COLUMNS: tuple[VectorColumn, ...] = tuple(c for family in FAMILIES for c in family.COLUMNS)
# What a member who never bought has by definition; everything else of theirs is null.
ZERO_WHEN_COLD = ("visits", "visits_30d", "visits_90d", "visits_365d", "spend_total_yuan", "spend_90d_yuan")


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


def vector_table(history: History, as_of: date) -> Table:
    """The vectors of one day as a table: member (key), then the columns; members with a kept purchase only."""
    visits = history.known_visits(as_of)
    summary = summarise(visits, as_of)
    usual = visits.agg(usual_gap=visits.gap.median().cast("float64"))
    back = history.purchases.returns
    back = back.filter(back.day < day_of(as_of)).group_by("member").agg(returns=lambda r: r.count())
    summary = summary.cross_join(usual).left_join(back, "member").drop("member_right")
    values: dict[str, ibis.Value] = {}
    for family in FAMILIES:
        values |= family.express(summary, as_of)
    return summary.select("member", **{c.name: values[c.name].cast("float64") for c in COLUMNS})


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
    wanted = None if members is None else np.unique(np.asarray(members).astype(str))
    for i, day in enumerate(days):
        if day <= history.coverage_start:
            raise InputError(
                f"as_of: {day} is not after the first day of the data ({history.coverage_start}); choose a later day"
            )
        progress(f"vectors of {day}", i / len(days))
        table = vector_table(history, day)
        base = history.purchases.members
        if cold:
            joined = base.registered_at.cast("date") < ibis.date(day.year, day.month, day.day)
            base = base.filter(joined | base.member.isin(table.member))
            named = base.select("member", "member_id").left_join(table, "member").drop("member_right", "member")
            zero = {name: ibis.coalesce(named[name], 0.0) for name in ZERO_WHEN_COLD}
            named = named.mutate(**zero)
        else:
            named = base.select("member", "member_id").join(table, "member").drop("member")
        frame = named.to_pyarrow().to_pandas()
        frame["member_id"] = frame["member_id"].astype(str)
        if wanted is not None:
            frame = frame[frame["member_id"].isin(wanted)]
        frame = frame.sort_values("member_id", ignore_index=True)
        frame.insert(1, "as_of", pd.Timestamp(day))
        yield MemberVectors(frame, COLUMNS)


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
