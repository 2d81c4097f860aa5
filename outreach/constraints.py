"""A desk of members in, the reason each one is left out today: every member has exactly one reason or is eligible."""

import datetime as dt
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outreach.arms import held_out
from outreach.inputs import Desk
from outreach.settings import ContactSettings

Bools = NDArray[np.bool_]

# In the order in which they are tried; the first that holds is the reason.
REASONS = (
    "staff",
    "wholesale",
    "deregistered",
    "minor",
    "no_guide",
    "holdout",
    "not_friend",
    "no_consent",
    "opted_out",
    "do_not_contact",
    "open_case",
    "quiet_day",
    "just_bought",
    "gap",
    "contacts_30d",
    "touches_30d",
    "cool_off",
    "no_purchase",
    "below_floor",
)
CODE = {name: i for i, name in enumerate(REASONS)}
ELIGIBLE = -1


@dataclass(frozen=True)
class Exclusions:
    """Per member `code` (place in REASONS, −1 = eligible) and `care` (who may get care); per guide `gap_days`."""

    code: NDArray[np.int8]
    care: Bools
    gap_days: NDArray[np.float64]

    @property
    def eligible(self) -> Bools:
        return np.asarray(self.code == ELIGIBLE)


def default_gap(members: NDArray[np.float64], capacity: NDArray[np.float64], settings: ContactSettings) -> np.ndarray:
    """Days between contacts: clip(0.4 × eligible / capacity, 7, 21), whole days; or the brand's own figure."""
    if settings.gap_days is not None:
        return np.full(len(members), settings.gap_days)
    days = 0.4 * members / np.maximum(capacity, 1)
    return np.rint(np.clip(days, settings.gap_min_days, settings.gap_max_days))


def exclude(desk: Desk, date: dt.date, settings: ContactSettings) -> Exclusions:
    """Find the first reason that leaves each member out; the gap is set from who is left before it."""
    n = len(desk)
    code = np.full(n, ELIGIBLE, dtype=np.int8)

    def leave_out(reason: str, who: Bools) -> None:
        code[(code == ELIGIBLE) & who] = CODE[reason]

    for reason in ("staff", "wholesale", "deregistered", "minor"):
        leave_out(reason, desk.person[reason])
    leave_out("no_guide", desk.guide < 0)
    leave_out("holdout", held_out(desk.hashes, settings) | desk.held_by_hand)
    reachable = desk.channels > 0
    leave_out("not_friend", ~reachable & ~desk.friend)
    leave_out("no_consent", ~reachable)
    leave_out("opted_out", desk.opted_out)
    leave_out("do_not_contact", desk.do_not_contact)
    leave_out("open_case", desk.open_case)
    leave_out("quiet_day", np.full(n, date in settings.quiet_days))
    leave_out("just_bought", desk.standing.days_since < settings.just_bought_days)
    left = np.bincount(desk.guide[code == ELIGIBLE], minlength=len(desk.guide_ids)).astype(np.float64)
    gap_days = default_gap(left, desk.capacity.astype(np.float64), settings)
    own_gap = np.where(desk.guide >= 0, gap_days[np.maximum(desk.guide, 0)], settings.gap_max_days)
    tired = {
        "gap": desk.days_since_contact < own_gap,
        "contacts_30d": desk.contacts_30d >= settings.contacts_30d_max,
        "touches_30d": desk.touches_30d >= settings.touches_30d_max,
        "cool_off": desk.cool_off,
    }
    # Care by rule is no task made by a model: who wants none of those may still be cared for, and the holdout may
    # where the brand says so - but not against any other rule.
    spared = code == CODE["opted_out"]
    if settings.holdout_care:
        spared = spared | ((code == CODE["holdout"]) & reachable)
    hard = desk.do_not_contact | desk.open_case | (desk.standing.days_since < settings.just_bought_days)
    spared = spared & ~hard & ~np.logical_or.reduce(list(tired.values())) & (date not in settings.quiet_days)
    for reason, who in tired.items():
        leave_out(reason, who)
    new = desk.days_since_joined <= settings.new_member_days
    leave_out("no_purchase", ~desk.buyer & ~new & (settings.objective != "first_orders"))
    return Exclusions(code, (code == ELIGIBLE) | spared, gap_days)
