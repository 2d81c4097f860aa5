"""The stock table in, what each store has none of out: kept in the ledger, where every list looks."""

from datetime import date

import ibis
import pandas as pd

from features.tables import Tables
from outreach.ledger import Ledger


def take_stock(tables: Tables, ledger: Ledger, before: date) -> int:
    """Keep the newest counts from before a day that matter: items that ran out, and those that are there again.

    Counts of zero are kept as sold out; a count above zero is kept only where the ledger holds the item as sold out, so
    that a large catalogue costs no more rows than it has gaps. Events of the day itself win. Returns the rows kept.
    """
    table = tables.get("stock")
    if table is None:
        return 0
    known = table.filter(table.as_of < ibis.date(before.isoformat()))
    window = ibis.window(group_by=["store_id", "item_id"], order_by=ibis.desc("as_of"))
    newest = known.mutate(place=ibis.row_number().over(window)).filter(lambda t: t.place == 0)
    counts = newest.select("store_id", "item_id", "as_of", "qty").to_pandas()
    key = ["store_id", "item_id"]
    held = ledger.all_sold_out().rename(columns={"at": "since"})
    counts = counts.merge(held, on=key, how="left") if len(held) else counts.assign(since=pd.NaT)
    out = counts["qty"] <= 0
    # What the ledger holds as sold out since that day or later is not news.
    new = counts["since"].isna() | (pd.to_datetime(counts["since"]) < pd.to_datetime(counts["as_of"]))
    rows = counts[new & (out | counts["since"].notna())]
    days = pd.to_datetime(rows["as_of"]).dt.date
    return ledger.put_counts(list(zip(rows["store_id"], rows["item_id"], rows["qty"], days, strict=True)))
