"""The exposure log, the events and the order tables in; the summary of what was shown out, kept in the ledger."""

from datetime import date, datetime, time, timedelta
from typing import Any

import pandas as pd

from features.tables import Tables
from outreach.exposures import ORDER_WITHIN, exposure_report
from outreach.ledger import Ledger
from outreach.ledger.events import EXPOSURE_REPORT

# Days of lists that a summary speaks of where nothing else is asked for.
USUAL_DAYS = 28
_ORDER_COLUMNS = ["member_id", "item_id", "kind", "at"]


def report_exposures(
    ledger: Ledger,
    tables: Tables | None,
    before: date,
    *,
    today: date | None = None,
    days: int = USUAL_DAYS,
    seed: int = 0,
) -> dict[str, Any]:
    """Summarise the lists shown in the `days` days before a day, and keep the summary under that day.

    today: the first day of which not everything is known yet, `before` itself by default. Clicks are counted over lists
    shown more than a day before it, orders over those shown more than a week before it.
    Orders come from the events that the service was told and, where tables are given, from the brand's own order lines.
    """
    since = before - timedelta(days=days)
    until = before + ORDER_WITHIN
    known = [ledger.item_events(since, until)]
    if tables is not None:
        known.append(order_events(tables, since, until))
    known = [frame for frame in known if len(frame)] or known[:1]
    report = {"since": since.isoformat(), "before": before.isoformat()} | exposure_report(
        ledger.exposures(before, since),
        pd.concat(known, ignore_index=True),
        known_until=datetime.combine(today or before, time()),
        seed=seed,
    )
    ledger.save_report(EXPOSURE_REPORT, before, report)
    return report


def order_events(tables: Tables, since: date, before: date) -> pd.DataFrame:
    """Sold lines of members' orders in the contract's tables as events: member_id, item_id, kind (order), at."""
    orders, lines = tables["orders"], tables["order_lines"]
    kept = orders.filter(
        orders.member_id.notnull(),
        orders.status.isin(["paid", "completed"]),
        orders.order_time >= pd.Timestamp(since),
        orders.order_time < pd.Timestamp(before),
    ).select("order_id", "member_id", at="order_time")
    sold = lines.filter(lines.line_type == "sale").select("order_id", "item_id")
    frame: pd.DataFrame = kept.join(sold, "order_id").select("member_id", "item_id", "at").to_pandas()
    return frame.assign(kind="order")[_ORDER_COLUMNS]
