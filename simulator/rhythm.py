"""People, the brand's pace and the touches that work in; every visit day, and which staples it refills, out.

The personal clock is a renewal process in the brand's own time: a gap g ~ Gamma(shape, cycle / shape) is spent at the
speed of the day's pace, so a festival brings visits forward. A staple that runs out, or a touch that works, can bring
the visit earlier. All members walk side by side, one visit a round.
"""

import dataclasses

import numpy as np

from simulator.people import People
from simulator.preset import Preset

# A staple is bought on the way up to this many days, and this share of its cycle, before it runs out.
SLACK_DAYS, SLACK_SHARE = 8.0, 0.25


@dataclasses.dataclass(frozen=True)
class Visits:
    """Visits sorted by member and day: member code, day (negative: before coverage), the rank among the member's
    visits, how many of each staple are bought, and whether the member had left (and was brought or came back)."""

    member: np.ndarray
    day: np.ndarray
    rank: np.ndarray
    staple_qty: np.ndarray
    by_touch: np.ndarray


@dataclasses.dataclass(frozen=True)
class Walk:
    """What the walk leaves behind: the visits, and the day from which each member is silent for good (inf: never)."""

    visits: Visits
    left_day: np.ndarray


def walk(
    preset: Preset,
    people: People,
    pace: np.ndarray,
    first_day: int,
    touch_member: np.ndarray,
    touch_day: np.ndarray,
    slow: np.ndarray,
    rng: np.random.Generator,
) -> Walk:
    """Let every buyer walk from their first visit to the end of the span.

    `pace` covers days first_day .. first_day + len(pace) - 1. Touches are the ones that would bring the member in, on the
    day given. `slow` is the speed at which staples are used up, by day (1 as a rule).
    """
    needs, clock, drop = preset.needs, preset.clock, preset.dropout
    end = first_day + len(pace)
    run = np.concatenate([[0.0], np.cumsum(pace)])  # the brand's own time at the start of each day

    def own_time(t: np.ndarray) -> np.ndarray:
        return np.interp(t, np.arange(first_day, end + 1), run)

    def calendar(s: np.ndarray) -> np.ndarray:
        beyond = s > run[-1]
        return np.where(beyond, end + (s - run[-1]), np.interp(s, run, np.arange(first_day, end + 1)))

    # touches: one sorted key of member and day, searched each round
    span = float(end - first_day + 400)
    key = np.sort(touch_member * span + (touch_day - first_day))
    touch_member, touch_day = (key // span).astype(np.int64), key % span + first_day
    n = len(people)
    wait = np.where(rng.random(n) < clock.first_same_day, 0.0, rng.exponential(clock.first_later_days, n) + 1)
    now = np.maximum(people.registered_day + wait, first_day + 60.0 * rng.random(n))
    active = np.flatnonzero(people.buys & (now < end))
    t = now[active]
    slots = people.staples.shape[1]
    due = np.where(people.staples >= 0, rng.random((n, slots)) * np.minimum(people.staple_days, 120.0), np.inf)
    due[:, 0] = np.where((people.staples[:, 0] >= 0) & (rng.random(n) < 0.7), 0.0, due[:, 0])
    due += now[:, None]
    left_day = np.full(n, np.inf)
    chunks: list[tuple[np.ndarray, ...]] = []
    first, touched = True, np.zeros(len(active), dtype=bool)
    while len(active):
        day = np.floor(t)
        own = due[active]
        slack = np.minimum(SLACK_DAYS, SLACK_SHARE * people.staple_days[active])
        bought = (own <= day[:, None] + slack) & (rng.random(own.shape) < 0.92)
        qty = np.where(bought, 1 + (rng.random(own.shape) < needs.double_quantity), 0)
        cycle = np.where(bought, people.staple_days[active], 0.0)
        lasts = (
            cycle
            / slow[(day - first_day).astype(np.int64)][:, None]
            * qty
            * rng.lognormal(0.0, needs.noise, own.shape)
        )
        due[active] = np.where(bought, np.maximum(own, day[:, None]) + lasts, own)
        # a staple long overdue is bought elsewhere: the need starts afresh
        stale = due[active] < (day - 20)[:, None]
        due[active] = np.where(stale, day[:, None] + rng.random(own.shape) * 60.0, due[active])
        chunks.append((active, day.astype(np.int64), qty.astype(np.int8), touched))

        leaves = rng.random(len(active)) < (drop.after_first if first else people.leave[active])
        comes_back = leaves & (rng.random(len(active)) < drop.return_share)
        pause = np.where(comes_back, 30.0 + rng.exponential(drop.return_days, len(active)), np.inf)
        gap = rng.gamma(clock.shape, people.gap_days[active] / clock.shape)
        by_clock = calendar(own_time(t) + gap)
        by_need = due[active].min(axis=1)
        ahead = np.where(leaves, t + pause, np.minimum(by_clock, np.maximum(by_need, t + 1)))
        at = np.searchsorted(key, active * span + (day + 1 - first_day))
        touch = np.full(len(active), np.inf)
        if len(key):
            nearest = np.minimum(at, len(key) - 1)
            hit = (at < len(key)) & (touch_member[nearest] == active)
            touch[hit] = touch_day[nearest[hit]]
        # a member who left answers one touch in three
        touch = np.where(leaves & (rng.random(len(active)) > 0.33), np.inf, touch)
        touched = touch < ahead
        ahead = np.maximum(np.minimum(ahead, touch), day + 1)
        left_day[active] = np.where(leaves, day + 1, np.inf)
        keep = ahead < end
        active, t, touched, first = active[keep], ahead[keep], touched[keep], False
    if not chunks:
        empty = np.empty(0, dtype=np.int64)
        return Walk(Visits(empty, empty, empty, np.empty((0, slots), np.int8), empty.astype(bool)), left_day)
    member = np.concatenate([chunk[0] for chunk in chunks])
    day = np.concatenate([chunk[1] for chunk in chunks])
    order = np.lexsort((day, member))
    member = member[order]
    starts = np.r_[0, np.flatnonzero(np.diff(member)) + 1]
    rank = np.arange(len(member)) - np.repeat(starts, np.diff(np.r_[starts, len(member)]))
    return Walk(
        Visits(
            member=member,
            day=day[order],
            rank=rank,
            staple_qty=np.concatenate([chunk[2] for chunk in chunks])[order],
            by_touch=np.concatenate([chunk[3] for chunk in chunks])[order],
        ),
        left_day,
    )
