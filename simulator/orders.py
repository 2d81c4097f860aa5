"""Visits and their lines in; the export's orders, order lines and members out: channels, clock times, returns."""

import dataclasses

import numpy as np
import pandas as pd

from simulator.baskets import Lines
from simulator.catalogue import Catalogue
from simulator.columns import numbered, or_none, times
from simulator.people import CITIES, LEVELS, People
from simulator.preset import Preset
from simulator.rhythm import Visits

# Share of a day's orders by hour, 0..23: shops have a noon and an evening peak, screens a late one.
STORE_HOURS = np.array([0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 6, 8, 8, 8, 9, 10, 10, 9, 9, 11, 8, 3, 0, 0], dtype=float)
ONLINE_HOURS = np.array([3, 1, 1, 0, 0, 0, 1, 2, 3, 4, 5, 5, 6, 6, 5, 5, 5, 5, 5, 6, 8, 10, 9, 5], dtype=float)
LEVEL_YUAN = np.array([0.0, 800.0, 2500.0, 8000.0])


@dataclasses.dataclass(frozen=True)
class Stray:
    """Till receipts without a member: day per receipt, and (receipt, item) lines."""

    day: np.ndarray
    receipt: np.ndarray
    item: np.ndarray
    paid_yuan: np.ndarray
    list_yuan: np.ndarray


def anonymous_visits(
    preset: Preset,
    catalogue: Catalogue,
    festival: np.ndarray,
    pace: np.ndarray,
    member_visits: int,
    rng: np.random.Generator,
) -> Stray:
    """Receipts of walk-ins nobody asked for a card."""
    share = preset.members.anonymous_orders
    count = round(member_visits * share / (1.0 - share))
    day = rng.choice(len(pace), count, p=pace / pace.sum())
    receipt = np.repeat(np.arange(count), 1 + rng.poisson(0.6, count))
    weight = np.array([category.weight for category in preset.categories])
    category = rng.choice(len(weight), len(receipt), p=weight / weight.sum())
    item = catalogue.draw(category, rng.random(len(receipt)))
    sold = (day[receipt] >= catalogue.first_day[item]) & (day[receipt] < catalogue.last_day[item])
    item = np.where(sold, item, catalogue.evergreen[category])
    key = np.unique(receipt * len(catalogue.ids) + item)
    receipt, item = key // len(catalogue.ids), key % len(catalogue.ids)
    off = np.where(festival[day[receipt]], preset.baskets.festival_discount, preset.baskets.discount)
    listed = catalogue.price_yuan[item]
    return Stray(day, receipt, item, np.round(listed * (1 - off), 2), listed)


def orders_tables(
    preset: Preset,
    people: People,
    catalogue: Catalogue,
    visits: Visits,
    lines: Lines,
    stray: Stray,
    coupon_of_visit: np.ndarray,
    start: np.datetime64,
    days: int,
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """One order a visit, in time order, with its lines; returns are later lines of the same order.

    Returns orders, order lines and the row of each visit's order.
    """
    n_own, n = len(visits.day), len(visits.day) + len(stray.day)
    member = np.r_[visits.member, np.full(len(stray.day), -1, dtype=np.int64)]
    day = np.r_[visits.day, stray.day]
    names = np.array(list(preset.channels), dtype=object)
    share = np.array(list(preset.channels.values())) / sum(preset.channels.values())
    usual = people.channel[visits.member]
    other = rng.choice(len(names), n_own, p=share)
    channel = np.r_[np.where(rng.random(n_own) < 0.75, usual, other), np.zeros(len(stray.day), dtype=np.int64)]
    in_store = names[channel] == "store"
    hour = np.where(
        in_store,
        rng.choice(24, n, p=STORE_HOURS / STORE_HOURS.sum()),
        rng.choice(24, n, p=ONLINE_HOURS / ONLINE_HOURS.sum()),
    )
    # whoever registered that day did so before paying
    opened = np.r_[people.registered_day[visits.member] == visits.day, np.zeros(len(stray.day), dtype=bool)]
    hour = np.where(opened, np.maximum(hour, 9), hour)
    second = hour * 3600 + rng.integers(0, 3600, n)
    when = day * 86400 + second
    order = np.lexsort((member, when))
    place = np.empty(n, dtype=np.int64)
    place[order] = np.arange(n)
    order_ids = numbered("T", np.arange(1, n + 1), 9)
    member, day, channel, in_store, second = (a[order] for a in (member, day, channel, in_store, second))

    line_order = np.r_[place[lines.visit], place[n_own + stray.receipt]]
    item = np.r_[lines.item, stray.item]
    qty = np.r_[lines.qty, np.ones(len(stray.item), dtype=np.int64)]
    paid = np.r_[lines.paid_yuan, stray.paid_yuan]
    listed = np.r_[lines.list_yuan, stray.list_yuan]
    by = np.lexsort((item, line_order))
    line_order, item, qty, paid, listed = (a[by] for a in (line_order, item, qty, paid, listed))
    line_no = _count_within(line_order)

    at = start.astype("datetime64[s]") + (day * 86400 + second).astype("timedelta64[s]")
    known = member >= 0
    someone = np.maximum(member, 0)
    stores = int(people.store.max()) + 1
    away = rng.random(n) < 0.12
    store = np.where(away | ~known, rng.integers(0, stores, n), people.store[someone])
    served = in_store & (rng.random(n) < 0.8)
    guide = np.where(known & ~away, people.guide[someone], store)
    status = np.where(in_store, "completed", "paid").astype(object)
    status[~in_store & (day < days - 12)] = "completed"
    with_coupon = np.r_[pd.notna(coupon_of_visit), np.zeros(len(stray.day), dtype=bool)][order]
    cancelled = ~in_store & ~with_coupon & (rng.random(n) < 0.025)
    status[cancelled] = "cancelled"
    total_paid = np.round(np.bincount(line_order, weights=paid, minlength=n), 2)
    total_list = np.round(np.bincount(line_order, weights=listed, minlength=n), 2)
    done_after = np.where(in_store, 0, np.where(cancelled, 7200, 7 * 86400))
    order_type = np.full(n, "normal", dtype=object)
    kind = people.kind[someone]
    order_type[known & (kind == "staff")] = "staff"
    order_type[known & (kind == "wholesale")] = "wholesale"
    last = start.astype("datetime64[s]") + np.timedelta64(days, "D").astype("timedelta64[s]")
    status_at = np.minimum(at + done_after.astype("timedelta64[s]"), last - np.timedelta64(1, "s"))
    orders = pd.DataFrame(
        {
            "order_id": order_ids,
            "member_id": or_none(known, people.ids[someone]),
            "order_time": pd.to_datetime(at),
            "paid_at": times(at + np.timedelta64(40, "s"), ~cancelled),
            "channel": names[channel],
            "store_id": or_none(in_store, numbered("S", store + 1, 3)),
            "guide_id": or_none(served, numbered("G", guide + 1, 4)),
            "status": status,
            "status_at": pd.to_datetime(status_at),
            "paid_yuan": total_paid,
            "list_yuan": total_list,
            "discount_yuan": np.round(total_list - total_paid, 2),
            "coupon_id": np.r_[coupon_of_visit, np.full(len(stray.day), None, dtype=object)][order],
            "order_type": order_type,
        }
    )

    # returns: later lines of the same order, known once they happen
    rate = np.array([category.returns for category in preset.categories])[catalogue.category[item]]
    back = (rng.random(len(item)) < rate) & ~cancelled[line_order]
    # 3 in 10 of the others in that basket go back with it
    touched = np.bincount(line_order[back], minlength=n) > 0
    back |= touched[line_order] & (rng.random(len(item)) < 0.3) & ~cancelled[line_order]
    returned = at[line_order] + (3600 + rng.exponential(6.0 * 86400, len(item))).astype("timedelta64[s]")
    back &= returned < last
    sale = pd.DataFrame(
        {
            "order_id": order_ids[line_order],
            "line_no": line_no + 1,
            "line_type": "sale",
            "item_id": catalogue.ids[item],
            "qty": qty,
            "paid_yuan": paid,
            "unit_list_yuan": np.round(listed / qty, 2),
        }
    )
    held = np.bincount(line_order, minlength=n)
    gone = sale[back].copy()
    gone["line_type"] = "return"
    gone["line_no"] = held[line_order[back]] + _count_within(line_order[back]) + 1
    table = pd.concat([sale, gone], ignore_index=True)
    is_return = np.r_[np.zeros(len(sale), dtype=bool), np.ones(len(gone), dtype=bool)]
    origin = np.r_[np.zeros(len(sale), dtype=np.int64), line_no[back] + 1]
    table["returned_at"] = times(np.r_[returned, returned[back]], is_return)
    table["orig_order_id"] = or_none(is_return, table["order_id"].to_numpy(dtype=object))
    table["orig_line_no"] = pd.Series(origin, dtype="Int64").where(is_return)
    rank = np.lexsort((table["line_no"].to_numpy(), np.r_[line_order, line_order[back]]))
    return orders, table.iloc[rank].reset_index(drop=True), place[:n_own]


def _count_within(group: np.ndarray) -> np.ndarray:
    """0, 1, 2 … within each run of equal values of a sorted array."""
    if not len(group):
        return np.empty(0, dtype=np.int64)
    starts = np.r_[0, np.flatnonzero(np.diff(group)) + 1]
    return np.arange(len(group)) - np.repeat(starts, np.diff(np.r_[starts, len(group)]))


def members_table(
    preset: Preset,
    people: People,
    visits: Visits,
    lines: Lines,
    start: np.datetime64,
    days: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """The contract's members table as it stands on the last day."""
    n, shares = len(people), preset.members
    spend = np.bincount(visits.member, weights=np.bincount(lines.visit, weights=lines.paid_yuan,
                                                           minlength=len(visits.member)), minlength=n)  # fmt: skip
    level = np.searchsorted(LEVEL_YUAN, spend, side="right") - 1
    low, high = shares.birth_years
    year = np.clip(np.round(rng.normal((low * 0.35 + high * 0.65), 9.0, n)), low, high - 3)
    last_year = int(str(start + np.timedelta64(days, "D"))[:4])
    year = np.where(people.kind == "minor", last_year - rng.integers(12, 17, n), year)
    u = rng.random((n, 5))
    birth = np.datetime64("2023-01-01") + rng.integers(0, 365, n).astype("timedelta64[D]")
    birthday = np.array([str(day)[5:] for day in birth], dtype=object)
    registered = (
        (start + np.minimum(people.registered_day, days - 1).astype("timedelta64[D]")).astype("datetime64[s]")
    )  # fmt: skip
    # the day of a purchase has its receipts after the card was opened
    registered = registered + (9 * 3600 - (u[:, 0] * 3000)).astype(np.int64).astype("timedelta64[s]")
    # level and points change with every purchase, and a row of the table with them
    changed = np.minimum(people.registered_day, days - 1) + rng.integers(0, 300, n)
    np.maximum.at(changed, visits.member, visits.day)
    stores = numbered("S", people.store + 1, 3)
    return pd.DataFrame(
        {
            "member_id": people.ids,
            "registered_at": pd.to_datetime(registered),
            "register_channel": rng.choice(
                ["store_qr", "mini_program", "live", "friend_invite"], n, p=[0.5, 0.3, 0.1, 0.1]
            ),
            "register_store_id": stores,
            "home_store_id": stores,
            "level": np.array(LEVELS, dtype=object)[level],
            "level_order": level + 1,
            "level_type": "free",
            "gender": np.where(u[:, 1] < 0.06, "u", np.where(u[:, 2] < shares.female, "f", "m")),
            "birth_year": pd.Series(year.astype("int64"), dtype="Int64").where(
                (u[:, 3] < 0.7) | (people.kind == "minor")
            ),
            "birthday": or_none(u[:, 4] < 0.75, birthday),
            "birthday_calendar": "solar",
            "city": np.array(CITIES, dtype=object)[people.store % len(CITIES)],
            "points_balance": np.floor(spend * rng.random(n)).astype(np.int64),
            "is_staff": people.kind == "staff",
            "is_wholesale": people.kind == "wholesale",
            "status": np.where(people.kind == "deregistered", "deregistered", "active"),
            "updated_at": pd.to_datetime(start + np.minimum(changed, days - 1).astype("timedelta64[D]")),
        }
    )
