"""CDNOW 1997-01-01 to 1998-06-30 (teaching data of Fader & Hardie) in; out: the contract's four core tables.

Every transaction is an order of one line: so many CDs. The data name no titles, so there is one item. Amounts are US
dollars in a column called yuan; a purchase of 0 dollars is a purchase.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

NAME = "cdnow"


def frames(data: Path) -> tuple[Mapping[str, pd.DataFrame], dict[str, int]]:
    """The contract's tables, and how many rows went which way."""
    raw = pd.read_parquet(data / "cdnow" / "transactions.parquet")
    raw = raw.sort_values(["date", "customer_id", "quantity", "amount"], kind="stable").reset_index(drop=True)
    order_id = "T" + (raw.index + 1).astype(str).str.zfill(6)
    # Noon, because the data give days only.
    orders = pd.DataFrame(
        {
            "order_id": order_id,
            "member_id": raw["customer_id"].astype(str),
            "order_time": raw["date"] + pd.Timedelta(hours=12),
            "channel": "other",
            "status": "completed",
            "paid_yuan": raw["amount"].round(2),
        }
    )
    lines = pd.DataFrame(
        {
            "order_id": order_id,
            "line_no": 1,
            "line_type": "sale",
            "item_id": "CD",
            "qty": raw["quantity"].clip(lower=1),
            "paid_yuan": raw["amount"].round(2),
        }
    )
    first = orders.groupby("member_id")["order_time"].min()
    members = pd.DataFrame(
        {
            "member_id": first.index,
            "registered_at": first.to_numpy(),
            "status": "active",
            "updated_at": first.to_numpy(),
        }
    )
    items = pd.DataFrame(
        [{"item_id": "CD", "spu_id": "CD", "title": "Compact disc", "category_l1": "music", "status": "on"}]
    )
    counts = {
        "rows": len(raw),
        "members": len(members),
        "orders of 0 dollars": int((raw["amount"] == 0).sum()),
        "quantity below 1, read as 1": int((raw["quantity"] < 1).sum()),
    }
    return {"members": members, "orders": orders, "order_lines": lines, "items": items}, counts
