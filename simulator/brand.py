"""A preset's name and a size in; the contract's tables of a brand whose truth is known, out."""

import datetime

import numpy as np
import pandas as pd

from features.errors import InputError
from features.progress import Progress, quiet
from simulator.baskets import Lines, fill_baskets
from simulator.catalogue import items_table, make_catalogue
from simulator.orders import anonymous_visits, members_table, orders_tables
from simulator.people import guides_table, make_people, shop_sizes, stores_table
from simulator.preset import Preset, load_preset
from simulator.rhythm import Visits, walk
from simulator.season import daily_pace
from simulator.touches import assignments_table, consents_table, contacts_table, make_touches

# The last day of a simulated export unless the caller says otherwise: after 618, before the autumn festivals.
DEFAULT_END = datetime.date(2026, 6, 30)
# Members older than the export have walked this long before its first day.
BURN_IN_DAYS = 540


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
    drift: by how much the pace of the last quarter falls (0.1: a tenth of the base rate, positive is slower).
    Raises InputError for sizes that make no brand.
    """
    if members < 1 or days < 2:
        raise InputError(f"a brand needs at least 1 member and 2 days; found members={members}, days={days}")
    if not 0.0 <= dirt < 1.0 or not -1.0 < drift < 1.0:
        raise InputError(f"dirt must lie in [0, 1) and drift in (-1, 1); found dirt={dirt}, drift={drift}")
    shape = preset if isinstance(preset, Preset) else load_preset(preset)
    # one stream per part, so that a change in one part leaves the others as they were
    streams = iter(np.random.SeedSequence([seed, members, days]).spawn(10))

    def rng() -> np.random.Generator:
        return np.random.default_rng(next(streams))

    first = end - datetime.timedelta(days=days - 1)
    start = np.datetime64(first, "D")
    progress("members, stores and guides", 0.0)
    people = make_people(shape, members, days, rng())
    catalogue = make_catalogue(shape, days, rng())
    stores, guides = shop_sizes(shape, members)
    touches, friends = make_touches(shape, people, days, rng())
    progress("visits", 0.15)
    pace, festival = daily_pace(shape.season, first - datetime.timedelta(days=BURN_IN_DAYS), days + BURN_IN_DAYS)
    if drift:
        pace[BURN_IN_DAYS + (3 * days) // 4 :] *= 1.0 - drift
    works = touches.works
    walked = walk(
        shape, people, pace, -BURN_IN_DAYS, touches.member[works], touches.visit_day[works].astype(float), rng()
    )
    visits = walked.visits
    progress("baskets", 0.35)
    basket_rng = rng()
    lines = fill_baskets(shape, people, catalogue, visits, festival[visits.day + BURN_IN_DAYS], basket_rng)
    shown = visits.day >= 0
    visits, lines = _only(visits, lines, shown)
    stray = anonymous_visits(shape, catalogue, festival[BURN_IN_DAYS:], pace[BURN_IN_DAYS:], len(visits.day), rng())
    progress("orders", 0.55)
    orders, order_lines = orders_tables(shape, people, catalogue, visits, lines, stray, start, days, rng())
    progress("the rest of the export", 0.85)
    shop = rng()
    tables = {
        "members": members_table(shape, people, visits, lines, start, days, rng()),
        "orders": orders,
        "order_lines": order_lines,
        "items": items_table(shape, catalogue, start, days),
        "stores": stores_table(shape, stores, shop),
        "guides": guides_table(stores, guides, shop),
        "assignments": assignments_table(people, friends, start, days),
        "contacts": contacts_table(people, touches, visits, start, days, shop),
        "consents": consents_table(people, friends, start, days, shop),
    }
    progress("done", 1.0)
    return tables


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
