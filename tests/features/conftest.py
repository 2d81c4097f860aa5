"""A small world in which everything happens that makes the past hard to know: late rows, cancellations, returns, minors."""

import tempfile
from collections.abc import Callable
from datetime import date

import ibis
import numpy as np
import pandas as pd
import pytest

from features.contract import SCHEMA
from features.tables import Tables, connect

Frames = dict[str, pd.DataFrame]
START = pd.Timestamp("2024-01-01")
KINDS = {
    "str": "string",
    "enum": "string",
    "int": "int64",
    "float": "float64",
    "bool": "boolean",
    "timestamp": "timestamp(6)",
    "date": "date",
}
MEMBERS, DAYS, ITEMS = 40, 420, 25


def _some(rng: np.random.Generator, values: pd.Series, share: float) -> pd.Series:
    return values.where(rng.random(len(values)) < share)


def _later(rng: np.random.Generator, times: pd.Series, days: int) -> pd.Series:
    return times + pd.to_timedelta(rng.integers(0, days * 86_400, len(times)), unit="s")


def make_world(seed: int) -> Frames:
    """Frames of every table that vectors read; most orders are plain, the rest late, cancelled or brought back."""
    rng = np.random.default_rng(seed)
    ids = pd.Series([f"m{i:03d}" for i in range(MEMBERS)])
    start = pd.Series([START] * MEMBERS)
    members = pd.DataFrame(
        {
            "member_id": ids,
            "registered_at": _later(rng, start, DAYS),
            "level_order": rng.integers(1, 5, MEMBERS),
            "points_balance": rng.integers(0, 900, MEMBERS),
            "birth_year": _some(rng, pd.Series(rng.integers(1960, 2010, MEMBERS)), 0.6),
            "birthday": _some(rng, pd.Series([f"{m:02d}-15" for m in rng.integers(1, 13, MEMBERS)]), 0.5),
            "is_staff": rng.random(MEMBERS) < 0.03,
            "status": np.where(rng.random(MEMBERS) < 0.04, "deregistered", "active"),
            "updated_at": _later(rng, start, DAYS),
        }
    )
    n = 260
    orders = pd.DataFrame({"order_id": [f"o{i:04d}" for i in range(n)]})
    orders["member_id"] = _some(
        rng, ids.iloc[(MEMBERS * rng.random(n) ** 2).astype(int)].reset_index(drop=True), 0.97
    )
    orders["order_time"] = _later(rng, pd.Series([START] * n), DAYS)
    orders["paid_at"] = _some(rng, orders.order_time + pd.Timedelta(minutes=3), 0.5)
    orders["channel"] = rng.choice(["store", "wechat_mp"], n)
    orders["store_id"] = rng.choice(["s1", "s2", "s3"], n)
    orders["guide_id"] = _some(rng, pd.Series(["g1"] * n), 0.4)
    orders["status"] = rng.choice(["completed", "paid", "cancelled", "closed"], n, p=[0.7, 0.2, 0.06, 0.04])
    orders["status_at"] = _some(rng, _later(rng, orders.order_time, 20), 0.5)
    orders["loaded_at"] = _some(rng, _later(rng, orders.order_time, 9), 0.15)
    orders["paid_yuan"] = 1.0
    of = np.repeat(np.arange(n), 1 + rng.poisson(0.8, n))
    lines = pd.DataFrame({"order_id": orders.order_id.to_numpy()[of]})
    lines["line_no"] = lines.groupby("order_id").cumcount() + 1
    lines["line_type"] = rng.choice(["sale", "gift"], len(lines), p=[0.95, 0.05])
    lines["item_id"] = [f"i{j:02d}" for j in rng.integers(0, ITEMS, len(lines))]
    lines["qty"] = 1 + rng.poisson(0.3, len(lines))
    lines["paid_yuan"] = np.round(rng.lognormal(4, 1, len(lines)), 2) * (rng.random(len(lines)) < 0.97)
    sold_at = orders.order_time.iloc[of].reset_index(drop=True)
    back = lines[(lines.line_type == "sale") & (rng.random(len(lines)) < 0.18)]
    returned = back.assign(
        line_type="return",
        returned_at=_later(rng, sold_at[back.index], 40),
        orig_order_id=back.order_id,
        orig_line_no=back.line_no,
        line_no=back.line_no + 100,
    )
    items = pd.DataFrame({"item_id": [f"i{j:02d}" for j in range(ITEMS)]})
    items = items.assign(
        spu_id=items.item_id, title="x", category_l1=[f"c{j % 4}" for j in range(ITEMS)], status="on"
    )
    k = 150
    who = ids.iloc[rng.integers(0, MEMBERS, k)].reset_index(drop=True)
    moments = _later(rng, pd.Series([START] * k), DAYS)
    behaviours = pd.DataFrame({"event_id": [f"e{i}" for i in range(k)], "member_id": who, "event_time": moments})
    behaviours["event_type"] = rng.choice(["view", "add_cart", "search", "checkin"], k)
    contacts = pd.DataFrame({"contact_id": [f"c{i}" for i in range(k)], "member_id": who, "channel": "wecom_1v1"})
    contacts = contacts.assign(
        sent_at=moments, content_type=rng.choice(["marketing", "service"], k), send_status="sent"
    )
    contacts["outcome"] = _some(rng, pd.Series(rng.choice(["replied", "ordered", "refused"], k)), 0.5)
    contacts["outcome_at"] = (moments + pd.Timedelta(days=2)).where(contacts.outcome.notna())
    coupons = pd.DataFrame({"coupon_id": [f"k{i}" for i in range(k)], "template_id": "t", "member_id": who})
    coupons = coupons.assign(issued_at=moments, valid_to=moments + pd.Timedelta(days=30), status="issued")
    coupons["used_at"] = _some(rng, moments + pd.Timedelta(days=9), 0.3)
    assignments = pd.DataFrame({"member_id": ids, "guide_id": "g1", "start_at": _later(rng, start, DAYS)})
    assignments["end_at"] = _some(rng, assignments.start_at + pd.Timedelta(days=70), 0.3)
    assignments["friend_since"] = _some(rng, assignments.start_at + pd.Timedelta(days=5), 0.6)
    assignments["friend_lost_at"] = _some(rng, assignments.friend_since + pd.Timedelta(days=50), 0.3)
    return {
        "members": members,
        "orders": orders,
        "order_lines": pd.concat([lines, returned], ignore_index=True),
        "items": items,
        "behaviours": behaviours,
        "contacts": contacts,
        "coupons": coupons,
        "assignments": assignments,
    }


def bare_tables(frames: Frames, engine: str = "duckdb") -> Tables:
    """Frames as typed tables without the check of files, which has tests of its own; coverage is that of the orders."""
    backend = connect("duckdb")
    typed = {}
    for name, frame in frames.items():
        given = ibis.memtable(_plain(frame))
        columns = {
            c.name: given[c.name].cast(KINDS[c.kind]) if c.name in frame else ibis.null(KINDS[c.kind])
            for c in SCHEMA[name].columns
        }
        typed[name] = backend.create_table(f"given_{name}", given.select(**columns), temp=True)
    if engine != "duckdb":
        spark, folder = connect(engine, 2), tempfile.mkdtemp(prefix="huitou-test-")
        for name, table in typed.items():
            table.to_parquet(f"{folder}/{name}.parquet")
            typed[name] = spark.read_parquet(f"{folder}/{name}.parquet", table_name=f"given_{name}")
        backend = spark
    days = frames["orders"]["order_time"]
    return Tables(backend, typed, days.min().date(), days.max().date(), "brand", "0" * 16)


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with missing whole numbers as null and missing text as None."""
    plain = frame.copy()
    for name in plain.columns:
        if plain[name].dtype == "float64" and name != "paid_yuan":
            plain[name] = plain[name].astype("Int64")
    return plain


@pytest.fixture(scope="session")
def world() -> Callable[[int], Frames]:
    """make_world: a seed to frames."""
    return make_world


@pytest.fixture(scope="session")
def tables_of() -> Callable[..., Tables]:
    """bare_tables: frames to tables."""
    return bare_tables


@pytest.fixture(scope="session")
def as_of() -> date:
    """A day with past and future on both sides in every world."""
    return date(2024, 11, 1)
