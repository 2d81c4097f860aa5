"""Checked raw tables in; out: what each member bought and brought back, with the days between which each fact was known.

Days are whole numbers since 1970-01-01 and money is whole fen (1/100 yuan): sums of whole numbers do not depend on the
order of rows, on threads or on the engine, which is what makes two builds of one vector the same bytes.

A fact with `known` k and `until` u is part of what was known at as_of D when k < D <= u.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import ibis
from ibis.expr.types import BooleanColumn, IntegerColumn, StringColumn, Table, TimestampColumn

from features.stored import let_go, stored
from features.tables import Tables

NEVER = 2_000_000  # a day in the year 7445: later than anything a shop knows
EPOCH = date(1970, 1, 1)
ADULT_YEARS = 18  # automated marketing to minors is forbidden, so known minors never enter
ATTRIBUTES = (
    *("member_id", "registered_at", "birth_year", "birthday", "level_order", "level_type", "points_balance"),
    *("referrer_member_id", "updated_at"),
)
EXCLUSIONS = ("staff", "wholesale", "deregistered", "minor")


def day_of(when: date) -> int:
    """The whole day number of a date."""
    return (when - EPOCH).days


def day_number(moment: TimestampColumn) -> IntegerColumn:
    """The whole day number of a brand-local time (null stays null)."""
    return moment.cast("date").delta(ibis.date(1970, 1, 1), unit="day").cast("int32")


def fen(yuan: ibis.Value) -> IntegerColumn:
    """Yuan as whole fen; floor(x + .5) is the same arithmetic on every engine, unlike round()."""
    return (yuan.cast("float64") * 100.0 + 0.5).floor().cast("int64")


@dataclass(frozen=True)
class Purchases:
    """What members bought and brought back.

    members: member (key), then ATTRIBUTES as in the contract.
    items: item (key), item_id, category (key).
    orders: purchase (key), member, day, known, until, final (bool: still paid or completed), hour, online, assisted, store.
    lines: purchase, member, day, item, category, fen, qty – sale lines only.
    item_gone: purchase, item, gone – lines wholly returned, and the day that was known.
    returns: member, day (known), sold_day, fen, qty – every returned line that members brought back.
    excluded: members left out altogether, by reason. first_day, last_day: the days the data cover.
    On DuckDB the keys are whole numbers that mean nothing outside this object; on Spark they are the ids themselves.
    """

    members: Table
    items: Table
    orders: Table
    lines: Table
    item_gone: Table
    returns: Table
    excluded: dict[str, int]
    first_day: date
    last_day: date


def _key(table: Table, column: str) -> ibis.Value:
    """A key for each row: numbered on DuckDB, where numbers are far cheaper than strings; the id itself on Spark."""
    return ibis.row_number().cast("int32") if table.get_backend().name == "duckdb" else table[column]


def exclusion(members: Table) -> StringColumn:
    """Why a member is left out on any day (null: stays in). The first reason that holds."""
    return ibis.cases(
        (members.is_staff.fill_null(False), "staff"),
        (members.is_wholesale.fill_null(False), "wholesale"),
        ((members.status == "deregistered").fill_null(False), "deregistered"),
        else_=ibis.null("string"),
    )


def minor(members: Table, as_of: date) -> BooleanColumn:
    """Whether a member is known to be a minor on a day: by the year alone where no birthday is given."""
    years = as_of.year - members.birth_year
    birthday_to_come = (years == ADULT_YEARS) & (members.birthday > as_of.strftime("%m-%d")).fill_null(False)
    return ((years < ADULT_YEARS) | birthday_to_come).fill_null(False)


def read_members(tables: Tables) -> tuple[Table, dict[str, int]]:
    """The members who may be looked at, with a key and ATTRIBUTES, and how many were left out by reason."""
    every = tables["members"]
    young = minor(every, tables.coverage_end + timedelta(days=1))
    every = every.mutate(reason=exclusion(every), young=young)
    counts = every.group_by("reason", "young").agg(n=lambda t: t.count()).to_pyarrow().to_pylist()
    excluded = dict.fromkeys(EXCLUSIONS, 0)
    for row in counts:
        if reason := row["reason"] or ("minor" if row["young"] else None):
            excluded[reason] += row["n"]
    buyers = tables["orders"].filter(lambda t: t.member_id.notnull()).select("member_id")
    strangers = buyers.anti_join(tables["members"], "member_id").distinct()
    inside = every.filter(every.reason.isnull()).select(*ATTRIBUTES)
    if strangers.count().to_pyarrow().as_py():
        nulls = {c: ibis.null(t) for c, t in inside.schema().items() if c != "member_id"}
        inside = inside.union(strangers.mutate(**nulls).select(*inside.columns))
    return stored(inside.mutate(member=_key(inside, "member_id")), "members"), excluded


def _items(tables: Tables) -> Table:
    known = tables["items"].select("item_id", category=tables["items"].category_l1)
    strangers = tables["order_lines"].select("item_id").distinct().anti_join(known, "item_id")
    every = known.union(strangers.mutate(category=ibis.null("string")))
    kinds = every.select("category").distinct().filter(lambda t: t.category.notnull())
    kinds = kinds.mutate(code=_key(kinds, "category"))
    every = every.left_join(kinds, "category").select("item_id", category="code")
    return stored(every.mutate(item=_key(every, "item_id")), "items")


def _returned(tables: Tables) -> tuple[Table, Table]:
    """Returned lines, and the sale lines of the orders they came from.

    Returned: order_id (the return's own), target (the order sold), item_id, day (known), qty, fen, member_id.
    Sold: order_id, line, item_id, qty.
    """
    lines, orders = tables["order_lines"], tables["orders"]
    back = lines.filter(lines.line_type == "return")
    back = back.join(orders, "order_id").select(
        "order_id",
        "item_id",
        "qty",
        "member_id",
        line=back.orig_line_no,
        fen=fen(back.paid_yuan),
        target=ibis.coalesce(back.orig_order_id, back.order_id),
        day=ibis.greatest(
            ibis.coalesce(day_number(back.returned_at), day_number(orders.order_time)),
            ibis.coalesce(day_number(orders.loaded_at), day_number(orders.order_time)),
        ),
        # A cancelled return is none.
        void=orders.status.isin(["cancelled", "closed"]) & back.orig_order_id.notnull() & orders.status_at.isnull(),
    )
    back = stored(back.filter(~back.void).drop("void"), "back")
    sold = lines.filter(lines.line_type == "sale").semi_join(back.select(order_id="target").distinct(), "order_id")
    sold = stored(sold.select("order_id", "item_id", "qty", line="line_no"), "sold")
    named = back.left_join(sold, [back.target == sold.order_id, back.line == sold.line])
    named = named.select(
        back.order_id,
        back.target,
        back.member_id,
        back.day,
        back.qty,
        back.fen,
        item_id=ibis.coalesce(sold.item_id, back.item_id),
    )
    named = stored(named, "returned")
    let_go(back)
    return named, sold


def _gone(returned: Table, sold: Table) -> tuple[Table, Table]:
    """When an order's item, and a whole order, had come back: (order_id, item_id, gone) and (order_id, gone)."""
    sold = sold.group_by("order_id", "item_id").agg(sold=sold.qty.sum())
    daily = returned.group_by(order_id="target", item_id="item_id", day="day").agg(qty=returned.qty.sum())
    running = ibis.window(group_by=["order_id", "item_id"], order_by="day", preceding=None, following=0)
    daily = daily.mutate(back=daily.qty.sum().over(running))
    back = daily.join(sold, ["order_id", "item_id"])
    items = back.filter(back.back >= back.sold).group_by("order_id", "item_id").agg(gone=lambda t: t.day.min())
    items = stored(items, "items_gone")
    whole = sold.left_join(items, ["order_id", "item_id"]).select("order_id", "item_id", "gone")
    whole = whole.group_by("order_id").agg(kept=whole.gone.isnull().cast("int32").sum(), gone=whole.gone.max())
    return items, stored(whole.filter(whole.kept == 0).drop("kept"), "orders_gone")


def _orders(tables: Tables, members: Table, gone: Table) -> Table:
    o = tables["orders"]
    day = day_number(o.order_time)
    refused = o.status.isin(["cancelled", "closed"])
    paid = ibis.coalesce(o.paid_at, ibis.cases((o.status == "paid", o.status_at)))
    every = o.join(members.select("member_id", "member"), "member_id").select(
        "order_id",
        "member",
        "store_id",
        day=day,
        # Known once it happened, was paid and had been loaded.
        known=ibis.greatest(day, ibis.coalesce(day_number(o.loaded_at), day), ibis.coalesce(day_number(paid), day)),
        refused_on=refused.ifelse(ibis.coalesce(day_number(o.status_at), day), NEVER).cast("int32"),
        final=~refused,
        hour=o.order_time.hour().cast("int8"),
        online=(o.channel != "store").cast("int8"),
        assisted=o.guide_id.notnull().cast("int8"),
    )
    every = every.filter(every.known < every.refused_on)
    every = every.left_join(gone, "order_id").drop("order_id_right")
    stores = o.filter(o.store_id.notnull()).select("store_id").distinct()
    stores = stores.mutate(store=_key(stores, "store_id"))
    every = every.left_join(stores, "store_id").drop("store_id", "store_id_right")
    every = every.mutate(
        purchase=_key(every, "order_id"),
        until=ibis.least(every.refused_on, ibis.coalesce(every.gone, NEVER)).cast("int32"),
    )
    return stored(every.drop("gone", "refused_on"), "orders")


def _lines(tables: Tables, orders: Table, items: Table) -> Table:
    sale = tables["order_lines"].filter(lambda t: t.line_type == "sale")
    kept = sale.join(orders.select("order_id", "purchase", "member", "day"), "order_id")
    kept = kept.join(items.select("item_id", "item"), "item_id")
    kept = kept.select("purchase", "member", "day", "item", fen=fen(kept.paid_yuan), qty=kept.qty.cast("int32"))
    return stored(kept, "lines")


def _totalled(orders: Table, lines: Table) -> Table:
    baskets = lines.group_by("purchase").agg(
        fen=lines.fen.sum().cast("int64"), qty=lines.qty.sum().cast("int32"), lines=lines.count().cast("int32")
    )
    return stored(orders.drop("order_id").join(baskets, "purchase"), "bought")


def read_purchases(tables: Tables) -> Purchases:
    """Every purchase and return of the members who may be looked at; nothing depends on an as_of yet."""
    members, excluded = read_members(tables)
    items = _items(tables)
    returned, sold = _returned(tables)
    items_gone, orders_gone = _gone(returned, sold)
    named = _orders(tables, members, orders_gone)
    lines = _lines(tables, named, items)
    keys = named.select("order_id", "purchase", sold_day="day")
    gone = stored(_item_gone(items_gone, keys, items), "item_gone")
    back = returned.join(members.select("member_id", "member"), "member_id")
    back = back.left_join(keys, back.target == keys.order_id)
    back = stored(back.select("member", "day", "sold_day", "fen", "qty"), "returns")
    orders = _totalled(named, lines)
    for table in (named, items_gone, orders_gone, sold, returned):
        let_go(table)
    return Purchases(
        members=members,
        items=items,
        orders=orders,
        lines=lines,
        item_gone=gone,
        returns=back,
        excluded=excluded,
        first_day=tables.coverage_start,
        last_day=tables.coverage_end,
    )


def _item_gone(items_gone: Table, keys: Table, items: Table) -> Table:
    both = items_gone.join(keys, "order_id").join(items.select("item_id", "item"), "item_id")
    return both.select("purchase", "item", "gone")
