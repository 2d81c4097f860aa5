"""Online Retail II (UCI, CC BY 4.0) in; out: members, orders, order_lines and items that keep the input contract.

What each odd row becomes:
    invoices with C          return lines, tied to the member's newest earlier sale of that item in the same size or more
    negative quantity        without C: stock corrections, dropped
    price 0 or less          gift lines, where a customer got them; else dropped
    postage, carriage        items of type service
    manual, discount, test, bank charges, adjustments, vouchers without a shelf   dropped
    no customer              an anonymous order, kept: it still says what is popular
    several descriptions     the most frequent one becomes the title
There is no category in the data: the first word-group of the stock code (its digits) is the style, and category_l1 is
"gift" for everything, which says so honestly. Amounts are pounds in a column called yuan.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

NAME = "online_retail_ii"
SERVICE = {"POST": "Postage", "DOT": "Postage (website)", "C2": "Carriage", "C3": "Carriage"}
# A sold thing is five digits with letters after, or one of the shop's own lettered ranges.
GOODS = r"(?i)^(\d{5}[a-z]*|DCGS\w*|SP1002|PADS)$"


def frames(data: Path) -> tuple[Mapping[str, pd.DataFrame], dict[str, int]]:
    """The contract's tables, and how many rows went which way."""
    raw = pd.read_parquet(data / "online_retail_ii" / "transactions.parquet")
    raw["code"] = raw["stock_code"].astype(str).str.strip().str.upper()
    raw["invoice"] = raw["invoice"].astype(str)
    counts = {"rows": len(raw)}
    cancelled = raw["invoice"].str.startswith("C")
    service = raw["code"].isin(SERVICE)
    goods = raw["code"].str.match(GOODS)
    drop = {
        "not merchandise": ~goods & ~service,
        "stock correction": ~cancelled & (raw["quantity"] <= 0),
        "bad debt": raw["price"] < 0,
        "free and without customer": (raw["price"] <= 0) & raw["customer_id"].isna(),
        "cancellation without customer": cancelled & raw["customer_id"].isna(),
        "cancellation of nothing": cancelled & ((raw["quantity"] >= 0) | (raw["price"] <= 0)),
    }
    kept = pd.Series(True, index=raw.index)
    for reason, rows in drop.items():
        counts[f"dropped, {reason}"] = int((rows & kept).sum())
        kept &= ~rows
    raw = raw[kept].reset_index(drop=True)
    cancelled = raw["invoice"].str.startswith("C")
    lines = pd.DataFrame(
        {
            "order_id": raw["invoice"],
            "line_no": raw.groupby("invoice").cumcount() + 1,
            "line_type": np.where(cancelled, "return", np.where(raw["price"] > 0, "sale", "gift")),
            "item_id": raw["code"],
            "qty": raw["quantity"].abs(),
            "paid_yuan": (raw["quantity"].abs() * raw["price"]).round(2),
            "unit_list_yuan": raw["price"].round(2),
            "returned_at": raw["invoice_date"].where(cancelled),
            "member_id": raw["customer_id"].astype(object),
            "at": raw["invoice_date"],
        }
    )
    lines = _tie_returns(lines)
    counts |= {f"{kind} lines": int((lines["line_type"] == kind).sum()) for kind in ("sale", "return", "gift")}
    counts["returns tied to a sale"] = int(lines["orig_order_id"].notna().sum())
    paid = lines["paid_yuan"].where(lines["line_type"] != "gift", 0.0)
    orders = (
        lines.assign(paid=paid)
        .groupby("order_id", sort=True)
        .agg(member_id=("member_id", "first"), order_time=("at", "min"), paid_yuan=("paid", "sum"))
        .reset_index()
    )
    orders = orders.assign(channel="other", status="completed", paid_yuan=orders["paid_yuan"].round(2))
    first = orders.dropna(subset=["member_id"]).groupby("member_id")["order_time"].min()
    members = pd.DataFrame(
        {
            "member_id": first.index,
            "registered_at": first.to_numpy(),
            "status": "active",
            "updated_at": first.to_numpy(),
        }
    )
    counts |= {
        "members": len(members),
        "orders": len(orders),
        "anonymous orders": int(orders["member_id"].isna().sum()),
    }
    tables = {
        "members": members,
        "orders": orders,
        "order_lines": lines.drop(columns=["member_id", "at"]),
        "items": _items(raw),
    }
    return tables, counts


def _tie_returns(lines: pd.DataFrame) -> pd.DataFrame:
    """Give each return the member's newest earlier sale of the item, of at least as many pieces, not used before."""
    lines = lines.assign(orig_order_id=pd.Series(None, index=lines.index, dtype=object), orig_line_no=pd.NA)
    back = lines[lines["line_type"] == "return"].sort_values(["at", "order_id", "line_no"])
    sold = lines[(lines["line_type"] == "sale") & lines["member_id"].notna()].sort_values(
        ["at", "order_id", "line_no"]
    )
    wanted = pd.MultiIndex.from_frame(back[["member_id", "item_id"]]).unique()
    sold = sold[pd.MultiIndex.from_frame(sold[["member_id", "item_id"]]).isin(wanted)]
    left = {}
    for row in sold.itertuples():
        left.setdefault((row.member_id, row.item_id), []).append([row.at, row.qty, row.order_id, row.line_no])
    for row in back.itertuples():
        for sale in reversed(left.get((row.member_id, row.item_id), [])):
            if sale[0] <= row.at and sale[1] >= row.qty:
                sale[1] -= row.qty
                lines.loc[row.Index, ["orig_order_id", "orig_line_no"]] = sale[2], sale[3]
                break
    lines["orig_line_no"] = lines["orig_line_no"].astype("Int64")
    return lines


def _items(raw: pd.DataFrame) -> pd.DataFrame:
    told = raw.dropna(subset=["description"])
    told = told.assign(description=told["description"].str.strip())
    seen = told[told["description"] != ""].groupby(["code", "description"]).size().rename("times").reset_index()
    seen = seen.sort_values(["code", "times", "description"], ascending=[True, False, True]).drop_duplicates("code")
    codes = np.sort(raw["code"].unique())
    title = seen.set_index("code")["description"].reindex(codes)
    style = pd.Series(codes).str.extract(r"^(\d{5})", expand=False).fillna(pd.Series(codes))
    service = pd.Series(codes).isin(SERVICE).to_numpy()
    return pd.DataFrame(
        {
            "item_id": codes,
            "spu_id": style.to_numpy(),
            "title": np.where(title.isna(), codes, title.to_numpy()),
            "category_l1": np.where(service, "service", "gift"),
            "status": "on",
            "item_type": np.where(service, "service", "product"),
        }
    )
