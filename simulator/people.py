"""A preset and a size in; who the members are, their hidden nature, and the shops and guides around them, out."""

import dataclasses

import numpy as np
import pandas as pd

from simulator.columns import numbered
from simulator.preset import Preset

CITIES = ("上海", "杭州", "苏州", "南京", "成都", "武汉", "长沙", "西安", "郑州", "青岛", "广州", "深圳")
LEVELS = ("普通会员", "银卡会员", "金卡会员", "钻石会员")


@dataclasses.dataclass(frozen=True)
class People:
    """Members by code 0..n-1: what the export shows of them, and what only the simulator knows.

    registered_day counts from the first day of coverage (negative: before it).
    Hidden: gap_days (personal cycle), leave (chance to leave after a later visit), planner, staples (category codes,
    -1 none), staple_days (their own cycles), basket (further items, mean), taste (group), line (favourite series),
    affinity (answer to contact, 0..1), size (where in the size range, 0..1), screen (uses the mini-program).
    """

    ids: np.ndarray
    registered_day: np.ndarray
    buys: np.ndarray
    store: np.ndarray
    guide: np.ndarray
    friend: np.ndarray
    channel: np.ndarray
    gap_days: np.ndarray
    leave: np.ndarray
    staples: np.ndarray
    staple_days: np.ndarray
    basket: np.ndarray
    taste: np.ndarray
    line: np.ndarray
    affinity: np.ndarray
    size: np.ndarray
    screen: np.ndarray
    kind: np.ndarray  # "", "staff", "wholesale", "minor", "deregistered"

    def __len__(self) -> int:
        return len(self.ids)


def shop_sizes(preset: Preset, members: int) -> tuple[int, int]:
    """How many stores and how many guides serve so many members."""
    stores = max(2, round(members / preset.members.members_per_store))
    guides = max(2 * stores, round(members / preset.members.members_per_guide))
    return stores, guides


def make_people(preset: Preset, members: int, days: int, rng: np.random.Generator) -> People:
    """Draw the members; every array has one entry per member, in the order of the ids."""
    shares, clock, needs = preset.members, preset.clock, preset.needs
    stores, guides = shop_sizes(preset, members)
    before = rng.random(members) < shares.before_coverage
    registered = np.where(
        before, -rng.exponential(300.0, members).clip(1, 1400), np.floor(rng.random(members) ** 1.15 * days)
    ).astype(np.int64)
    weight = rng.lognormal(0.0, 0.5, stores)
    store = rng.choice(stores, members, p=weight / weight.sum())
    staff_of_store = np.arange(guides) % stores  # guide g works in store g % stores
    per_store = np.bincount(staff_of_store, minlength=stores)
    guide = store + stores * (rng.random(members) * per_store[store]).astype(np.int64)
    kind = np.full(members, "", dtype=object)
    order = rng.permutation(members)
    at = 0
    for name, share in (
        ("staff", shares.staff),
        ("wholesale", shares.wholesale),
        ("minor", shares.minor),
        ("deregistered", shares.deregistered),
    ):
        count = round(share * members)
        kind[order[at : at + count]] = name
        at += count
    replenishable = np.array([n for n, c in enumerate(preset.categories) if c.cycle_days > 0], dtype=np.int64)
    slots = len(needs.staples)
    staples = np.full((members, slots), -1, dtype=np.int64)
    staple_days = np.full((members, slots), np.inf)
    if len(replenishable) and needs.planners > 0:
        cycle = np.array([c.cycle_days for c in preset.categories])
        popular = np.array([preset.categories[n].weight for n in replenishable])
        picks = np.argsort(rng.exponential(1.0, (members, len(replenishable))) / popular, axis=1)[
            :, :slots
        ]  # without replacement, popular ones first
        picked = replenishable[picks]
        picked = np.pad(picked, ((0, 0), (0, slots - picked.shape[1])), constant_values=-1)
        held = 1 + np.searchsorted(np.cumsum(needs.staples) / np.sum(needs.staples), rng.random(members))
        wanted = (np.arange(slots) < held[:, None]) & (rng.random(members) < needs.planners)[:, None]
        staples = np.where(wanted & (picked >= 0), picked, -1)
        own = rng.lognormal(0.0, 0.2, (members, slots))
        staple_days = np.where(staples >= 0, cycle[staples] * own, np.inf)
    wholesale = kind == "wholesale"
    gap = clock.gap_median_days * rng.lognormal(0.0, clock.gap_sigma, members)
    gap = np.where(wholesale, 6.0, gap).clip(4.0, 2000.0)
    leave = (
        rng.beta(preset.dropout.later_alpha, preset.dropout.later_beta, members)
        if (preset.dropout.later_alpha > 0)
        else np.zeros(members)
    )
    basket = preset.baskets.extra_mean * rng.lognormal(0.0, preset.baskets.extra_sigma, members)
    names = list(preset.channels)
    channel = rng.choice(
        len(names), members, p=np.array(list(preset.channels.values())) / sum(preset.channels.values())
    )
    return People(
        ids=numbered("M", np.arange(1, members + 1), 8),
        registered_day=registered,
        buys=(rng.random(members) >= shares.never_buyers) | wholesale,
        store=store,
        guide=guide,
        friend=(rng.random(members) < shares.friend_share) & (kind != "deregistered"),
        channel=channel,
        gap_days=gap,
        leave=np.where(wholesale, 0.01, leave),
        staples=staples,
        staple_days=staple_days,
        basket=np.where(wholesale, 12.0, basket),
        taste=rng.integers(0, max(preset.baskets.taste_groups, 1), members),
        line=rng.integers(0, len(preset.titles.series), members),
        affinity=rng.beta(2.0, 2.0, members),
        size=np.clip(rng.normal(0.5, 0.18, members), 0.0, 0.999),
        screen=rng.random(members) < preset.behaviours.users,
        kind=kind,
    )


def stores_table(preset: Preset, stores: int, rng: np.random.Generator) -> pd.DataFrame:
    """The contract's stores table."""
    city = np.array(CITIES, dtype=object)[np.arange(stores) % len(CITIES)]
    return pd.DataFrame(
        {
            "store_id": numbered("S", np.arange(1, stores + 1), 3),
            "name": [f"{preset.title}{c}{n // len(CITIES) + 1}店" for n, c in enumerate(city)],
            "region": np.where(np.arange(stores) % len(CITIES) < 4, "华东", "其他"),
            "city": city,
            "open_date": pd.Timestamp("2019-03-01") + pd.to_timedelta(rng.integers(0, 900, stores), unit="D"),
            "close_date": pd.NaT,
            "type": np.where(rng.random(stores) < 0.7, "direct", "franchise"),
        }
    )


def guides_table(stores: int, guides: int, rng: np.random.Generator) -> pd.DataFrame:
    """The contract's guides table: guide g works in store g % stores; the first of each store is its manager."""
    code = np.arange(guides)
    return pd.DataFrame(
        {
            "guide_id": numbered("G", code + 1, 4),
            "store_id": numbered("S", code % stores + 1, 3),
            "wecom_userid": [f"wx_guide_{n:04d}" for n in (code + 1).tolist()],
            "role": np.where(code < stores, "manager", "guide"),
            "status": "active",
            "daily_capacity": 12,
            "hired_at": pd.Timestamp("2020-01-06") + pd.to_timedelta(rng.integers(0, 1200, guides), unit="D"),
            "left_at": pd.NaT,
        }
    )
