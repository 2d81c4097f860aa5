"""A visit history in; what recommenders need of it out: ids, item facts, stores, and purchases as known on any day."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import InputError
from training.recommend.visits import Purchases

# What recommenders know about an item; a column that the brand does not send is empty.
ITEM_COLUMNS = (
    "title", "category_l1", "category_l2", "category_l3", "product_brand", "season", "list_yuan",
    "launch_date", "off_shelf_date", "status", "item_type", "is_gift_or_sample",
)  # fmt: skip


def day_number(day: Any) -> int:
    """Days since 1970-01-01."""
    return int(np.datetime64(day, "D").astype(np.int64))


@dataclass(frozen=True)
class StoreSales:
    """Baskets with an item by store and day: codes into `stores` and the catalogue, days since 1970-01-01, counts."""

    stores: tuple[str, ...]
    store: NDArray[np.int32]
    item: NDArray[np.int32]
    day: NDArray[np.int32]
    count: NDArray[np.float32]

    @staticmethod
    def none() -> "StoreSales":
        """A brand without stores."""
        empty = np.zeros(0, np.int32)
        return StoreSales((), empty, empty, empty, np.zeros(0, np.float32))


@dataclass(frozen=True)
class MemberFacts:
    """What is known of members on a day, aligned with `member_ids`: a store code or -1, and a level or ""."""

    store: NDArray[np.int32]
    level: NDArray[Any]
    registered: NDArray[np.bool_]


@dataclass(frozen=True)
class ItemSource:
    """Everything the item models read.

    member_ids, item_ids: sorted ids, the same for every day. items: a frame aligned with item_ids (ITEM_COLUMNS).
    known(day, include_returned): purchases as known before a day. sales(day): anonymous and member baskets by store.
    facts(day): members' stores and levels as known before a day.
    """

    member_ids: NDArray[Any]
    item_ids: NDArray[Any]
    items: pd.DataFrame
    known: Callable[[int, bool], Purchases]
    sales: Callable[[int], StoreSales]
    facts: Callable[[int], MemberFacts]
    _kept: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def n_members(self) -> int:
        """Number of members."""
        return len(self.member_ids)

    @property
    def n_items(self) -> int:
        """Number of items in the catalogue."""
        return len(self.item_ids)

    def purchases(self, day: int, include_returned: bool = False) -> Purchases:
        """Purchases as known before a day (days since 1970-01-01), read once."""
        key = ("known", day, include_returned)
        if key not in self._kept:
            self._kept[key] = self.known(day, include_returned)
        found: Purchases = self._kept[key]
        return found

    def codes_of_members(self, member_ids: Any) -> NDArray[np.int64]:
        """Codes of member ids; -1 for ids that are not known."""
        return codes_in(self.member_ids, member_ids)


def codes_in(sorted_ids: NDArray[Any], ids: Any) -> NDArray[np.int64]:
    """Positions of ids in a sorted array; -1 where absent."""
    wanted = np.asarray(ids, dtype=str)
    if len(sorted_ids) == 0 or len(wanted) == 0:
        return np.full(len(wanted), -1, np.int64)
    at = np.minimum(np.searchsorted(sorted_ids, wanted), len(sorted_ids) - 1)
    return np.where(sorted_ids[at] == wanted, at, -1).astype(np.int64)


def item_frame(item_ids: NDArray[Any], items: pd.DataFrame | None) -> pd.DataFrame:
    """Item facts aligned with the ids; absent columns and unknown items are empty."""
    if items is None or len(items) == 0:
        frame = pd.DataFrame(index=pd.Index(item_ids, name="item_id"))
    else:
        named = items.assign(item_id=items["item_id"].astype(str))
        frame = named.drop_duplicates("item_id").set_index("item_id").reindex(item_ids)
    return frame.reindex(columns=list(ITEM_COLUMNS))


def source_from_frames(
    bought: pd.DataFrame,
    *,
    items: pd.DataFrame | None = None,
    members: pd.DataFrame | None = None,
) -> ItemSource:
    """A source from one frame [member_id, day, item_id, qty?, spend_yuan?, store_id?] without returns.

    members: [member_id, store_id?, level?]. For tests and experiments on plain baskets.
    """
    for column in ("member_id", "day", "item_id"):
        if column not in bought:
            raise InputError(f"purchases: missing column {column}; found {list(bought.columns)}; add it to the frame")
    member = bought["member_id"].astype(str).to_numpy(dtype=str)
    item = bought["item_id"].astype(str).to_numpy(dtype=str)
    member_ids = np.unique(np.r_[member, members["member_id"].astype(str)] if members is not None else member)
    item_ids = np.unique(np.r_[item, items["item_id"].astype(str)] if items is not None else item)
    day = bought["day"].to_numpy().astype("datetime64[D]").astype(np.int64)
    ones = np.ones(len(bought))
    rows = Purchases.sorted(
        np.searchsorted(member_ids, member), day, np.searchsorted(item_ids, item),
        bought.get("qty", pd.Series(ones)).to_numpy(), bought.get("spend_yuan", pd.Series(ones)).to_numpy(),
    )  # fmt: skip
    sales = StoreSales.none()
    if "store_id" in bought:
        sales = _sales(bought.assign(item_id=item, day=day), item_ids)

    def facts(day: int) -> MemberFacts:
        aligned = (
            pd.DataFrame(index=member_ids)
            if members is None
            else members.assign(member_id=members["member_id"].astype(str))
            .drop_duplicates("member_id")
            .set_index("member_id")
            .reindex(member_ids)
        )
        return MemberFacts(
            _store_codes(aligned.get("store_id"), sales.stores, len(member_ids)),
            _texts(aligned.get("level"), len(member_ids)),
            np.ones(len(member_ids), bool),
        )

    return ItemSource(
        member_ids,
        item_ids,
        item_frame(item_ids, items),
        known=lambda day, include_returned: rows.before(day),
        sales=lambda day: _sales_before(sales, day),
        facts=facts,
    )


def source_from_history(history: Any) -> ItemSource:
    """A source from features.history.History."""
    from features.baskets import build_baskets

    tables = history.tables
    members = tables["members"].select(
        "member_id", "registered_at", "updated_at", "home_store_id", "register_store_id", "level"
    ).to_pandas()  # fmt: skip
    excluded = set(getattr(history, "excluded_members", ()))
    catalogue = (
        tables["items"].select("item_id", *[c for c in ITEM_COLUMNS if c in tables["items"].columns]).to_pandas()
    )
    happened = build_baskets(history, None, include_returned=True)
    member_ids = np.unique(
        np.r_[members["member_id"].astype(str).to_numpy(dtype=str), happened.member_ids.astype(str)]
    )
    member_ids = np.array([m for m in member_ids if m not in excluded], dtype=str) if excluded else member_ids
    item_ids = np.unique(np.r_[catalogue["item_id"].astype(str).to_numpy(dtype=str), happened.item_ids.astype(str)])
    aligned = members.drop_duplicates("member_id").set_index("member_id").reindex(member_ids)
    registered_at = pd.to_datetime(aligned["registered_at"])
    updated_at = pd.to_datetime(aligned["updated_at"])
    kept: dict[str, Any] = {}

    def known(day: int, include_returned: bool) -> Purchases:
        found = build_baskets(history, _date(day), include_returned=include_returned)
        rows = found.rows
        member = codes_in(member_ids, found.member_ids)[rows["member"].to_numpy()]
        item = codes_in(item_ids, found.item_ids)[rows["item"].to_numpy()]
        good = (member >= 0) & (item >= 0)
        return Purchases.sorted(
            member[good], rows["day"].to_numpy().astype("datetime64[D]").astype(np.int64)[good], item[good],
            rows["qty"].to_numpy()[good], rows["spend_yuan"].to_numpy()[good],
        )  # fmt: skip

    def sales(day: int) -> StoreSales:
        if "all" not in kept:
            kept["all"] = _history_sales(tables, item_ids)
        return _sales_before(kept["all"], day)

    def facts(day: int) -> MemberFacts:
        now = pd.Timestamp(_date(day))
        current = (updated_at < now).to_numpy()
        there = (registered_at.isna() | (registered_at < now)).to_numpy()
        home = _first_text(aligned["home_store_id"].where(current), aligned["register_store_id"].where(there))
        return MemberFacts(
            _store_codes(home, sales(day).stores, len(member_ids)),
            _texts(aligned["level"].where(current), len(member_ids)),
            there,
        )

    return ItemSource(member_ids, item_ids, item_frame(item_ids, catalogue), known=known, sales=sales, facts=facts)


def _date(day: int) -> date:
    found: date = np.datetime64(int(day), "D").astype(date)
    return found


def _history_sales(tables: Mapping[str, Any], item_ids: NDArray[Any]) -> StoreSales:
    """Baskets by store, item and day of kept sale lines, anonymous orders included."""
    orders, lines = tables["orders"], tables["order_lines"]
    orders = orders.filter(orders.status.isin(["paid", "completed"]) & orders.store_id.notnull())
    lines = lines.filter(lines.line_type == "sale")
    joined = lines.select("order_id", "item_id").join(orders.select("order_id", "store_id", "order_time"), "order_id")
    counted = joined.group_by(["store_id", "item_id", joined.order_time.date().name("day")]).agg(
        count=joined.order_id.nunique()
    )
    frame = counted.to_pandas()
    frame["day"] = pd.to_datetime(frame["day"]).to_numpy().astype("datetime64[D]").astype(np.int64)
    return _sales(frame, item_ids)


def _sales(frame: pd.DataFrame, item_ids: NDArray[Any]) -> StoreSales:
    frame = frame[frame["store_id"].notna()]
    if len(frame) == 0:
        return StoreSales.none()
    store = frame["store_id"].astype(str).to_numpy(dtype=str)
    stores = np.unique(store)
    item = codes_in(item_ids, frame["item_id"].to_numpy())
    count = frame["count"].to_numpy(np.float32) if "count" in frame else np.ones(len(frame), np.float32)
    day = frame["day"].to_numpy().astype(np.int64)
    good = item >= 0
    order = np.lexsort((day[good], item[good], store[good]))
    return StoreSales(
        tuple(str(s) for s in stores),
        np.searchsorted(stores, store[good][order]).astype(np.int32),
        item[good][order].astype(np.int32),
        day[good][order].astype(np.int32),
        count[good][order],
    )


def _sales_before(sales: StoreSales, day: int) -> StoreSales:
    rows = sales.day < day
    return StoreSales(sales.stores, sales.store[rows], sales.item[rows], sales.day[rows], sales.count[rows])


def _store_codes(column: Any, stores: tuple[str, ...], n: int) -> NDArray[np.int32]:
    if column is None or not stores:
        return np.full(n, -1, np.int32)
    return codes_in(np.array(stores, dtype=str), column.fillna("").astype(str).to_numpy(dtype=str)).astype(np.int32)


def _first_text(first: pd.Series, second: pd.Series) -> pd.Series:
    """The first column where it says something, else the second."""
    return first.astype("string").combine_first(second.astype("string"))


def _texts(column: Any, n: int) -> NDArray[Any]:
    if column is None:
        return np.full(n, "", dtype=object)
    found: NDArray[Any] = column.fillna("").astype(str).to_numpy(dtype=object)
    return found
