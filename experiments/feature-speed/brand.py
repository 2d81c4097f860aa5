"""A size and a seed in; out: a contract folder of a large brand with skewed activity, written straight to Parquet."""

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FIRST_DAY, DAYS = date(2024, 1, 1), 730
ITEMS, CATEGORIES, STORES = 8_000, 12, 300


def _ids(prefix: str, numbers: np.ndarray, width: int) -> pa.ChunkedArray:
    digits = np.char.zfill(numbers.astype(f"U{width}"), width)
    return pa.array(np.char.add(prefix, digits))


def _times(days: np.ndarray, seconds: np.ndarray) -> pa.Array:
    start = np.datetime64(FIRST_DAY, "s")
    return pa.array((start + (days * 86_400 + seconds).astype("timedelta64[s]")).astype("datetime64[us]"))


def write_brand(folder: Path, *, members: int, lines: int, seed: int) -> Path:
    """Write members, orders, order_lines and items with about `lines` lines; 3 in 100 lines come back.

    About one in six members never buys; the activity of the others is exponential (many once, few very often),
    and lasts from a first day on for an exponential stretch.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    numbers = np.arange(members)
    start = np.datetime64(FIRST_DAY, "us")
    joined = rng.integers(0, DAYS, members)
    status = np.where(rng.random(members) < 0.002, "deregistered", "active")
    pq.write_table(
        pa.table(
            {
                "member_id": _ids("M", numbers, 8),
                "registered_at": _times(joined, np.zeros(members, int)),
                "level_order": pa.array(rng.integers(1, 5, members)),
                "is_staff": pa.array(rng.random(members) < 0.001),
                "status": pa.array(status),
                "updated_at": pa.array(np.full(members, start)),
            }
        ),
        folder / "members.parquet",
    )
    pq.write_table(
        pa.table(
            {
                "item_id": _ids("I", np.arange(ITEMS), 6),
                "spu_id": _ids("I", np.arange(ITEMS), 6),
                "title": _ids("item ", np.arange(ITEMS), 6),
                "category_l1": _ids("C", rng.integers(0, CATEGORIES, ITEMS), 2),
                "status": pa.array(np.full(ITEMS, "on")),
            }
        ),
        folder / "items.parquet",
    )
    activity = rng.gamma(1.0, 1.0, members) * (rng.random(members) < 0.85)
    sale_lines = int(lines * 0.97)
    orders = int(sale_lines / 2.2)
    buyer = np.searchsorted(np.cumsum(activity) / activity.sum(), rng.random(orders)).astype(np.int64)
    stretch = np.minimum(rng.exponential(400.0, members)[buyer], DAYS - joined[buyer])
    day = (joined[buyer] + rng.random(orders) * stretch).astype(np.int64)
    order = np.lexsort((buyer, day))
    buyer, day = buyer[order], day[order]
    seconds = rng.integers(9 * 3600, 22 * 3600, orders)
    size = 1 + rng.poisson(sale_lines / orders - 1.0, orders)
    of_order = np.repeat(np.arange(orders), size)
    line_no = np.arange(len(of_order)) - np.repeat(np.cumsum(size) - size, size) + 1
    popularity = rng.zipf(1.3, len(of_order)) % ITEMS
    own = (buyer[of_order] * 7919 + rng.integers(0, 6, len(of_order))) % ITEMS  # members have favourites
    item = np.where(rng.random(len(of_order)) < 0.4, own, popularity)
    price = np.round(rng.lognormal(3.5, 0.8, ITEMS), 2)[item]
    qty = 1 + rng.poisson(0.15, len(of_order))
    paid = np.round(price * qty, 2)
    total = np.round(np.bincount(of_order, paid, minlength=orders), 2)
    store = rng.integers(0, STORES, orders)
    pq.write_table(
        pa.table(
            {
                "order_id": _ids("O", np.arange(orders), 9),
                "member_id": _ids("M", buyer, 8),
                "order_time": _times(day, seconds),
                "channel": pa.array(np.where(rng.random(orders) < 0.6, "store", "wechat_mp")),
                "store_id": _ids("S", store, 4),
                "status": pa.array(np.full(orders, "completed")),
                "paid_yuan": pa.array(total),
            }
        ),
        folder / "orders.parquet",
    )
    back = np.flatnonzero(rng.random(len(of_order)) < 0.03)
    back_day = np.minimum(day[of_order[back]] + rng.integers(1, 15, len(back)), DAYS - 1)
    ids = _ids("O", np.concatenate([of_order, of_order[back]]), 9)
    pq.write_table(
        pa.table(
            {
                "order_id": ids,
                "line_no": pa.array(np.concatenate([line_no, line_no[back] + 100])),
                "line_type": pa.array(np.repeat(["sale", "return"], [len(of_order), len(back)])),
                "item_id": _ids("I", np.concatenate([item, item[back]]), 6),
                "qty": pa.array(np.concatenate([qty, qty[back]])),
                "paid_yuan": pa.array(np.concatenate([paid, paid[back]])),
                "returned_at": pa.concat_arrays(
                    [
                        pa.nulls(len(of_order), pa.timestamp("us")),
                        _times(back_day, np.full(len(back), 79_000)),
                    ]
                ),
                "orig_line_no": pa.concat_arrays(
                    [pa.nulls(len(of_order), pa.int64()), pa.array(line_no[back], pa.int64())]
                ),
            }
        ),
        folder / "order_lines.parquet",
    )
    return folder
