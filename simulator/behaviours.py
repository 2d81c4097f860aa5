"""Members, visits and their lines in; mini-program events, identities and stock out.

Browsing precedes many visits (and shows what will be bought); the rest is idle.
"""

import numpy as np
import pandas as pd

from simulator.baskets import Lines
from simulator.catalogue import Catalogue
from simulator.columns import numbered, or_none, times
from simulator.orders import ONLINE_HOURS
from simulator.people import People
from simulator.preset import Preset
from simulator.rhythm import Visits

APP_ID = "wx5f2d8e0demo0001"
CORP_ID = "ww3c7ddemo"
EVENT_TYPES = np.array(["view", "click", "collect", "add_cart", "search", "share", "checkin"], dtype=object)
IDLE_SHARES = np.array([0.48, 0.20, 0.05, 0.06, 0.11, 0.02, 0.08])
BUYING_SHARES = np.array([0.42, 0.18, 0.07, 0.22, 0.09, 0.01, 0.01])


def behaviours_table(
    preset: Preset,
    people: People,
    catalogue: Catalogue,
    visits: Visits,
    lines: Lines,
    left_day: np.ndarray,
    start: np.datetime64,
    days: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Events of the last `history_days` days, a session each, sorted by time."""
    plan = preset.behaviours
    since = max(days - plan.history_days, 0)
    # sessions before a visit
    seen = people.screen[visits.member] & (rng.random(len(visits.day)) < plan.seen_before_visit)
    before = np.flatnonzero(seen)
    lead = np.minimum(rng.geometric(0.45, len(before)) - 1, 6)
    # idle sessions: members who left fade out
    browsers = np.flatnonzero(people.screen)
    open_from = np.maximum(people.registered_day[browsers], since)
    open_to = np.minimum(np.minimum(left_day[browsers] + 60, days), days)
    width = np.maximum(open_to - open_from, 0)
    idle = rng.poisson(plan.idle_per_month * width / 30.0)
    who = np.repeat(browsers, idle)
    idle_day = np.floor(np.repeat(open_from, idle) + rng.random(len(who)) * np.repeat(width, idle)).astype(np.int64)
    member = np.r_[visits.member[before], who]
    day = np.r_[visits.day[before] - lead, idle_day]
    of_visit = np.r_[before, np.full(len(who), -1, dtype=np.int64)]
    inside = (day >= since) & (day < days) & (day >= people.registered_day[member])
    member, day, of_visit = member[inside], day[inside], of_visit[inside]

    size = 1 + rng.poisson(np.where(of_visit >= 0, 2.2, 1.4))
    session = np.repeat(np.arange(len(member)), size)
    step = np.arange(len(session)) - np.repeat(np.cumsum(size) - size, size)
    buying = of_visit[session] >= 0
    n = len(session)
    u = rng.random(n)
    type_code = np.where(
        buying,
        np.searchsorted(np.cumsum(BUYING_SHARES), u),
        np.searchsorted(np.cumsum(IDLE_SHARES), u),
    ).clip(0, len(EVENT_TYPES) - 1)
    # the item: one of the coming basket, or something popular
    weight = np.array([category.weight for category in preset.categories])
    category = rng.choice(len(weight), n, p=weight / weight.sum())
    item = catalogue.draw(category, rng.random(n))
    first_line = np.searchsorted(lines.visit, np.arange(len(visits.day)))
    held = np.bincount(lines.visit, minlength=len(visits.day))
    if len(visits.day):
        visit = np.maximum(of_visit[session], 0)
        own = first_line[visit] + np.floor(rng.random(n) * held[visit]).astype(np.int64)
        item = np.where(buying & (rng.random(n) < 0.55), lines.item[np.minimum(own, len(lines.item) - 1)], item)
    about_item = ~np.isin(type_code, [4, 6])  # a search or a check-in is about no item
    # a session that ends in a store visit the same day happens in the morning
    hour = rng.choice(24, len(member), p=ONLINE_HOURS / ONLINE_HOURS.sum())
    hour = np.where(of_visit >= 0, np.minimum(hour, 8), np.maximum(hour, 9))
    second = hour[session] * 3600 + (rng.integers(0, 3000, len(member))[session] + step * 40)
    when = day[session] * 86400 + second
    order = np.lexsort((step, member[session], when))
    session, type_code, item, about_item = session[order], type_code[order], item[order], about_item[order]
    by_openid = rng.random(len(member))[session] < 0.15  # not logged in: known by openid only
    ids = people.ids[member[session]]
    return pd.DataFrame(
        {
            "event_id": numbered("E", np.arange(1, n + 1), 10),
            "member_id": or_none(~by_openid, ids),
            "id_type": or_none(by_openid, np.full(n, "openid", dtype=object)),
            "id_scope": or_none(by_openid, np.full(n, APP_ID, dtype=object)),
            "id_value": or_none(by_openid, numbered("o6_", member[session] + 1, 10)),
            "event_time": times(start.astype("datetime64[s]") + when[order].astype("timedelta64[s]")),
            "event_type": EVENT_TYPES[type_code],
            "app_id": APP_ID,
            "item_id": or_none(about_item, catalogue.ids[item]),
            "source": "mini_program",
        }
    )


def identities_table(people: People, start: np.datetime64, days: int, rng: np.random.Generator) -> pd.DataFrame:
    """Every member's card, most members' hashed mobile, and the WeChat ids of those who use them."""
    n = len(people)
    everyone, code = np.arange(n), np.arange(1, n + 1)
    mobile = rng.bytes(32 * n).hex()
    hashed = np.array([mobile[64 * k : 64 * (k + 1)] for k in range(n)], dtype=object)
    parts: list[tuple[str, str, np.ndarray, np.ndarray]] = [
        ("card", "-", everyone, people.ids),
        ("mobile_hmac", "-", np.flatnonzero(rng.random(n) < 0.92), hashed),
        ("openid", APP_ID, np.flatnonzero(people.screen), numbered("o6_", code, 10)),
        ("unionid", "-", np.flatnonzero(people.screen | people.friend), numbered("u9_", code, 10)),
        ("external_userid", CORP_ID, np.flatnonzero(people.friend), numbered("wm_", code, 10)),
    ]
    opened = start + np.minimum(people.registered_day, days - 1).astype("timedelta64[D]")
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "member_id": people.ids[who],
                    "id_type": kind,
                    "id_scope": scope,
                    "id_value": value[who],
                    "verified": kind != "external_userid",
                    "first_seen": times(opened[who]),
                }
            )
            for kind, scope, who, value in parts
        ],
        ignore_index=True,
    )


def stock_table(
    catalogue: Catalogue, stores: int, start: np.datetime64, days: int, rng: np.random.Generator
) -> pd.DataFrame:
    """What each store holds on the last day; a few shelves are empty."""
    sold = np.flatnonzero((catalogue.first_day < days) & (catalogue.last_day >= days))
    store, item = np.repeat(np.arange(stores), len(sold)), np.tile(sold, stores)
    qty = np.where(rng.random(len(item)) < 0.07, 0, 1 + rng.poisson(9.0, len(item)))
    return pd.DataFrame(
        {
            "store_id": numbered("S", store + 1, 3),
            "item_id": catalogue.ids[item],
            "as_of": times(np.full(len(item), start + np.timedelta64(days - 1, "D"))),
            "qty": qty,
        }
    )
