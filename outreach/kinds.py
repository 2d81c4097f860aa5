"""A desk and its score in, the reason of every task out: forced or drawn, and never the same kind twice running."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from outreach.inputs import NEVER, Desk
from outreach.reasons import REASON_TEXTS
from outreach.score import Score
from outreach.settings import ContactSettings

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

DUE_FROM, DUE_TO = 0.8, 1.6  # times the member's own cycle
LAPSED_FROM = 2.0
# Forced reasons in the order in which they are tried.
CARE_ORDER = ("BIRTHDAY", "CARE", "TOUCH")


@dataclass(frozen=True)
class Possible:
    """Per member, for every reason code, whether it is true of the member today."""

    holds: dict[str, Bools]


def possible_reasons(desk: Desk, settings: ContactSettings) -> Possible:
    """What is true of each member; several may be, and one is always (KEEP for buyers, NEW otherwise)."""
    s = desk.standing
    late = s.lateness
    first, last = settings.care_days
    return Possible(
        {
            "BIRTHDAY": desk.days_to_birthday <= settings.birthday_days,
            "CARE": desk.buyer & (s.days_since >= first) & (s.days_since <= last),
            "TOUCH": desk.buyer & desk.top_tier & (desk.days_since_contact >= settings.top_tier_touch_days),
            "NEW": ~desk.buyer,
            "COUPON": desk.days_to_coupon_end <= settings.coupon_days,
            "LAPSED_VIP": desk.buyer & desk.top_tier & (late > LAPSED_FROM),
            "RISK": desk.buyer & (late > DUE_TO) & (s.visits > 1),
            "ASLEEP": desk.buyer & (late > LAPSED_FROM) & (s.visits == 1),
            "SECOND": desk.buyer & (late <= LAPSED_FROM) & (s.visits == 1),
            "DUE": desk.buyer & (late >= DUE_FROM) & (late <= DUE_TO) & (s.visits > 1),
            "KEEP": desk.buyer,
        }
    )


def forced_reasons(desk: Desk, possible: Possible, care: Bools) -> NDArray[np.object_]:
    """The forced reason of each member ('' for none): urged first, then birthday, care and minimum touch.

    A kind that the member had last time is not forced again.
    """
    code = np.full(len(desk), "", dtype=object)
    for name in CARE_ORDER:
        repeated = desk.last_kind == REASON_TEXTS[name].kind
        code[(code == "") & possible.holds[name] & care & ~repeated] = name
    code[desk.urged & care] = "URGED"
    return code


def drawn_reasons(
    desk: Desk, possible: Possible, rows: NDArray[np.int64], explored: Bools, learned: Bools
) -> list[str]:
    """The reason code of each drawn member.

    `explored` marks those outside the top of the list, `learned` those whom the log rather than the prior put there.
    The first true reason holds, unless its kind was the last one; then the next true one.
    """
    order = ("NEW", "COUPON", "LAPSED_VIP", "RISK", "ASLEEP", "SECOND", "DUE", "KEEP")
    codes: list[str] = []
    for row, by_chance, by_log in zip(rows, explored, learned, strict=True):
        true = [name for name in order if possible.holds[name][row]]
        if by_chance and desk.buyer[row]:
            true = ["EXPLORE", *true]
        elif by_log and desk.buyer[row]:
            true = ["UPLIFT", *true]
        fresh = [name for name in true if REASON_TEXTS[name].kind != desk.last_kind[row]]
        codes.append((fresh or true)[0])
    return codes


def evidence_of(desk: Desk, row: int, code: str) -> dict[str, int]:
    """The member's own numbers behind a reason, whole and as the sentence says them."""
    s = desk.standing
    out: dict[str, int] = {"days": 0, "cycle": 0, "visits": 0}
    if desk.buyer[row]:
        out = {
            "days": int(s.days_since[row]),
            "cycle": int(np.rint(s.cycle_days[row])),
            "visits": int(s.visits[row]),
        }
    if code == "BIRTHDAY":
        out["birthday"] = int(desk.days_to_birthday[row])
    if code == "NEW":
        out["joined"] = int(desk.days_since_joined[row])
    if code == "COUPON":
        out["expires"] = int(desk.days_to_coupon_end[row])
    if desk.days_since_contact[row] < NEVER:
        out["silent"] = int(desk.days_since_contact[row])
    return out


def forced_worth(desk: Desk, score: Score, code: NDArray[np.object_]) -> Floats:
    """What forced tasks are ordered by: the score, with care worth at least 3 yuan of goodwill."""
    goodwill = np.isin(code.astype(str), ("CARE", "TOUCH", "BIRTHDAY"))
    return np.where(goodwill, np.maximum(score.total, 3.0), score.total)
