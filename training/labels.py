"""What happened next: a history, members and cut-offs in; out, days to the next purchase and the spend of the window.

T = (day of the next visit − as_of).days + 1, so a purchase on the cut-off day itself is T = 1 and churn at H is T > H.
A purchase counts whatever its amount and whatever is returned later.
"""

import weakref
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.history import History
from features.vectors import MemberVectors
from training.cutoffs import check_cutoffs


@dataclass(frozen=True)
class Outcomes:
    """What happened after each (member_id, as_of); `frame` has one row for each, sorted by as_of and member_id.

    days_to_next     float64, T in 1 … follow_up_days; NaN where none was seen
    observed         bool, a purchase was seen within follow_up_days
    follow_up_days   int64, days that could be watched: horizon_days, or fewer where known_before cuts them
    spend_yuan       float64, paid for purchases within the follow-up
    net_spend_yuan   float64, the same less refunds paid out within the follow-up (may be negative)
    orders           int64, visits (member-days) within the follow-up
    """

    frame: pd.DataFrame
    horizon_days: int

    def at(self, as_of: date) -> pd.DataFrame:
        """The rows of one cut-off."""
        return self.frame[self.frame["as_of"] == pd.Timestamp(as_of)].reset_index(drop=True)

    @property
    def churned(self) -> NDArray[np.bool_]:
        """No purchase within the horizon; only meaningful where the follow-up covers it."""
        return ~self.frame["observed"].to_numpy(dtype=bool)


def label_outcomes(
    history: History,
    members: MemberVectors | Sequence[str] | NDArray[np.str_],
    as_of: Sequence[date],
    horizon_days: int,
    *,
    known_before: date | None = None,
) -> Outcomes:
    """Outcomes of `members` (those of the vectors at each as_of, or the same ids at all of them).

    known_before=D is for a learner asked on D: nothing from D on is looked at, and shorter follow-ups are censored.
    Without it every window must end by the data's coverage_end, else InputError.
    """
    if known_before is None:
        days = check_cutoffs(as_of, horizon_days, history.coverage_start, history.coverage_end)
        end = history.coverage_end + timedelta(days=1)
    else:
        days = sorted(set(as_of))
        end = min(known_before, history.coverage_end + timedelta(days=1))
    visits, refunds = _timelines(history)
    if known_before is not None:
        visits = visits.known_before(known_before)
    frames = []
    for day in days:
        ids = members.at(day).members if isinstance(members, MemberVectors) else members
        ids = np.unique(np.asarray(ids, dtype=str))
        follow_up = max(0, min(horizon_days, (end - day).days))
        first, last = visits.between(ids, day, follow_up)
        spend = visits.total(first, last)
        refund = refunds.total(*refunds.between(ids, day, follow_up))
        observed = last > first
        days_to_next = np.full(len(ids), np.nan)
        days_to_next[observed] = visits.days[first[observed]] - _day_number(day) + 1
        frames.append(
            pd.DataFrame(
                {
                    "member_id": ids,
                    "as_of": pd.Timestamp(day),
                    "days_to_next": days_to_next,
                    "observed": observed,
                    "follow_up_days": follow_up,
                    "spend_yuan": spend,
                    "net_spend_yuan": spend - refund,
                    "orders": last - first,
                }
            )
        )
    return Outcomes(pd.concat(frames, ignore_index=True), horizon_days)


class _Timeline:
    """Rows of member, day and amounts, ready to be summed between two days for many members at once."""

    def __init__(self, frame: pd.DataFrame, amount: str) -> None:
        ids = frame["member_id"].to_numpy(dtype=str)
        self.members, code = np.unique(ids, return_inverse=True)
        day = frame["day"].to_numpy("datetime64[D]").astype(np.int64)
        yuan = frame[amount].to_numpy(dtype=float)
        known = day if "known_day" not in frame else frame["known_day"].to_numpy("datetime64[D]").astype(np.int64)
        order = np.lexsort([yuan, day, code])
        self._lay_out(code[order], day[order], np.maximum(known, day)[order], yuan[order])

    def _lay_out(
        self, code: NDArray[np.int64], day: NDArray[np.int64], known: NDArray[np.int64], yuan: NDArray[np.float64]
    ) -> None:
        self.code, self.days, self.known, self.yuan = code, day, known, yuan
        self.key = code * _DAYS + day
        self.sums = np.concatenate([[0.0], np.cumsum(yuan)])

    def known_before(self, day: date) -> "_Timeline":
        """The same without what happened before the day but was loaded only later: that is no label yet."""
        late = (self.days < _day_number(day)) & (self.known >= _day_number(day))
        if not late.any():
            return self
        less = copy(self)
        less._lay_out(self.code[~late], self.days[~late], self.known[~late], self.yuan[~late])
        return less

    def between(self, ids: NDArray[np.str_], start: date, days: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First and one-past-last row of each member in the window; equal where there is none."""
        if not len(self.members):
            return np.zeros(len(ids), dtype=np.int64), np.zeros(len(ids), dtype=np.int64)
        code = np.minimum(np.searchsorted(self.members, ids), len(self.members) - 1)
        begin = code * _DAYS + _day_number(start)
        first, last = np.searchsorted(self.key, begin), np.searchsorted(self.key, begin + days)
        known = self.members[code] == ids
        return np.where(known, first, 0), np.where(known, last, 0)

    def total(self, first: NDArray[np.int64], last: NDArray[np.int64]) -> NDArray[np.float64]:
        # Rounded to a hundredth of a fen: differences of running sums leave dust behind, and rows must not leave
        # traces of their neighbours.
        return np.round(self.sums[last] - self.sums[first], 4)


# The timelines of the history asked last: a backtest asks some ten times, and reading all visits is the dear part.
_LATEST: list[tuple["weakref.ref[History]", tuple[_Timeline, _Timeline]]] = []


def _timelines(history: History) -> tuple[_Timeline, _Timeline]:
    """Visits with what was paid, and refunds, of everybody."""
    if not _LATEST or _LATEST[0][0]() is not history:
        made = _Timeline(history.visit_frame(), "spend_yuan"), _Timeline(history.return_frame(), "returned_yuan")
        _LATEST[:] = [(weakref.ref(history), made)]
    return _LATEST[0][1]


_DAYS = 1_000_000  # more days than any history has, so that member and day fit into one sortable number


def _day_number(day: date) -> int:
    return int(np.datetime64(day, "D").astype(np.int64))
