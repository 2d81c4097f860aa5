"""The contract's raw Parquet in; out: the same vector columns by tuned pandas, as an independent arithmetic to check against.

Covers the families that come from members, orders, order_lines and items, for brands without late or cancelled rows (the
benchmark's). Strings are turned into codes once; every grouping is on whole numbers; columns are read only where used.
"""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from features.festivals import festive_days, next_festival
from features.purchases import day_of


def pandas_vectors(folder: Path, as_of: date) -> pd.DataFrame:
    """One row a member with a kept purchase before as_of: member_id, then the columns, sorted by member_id."""
    day = day_of(as_of)
    members = pd.read_parquet(
        folder / "members.parquet",
        columns=["member_id", "registered_at", "level_order", "is_staff", "status", "updated_at"],
    )
    members = members[~members.is_staff & (members.status != "deregistered")].reset_index(drop=True)
    o = pd.read_parquet(
        folder / "orders.parquet", columns=["order_id", "member_id", "order_time", "channel", "store_id"]
    )
    o["m"] = pd.Index(members.member_id).get_indexer(o.pop("member_id"))
    seconds = o.pop("order_time").to_numpy().astype("datetime64[s]").astype("int64")
    o["day"] = seconds // 86_400
    o["evening"] = (seconds // 3_600) % 24 >= 18
    o["online"] = o.pop("channel") != "store"
    o["store"] = pd.factorize(o.pop("store_id"))[0]
    o = o[(o.m >= 0) & (o.day < day)].reset_index(drop=True)
    lines = pd.read_parquet(
        folder / "order_lines.parquet",
        columns=["order_id", "line_type", "item_id", "qty", "paid_yuan", "returned_at"],
    )
    lines["o"] = pd.Index(o.pop("order_id")).get_indexer(lines.pop("order_id"))
    lines = lines[lines.o >= 0]
    lines["item"], item_ids = pd.factorize(lines.pop("item_id"))
    lines["fen"] = np.floor(lines.pop("paid_yuan").to_numpy() * 100 + 0.5).astype("int64")
    sale = lines[lines.line_type == "sale"].drop(columns=["line_type", "returned_at"])
    back = lines[lines.line_type == "return"].copy()
    back["day"] = back.returned_at.to_numpy().astype("datetime64[D]").astype("int64")
    back = back[back.day < day]
    o = o[~np.isin(np.arange(len(o)), _wholly_returned(sale, back))]
    back["m"] = o.m.reindex(back.o).to_numpy()
    lost = back.m.isna()
    if lost.any():  # orders that came back whole: their member still brought something back
        back = back.drop(columns="m")
        back["m"] = pd.Series(_members_of(folder, members, back.o, as_of), index=back.index)
    sale["m"], sale["day"] = o.m.reindex(sale.o).to_numpy(), o.day.reindex(sale.o).to_numpy()
    sale = sale[sale.m.notna()].astype({"m": "int64", "day": "int64"})
    visits = _visits(o, sale, item_ids, folder)
    return _columns(visits, members, back, as_of)


def _wholly_returned(sale: pd.DataFrame, back: pd.DataFrame) -> np.ndarray:
    touched = sale[sale.o.isin(back.o.unique())]
    sold = touched.groupby(["o", "item"]).qty.sum()
    returned = back.groupby(["o", "item"]).qty.sum().reindex(sold.index, fill_value=0)
    whole = (returned >= sold).groupby(level=0).all()
    return whole.index[whole].to_numpy()


def _members_of(folder: Path, members: pd.DataFrame, orders: pd.Series, as_of: date) -> np.ndarray:
    o = pd.read_parquet(folder / "orders.parquet", columns=["member_id", "order_time"])
    m = pd.Index(members.member_id).get_indexer(o.member_id)
    kept = (m >= 0) & (o.order_time < pd.Timestamp(as_of)).to_numpy()
    return m[kept][orders.to_numpy()]


def _visits(o: pd.DataFrame, sale: pd.DataFrame, item_ids: pd.Index, folder: Path) -> pd.DataFrame:
    visits = sale.groupby(["m", "day"]).agg(fen=("fen", "sum"), qty=("qty", "sum"), lines=("qty", "size"))
    flags = o.groupby(["m", "day"]).agg(orders=("m", "size"), online=("online", "max"), evening=("evening", "max"))
    visits = visits.join(flags)
    items = pd.read_parquet(folder / "items.parquet", columns=["item_id", "category_l1"]).set_index("item_id")
    category = pd.factorize(items.category_l1.reindex(item_ids))[0]
    tried = sale.groupby(["m", "item"]).day.min().reset_index()
    tried["category"] = category[tried.item]
    entered = tried.groupby(["m", "category"]).day.min().reset_index()
    shopped = o.groupby(["m", "store"]).day.min().reset_index()
    for firsts, name in ((tried, "new_items"), (entered, "new_categories"), (shopped, "new_stores")):
        visits[name] = firsts.groupby(["m", "day"]).size()
    visits = visits.fillna({"new_items": 0, "new_categories": 0, "new_stores": 0}).reset_index()
    visits["gap"] = visits.day.diff().where(visits.m.eq(visits.m.shift()))
    visits["prev_gap"] = visits.gap.shift().where(visits.m.eq(visits.m.shift()))
    return visits


def _columns(v: pd.DataFrame, members: pd.DataFrame, back: pd.DataFrame, as_of: date) -> pd.DataFrame:
    day = day_of(as_of)
    age = day - v.day
    v["weekend"] = (v.day % 7).isin([2, 3])
    v["festive"] = v.day.isin(festive_days(date(2024, 1, 1), as_of))
    v["weight"] = 90 * 1_000_000 // (90 + age)
    v["gap2"] = v.gap**2
    v["jiao"] = np.minimum(v.fen // 10, 10_000_000)
    v["jiao2"] = v.jiao**2
    g = v.groupby("m")
    sums = g[
        [
            *("fen", "qty", "lines", "orders", "online", "evening", "weekend", "festive", "new_items"),
            *("new_categories", "new_stores", "weight", "gap2", "jiao2"),
        ]
    ].sum()
    gaps = g.gap.agg(["min", "max", "median"])
    fens = g.fen.agg(["max", "median"])
    n, first, last = g.size(), g.day.min(), g.tail(1).set_index("m")
    windows: dict[str, pd.Series] = {}
    for w in (30, 60, 90, 180, 365):
        recent = v[age <= w]
        by = recent.groupby("m")
        windows[f"visits_{w}"], windows[f"fen_{w}"] = by.size(), by.fen.sum()
        if w in (90, 365):
            for name in ("qty", "new_items", "online"):
                windows[f"{name}_{w}"] = by[name].sum()
    season = v[(v.day >= day - 365) & (v.day < day - 275)].groupby("m")
    windows["season_visits"], windows["season_fen"] = season.size(), season.fen.sum()
    win = pd.DataFrame(windows, index=n.index).fillna(0.0)
    returns = back.groupby("m").agg(lines=("qty", "size"), fen=("fen", "sum"), day=("day", "max"))
    year = back[back.day >= day - 365].groupby("m").agg(lines=("qty", "size"), fen=("fen", "sum"))
    returns, year = returns.reindex(n.index), year.reindex(n.index).fillna(0.0)
    who = members.loc[n.index]
    joined = pd.Series(who.registered_at.to_numpy().astype("datetime64[D]").astype("int64"), index=n.index)
    joined = joined.where(joined < day).astype("float64")
    recency, tenure, span, k = day - last.day, day - first, last.day - first, n - 1
    mean = span / k.where(k > 0)
    spread = np.sqrt((k * sums.gap2 - span * span) / (k * (k - 1)).where(k > 1))
    shrunk = (span + 3.0 * v.gap.median()) / (k + 3.0)
    variance = (n * sums.jiao2 - (sums.fen / 10) ** 2) / (n * (n - 1)).where(n > 1)
    turn = 2 * np.pi * (as_of.timetuple().tm_yday - 1) / 365.25
    seen = first < day - 275

    def until(*names: str) -> float:
        festival = next_festival(as_of, names or None)
        return np.nan if festival is None else float((festival.day - as_of).days)

    columns: dict[str, object] = {
        "recency_days": recency,
        "visits": n,
        "repeat_visits": k,
        "orders": sums.orders,
        "tenure_days": tenure,
        "first_to_last_days": span,
        "gap_mean_days": mean,
        "gap_std_days": spread,
        "gap_median_days": gaps["median"],
        "gap_min_days": gaps["min"],
        "gap_max_days": gaps["max"],
        "gap_last_days": last.gap,
        "gap_before_last_days": last.prev_gap,
        "gap_cv": spread / mean,
        "gap_shrunk_days": shrunk,
        "recency_over_gap": recency / shrunk,
        "recency_over_gap_max": recency / gaps["max"],
        "visits_weighted": sums.weight / 1e6,
        "visits_per_30d": n * 30.0 / tenure,
        **{f"visits_{w}d": win[f"visits_{w}"] for w in (30, 60, 90, 180, 365)},
        "spend_total_yuan": sums.fen / 100,
        "spend_mean_yuan": sums.fen / n / 100,
        "spend_median_yuan": fens["median"] / 100,
        "spend_std_yuan": np.sqrt(variance.clip(lower=0)) / 10,
        "spend_max_yuan": fens["max"] / 100,
        "last_visit_spend_yuan": last.fen / 100,
        "spend_mean_365d_yuan": win.fen_365 / win.visits_365.where(win.visits_365 > 0) / 100,
        **{f"spend_{w}d_yuan": win[f"fen_{w}"] / 100 for w in (30, 60, 90, 180, 365)},
        "items_distinct": sums.new_items,
        "new_items_90d": win.new_items_90,
        "new_items_365d": win.new_items_365,
        "categories_distinct": sums.new_categories,
        "basket_mean_items": sums.qty / n,
        "last_visit_items": last.qty,
        "pieces_365d": win.qty_365,
        "repeat_line_share": (sums.lines - sums.new_items) / sums.lines,
        "last_visit_new_share": last.new_items / last.lines,
        "visits_trend_30d": (win.visits_30 + 1) / (win.visits_60 - win.visits_30 + 1),
        "visits_trend_90d": (win.visits_90 + 1) / (win.visits_180 - win.visits_90 + 1),
        "visits_trend_180d": (win.visits_180 + 1) / (win.visits_365 - win.visits_180 + 1),
        "spend_recent_share": win.fen_90 / win.fen_180.where(win.fen_180 > 0),
        "gap_trend": last.gap / mean,
        "basket_trend": last.qty * n / sums.qty,
        "spend_last_over_mean": last.fen * n / sums.fen.where(sums.fen > 0),
        "pace_365d": win.visits_365 / n,
        "days_to_festival": until(),
        "days_to_spring_festival": until("spring_festival"),
        "days_to_sale_festival": until("june_18", "double_11", "double_12"),
        "year_sine": np.sin(turn),
        "year_cosine": np.cos(turn),
        "season_visits": win.season_visits.where(seen),
        "season_spend_yuan": win.season_fen.where(seen) / 100,
        "festive_share": sums.festive / n,
        "weekend_share": sums.weekend / n,
        "evening_share": sums.evening / n,
        "online_share": sums.online / n,
        "online_share_365d": win.online_365 / win.visits_365.where(win.visits_365 > 0),
        "last_visit_online": last.online.astype("float64"),
        "stores_distinct": sums.new_stores,
        "returns_lines": returns.lines.fillna(0),
        "returns_lines_365d": year.lines,
        "returned_yuan": returns.fen.fillna(0) / 100,
        "returned_365d_yuan": year.fen / 100,
        "return_recency_days": day - returns.day,
        "returns_per_visit": returns.lines.fillna(0) / n,
        "member_days": day - joined,
        "first_visit_wait_days": first - joined,
        "level_order": who.level_order.where(who.updated_at < pd.Timestamp(as_of)),
    }
    frame = pd.DataFrame(columns, index=n.index)
    frame.insert(0, "member_id", who.member_id)
    return frame.sort_values("member_id", ignore_index=True)
