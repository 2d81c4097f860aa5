"""The brand's orders and the ledger's lists in, what the lists brought in against the holdout out; kept as a report."""

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd

from features.tables import Tables
from outreach.arms import hash_ids, held_out
from outreach.holdout import report
from outreach.ledger import Ledger
from outreach.settings import ContactSettings

REPORT = "contact_experiment"
# A comparison of fewer days says more about weekdays than about lists.
LEAST_DAYS = 7


def measure_lists(tables: Tables, ledger: Ledger, day: dt.date, settings: ContactSettings) -> dict[str, Any] | None:
    """Compare members who may be listed with those held out, from the first list until `day`, and keep the report.

    Spend in the period is held against spend in as many days before it. Members are those who were some guide's
    friend when the lists began. None before the first week of lists is over.
    """
    first, known = ledger.first_list_date(), min(day, tables.coverage_end + dt.timedelta(days=1))
    if first is None or (known - first).days < LEAST_DAYS:
        return None
    length = known - first
    friends = tables["assignments"].select("member_id", "start_at", "is_friend", "friend_lost_at").to_pandas()
    lost_at = pd.to_datetime(friends["friend_lost_at"])
    began = pd.Timestamp(first)
    there = (pd.to_datetime(friends["start_at"]) < began) & ~(lost_at < began)
    there &= friends["is_friend"].fillna(False).astype(bool) | lost_at.notna()
    lost = friends.assign(lost=lost_at.notna() & (lost_at < pd.Timestamp(known)))[there]
    told = set(ledger.unfriended(known)["member_id"])
    gone = lost.groupby("member_id")["lost"].max()
    members = np.sort(gone.index.to_numpy(object))
    if not len(members):
        return None
    found = report(
        _spend(tables, members, first, known),
        held_out(hash_ids(members), settings),
        gone.reindex(members).to_numpy(bool) | np.isin(members, list(told)),
        _spend(tables, members, first - length, first),
    )
    body = {"since": first.isoformat(), "until": known.isoformat(), **found.as_json()}
    ledger.save_report(REPORT, day, body)
    return body


def _spend(tables: Tables, members: np.ndarray, since: dt.date, before: dt.date) -> np.ndarray:
    """Spend of each member in [since, before), yuan."""
    orders = tables["orders"].select("member_id", "order_time", "status", "paid_yuan")
    orders = orders.filter(
        orders.member_id.notnull(),
        orders.order_time >= dt.datetime.combine(since, dt.time()),
        orders.order_time < dt.datetime.combine(before, dt.time()),
        ~orders.status.isin(["cancelled", "closed"]),
    )
    spent = orders.group_by("member_id").agg(yuan=orders.paid_yuan.sum().cast("float64")).to_pandas()
    return np.asarray(spent.set_index("member_id")["yuan"].reindex(members).fillna(0.0), dtype=np.float64)
