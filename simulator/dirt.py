"""A clean export and a share in; the same export with every kind of dirt that retail data carry, and a list of it, out.

Each kind is one small function that changes tables of its own copy and says how many rows it touched. The share is
spread so that a folder with dirt 0.02 stays usable after quarantine. Kinds that make a whole file unreadable (other
encodings, clear mobiles) are made by `simulator.export` when it writes.
"""

import dataclasses
import datetime
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

Tables = dict[str, pd.DataFrame]


@dataclasses.dataclass
class Spoiler:
    """The tables being spoiled, the randomness, and the rows per kind."""

    tables: Tables
    share: float
    end: datetime.date
    rng: np.random.Generator

    def some(self, table: str, share: float, among: np.ndarray | None = None) -> np.ndarray:
        """Row numbers of a random share of a table, at least one."""
        rows = np.arange(len(self.tables[table])) if among is None else np.flatnonzero(among)
        count = min(len(rows), max(1, round(share * self.share * len(self.tables[table]))))
        return np.sort(self.rng.choice(rows, count, replace=False)) if count else rows[:0]

    def put(self, table: str, rows: np.ndarray, column: str, values: Any) -> None:
        """Write values into a column at row numbers."""
        frame = self.tables[table]
        if column not in frame:
            frame[column] = None
        frame.loc[frame.index[rows], column] = values

    def add(self, table: str, rows: pd.DataFrame) -> None:
        """Append rows to a table."""
        frame = self.tables[table]
        wanted = rows.reindex(columns=frame.columns)
        for column in frame.columns:
            if wanted[column].dtype != frame[column].dtype:
                wanted[column] = wanted[column].astype(frame[column].dtype)
        self.tables[table] = pd.concat([frame, wanted], ignore_index=True)


def shared_card(s: Spoiler) -> tuple[str, int]:
    """A cashier's own card stands in for walk-ins, dozens of times a day."""
    orders = s.tables["orders"]
    rows = np.flatnonzero(orders["member_id"].isna() & (orders["channel"] == "store"))
    if not len(rows):
        return "orders", 0
    store = orders["store_id"].iloc[rows].mode().iloc[0]
    rows = rows[(orders["store_id"].iloc[rows] == store).to_numpy()]
    card = s.tables["members"].loc[s.tables["members"]["home_store_id"] == store, "member_id"].iloc[0]
    s.put("orders", rows, "member_id", card)
    # one busy day: 30 receipts on the card
    day = orders["order_time"].iloc[rows[-1]].normalize()
    busy = rows[-30:]
    s.put("orders", busy, "order_time", day + pd.to_timedelta(10 * 3600 + 600 * np.arange(len(busy)), unit="s"))
    return "orders", len(rows)


def unflagged_reseller(s: Spoiler) -> tuple[str, int]:
    """黄牛: wholesale quantities on a normal member's card."""
    lines = s.tables["order_lines"]
    rows = s.some("order_lines", 0.02, (lines["line_type"] == "sale").to_numpy())
    order = lines["order_id"].iloc[rows]
    rows = rows[~order.duplicated().to_numpy()]
    lines.loc[lines.index[rows], "qty"] = lines["qty"].iloc[rows] * 40
    extra = lines["paid_yuan"].iloc[rows] * 39
    lines.loc[lines.index[rows], "paid_yuan"] = (lines["paid_yuan"].iloc[rows] + extra).round(2)
    orders = s.tables["orders"].set_index("order_id")
    orders.loc[lines["order_id"].iloc[rows].to_numpy(), "paid_yuan"] += extra.to_numpy()
    orders["paid_yuan"] = orders["paid_yuan"].round(2)
    s.tables["orders"] = orders.reset_index()[s.tables["orders"].columns.tolist()]
    return "order_lines", len(rows)


def gifts_and_samples(s: Spoiler) -> tuple[str, int]:
    """0-yuan gifts and samples as lines of a sale."""
    lines = s.tables["order_lines"]
    sale = lines[lines["line_type"] == "sale"]
    last = lines.groupby("order_id")["line_no"].max()
    chosen = sale.drop_duplicates("order_id").sample(
        n=min(max(1, round(0.4 * s.share * len(lines))), sale["order_id"].nunique()), random_state=s.rng
    )
    gift = chosen.copy()
    gift["line_type"] = np.where(s.rng.random(len(gift)) < 0.6, "gift", "sample")
    gift["line_no"] = last.loc[gift["order_id"]].to_numpy() + 1
    gift["paid_yuan"], gift["qty"] = 0.0, 1
    gift["item_id"] = s.rng.choice(s.tables["items"]["item_id"].to_numpy(dtype=object), len(gift))
    s.add("order_lines", gift)
    return "order_lines", len(gift)


def split_receipts(s: Spoiler) -> tuple[str, int]:
    """One basket rung up as two receipts a minute apart."""
    orders, lines = s.tables["orders"], s.tables["order_lines"]
    sizes = lines["order_id"].value_counts()
    odd = lines.loc[lines["line_type"] != "sale", "order_id"]
    several = orders["order_id"].isin(sizes.index[sizes > 1]) & ~orders["order_id"].isin(odd)
    rows = s.some("orders", 0.1, several.to_numpy())
    second = orders.iloc[rows].copy()
    moved = lines["order_id"].isin(second["order_id"]) & (lines["line_no"] > 1)
    second["order_id"] = second["order_id"] + "B"
    for column in ("order_time", "paid_at", "status_at"):
        second[column] = second[column] + pd.Timedelta(minutes=1)
    lines.loc[moved, "order_id"] = lines.loc[moved, "order_id"] + "B"
    sums = lines[lines["line_type"] == "sale"].groupby("order_id")["paid_yuan"].sum().round(2)
    s.tables["orders"].loc[orders.index[rows], "paid_yuan"] = sums.loc[orders["order_id"].iloc[rows]].to_numpy()
    second["paid_yuan"] = sums.loc[second["order_id"]].to_numpy()
    s.add("orders", second)
    return "orders", len(second)


def exchanges(s: Spoiler) -> tuple[str, int]:
    """An exchange is a return and a sale in the same minute."""
    orders, lines = s.tables["orders"], s.tables["order_lines"]
    held = lines[lines["line_type"] == "sale"].drop_duplicates("order_id")
    done = orders["status"].eq("completed") & orders["order_id"].isin(held["order_id"]) & orders["member_id"].notna()
    rows = s.some("orders", 0.1, done.to_numpy())
    new = orders.iloc[rows].copy()
    line = held.set_index("order_id").loc[new["order_id"]].reset_index()
    at = new["order_time"] + pd.Timedelta(days=3)
    inside = (at < pd.Timestamp(s.end)).to_numpy()
    new, line, at = new[inside], line[inside], at[inside]
    new["order_id"] = new["order_id"] + "X"
    new["order_time"] = new["paid_at"] = new["status_at"] = at
    new["order_type"], new["coupon_id"] = "exchange", None
    new["paid_yuan"] = line["paid_yuan"].to_numpy()
    back = line.assign(
        orig_order_id=line["order_id"], orig_line_no=line["line_no"], line_type="return", returned_at=at.to_numpy()
    )
    back["order_id"], back["line_no"] = new["order_id"].to_numpy(), 1
    sale = line.assign(order_id=new["order_id"].to_numpy(), line_no=2)
    s.add("orders", new)
    s.add("order_lines", pd.concat([back, sale], ignore_index=True))
    return "orders", len(new)


def clock_off(s: Spoiler) -> tuple[str, int]:
    """A till whose clock is years ahead: times in the future."""
    rows = s.some("orders", 0.02)
    times = s.tables["orders"]["order_time"].iloc[rows] + pd.Timedelta(days=3650)
    s.put("orders", rows, "order_time", times.to_numpy())
    return "orders", len(rows)


def late_uploads(s: Spoiler) -> tuple[str, int]:
    """A store offline for days: the order became known long after it was made."""
    orders = s.tables["orders"]
    rows = s.some("orders", 1.0)
    loaded = orders["order_time"] + pd.Timedelta(minutes=5)
    late = s.rng.integers(2, 15, len(rows)).astype("timedelta64[D]")
    values = loaded.to_numpy().copy()
    values[rows] = values[rows] + late
    latest = np.datetime64(s.end) + np.timedelta64(1, "D") + np.timedelta64(1, "h")
    orders["loaded_at"] = np.where(orders["order_time"].to_numpy() < latest, np.minimum(values, latest), values)
    return "orders", len(rows)


def date_only(s: Spoiler) -> tuple[str, int]:
    """One marketplace sends days without a time."""
    rows = s.some("orders", 1.0, s.tables["orders"]["channel"].ne("store").to_numpy())
    s.put("orders", rows, "order_time", s.tables["orders"]["order_time"].iloc[rows].dt.normalize().to_numpy())
    return "orders", len(rows)


def test_store(s: Spoiler) -> tuple[str, int]:
    """A store for trying out the till, with orders in it."""
    shop = s.tables["stores"].iloc[[0]].assign(store_id="S999", name="测试门店（勿用）")
    s.add("stores", shop)
    rows = s.some("orders", 0.02, (s.tables["orders"]["channel"] == "store").to_numpy())
    s.put("orders", rows, "store_id", "S999")
    return "orders", len(rows)


def fen_for_yuan(s: Spoiler) -> tuple[str, int]:
    """分 taken for 元: one channel's amounts are a hundred times too high for a while."""
    orders = s.tables["orders"]
    rows = s.some("orders", 0.1, orders["channel"].eq("wechat_mp").to_numpy())
    hit = orders["order_id"].iloc[rows]
    for column in ("paid_yuan", "list_yuan", "discount_yuan"):
        s.put("orders", rows, column, (orders[column].iloc[rows] * 100).to_numpy())
    of = s.tables["order_lines"]["order_id"].isin(hit)
    s.tables["order_lines"].loc[of, "paid_yuan"] *= 100
    return "orders", len(rows)


def header_discounts(s: Spoiler) -> tuple[str, int]:
    """A discount on the receipt that was not spread over its lines."""
    orders = s.tables["orders"]
    rows = s.some("orders", 0.3, (orders["paid_yuan"] > 60).to_numpy())
    s.put("orders", rows, "paid_yuan", (orders["paid_yuan"].iloc[rows] - 20.0).round(2).to_numpy())
    s.put("orders", rows, "discount_yuan", (orders["discount_yuan"].iloc[rows] + 20.0).round(2).to_numpy())
    return "orders", len(rows)


def points_as_payment(s: Spoiler) -> tuple[str, int]:
    """Part of the receipt was paid with points."""
    orders = s.tables["orders"]
    rows = s.some("orders", 0.3, (orders["paid_yuan"] > 60).to_numpy())
    s.put("orders", rows, "points_yuan", 15.0)
    s.put("orders", rows, "paid_yuan", (orders["paid_yuan"].iloc[rows] - 15.0).round(2).to_numpy())
    orders["points_yuan"] = orders["points_yuan"].astype(float)
    return "orders", len(rows)


def closed_store(s: Spoiler) -> tuple[str, int]:
    """A store closed months ago still has members assigned."""
    shop = s.tables["stores"]
    s.put("stores", np.array([len(shop) - 1]), "close_date", pd.Timestamp(s.end) - pd.Timedelta(days=120))
    return "stores", 1


def left_guide(s: Spoiler) -> tuple[str, int]:
    """A guide who left still owns members."""
    guides = s.tables["guides"]
    rows = np.array([len(guides) - 1])
    s.put("guides", rows, "status", "left")
    s.put("guides", rows, "left_at", pd.Timestamp(s.end) - pd.Timedelta(days=40))
    return "guides", 1


def shared_account(s: Spoiler) -> tuple[str, int]:
    """Two guides use one WeCom account."""
    guides = s.tables["guides"]
    s.put("guides", np.array([1]), "wecom_userid", guides["wecom_userid"].iloc[0])
    return "guides", 1


def two_guides(s: Spoiler) -> tuple[str, int]:
    """A member with two open assignments."""
    rows = s.some("assignments", 0.2)
    twice = s.tables["assignments"].iloc[rows].copy()
    other = s.tables["guides"].drop_duplicates("store_id", keep="first").set_index("store_id")["guide_id"]
    twice["guide_id"] = other.reindex(twice["store_id"]).to_numpy()
    twice["start_at"] = twice["start_at"] + pd.Timedelta(days=1)
    twice["source"] = "manual"
    s.add("assignments", twice)
    return "assignments", len(twice)


def duplicate_rows(s: Spoiler) -> tuple[str, int]:
    """The same order and the same lines sent twice."""
    rows = s.some("orders", 0.1)
    s.add("orders", s.tables["orders"].iloc[rows].copy())
    lines = s.some("order_lines", 0.1)
    s.add("order_lines", s.tables["order_lines"].iloc[lines].copy())
    return "orders", len(rows) + len(lines)


def orphan_lines(s: Spoiler) -> tuple[str, int]:
    """Lines whose item is on no list."""
    rows = s.some("order_lines", 0.1)
    s.put("order_lines", rows, "item_id", "SK-GONE")
    return "order_lines", len(rows)


def broken_returns(s: Spoiler) -> tuple[str, int]:
    """Returns without a sale, and returns of more than was sold."""
    lines = s.tables["order_lines"]
    among = np.flatnonzero(lines["line_type"].eq("return").to_numpy())
    if not len(among):
        return "order_lines", 0
    rows = s.rng.choice(among, max(1, round(0.2 * len(among) * min(1.0, 10 * s.share))), replace=False)
    more, none = rows[::2], rows[1::2]
    s.put("order_lines", more, "qty", lines["qty"].iloc[more].to_numpy() + 3)
    s.put("order_lines", none, "orig_order_id", "T-UNKNOWN")
    return "order_lines", len(rows)


def default_birthdays(s: Spoiler) -> tuple[str, int]:
    """Birthdays set to 01-01 by a form's default."""
    rows = s.some("members", 2.0)
    s.put("members", rows, "birthday", "01-01")
    return "members", len(rows)


def excel_ids(s: Spoiler) -> tuple[str, int]:
    """Card numbers that went through a spreadsheet: scientific notation and a trailing .0."""
    rows = s.some("orders", 0.05, s.tables["orders"]["member_id"].notna().to_numpy())
    s.put("orders", rows, "member_id", np.where(np.arange(len(rows)) % 2 == 0, "1.38E+10", "13800.0"))
    return "orders", len(rows)


def missing_days(s: Spoiler) -> tuple[str, int]:
    """A store whose till lost a few days: no orders at all."""
    orders = s.tables["orders"]
    inside = orders["order_time"][orders["order_time"] < pd.Timestamp(s.end)]
    day = inside.iloc[len(inside) // 2].normalize()
    shop = orders["store_id"].dropna().iloc[0]
    gone = (orders["store_id"] == shop) & orders["order_time"].between(day, day + pd.Timedelta(days=3))
    ids = set(orders.loc[gone, "order_id"])
    s.tables["orders"] = orders[~gone].reset_index(drop=True)
    lines = s.tables["order_lines"]
    s.tables["order_lines"] = lines[~lines["order_id"].isin(ids)].reset_index(drop=True)
    if "coupons" in s.tables:
        coupons = s.tables["coupons"]
        s.tables["coupons"] = coupons[~coupons["used_order_id"].isin(ids)].reset_index(drop=True)
    return "orders", len(ids)


# In the order they are applied: what removes rows comes first, what breaks keys comes last.
KINDS: tuple[Callable[[Spoiler], tuple[str, int]], ...] = (
    missing_days,
    shared_card,
    unflagged_reseller,
    gifts_and_samples,
    exchanges,
    split_receipts,
    fen_for_yuan,
    header_discounts,
    points_as_payment,
    late_uploads,
    date_only,
    clock_off,
    test_store,
    closed_store,
    left_guide,
    shared_account,
    two_guides,
    default_birthdays,
    broken_returns,
    orphan_lines,
    excel_ids,
    duplicate_rows,
)


def spoil(tables: Tables, share: float, end: datetime.date, rng: np.random.Generator) -> tuple[Tables, pd.DataFrame]:
    """Plant every kind of dirt; returns new tables and a frame (kind, table, rows)."""
    spoiler = Spoiler({name: frame.copy() for name, frame in tables.items()}, share, end, rng)
    planted = [(kind.__name__, *kind(spoiler)) for kind in KINDS]
    return spoiler.tables, pd.DataFrame(planted, columns=["kind", "table", "rows"])
