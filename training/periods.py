"""Time cut into bins, and members cut into person-periods: one row per member, snapshot and bin lived through.

Two silent mistakes cost a factor of ten in log loss and are made impossible here: the bins tile the horizon
exactly, and follow-up ends at the last whole bin, for events and survivors alike (a part of a bin would
hold events only, and its hazard would tend to 1).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.errors import InputError

IntArray = npt.NDArray[np.integer]
FloatArray = npt.NDArray[np.floating]

# Beyond the horizon a bin may be this much wider than the one before it: few events, little to tell apart.
GROWTH_BEYOND_HORIZON = 1.35


@dataclass(frozen=True)
class Bins:
    """Days 1…edges[-1] cut into bins (edges[j], edges[j+1]]; `edges` int32 from 0, `horizon` is one of them."""

    edges: npt.NDArray[np.int32]
    horizon: int

    @property
    def count(self) -> int:
        return len(self.edges) - 1

    @property
    def max_days(self) -> int:
        return int(self.edges[-1])

    @property
    def middle(self) -> FloatArray:
        """The middle of each bin in days from as_of, float64[count]."""
        return (self.edges[1:] + self.edges[:-1]) / 2.0

    @property
    def width(self) -> FloatArray:
        return np.diff(self.edges).astype(np.float64)

    def whole(self, follow_up_days: int) -> int:
        """How many bins lie wholly within the follow-up."""
        return int(np.searchsorted(self.edges, follow_up_days, side="right") - 1)

    def at_horizon(self) -> int:
        """The index of the horizon among the edges."""
        return int(np.searchsorted(self.edges, self.horizon))

    def up_to_horizon(self, shares: Sequence[float]) -> "Bins":
        """Wider bins that end at these shares of the horizon (nearest edges), and at the horizon itself."""
        last = self.at_horizon()
        kept = sorted({0, last, *(round(share * last) for share in shares)})
        return Bins(self.edges[kept], self.horizon)


def make_bins(horizon_days: int, max_days: int | None = None, count: int = 12) -> Bins:
    """`count` bins of (nearly) equal whole days that tile the horizon, then growing ones up to max_days.

    >>> make_bins(90, count=6).edges.tolist()
    [0, 15, 30, 45, 60, 75, 90]
    >>> make_bins(5).edges.tolist()
    [0, 1, 2, 3, 4, 5]
    """
    max_days = horizon_days if max_days is None else max_days
    if horizon_days < 1 or max_days < horizon_days:
        raise InputError(f"horizon_days: expected 1 ≤ horizon ≤ max_days, found {horizon_days} and {max_days}")
    edges = sorted(set(np.round(np.linspace(0, horizon_days, min(count, horizon_days) + 1)).astype(int).tolist()))
    width = float(edges[-1] - edges[-2])
    while edges[-1] < max_days:
        width *= GROWTH_BEYOND_HORIZON
        step = max(1, round(width))
        # A stump shorter than half a bin would hold too few events: the last bin swallows it.
        edges.append(max_days if edges[-1] + 1.5 * step >= max_days else edges[-1] + step)
    return Bins(np.array(edges, dtype=np.int32), horizon_days)


@dataclass(frozen=True)
class PersonPeriods:
    """Rows of the hazard's training set: `member` (row of the snapshot), `bin`, `event` (bought in that bin)."""

    member: npt.NDArray[np.int64]
    bin: npt.NDArray[np.int64]
    event: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.member)


def person_periods(days_to_next: FloatArray, follow_up_days: int, bins: Bins) -> PersonPeriods:
    """Expand durations into person-periods.

    days_to_next: float[N], T in 1, 2, …; anything beyond the follow-up (or NaN, inf) counts as not seen.
    follow_up_days: whole days watched after the snapshot, the same for every member.
    """
    whole = min(bins.whole(follow_up_days), bins.count)
    duration = np.where(np.isfinite(days_to_next), days_to_next, np.inf)
    seen = duration <= (bins.edges[whole] if whole > 0 else 0)
    event_bin = np.searchsorted(bins.edges, np.where(seen, duration, 0), side="left") - 1
    rows = np.where(seen, event_bin + 1, whole)
    member = np.repeat(np.arange(len(duration)), rows)
    bin_ = np.arange(len(member)) - np.repeat(np.cumsum(rows) - rows, rows)
    event = seen[member] & (bin_ == event_bin[member])
    return PersonPeriods(member, bin_, event)
