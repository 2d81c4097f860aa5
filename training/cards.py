"""A history in; out: one JSON card a member with what a guide sees besides predictions. Built in one SQL pass."""

from collections.abc import Sequence
from datetime import date

import duckdb
import pandas as pd

from features.baskets import build_baskets
from features.history import History
from features.tables import Tables

LAST_VISITS, TOP_CATEGORIES = 3, 3

_CARDS = """
with wanted as (select member_id, row_number() over () as place from ids),
bought as (
    select l.member_id, l.day, l.item_id, any_value(coalesce(i.title, l.item_id)) as title,
           any_value(i.category_l1) as category, sum(l.qty) as qty, sum(l.spend_yuan) as spend_yuan
    from purchases l left join items i using (item_id)
    group by l.member_id, l.day, l.item_id
),
visits as (
    select member_id, day, round(sum(spend_yuan), 2) as spend_yuan,
           list({'item_id': item_id, 'title': title, 'qty': qty} order by spend_yuan desc, item_id) as items
    from bought group by member_id, day
    qualify row_number() over (partition by member_id order by day desc) <= $visits
),
last_visits as (
    select member_id, list({'day': strftime(day, '%Y-%m-%d'), 'spend_yuan': spend_yuan, 'items': items}
                           order by day desc) as last_visits
    from visits group by member_id
),
liked as (
    select member_id, category, count(*) as purchases from bought where category is not null group by member_id, category
    qualify row_number() over (partition by member_id order by count(*) desc, category) <= $categories
),
categories as (
    select member_id, list({'name': category, 'purchases': purchases} order by purchases desc, category) as categories
    from liked group by member_id
),
touched as (
    select member_id, {'day': strftime(sent_at, '%Y-%m-%d'), 'channel': channel, 'outcome': outcome,
                       'guide_id': guide_id} as last_contact
    from contacts
    qualify row_number() over (partition by member_id order by sent_at desc, contact_id) = 1
)
select to_json({
    'store_id': coalesce(a.store_id, m.home_store_id, m.register_store_id), 'guide_id': a.guide_id,
    'is_friend': coalesce(a.is_friend, false), 'level': m.level, 'birthday': m.birthday,
    'display_name': m.display_name, 'registered_on': strftime(m.registered_at, '%Y-%m-%d'),
    'last_visits': coalesce(v.last_visits, []), 'categories': coalesce(c.categories, []),
    'last_contact': t.last_contact
})::varchar as card
from wanted w
left join members m using (member_id) left join owners a using (member_id)
left join last_visits v using (member_id) left join categories c using (member_id)
left join touched t using (member_id)
order by w.place
"""

_EMPTY = {
    "contacts": {
        "member_id": "str",
        "sent_at": "datetime64[ns]",
        "channel": "str",
        "outcome": "str",
        "guide_id": "str",
        "contact_id": "str",
    },
    "owners": {"member_id": "str", "guide_id": "str", "store_id": "str", "is_friend": "boolean"},
}


def member_cards(history: History, member_ids: Sequence[str], as_of: date) -> list[bytes]:
    """Cards of `member_ids`, in their order, as UTF-8 JSON objects.

    Keys: store_id, guide_id, is_friend, level, birthday (MM-DD), display_name (masked by the brand), registered_on,
    last_visits (newest 3: day, spend_yuan, items), categories (top 3 with the number of purchases), last_contact.
    """
    with duckdb.connect() as db:
        db.register("ids", pd.DataFrame({"member_id": list(member_ids)}))
        db.register("purchases", _purchases(history, as_of))
        db.register("items", history.tables["items"].select("item_id", "title", "category_l1").to_pyarrow())
        db.register("members", history.tables["members"].to_pyarrow())
        db.register("owners", open_assignments(history.tables, as_of))
        db.register("contacts", _sent_contacts(history.tables, as_of))
        rows = db.execute(_CARDS, {"visits": LAST_VISITS, "categories": TOP_CATEGORIES}).fetchall()
    return [row[0].encode() for row in rows]


def _purchases(history: History, as_of: date) -> pd.DataFrame:
    """member_id, day, item_id, qty, spend_yuan of what was bought and kept before `as_of`."""
    baskets = build_baskets(history, before=as_of)
    rows = baskets.rows
    return pd.DataFrame(
        {
            "member_id": baskets.member_ids[rows["member"]],
            "item_id": baskets.item_ids[rows["item"]],
            "day": rows["day"],
            "qty": rows["qty"],
            "spend_yuan": rows["spend_yuan"],
        }
    )


def open_assignments(tables: Tables, as_of: date) -> pd.DataFrame:
    """member_id, guide_id, store_id, is_friend, friend_since of the newest assignment open at `as_of`, one a member."""
    if tables.get("assignments") is None:
        return pd.DataFrame(_EMPTY["owners"], index=[]).astype(_EMPTY["owners"])
    rows = tables["assignments"].to_pandas()
    day = pd.Timestamp(as_of)
    live = rows[(rows["start_at"] < day) & (rows["end_at"].isna() | (rows["end_at"] >= day))]
    live = live.sort_values(["member_id", "start_at", "guide_id"]).drop_duplicates("member_id", keep="last")
    lost = live["friend_lost_at"].notna() & (live["friend_lost_at"] < day)
    return live.assign(is_friend=live["is_friend"].fillna(False).astype(bool) & ~lost)[
        ["member_id", "guide_id", "store_id", "is_friend", "friend_since"]
    ].reset_index(drop=True)


def _sent_contacts(tables: Tables, as_of: date) -> pd.DataFrame:
    if tables.get("contacts") is None:
        return pd.DataFrame(_EMPTY["contacts"], index=[]).astype(_EMPTY["contacts"])
    rows = (
        tables["contacts"].select("member_id", "sent_at", "channel", "outcome", "guide_id", "contact_id").to_pandas()
    )
    return rows[rows["sent_at"].notna() & (rows["sent_at"] < pd.Timestamp(as_of))]
