"""The brand's tables and contacts before a day in, what is seen of each member's readiness out, as standard scores.

A contact policy reads them twice: as the prior of who answers (activity and replies), and as the columns along which
the log may find that some answer more, less, or the wrong way round.
"""

import datetime as dt

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.tables import Tables
from outreach.inputs import ONE_TO_ONE

Floats = NDArray[np.float64]

ACTIVITY_DAYS, REPLY_DAYS, BREADTH_DAYS = 90, 365, 365
ANSWERS = ("replied", "appointment", "visited", "ordered")
# A reply rate is shrunk to the brand's own as if so many more contacts had been sent.
PRIOR_CONTACTS = 4.0
# Weight of replies beside activity in the prior.
REPLIES_WEIGHT = 0.8
CUT = 2.5


def member_signals(tables: Tables, contacts: pd.DataFrame, members: pd.Series, day: dt.date) -> pd.DataFrame:
    """member_id, engagement, signal_activity, signal_breadth, signal_replies as known before `day` 00:00.

    Standard scores over the brand's members, cut at ±2.5; 0 for everyone where the table is not given, and for
    replies where a member was never written to.
    """
    index = pd.Index(members)
    found = {
        "signal_activity": _standard(_activity(tables, index, day)),
        "signal_breadth": _standard(_breadth(tables, index, day)),
        "signal_replies": _replies(contacts, index, day),
    }
    engagement = found["signal_activity"] + REPLIES_WEIGHT * found["signal_replies"]
    return pd.DataFrame({"member_id": index, "engagement": engagement, **found})


def _standard(values: Floats) -> Floats:
    spread = float(values.std()) if len(values) else 0.0
    if spread < 1e-9:
        return np.zeros(len(values))
    return np.asarray(np.clip((values - values.mean()) / spread, -CUT, CUT))


def _counted(frame: pd.DataFrame, index: pd.Index) -> Floats:
    """log(1 + n) of each member, 0 for who is not in the frame."""
    out = np.zeros(len(index))
    at = index.get_indexer(pd.Index(frame["member_id"]))
    out[at[at >= 0]] = frame["n"].to_numpy(float)[at >= 0]
    return np.log1p(out)


def _activity(tables: Tables, index: pd.Index, day: dt.date) -> Floats:
    events = tables.get("behaviours")
    if events is None:
        return np.zeros(len(index))
    end = dt.datetime.combine(day, dt.time())
    recent = events.filter(
        events.member_id.notnull(), events.event_time < end, events.event_time >= end - dt.timedelta(ACTIVITY_DAYS)
    )
    return _counted(recent.group_by("member_id").agg(n=recent.count()).to_pandas(), index)


def _breadth(tables: Tables, index: pd.Index, day: dt.date) -> Floats:
    end = dt.datetime.combine(day, dt.time())
    orders = tables["orders"].select("order_id", "member_id", "order_time", "status")
    orders = orders.filter(
        orders.member_id.notnull(),
        orders.order_time < end,
        orders.order_time >= end - dt.timedelta(BREADTH_DAYS),
        ~orders.status.isin(["cancelled", "closed"]),
    )
    lines = tables["order_lines"].select("order_id", "item_id", "line_type")
    lines = lines.filter(lines.line_type == "sale").join(orders.select("order_id", "member_id"), "order_id")
    kinds = lines.join(tables["items"].select("item_id", "category_l1"), "item_id")
    kinds = kinds.select("member_id", "category_l1").distinct()
    return _counted(kinds.group_by("member_id").agg(n=kinds.count()).to_pandas(), index)


def _replies(contacts: pd.DataFrame, index: pd.Index, day: dt.date) -> Floats:
    out = np.zeros(len(index))
    if not len(contacts):
        return out
    sent = pd.to_datetime(contacts["sent_at"], errors="coerce")
    end = pd.Timestamp(day)
    member = index.get_indexer(pd.Index(contacts["member_id"]))
    asked = ((sent < end) & (sent >= end - pd.Timedelta(days=REPLY_DAYS))).to_numpy(bool) & (member >= 0)
    asked &= contacts["channel"].isin(ONE_TO_ONE).to_numpy(bool)
    # A guide's own greeting that went unanswered is known to be so only after a while; the answer counts when it came.
    heard = asked & contacts["outcome"].isin(ANSWERS).to_numpy(bool)
    if "outcome_at" in contacts.columns:
        came = pd.to_datetime(contacts["outcome_at"], errors="coerce")
        heard &= ~(came >= end).to_numpy(bool)
    n = np.bincount(member[asked], minlength=len(index)).astype(float)
    k = np.bincount(member[heard], minlength=len(index)).astype(float)
    if not n.any() or not k.any():
        return out
    rate = (k + PRIOR_CONTACTS * k.sum() / n.sum()) / (n + PRIOR_CONTACTS)
    out[n > 0] = _standard(rate[n > 0])
    return out
