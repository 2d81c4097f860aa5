"""The ledger and the brand's tables in, what the contact log has taught out: the mixed effect, or why it is still cold.

The log is read again every few nights; between them the effect is kept in the ledger as a report without member rows.
"""

import dataclasses
import datetime as dt
from dataclasses import dataclass

import pandas as pd

from features.progress import Progress, quiet
from features.tables import Tables
from outreach.learning_log import SIGNAL, log_rows
from outreach.ledger import Ledger
from outreach.settings import ContactSettings
from outreach.uplift import LEAST_ROWS, LogRows, MixedEffect, fit_mixed

REPORT = "contact_effect"


@dataclass(frozen=True)
class Learned:
    """What stands behind a day's order: policy (mixed or cold), why, and the log's size."""

    effect: MixedEffect | None
    policy: str
    why: str
    listed_rows: int
    other_rows: int
    days: int
    fitted_on: dt.date

    def as_report(self) -> dict[str, object]:
        """Plain values for the ledger."""
        return {
            "policy": self.policy,
            "why": self.why,
            "listed_rows": self.listed_rows,
            "other_rows": self.other_rows,
            "days": self.days,
            "effect": None if self.effect is None else self.effect.as_dict(),
        }


def learned_effect(
    tables: Tables,
    ledger: Ledger,
    day: dt.date,
    settings: ContactSettings,
    signal_names: tuple[str, ...],
    *,
    seed: int,
    progress: Progress = quiet,
) -> Learned:
    """The effect for the lists of `day`: the kept one while it is fresh, else fitted on every row known before `day`."""
    kept = ledger.newest_report(REPORT, not_after=day)
    if kept is not None and kept[1]["effect"] is not None and (day - kept[0]).days < settings.refit_days:
        known = MixedEffect.from_dict(kept[1]["effect"])
        if known.signals == signal_names:
            body = {name: value for name, value in kept[1].items() if name != "effect"}
            return Learned(effect=known, fitted_on=kept[0], **body)
    progress("reading the contact log", 0.0)
    count = ledger.count_learning_rows()
    effect: MixedEffect | None = None
    if min(count["listed"], count["others"]) >= LEAST_ROWS:
        rows = read_log(tables, ledger, day, settings, signal_names)
        progress("learning from the contact log", 0.5)
        effect = None if rows is None else fit_mixed(rows, settings, seed)
        if rows is not None:
            count |= {"listed": int(rows.listed.sum()), "others": int((~rows.listed).sum())}
    size = f"{count['listed']} listed and {count['others']} other member-days of {count['days']} mornings"
    if effect is None:
        policy, why = "cold", f"cold: {size} in the log; {LEAST_ROWS} of each are needed, with their window passed"
    else:
        policy, why = "mixed", f"mixed: the cold score corrected by {size}"
        effect = dataclasses.replace(effect, signals=signal_names)
    found = Learned(effect, policy, why, count["listed"], count["others"], count["days"], day)
    ledger.save_report(REPORT, day, found.as_report())
    return found


def read_log(
    tables: Tables, ledger: Ledger, day: dt.date, settings: ContactSettings, signal_names: tuple[str, ...]
) -> LogRows | None:
    """The rows of the ledger's log whose window has passed before `day`, with purchases from the brand's tables."""
    kept = ledger.learning_rows(day)
    if not len(kept):
        return None
    first = min(kept["date"])
    known_before = min(day, tables.coverage_end + dt.timedelta(days=1))
    return log_rows(
        kept,
        ledger.drawn(first, day),
        ledger.chances(day),
        purchase_days(tables, first, known_before),
        friends_lost(tables, ledger, day),
        signal_names,
        known_before,
        settings.window_days,
    )


def purchase_days(tables: Tables, since: dt.date, before: dt.date) -> pd.DataFrame:
    """member_id, day of every day with a sale that was not cancelled, from `since` on and before `before`."""
    orders = tables["orders"].select("order_id", "member_id", "order_time", "status")
    orders = orders.filter(
        orders.member_id.notnull(),
        orders.order_time >= dt.datetime.combine(since, dt.time()),
        orders.order_time < dt.datetime.combine(before, dt.time()),
        ~orders.status.isin(["cancelled", "closed"]),
    )
    sold = tables["order_lines"].select("order_id", "line_type")
    sold = sold.filter(sold.line_type == "sale")
    bought = orders.semi_join(sold, "order_id")
    return bought.select("member_id", day=bought.order_time.cast("date")).distinct().to_pandas()


def friends_lost(tables: Tables, ledger: Ledger, before: dt.date) -> pd.DataFrame:
    """member_id, at of every friend lost before a day, as guides told it or the brand's tables do."""
    told = ledger.unfriended(before)
    rows = tables["assignments"].select("member_id", "friend_lost_at")
    seen = rows.filter(rows.friend_lost_at.notnull()).to_pandas().rename(columns={"friend_lost_at": "at"})
    seen = seen[pd.to_datetime(seen["at"]) < pd.Timestamp(before)]
    parts = [part for part in (told, seen) if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else told


def names_of(signals: pd.DataFrame) -> tuple[str, ...]:
    """The signal columns in the order of the desk."""
    return tuple(sorted(name for name in signals.columns if name.startswith(SIGNAL)))
