"""People in; friendships with guides, past contacts with their outcomes, and consents out."""

import dataclasses

import numpy as np
import pandas as pd

from simulator.columns import numbered, or_none, times
from simulator.people import People
from simulator.preset import Preset
from simulator.rhythm import Visits

FATIGUE_HALF_LIFE_DAYS = 14.0


@dataclasses.dataclass(frozen=True)
class Touches:
    """Contacts that were sent, sorted by member and day: member, day, mass (else 1-1), works (would bring a visit),
    visit_day (the day it would), loses (the member deletes the guide on that day)."""

    member: np.ndarray
    day: np.ndarray
    mass: np.ndarray
    works: np.ndarray
    visit_day: np.ndarray
    loses: np.ndarray


@dataclasses.dataclass(frozen=True)
class Friendship:
    """Per member: the day the friendship began and ended (inf: none, or still on)."""

    since: np.ndarray
    lost: np.ndarray


def make_touches(preset: Preset, people: People, days: int, rng: np.random.Generator) -> tuple[Touches, Friendship]:
    """Guides write to friends at an uneven rate; each touch tires, can work, and can cost the friendship."""
    plan = preset.contacts
    n = len(people)
    since = np.where(people.friend, people.registered_day + np.floor(rng.exponential(20.0, n)), np.inf)
    from_day = np.maximum(np.where(np.isfinite(since), since, 0), 0)
    span = np.where(people.friend, np.maximum(days - from_day, 0), 0.0)
    # frequency arms: some friends are written to rarely, some often
    pace = rng.choice([0.4, 1.0, 2.5], n, p=[0.35, 0.45, 0.20])
    one = rng.poisson(plan.per_friend_year * pace * span / 365.0)
    many = rng.poisson(plan.mass_per_year * span / 365.0)
    member = np.repeat(np.concatenate([np.arange(n), np.arange(n)]), np.concatenate([one, many]))
    mass = np.arange(len(member)) >= one.sum()
    day = np.floor(from_day[member] + rng.random(len(member)) * span[member]).astype(np.int64)
    key = np.unique((member * (days + 1) + day) * 2 + mass)
    member, day, mass = key // 2 // (days + 1), key // 2 % (days + 1), (key % 2).astype(bool)
    fatigue = _fatigue(member, day, np.where(mass, 0.5, 1.0))
    chance = plan.effect * people.affinity[member] * np.exp(-0.35 * fatigue) * np.where(mass, 0.3, 1.0)
    chance = np.where(people.affinity[member] < 0.15, 0.0, chance)  # sleeping dogs: a touch brings nothing
    works = rng.random(len(member)) < chance
    grumpy = np.where(people.affinity[member] < 0.15, 3.0, 1.0)
    loses = rng.random(len(member)) < np.minimum(plan.unfollow * np.exp(plan.fatigue_beta * fatigue) * grumpy, 0.5)
    lost = np.full(n, np.inf)
    np.minimum.at(lost, member[loses], day[loses].astype(float))
    # some friendships end without a touch
    quiet_loss = since + rng.exponential(365.0 / max(plan.quiet_loss_per_year, 1e-9), n)
    lost = np.minimum(lost, np.where(np.isfinite(quiet_loss) & (quiet_loss < days), quiet_loss, np.inf))
    lost = np.where(np.isfinite(lost), np.floor(np.maximum(lost, np.where(np.isfinite(since), since, 0) + 1)), np.inf)
    sent = day <= lost[member]
    member, day, mass, works, loses = (a[sent] for a in (member, day, mass, works, loses))
    loses &= day == lost[member]
    visit_day = day + rng.integers(0, 7, len(day))
    return Touches(member, day, mass, works & ~loses, visit_day, loses), Friendship(since, lost)


def _fatigue(member: np.ndarray, day: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Sum over a member's earlier touches of weight · 2^(−age / half-life); input sorted by member and day.

    Round k adds the k-th previous touch of the same member; far ones have faded.
    """
    total = np.zeros(len(member))
    for back in range(1, 9):
        if back >= len(member):
            break
        same = member[back:] == member[:-back]
        if not same.any():
            break
        age = (day[back:] - day[:-back])[same]
        total[back:][same] += weight[:-back][same] * np.exp2(-age / FATIGUE_HALF_LIFE_DAYS)
    return total


def assignments_table(people: People, friends: Friendship, start: np.datetime64, days: int) -> pd.DataFrame:
    """The contract's assignments table: one open primary guide per member."""
    begun = np.minimum(people.registered_day, days - 1)
    since, lost = friends.since, friends.lost
    known = np.isfinite(since) & (since < days)
    gone = known & np.isfinite(lost) & (lost < days)
    return pd.DataFrame(
        {
            "member_id": people.ids,
            "guide_id": numbered("G", people.guide + 1, 4),
            "store_id": numbered("S", people.store + 1, 3),
            "start_at": pd.to_datetime(start + begun.astype("timedelta64[D]")),
            "end_at": pd.Series(pd.NaT, index=range(len(people)), dtype="datetime64[ns]"),
            "source": "register",
            "is_friend": known & ~gone,
            "friend_since": _dates(start, since, known),
            "friend_lost_at": _dates(start, lost, gone),
            "lost_by": or_none(gone, np.full(len(people), "customer", dtype=object)),
        }
    )


def _dates(start: np.datetime64, day: np.ndarray, where: np.ndarray) -> pd.Series:
    return times(start + np.where(where, day, 0).astype(np.int64).astype("timedelta64[D]"), where)


def contacts_table(
    people: People, touches: Touches, visits: Visits, start: np.datetime64, days: int, rng: np.random.Generator
) -> pd.DataFrame:
    """The contract's contacts table; outcome `ordered` where a visit followed within seven days of a 1-1 contact."""
    inside = (touches.day >= 0) & (touches.day < days)
    member, day, mass, loses = (a[inside] for a in (touches.member, touches.day, touches.mass, touches.loses))
    n = len(member)
    second = rng.integers(9 * 3600 + 1800, 20 * 3600 + 1800, n)
    span = int(days + 5000)
    key = visits.member * span + (visits.day + 4000)
    at = np.searchsorted(key, member * span + (day + 4000))
    nearest = np.minimum(at, max(len(key) - 1, 0))
    follows = (
        (at < len(key)) & (visits.member[nearest] == member) & (visits.day[nearest] - day < 7)
        if len(key)
        else np.zeros(n, dtype=bool)
    )
    follow_day = np.where(follows, visits.day[nearest] if len(key) else 0, day)
    follows &= follow_day < days
    u = rng.random(n)
    outcome = np.where(u < 0.35, "read", np.where(u < 0.58, "replied", "no_answer")).astype(object)
    outcome[mass & (outcome == "replied")] = "read"
    outcome[(u > 0.992) & ~mass] = "refused"
    outcome[follows & ~mass] = "ordered"
    outcome[loses] = "unfriended"
    sent_at = start + day.astype("timedelta64[D]") + second.astype("timedelta64[s]")
    later = np.where(outcome == "ordered", (follow_day - day) * 86400 + (20 * 3600 + 3000 - second), 1800)
    content = np.where(mass, "marketing", rng.choice(["marketing", "interaction", "care", "daily"], n,
                                                     p=[0.3, 0.3, 0.3, 0.1]))  # fmt: skip
    return pd.DataFrame(
        {
            "contact_id": numbered("C", np.arange(1, n + 1), 9),
            "member_id": people.ids[member],
            "guide_id": numbered("G", people.guide[member] + 1, 4),
            "channel": np.where(mass, "wecom_mass", "wecom_1v1"),
            "sent_at": pd.to_datetime(sent_at),
            "content_type": content,
            "send_status": "sent",
            "outcome": outcome,
            "outcome_at": pd.to_datetime(sent_at + later.astype("timedelta64[s]")),
            "cost_yuan": np.where(mass, 0.05, 2.0),
        }
    )


def consents_table(people: People, friends: Friendship, start: np.datetime64, days: int,
                   rng: np.random.Generator) -> pd.DataFrame:  # fmt: skip
    """The contract's consents table: what was said at the till or in the mini-program."""
    n = len(people)
    day = np.minimum(people.registered_day, days - 1)
    parts: list[pd.DataFrame] = []

    def say(who: np.ndarray, purpose: str, state: str, after: np.ndarray) -> None:
        when = np.minimum(day[who] + after[who], days - 1)
        at = start + when.astype("timedelta64[D]") + np.timedelta64(11, "h")
        parts.append(
            pd.DataFrame({"member_id": people.ids[who], "purpose": purpose, "state": state, "at": pd.to_datetime(at),
                          "policy_version": "2024-11", "source": "mini_program"})
        )  # fmt: skip

    zero = np.zeros(n, dtype=np.int64)
    later = rng.integers(20, 400, n)
    u = rng.random((n, 5))
    say(np.flatnonzero((u[:, 0] < 0.8) & people.friend), "marketing_wecom", "granted", zero)
    say(np.flatnonzero((u[:, 0] > 0.97) & people.friend), "marketing_wecom", "refused", zero)
    say(np.flatnonzero(u[:, 1] < 0.35), "marketing_sms", "granted", zero)
    say(np.flatnonzero(u[:, 2] < 0.12), "marketing_call", "granted", zero)
    say(np.flatnonzero(u[:, 3] < 0.02), "personalised_recommendation", "refused", later)
    say(np.flatnonzero((u[:, 4] < 0.02) & (u[:, 1] < 0.35)), "marketing_sms", "withdrawn", later)
    table = pd.concat(parts, ignore_index=True)
    return table.drop_duplicates(["member_id", "purpose", "at"], ignore_index=True)
