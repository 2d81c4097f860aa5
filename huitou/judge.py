"""A world and policy names in, what each policy earns with known truth out, paired over seeds.

The judge introduces policies (outreach) to worlds (simulator), which know nothing of each other: a policy reads a
book of orders, contacts and friends lost, the world only learns who was listed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from features.errors import InputError
from features.progress import Progress, quiet
from outreach.book import Book, rhythm_of, write_history
from outreach.diary import Diary
from outreach.policy import DEFAULTS, POLICIES, Drawn, Morning, Policy, explorer, make_policy, top_of
from outreach.rhythm import Rhythm
from outreach.settings import ContactSettings
from simulator.world import Day, World
from simulator.world_file import WorldParameters

Floats = NDArray[np.float64]

# Days lived on without contacts after the last list, so that late effects and late harm are counted.
TAIL_DAYS = 21
ORACLE_GAPS = (7, 14, 21)
METRICS = ("net_yuan", "share_of_oracle", "revenue_lift", "friends_lost_pp", "contacts")


@dataclass(frozen=True)
class Run:
    """What one policy did in one seed: yuan, friends lost as a share of those on day 0, contacts really sent."""

    revenue_yuan: float
    lost_value_yuan: float
    friends_lost: float
    contacts: int
    listed: int

    def net_of(self, none: "Run", p: WorldParameters) -> float:
        """Margin above no contact at all, less guides' time and the friends lost beyond those lost anyway."""
        gained = (self.revenue_yuan - none.revenue_yuan) * p.world.margin
        return gained - p.world.contact_cost_yuan * self.contacts - (self.lost_value_yuan - none.lost_value_yuan)


def open_book(world: World) -> Book:
    """A shop's book on the morning of day 0, from the world's past orders alone."""
    p = world.p.world
    book = Book(
        world.members.guide, world.members.signals, p.margin, p.contact_cost_yuan, p.capacity, 0, -p.burn_in_days
    )
    member, day, spend = world.past
    write_history(book, day, member, spend)
    return book


def enter(book: Book, today: Day) -> None:
    """The evening's news into the book."""
    book.write(today.day, today.buyers, today.spend_yuan, today.contacted, today.unfriended)


def live(
    world: World, book: Book, policy: Policy, rhythm: Rhythm, settings: ContactSettings, days: int, tail: int
) -> Run:
    """Let a policy run the shop for `days`, then nobody for `tail` days.  Changes world and book."""
    revenue, value, contacts = world.revenue_yuan, world.unfriended_value_yuan, world.contacts
    friends = world.friend.copy()
    listed = 0
    nobody = np.zeros(0, dtype=np.int64)
    for t in range(days + tail):
        if t >= days or policy.name == "none":
            enter(book, world.step(nobody))
            continue
        choice = policy.choose(Morning(book, rhythm, settings, world.seed))
        listed += len(choice.listed)
        enter(book, world.step(choice.listed, all_done=choice.to_all))
    return Run(
        world.revenue_yuan - revenue,
        world.unfriended_value_yuan - value,
        float(1.0 - (world.friend & friends).sum() / friends.sum()),
        world.contacts - contacts,
        listed,
    )


def live_oracle(world: World, book: Book, days: int, tail: int, gap: int, settings: ContactSettings) -> Run:
    """The myopic oracle: the best by true worth, above zero, at a fixed gap."""
    revenue, value, contacts = world.revenue_yuan, world.unfriended_value_yuan, world.contacts
    friends = world.friend.copy()
    nobody = np.zeros(0, dtype=np.int64)
    for t in range(days + tail):
        chosen = nobody
        if t < days:
            may = world.friend & (book.day - book.last_contact >= gap)
            may &= book.contacts_within(30) < settings.touches_30d_max
            worth = world.truth().total
            chosen = top_of(worth, may & (worth > 0), book)
        enter(book, world.step(chosen))
    return Run(
        world.revenue_yuan - revenue,
        world.unfriended_value_yuan - value,
        float(1.0 - (world.friend & friends).sum() / friends.sum()),
        world.contacts - contacts,
        world.contacts - contacts,
    )


def judge(
    p: WorldParameters,
    policies: Sequence[str],
    *,
    days: int = 120,
    seeds: int = 5,
    log_days: int = 0,
    settings: ContactSettings | None = None,
    progress: Progress = quiet,
) -> dict[str, Any]:
    """Run each policy in each seed of a world; the JSON of `huitou judge`.  See docs/worlds.md."""
    unknown = sorted(set(policies) - set(POLICIES) - set(DEFAULTS))
    if unknown:
        raise InputError(f"policy: unknown {unknown}; known are {list(POLICIES + DEFAULTS)}")
    for name, value, least in (("days", days, 1), ("seeds", seeds, 1), ("log-days", log_days, 0)):
        if value < least:
            raise InputError(f"{name}: expected at least {least}, found {value}")
    names = [name for name in dict.fromkeys(policies) if name not in ("none", "oracle")]
    # A shop knows its margin and what a guide's minutes cost; nothing else of the world enters the settings.
    known = replace(settings or ContactSettings(), margin=p.world.margin, contact_cost_yuan=p.world.contact_cost_yuan)
    runs: dict[str, list[Run]] = {name: [] for name in ("none", *names)}
    oracle: list[tuple[int, Run]] = []
    logs: list[Run] = []
    steps, done = seeds * (len(names) + 2), 0
    for seed in range(seeds):
        world = World(p, seed)
        book = open_book(world)
        rhythm, mine = rhythm_of(book), known
        diary: Diary | None = None
        if log_days:
            scout: Drawn = explorer(mine, seed)
            logs.append(live(world, book, scout, rhythm, mine, log_days, 0))
            diary = scout.diary
        for name in ("none", *names):
            policy = make_policy(name, mine, diary)
            runs[name].append(live(world.copy(), book.copy(), policy, rhythm, mine, days, TAIL_DAYS))
            done += 1
            progress(f"{p.world.name}, seed {seed}: {name}", done / steps)
        tried = [(g, live_oracle(world.copy(), book.copy(), days, TAIL_DAYS, g, mine)) for g in ORACLE_GAPS]
        oracle.append(max(tried, key=lambda pair: pair[1].net_of(runs["none"][seed], p)))
        done += 1
        progress(f"{p.world.name}, seed {seed}: oracle", done / steps)
    runs["oracle"] = [run for _, run in oracle]
    table = {name: measures(run, runs["none"], runs["oracle"], p) for name, run in runs.items()}
    return {
        "world": p.world.name,
        "days": days,
        "tail_days": TAIL_DAYS,
        "log_days": log_days,
        "seeds": seeds,
        "interval": "95 %, Student t over seeds" if seeds > 1 else "none with one seed",
        "none": {
            "revenue_yuan": float(np.mean([r.revenue_yuan for r in runs["none"]])),
            "friends_lost_share": float(np.mean([r.friends_lost for r in runs["none"]])),
            "net_margin_yuan": float(np.mean([r.revenue_yuan for r in runs["none"]])) * p.world.margin,
        },
        "oracle_gap_days": [gap for gap, _ in oracle],
        "policies": {
            name: {metric: interval(values[metric]) for metric in METRICS} | {"listed": interval(values["listed"])}
            for name, values in table.items()
        },
        "paired": {
            name: {
                other: {m: interval(table[name][m] - table[other][m]) for m in ("net_yuan", "share_of_oracle")}
                for other in table
                if other != name
            }
            for name in table
        },
    }


def measures(run: Sequence[Run], none: Sequence[Run], oracle: Sequence[Run], p: WorldParameters) -> dict[str, Floats]:
    """The five figures of a policy, one value a seed."""
    net = np.array([r.net_of(n, p) for r, n in zip(run, none, strict=True)])
    best = np.array([r.net_of(n, p) for r, n in zip(oracle, none, strict=True)])
    return {
        "net_yuan": net,
        "share_of_oracle": net / np.where(best > 0, best, np.nan),
        "revenue_lift": np.array([r.revenue_yuan / n.revenue_yuan - 1 for r, n in zip(run, none, strict=True)]),
        "friends_lost_pp": np.array(
            [100 * (r.friends_lost - n.friends_lost) for r, n in zip(run, none, strict=True)]
        ),
        "contacts": np.array([float(r.contacts) for r in run]),
        "listed": np.array([float(r.listed) for r in run]),
    }


def interval(values: Floats) -> Mapping[str, float | None]:
    """Mean over seeds and its 95 % Student t interval; null where it cannot be said."""
    values = values[np.isfinite(values)]
    if not len(values):
        return {"value": None, "low": None, "high": None}
    mean = float(values.mean())
    if len(values) < 2:
        return {"value": mean, "low": None, "high": None}
    half = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return {"value": mean, "low": mean - half, "high": mean + half}
