"""Ta-Feng baskets (as in the Next Basket Recommendation Reality Check) in; out: the contract's four core tables.

The data have no dates: every member's last basket is put on one day, the earlier ones a week apart before it. Then a
cut-off on that day with a horizon of 1 day is the last-basket protocol, and cut-offs some weeks earlier have labels
within one day too. Nothing is priced: 1 yuan a line; title and category are the item's id.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

NAME = "tafeng"
LAST_DAY = pd.Timestamp("2001-02-28")


def frames(data: Path) -> tuple[Mapping[str, pd.DataFrame], dict[str, int]]:
    """The contract's tables, and how many rows went which way."""
    raw = pd.read_parquet(data / "tafeng" / "baskets.parquet")
    raw = raw.astype({"member_id": str, "item_id": str}).drop_duplicates()
    raw = raw.sort_values(["member_id", "basket_no", "item_id"]).reset_index(drop=True)
    last = raw.groupby("member_id")["basket_no"].transform("max").astype(int)
    day = LAST_DAY - pd.to_timedelta((last - raw["basket_no"].astype(int)) * 7, unit="D")
    order_id = raw["member_id"] + "-" + raw["basket_no"].astype(str)
    lines = pd.DataFrame(
        {
            "order_id": order_id,
            "line_no": raw.groupby(order_id).cumcount() + 1,
            "line_type": "sale",
            "item_id": raw["item_id"],
            "qty": 1,
            "paid_yuan": 1.0,
        }
    )
    orders = (
        pd.DataFrame(
            {"order_id": order_id, "member_id": raw["member_id"], "order_time": day + pd.Timedelta(hours=12)}
        )
        .groupby("order_id")
        .agg(member_id=("member_id", "first"), order_time=("order_time", "first"), paid_yuan=("order_time", "size"))
        .reset_index()
    )
    orders = orders.assign(channel="other", status="completed", paid_yuan=orders["paid_yuan"].astype(float))
    first = orders.groupby("member_id")["order_time"].min()
    members = pd.DataFrame(
        {
            "member_id": first.index,
            "registered_at": first.to_numpy(),
            "status": "active",
            "updated_at": first.to_numpy(),
        }
    )
    ids = sorted(raw["item_id"].unique())
    items = pd.DataFrame({"item_id": ids, "spu_id": ids, "title": ids, "category_l1": ids, "status": "on"})
    counts = {"rows": len(raw), "members": len(members), "orders": len(orders), "items": len(items)}
    return {"members": members, "orders": orders, "order_lines": lines, "items": items}, counts
