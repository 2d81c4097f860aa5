"""Members and their visits in; monthly coupon draws of one published template, and which visit used which, out.

Threshold and face are the same for everybody: a draw, not a price made for a member.
"""

import dataclasses

import numpy as np
import pandas as pd

from simulator.baskets import Lines
from simulator.columns import numbered, or_none, times
from simulator.people import People
from simulator.preset import Preset
from simulator.rhythm import Visits

DRAW_EVERY_DAYS = 30


@dataclasses.dataclass(frozen=True)
class Coupons:
    """Issued coupons sorted by day and member: member, day issued, and the visit that used it (-1: none)."""

    member: np.ndarray
    day: np.ndarray
    visit: np.ndarray


def draw_coupons(
    preset: Preset, people: People, visits: Visits, lines: Lines, days: int, rng: np.random.Generator
) -> Coupons:
    """Each month a share of the members draws a coupon; the first visit after it that is large enough may use it."""
    plan = preset.coupons
    draws = np.arange(0, days, DRAW_EVERY_DAYS)
    share = min(plan.per_member_year * DRAW_EVERY_DAYS / 365.0, 1.0)
    batch, member = np.nonzero(rng.random((len(draws), len(people))) < share)
    day = draws[batch]
    on_list = (people.registered_day[member] <= day) & (people.kind[member] == "")
    member, day = member[on_list], day[on_list]
    used = np.full(len(member), -1, dtype=np.int64)
    if len(visits.day) and len(member):
        total = np.bincount(lines.visit, weights=lines.paid_yuan, minlength=len(visits.day))
        span = int(days + 1000)
        key = visits.member * span + visits.day
        at = np.minimum(np.searchsorted(key, member * span + day), len(key) - 1)
        fits = (
            (visits.member[at] == member)
            & (visits.day[at] >= day)
            & (visits.day[at] < day + plan.valid_days)
            & (total[at] >= plan.threshold_yuan)
            & (rng.random(len(member)) < plan.used)
        )
        fits &= ~pd.Series(np.where(fits, at, -1 - np.arange(len(at)))).duplicated().to_numpy()  # one a visit
        used = np.where(fits, at, -1)
    return Coupons(member, day, used)


def take_off(lines: Lines, coupons: Coupons, face_yuan: float, visits: int) -> Lines:
    """The lines after each coupon's face has been spread over its basket."""
    total = np.bincount(lines.visit, weights=lines.paid_yuan, minlength=visits)
    off = np.zeros(visits)
    off[coupons.visit[coupons.visit >= 0]] = face_yuan
    share = 1.0 - np.divide(off, total, out=np.zeros(visits), where=total > 0)
    return dataclasses.replace(lines, paid_yuan=np.round(lines.paid_yuan * share[lines.visit], 2))


def coupons_table(
    preset: Preset,
    people: People,
    coupons: Coupons,
    order_ids: np.ndarray,
    order_times: np.ndarray,
    start: np.datetime64,
    days: int,
) -> pd.DataFrame:
    """The contract's coupons table; order_ids and order_times are those of each visit."""
    plan, n = preset.coupons, len(coupons.member)
    used = coupons.visit >= 0
    visit = np.maximum(coupons.visit, 0)
    issued = start.astype("datetime64[s]") + (coupons.day * 86400 + 8 * 3600).astype("timedelta64[s]")
    until = start.astype("datetime64[s]") + ((coupons.day + plan.valid_days) * 86400 - 1).astype("timedelta64[s]")
    expired = ~used & (coupons.day + plan.valid_days <= days)
    none = np.full(n, None, dtype=object)
    return pd.DataFrame(
        {
            "coupon_id": coupon_ids(n),
            "template_id": f"MJ{plan.threshold_yuan:.0f}-{plan.face_yuan:.0f}",
            "member_id": people.ids[coupons.member],
            "issued_at": times(issued),
            "valid_from": times(issued),
            "valid_to": times(until),
            "status": np.where(used, "used", np.where(expired, "expired", "issued")),
            "used_at": times(order_times[visit], used) if len(order_times) else times(issued, used),
            "used_order_id": or_none(used, order_ids[visit]) if len(order_ids) else none,
            "threshold_yuan": plan.threshold_yuan,
            "face_yuan": plan.face_yuan,
            "source": "monthly_draw",
        }
    )


def coupon_ids(count: int) -> np.ndarray:
    """Ids of coupons in the order they were issued."""
    return numbered("Q", np.arange(1, count + 1), 9)
