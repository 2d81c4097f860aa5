"""A book's orders and contacts in, each member's two weights of the rhythm carried from purchase to purchase out.

The forward pass of `outreach.rhythm`: a long history is run through once, purchase by purchase over all members; after
that every evening costs only its buyers.
"""

import copy
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from outreach.rhythm import WIN_BACK, Outlook, Rhythm

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass
class RhythmFilter:
    """Weights A and L [n, grid] at each member's last purchase, and the contacts since then."""

    rhythm: Rhythm
    begins: int  # first day of the data
    members: int
    active: Floats = field(init=False)
    lapsed: Floats = field(init=False)
    last: Ints = field(init=False)
    first: Ints = field(init=False)
    buyer: NDArray[np.bool_] = field(init=False)
    left_alone: Floats = field(init=False)  # chance that no contact since then would have won the member back
    contact_sum: Floats = field(init=False)  # days and number of those contacts
    contact_count: Floats = field(init=False)

    def __post_init__(self) -> None:
        n, grid = self.members, len(self.rhythm.means_days)
        self.active, self.lapsed = np.tile(self.rhythm.weights, (n, 1)), np.zeros((n, grid))
        self.last, self.first = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
        self.buyer = np.zeros(n, dtype=bool)
        self.left_alone, self.contact_sum, self.contact_count = np.ones(n), np.zeros(n), np.zeros(n)

    def copy(self) -> "RhythmFilter":
        twin = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                setattr(twin, name, value.copy())
        return twin

    def _before(self, who: Ints) -> Floats:
        """Days of the members' open gap that lie before the data begin."""
        return np.where(self.last[who] == self.first[who], np.maximum(self.begins - self.first[who], 0), 0).astype(
            np.float64
        )

    def _won_ago(self, who: Ints, day: int | Ints) -> Floats:
        middle = self.contact_sum[who] / np.maximum(self.contact_count[who], 1.0)
        return np.asarray(np.maximum(np.where(self.contact_count[who] > 0, day - middle, 0.0), 0.0))

    def contact(self, day: int, who: Ints, readiness: Floats) -> None:
        """Enter contacts; `readiness` (0 … 1, about ½) scales their chance to win somebody back."""
        self.left_alone[who] *= 1.0 - np.minimum(2.0 * WIN_BACK * readiness, 0.5)
        self.contact_sum[who] += day
        self.contact_count[who] += 1.0

    def buy(self, day: Ints, who: Ints) -> None:
        """Enter one purchase of each of some members, with its day."""
        old = self.buyer[who]
        again, on = who[old], day[old]
        if len(again):
            self.active[again], self.lapsed[again] = self.rhythm.bought(
                self.active[again],
                self.lapsed[again],
                (on - self.last[again]).astype(np.float64),
                self._before(again),
                1.0 - self.left_alone[again],
                self._won_ago(again, on),
            )
        new, on = who[~old], day[~old]
        self.first[new] = on
        prior = np.exp(self.rhythm.prior(np.maximum(self.begins - on, 0).astype(np.float64)))
        self.active[new] = prior / prior.sum(axis=1, keepdims=True)
        self.buyer[who] = True
        self.last[who] = day
        self.left_alone[who], self.contact_sum[who], self.contact_count[who] = 1.0, 0.0, 0.0

    def history(self, day: Ints, who: Ints) -> None:
        """Enter many purchases at once: the first of each member, then the second, and so on."""
        order = np.lexsort((day, who))
        day, who = day[order], who[order]
        starts = np.flatnonzero(np.r_[True, who[1:] != who[:-1]]) if len(who) else np.zeros(0, dtype=np.int64)
        place = np.arange(len(who)) - np.repeat(starts, np.diff(np.r_[starts, len(who)]))
        turn = np.argsort(place, kind="stable")
        ends = np.cumsum(np.bincount(place)) if len(who) else np.zeros(0, dtype=np.int64)
        for begin, end in zip(np.r_[0, ends[:-1]], ends, strict=True):
            self.buy(day[turn[begin:end]], who[turn[begin:end]])

    def outlook(self, day: int, window_days: int, *, stake_days: float, stake_max: float) -> Outlook:
        """The outlook of every member on the morning of `day`."""
        everyone = np.arange(self.members)
        return self.rhythm.outlook(
            self.active,
            self.lapsed,
            (day - self.last).astype(np.float64),
            self._before(everyone),
            window_days,
            won_back=1.0 - self.left_alone,
            won_ago=self._won_ago(everyone, day),
            stake_days=stake_days,
            stake_max=stake_max,
        )
