"""Guides: who looks after the member, and whether they are friends on WeCom."""

from datetime import date

import ibis
from ibis.expr.types import Table

from features.columns import VectorColumn
from features.history import History
from features.purchases import day_of

COLUMNS = (
    VectorColumn("has_guide", "flag", "guides", "1 if a guide looks after the member", "是否有专属导购"),
    VectorColumn("is_friend", "flag", "guides", "1 if guide and member are friends", "是否导购好友"),
    VectorColumn("friend_days", "days", "guides", "Days since they became friends", "成为好友天数"),
)


def gather(history: History, as_of: date) -> Table | None:
    """Assignments open at as_of, one row a member; None where the brand gave none."""
    assignments = history.sides.get("assignments")
    if assignments is None:
        return None
    day = day_of(as_of)
    a = assignments.filter((assignments.starts < day) & (assignments.ends >= day))
    friends = (a.friend_from < day) & (a.friend_to >= day)
    return a.group_by("member").agg(
        guided=a.count(), friends=a.count(where=friends), friend_day=a.friend_from.min(where=friends)
    )


def express(t: Table, as_of: date) -> dict[str, ibis.Value]:
    """The family's columns from what was gathered."""
    return {
        "has_guide": (ibis.coalesce(t.guided, 0) > 0).cast("int32"),
        "is_friend": (ibis.coalesce(t.friends, 0) > 0).cast("int32"),
        "friend_days": day_of(as_of) - t.friend_day,
    }
