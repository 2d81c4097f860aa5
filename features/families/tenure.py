"""Tenure and level: how long the person has been a member, and the standing they have.

Level, points and the like have no history: they are null unless the member's row was last changed before as_of.
"""

from datetime import date

import ibis
from ibis.expr.types import Table

from features.columns import VectorColumn
from features.purchases import day_number, day_of

COLUMNS = (
    VectorColumn("member_days", "days", "tenure", "Days since the person became a member", "入会天数"),
    VectorColumn("first_visit_wait_days", "days", "tenure", "Days from joining to the first visit; below zero if bought first", "入会到首购天数"),
    VectorColumn("level_order", "rank", "tenure", "Rank of the membership level, higher is better", "会员等级序号"),
    VectorColumn("level_paid", "flag", "tenure", "1 for a paid membership", "是否付费会员"),
    VectorColumn("points_balance", "points", "tenure", "Points", "积分余额"),
    VectorColumn("age_years", "years", "tenure", "as_of's year minus the year of birth", "年龄"),
    VectorColumn("was_referred", "flag", "tenure", "1 if another member brought this one", "是否由老会员推荐"),
)  # fmt: skip


def told(members: Table, as_of: date) -> Table:
    """What was known at as_of of each member's row: member, member_id, joined (day, null if later), then told_ columns."""
    day = day_of(as_of)
    joined = day_number(members.registered_at)
    fresh = (day_number(members.updated_at) < day).fill_null(False)

    def known(value: ibis.Value) -> ibis.Value:
        return fresh.ifelse(value.cast("float64"), ibis.null("float64"))

    return members.select(
        "member",
        "member_id",
        joined=(joined < day).ifelse(joined, ibis.null("int32")),
        told_level=known(members.level_order),
        told_paid=known((members.level_type == "paid").cast("int32")),
        told_points=known(members.points_balance),
        told_birth=known(members.birth_year),
        told_referred=known(members.referrer_member_id.notnull().cast("int32")),
    )


def express(t: Table, as_of: date) -> dict[str, ibis.Value]:
    """The family's columns from a member's summary with what was told."""
    return {
        "member_days": day_of(as_of) - t.joined,
        "first_visit_wait_days": t.first_day - t.joined,
        "level_order": t.told_level,
        "level_paid": t.told_paid,
        "points_balance": t.told_points,
        "age_years": as_of.year - t.told_birth,
        "was_referred": t.told_referred,
    }
