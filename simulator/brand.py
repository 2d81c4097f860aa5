"""A preset's name and a size in; the contract's tables of a brand, and beside them the truth about it, out."""

import dataclasses
import datetime

import numpy as np
import pandas as pd

from features.errors import InputError
from features.progress import Progress, quiet
from simulator.baskets import Lines, fill_baskets
from simulator.behaviours import behaviours_table, identities_table, stock_table
from simulator.catalogue import items_table, make_catalogue
from simulator.coupons import coupon_ids, coupons_table, draw_coupons, take_off
from simulator.dirt import spoil
from simulator.orders import anonymous_visits, members_table, orders_tables
from simulator.people import guides_table, make_people, shop_sizes, stores_table
from simulator.preset import Preset, load_preset
from simulator.rhythm import Visits, walk
from simulator.season import daily_pace
from simulator.touches import assignments_table, consents_table, contacts_table, make_touches
from simulator.truth import contacts_truth, members_truth

# The last day of a simulated export unless the caller says otherwise: after 618, before the autumn festivals.
DEFAULT_END = datetime.date(2026, 6, 30)
# Members older than the export have walked this long before its first day.
BURN_IN_DAYS = 540
# Planted drift sets in when this share of the export has passed.
DRIFT_FROM = 0.75


@dataclasses.dataclass(frozen=True)
class Simulation:
    """A simulated export and what nobody outside may know.

    tables: contract table → frame. truth: "members" (member_id, nature, left_on), "contacts" (contact_id,
    brought_visit), "dirt" (kind, table, rows; empty for a clean brand), "drift" (from_day, pace; empty without drift).
    """

    tables: dict[str, pd.DataFrame]
    truth: dict[str, pd.DataFrame]


def simulate_brand(
    preset: str | Preset,
    *,
    members: int,
    days: int,
    seed: int,
    dirt: float = 0.0,
    drift: float = 0.0,
    end: datetime.date = DEFAULT_END,
    progress: Progress = quiet,
) -> dict[str, pd.DataFrame]:
    """Simulate a brand and return its export: contract table name → frame, times naive and brand-local.

    members: how many are registered at the end, buyers or not; days: length of the export, which ends with `end`;
    dirt: share of rows spoiled, spread over every kind of dirt (see `simulator.dirt`); drift: by how much the 90-day
    churn rate (grocery: 30-day) moves in the last quarter of the export (0.1: about ten points up; negative: down).
    Raises InputError for sizes that make no brand.
    """
    return simulate_with_truth(
        preset, members=members, days=days, seed=seed, dirt=dirt, drift=drift, end=end, progress=progress
    ).tables


def simulate_with_truth(
    preset: str | Preset,
    *,
    members: int,
    days: int,
    seed: int,
    dirt: float = 0.0,
    drift: float = 0.0,
    end: datetime.date = DEFAULT_END,
    progress: Progress = quiet,
) -> Simulation:
    """As `simulate_brand`, with the truth beside the tables."""
    if members < 1 or days < 2:
        raise InputError(f"a brand needs at least 1 member and 2 days; found members={members}, days={days}")
    if not 0.0 <= dirt <= 0.5 or not -0.3 <= drift <= 0.3:
        raise InputError(f"dirt must lie in [0, 0.5] and drift in [-0.3, 0.3]; found dirt={dirt}, drift={drift}")
    shape = preset if isinstance(preset, Preset) else load_preset(preset)
    # one stream per part, so that a change in one part leaves the others as they were
    streams = iter(np.random.SeedSequence([seed, members, days]).spawn(20))

    def rng() -> np.random.Generator:
        return np.random.default_rng(next(streams))

    first = end - datetime.timedelta(days=days - 1)
    start = np.datetime64(first, "D")
    progress("members, stores and guides", 0.0)
    people = make_people(shape, members, days, rng())
    catalogue = make_catalogue(shape, days, rng())
    stores, guides = shop_sizes(shape, members)
    touches, friends = make_touches(shape, people, days, rng())
    progress("visits", 0.1)
    walk_from = first - datetime.timedelta(days=BURN_IN_DAYS)
    pace, festival = daily_pace(shape.season, walk_from, days + BURN_IN_DAYS)
    slow = np.ones(len(pace))
    drift_day = int(DRIFT_FROM * days)
    slow[BURN_IN_DAYS + drift_day :] = np.exp(-shape.season.drift_response * drift)
    works = touches.works
    walked = walk(
        shape, people, pace * slow, -BURN_IN_DAYS, touches.member[works], touches.visit_day[works], slow, rng()
    )
    progress("baskets", 0.3)
    month = (np.datetime64(walk_from, "D") + walked.visits.day + BURN_IN_DAYS).astype("datetime64[M]").astype(
        int
    ) % 12
    lines = fill_baskets(
        shape, people, catalogue, walked.visits, festival[walked.visits.day + BURN_IN_DAYS], month, rng()
    )
    visits, lines = _only(walked.visits, lines, walked.visits.day >= 0)
    coupons = draw_coupons(shape, people, visits, lines, days, rng())
    lines = take_off(lines, coupons, shape.coupons.face_yuan, len(visits.day))
    used = np.full(len(visits.day), None, dtype=object)
    spent = coupons.visit >= 0
    used[coupons.visit[spent]] = coupon_ids(len(coupons.member))[spent]
    stray = anonymous_visits(shape, catalogue, festival[BURN_IN_DAYS:], pace[BURN_IN_DAYS:], len(visits.day), rng())
    progress("orders", 0.45)
    orders, order_lines, place = orders_tables(
        shape, people, catalogue, visits, lines, stray, used, start, days, rng()
    )
    progress("the rest of the export", 0.75)
    order_ids = orders["order_id"].to_numpy(dtype=object)[place]
    order_times = orders["order_time"].to_numpy()[place]
    tables = {
        "members": members_table(shape, people, visits, lines, start, days, rng()),
        "orders": orders,
        "order_lines": order_lines,
        "items": items_table(shape, catalogue, start, days),
        "stores": stores_table(shape, stores, rng()),
        "guides": guides_table(stores, guides, rng()),
        "assignments": assignments_table(people, friends, start, days),
        "contacts": contacts_table(people, touches, visits, start, days, rng()),
        "consents": consents_table(people, friends, start, days, rng()),
        "coupons": coupons_table(shape, people, coupons, order_ids, order_times, start, days),
        "behaviours": behaviours_table(shape, people, catalogue, visits, lines, walked.left_day, start, days, rng()),
        "identities": identities_table(people, start, days, rng()),
        "stock": stock_table(catalogue, stores, start, days, rng()),
    }
    tables = {name: frame for name, frame in tables.items() if len(frame) or name in CORE}
    truth = {
        "members": members_truth(shape, people, walked.left_day, start),
        "contacts": contacts_truth(touches, days),
        "dirt": pd.DataFrame({"kind": [], "table": [], "rows": []}),
        "drift": pd.DataFrame(
            {"from_day": [first + datetime.timedelta(days=drift_day)], "pace": [float(slow[-1])]}
        ).iloc[: 1 if drift else 0],
    }
    if dirt:
        progress("dirt", 0.9)
        tables, truth["dirt"] = spoil(tables, dirt, end, rng())
    progress("done", 1.0)
    return Simulation(tables, truth)


CORE = ("members", "orders", "order_lines", "items", "stores", "guides", "assignments")


def _only(visits: Visits, lines: Lines, keep: np.ndarray) -> tuple[Visits, Lines]:
    """The visits of `keep` and their lines, renumbered."""
    number = np.cumsum(keep) - 1
    of = keep[lines.visit]
    return (
        Visits(
            visits.member[keep], visits.day[keep], visits.rank[keep], visits.staple_qty[keep], visits.by_touch[keep]
        ),
        Lines(number[lines.visit[of]], lines.item[of], lines.qty[of], lines.list_yuan[of], lines.paid_yuan[of]),
    )
