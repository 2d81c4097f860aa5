"""A visit history in; out: baskets – who bought which item on which day – with the two id maps."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

from features.history import History
from features.purchases import NEVER, day_of


@dataclass(frozen=True)
class Baskets:
    """Members × items over time.

    rows: member (int32, index into member_ids), day (datetime64), item (int32, index into item_ids), qty, spend_yuan
    (float32); one row a member, day and item, sorted by these. member_ids, item_ids: sorted ids.
    """

    rows: pd.DataFrame
    member_ids: np.ndarray
    item_ids: np.ndarray

    def before(self, day: date) -> "Baskets":
        """The same members and items, only the rows before a day."""
        rows = self.rows[self.rows["day"] < pd.Timestamp(day)]
        return Baskets(rows.reset_index(drop=True), self.member_ids, self.item_ids)


def build_baskets(history: History, before: date | None = None, include_returned: bool = False) -> Baskets:
    """Baskets as known at `before` (None: everything that happened); wholly returned lines are left out unless included.

    The id maps hold the members and items that appear.
    """
    purchases = history.purchases
    orders, lines, day = purchases.orders, purchases.lines, NEVER if before is None else day_of(before)
    # `until` also ends an order that came back whole; whether that matters is what include_returned says.
    known = orders.filter((orders.known < day) & ((orders.until >= day) | orders.final))
    kept = lines.semi_join(known, "purchase")
    if not include_returned:
        gone = purchases.item_gone.filter(purchases.item_gone.gone < day)
        kept = kept.anti_join(gone, ["purchase", "item"])
    kept = kept.group_by("member", "day", "item").agg(qty=lambda t: t.qty.sum(), fen=lambda t: t.fen.sum())
    people = history.grown_ups(before or history.coverage_end + timedelta(days=1))
    named = kept.join(people.select("member", "member_id"), "member")
    named = named.join(purchases.items.select("item", "item_id"), "item")
    frame = named.select("member_id", "item_id", "day", "qty", "fen").to_pyarrow()
    member_codes, member_ids = _coded(frame["member_id"])
    item_codes, item_ids = _coded(frame["item_id"])
    rows = pd.DataFrame(
        {
            "member": member_codes,
            "day": frame["day"].to_numpy().astype("datetime64[D]").astype("datetime64[s]"),
            "item": item_codes,
            "qty": frame["qty"].to_numpy().astype(np.float32),
            "spend_yuan": (frame["fen"].to_numpy() / 100.0).astype(np.float32),
        }
    )
    return Baskets(rows.sort_values(["member", "day", "item"], ignore_index=True), member_ids, item_ids)


def _coded(column: Any) -> tuple[np.ndarray, np.ndarray]:
    """Codes in the order of the sorted ids, and the sorted ids."""
    encoded = column.combine_chunks().dictionary_encode()
    ids = encoded.dictionary.to_numpy(zero_copy_only=False).astype(str)
    order = np.argsort(ids)
    rank = np.empty(len(ids), dtype=np.int32)
    rank[order] = np.arange(len(ids), dtype=np.int32)
    return rank[encoded.indices.to_numpy()], ids[order]
