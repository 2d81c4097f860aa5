"""A morning's draw in, the rows worth keeping out; and later: kept rows, purchases and friends lost in, `LogRows` out.

Kept are the listed members of the learning panel and twice as many of the others, each with its share kept and its
standing of that morning; purchases and lost friends come from the brand's own tables once the window has passed.
The panel is chosen by hash, so that a brand of a million members learns from as many rows as one of some thousands.
"""

import datetime as dt
from dataclasses import fields

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outreach.arms import Hashes, salt_word, uniform
from outreach.diary import FRIEND_DAYS, OTHERS_PER_LISTED
from outreach.score import Standing
from outreach.settings import ContactSettings
from outreach.uplift import LogRows

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

SIGNAL = "signal_"
# A day number fits below this, so that member and day share one sorted key.
DAY_SPAN = 1_000_000


def in_panel(hashes: Hashes, settings: ContactSettings) -> Bools:
    """Whether each member's days are kept for learning: everyone, or a share by hash at larger brands."""
    share = min(1.0, settings.learning_members / max(len(hashes), 1))
    return uniform(hashes, salt_word("panel", settings.salt)) < share


def morning_rows(
    member_ids: NDArray[np.object_],
    hashes: Hashes,
    standing: Standing,
    signal_names: tuple[str, ...],
    listed: Bools,
    propensity: Floats,
    drawn_from: Bools,
    words: tuple[object, ...],
    settings: ContactSettings,
) -> pd.DataFrame:
    """The rows of a morning: member_id, listed, propensity, kept_share and every part of the standing.

    `drawn_from` marks who was in the draw (no forced task); certain rows (0 or 1) teach nothing and are left out;
    `words` (seed, date) make the dice.
    """
    open_ = np.flatnonzero(drawn_from & (propensity > 0) & (propensity < 1) & in_panel(hashes, settings))
    taken, others = open_[listed[open_]], open_[~listed[open_]]
    n = min(len(others), OTHERS_PER_LISTED * max(len(taken), 1))
    dice = uniform(hashes[others], salt_word("others", *words))
    others = others[np.argsort(dice, kind="stable")[:n]]
    rows = np.sort(np.r_[taken, others])
    share = n / max(len(open_) - len(taken), 1)
    of = standing.at(rows)
    parts = {f.name: getattr(of, f.name) for f in fields(Standing) if f.name != "signals"}
    signals = {name: of.signals[:, i] for i, name in enumerate(signal_names)}
    return pd.DataFrame(
        {
            "member_id": member_ids[rows],
            "listed": listed[rows],
            "propensity": propensity[rows],
            "kept_share": np.full(len(rows), share),
            **parts,
            **signals,
        }
    )


def log_rows(
    kept: pd.DataFrame,
    drawn: pd.DataFrame,
    chances: pd.DataFrame,
    purchases: pd.DataFrame,
    friends_lost: pd.DataFrame,
    signal_names: tuple[str, ...],
    known_before: dt.date,
    window_days: int,
) -> LogRows | None:
    """What the effect is learned from; None where no row's window has passed.

    Args:
        kept: rows of `morning_rows` with their date.
        drawn: date, member_id, done (the guide did it) of everyone whom a draw listed and nobody replaced.
        chances: date, member_id, propensity of everyone of the panel in each morning's draw.
        purchases: member_id, day of each purchase.
        friends_lost: member_id, at.
        signal_names: signals in the order that the score will see them; one that was not logged then counts as 0.
        known_before: first day that the tables know nothing of; a window must end before it.
        window_days: days in which a purchase counts as an answer.
    """
    if not len(kept):
        return None
    kept = kept[_days(kept["date"]) + window_days <= _day(known_before)]
    if not len(kept):
        return None
    members = pd.Index(np.sort(kept["member_id"].unique()))
    row = members.get_indexer(pd.Index(kept["member_id"])) * DAY_SPAN + _days(kept["date"])
    listings = _keys(members, drawn, "date")
    # A list that was made anew may have taken somebody off, or put somebody on: such rows teach nothing.
    true = np.isin(row, listings) == kept["listed"].to_numpy(bool)
    kept, row = kept[true], row[true]
    if not len(kept):
        return None
    bought = _any_between(_keys(members, purchases, "day"), row, row + window_days)
    again = _any_between(listings, row + 1, row + window_days)
    chance = _keys(members, chances, "date", sort=False)
    known = chance >= 0
    chance, p = chance[known], chances["propensity"].to_numpy(float)[known]
    order = np.argsort(chance, kind="stable")
    running = np.r_[0.0, np.cumsum(np.log1p(-np.minimum(p[order], 0.999)))]
    a, b = (np.searchsorted(chance[order], row + ahead) for ahead in (1, window_days))

    def column(name: str) -> Floats:
        values = kept[name] if name in kept.columns else pd.Series(0.0, index=kept.index)
        return np.asarray(values.fillna(0.0), dtype=np.float64)

    signals = [column(name) for name in signal_names]
    standing = {f.name: column(f.name) for f in fields(Standing) if f.name != "signals"}
    return LogRows(
        member=row // DAY_SPAN,
        standing=Standing(**standing, signals=np.column_stack(signals) if signals else np.zeros((len(kept), 0))),
        listed=kept["listed"].to_numpy(bool),
        propensity=column("propensity"),
        kept_share=column("kept_share"),
        bought=bought,
        done=kept["listed"].to_numpy(bool) & np.isin(row, _keys(members, drawn[drawn["done"]], "date")),
        unfriended=_any_between(_keys(members, friends_lost, "at"), row, row + FRIEND_DAYS),
        alone=~again,
        chance_alone=np.exp(running[b] - running[a]),
    )


def _day(date: dt.date) -> int:
    return (date - dt.date(1970, 1, 1)).days


def _days(dates: pd.Series) -> Ints:
    """Whole days since 1970 of dates or times."""
    stamps = pd.to_datetime(dates).to_numpy("datetime64[D]")
    return np.asarray(stamps.astype(np.int64), dtype=np.int64)


def _keys(members: pd.Index, frame: pd.DataFrame, day: str, *, sort: bool = True) -> Ints:
    """member · DAY_SPAN + day of each row, sorted and without strangers; in place and −1 for them where `sort` is False."""
    if not len(frame):
        return np.zeros(0, dtype=np.int64)
    code = members.get_indexer(pd.Index(frame["member_id"])).astype(np.int64)
    keys = np.where(code >= 0, code * DAY_SPAN + _days(frame[day]), -1)
    return np.sort(keys[keys >= 0]) if sort else keys


def _any_between(keys: Ints, first: Ints, end: Ints) -> Bools:
    """Whether any key lies in [first, end), for each pair."""
    return np.asarray(np.searchsorted(keys, end) > np.searchsorted(keys, first))
