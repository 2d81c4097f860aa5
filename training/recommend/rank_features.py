"""Candidates in; the ranker's columns out. Every value is known before the state's day."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.recommend.candidates import SIGNALS, Candidates, Signals

OWN = (
    "own_count", "own_share", "own_fade95", "own_fade80", "own_fade60", "own_last_age", "own_first_age", "own_gap_visits",
    "own_age_over_gap", "own_last3", "own_last5", "own_streak", "own_share_since_first", "own_last_days", "own_gap_days",
    "own_days_over_gap", "own_days_over_pace", "own_last_qty_over_mean", "own_spend_share",
)  # fmt: skip
ITEM = (
    "item_baskets", "item_members", "item_repeat_members", "item_repeat_rate", "item_per_member", "item_recent_share",
    "item_gap_visits", "item_gap_days", "item_age_days", "item_trend", "item_price_log", "item_latest_baskets",
    "item_new_buyers", "item_new_buyer_share",
)  # fmt: skip
MEMBER = (
    "member_visits", "member_basket", "member_distinct", "member_repeat_share", "member_last_basket",
    "member_recency_days", "member_gap_days", "member_recency_over_gap",
)  # fmt: skip
CROSS = (
    "category_share",
    "category_last_age",
    "price_gap",
    "popular_rank",
    "store_rank",
    "latest_rank",
    "near_rank",
    "similar_rank",
    "next_rank",
    "bm25_rank",
    "expected_rank",
    "als_rank",
)
NAMES = ("owned", *OWN, *ITEM, *MEMBER, *SIGNALS, *CROSS)


class RankFeatures:
    """Item and member columns of a state, made once; `matrix` fills the rows of a chunk."""

    def __init__(self, signals: Signals):
        self.signals = signals
        state, visits, own = signals.state, signals.visits, signals.own
        n_items, n_members = visits.n_items, visits.n_members
        baskets = visits.popularity()
        item, member = own.item, own.member
        members = np.bincount(item, minlength=n_items).astype(np.float64)
        again = np.bincount(item, weights=own.count > 1, minlength=n_items)
        chances = np.bincount(item, weights=own.first_age, minlength=n_items)  # visits after the first purchase
        repeats = np.bincount(item, weights=own.count - 1, minlength=n_items)
        share_again = again.sum() / max(members.sum(), 1)
        rate_again = repeats.sum() / max(chances.sum(), 1)
        span = max(float(visits.days.max(initial=1.0)), 1.0)
        window = span / 6
        late = np.bincount(visits.item, weights=visits.days <= window, minlength=n_items)
        earlier = np.bincount(
            visits.item, weights=(visits.days > window) & (visits.days <= 2 * window), minlength=n_items
        )
        newly = np.bincount(item, weights=own.first_days <= window, minlength=n_items)
        first_sold = np.zeros(n_items)
        np.maximum.at(first_sold, visits.item, visits.days)
        spend = np.bincount(visits.item, weights=visits.bought.spend_yuan, minlength=n_items)
        pieces = np.bincount(visits.item, weights=visits.bought.qty, minlength=n_items)
        self.price_log = np.log(np.maximum(np.where(pieces > 0, spend / np.maximum(pieces, 1e-9), 1.0), 0.01))
        self.item = np.column_stack(
            [
                baskets,
                members,
                (again + 10 * share_again) / (members + 10),
                (repeats + 10 * rate_again) / (chances + 10),
                baskets / np.maximum(members, 1),
                np.bincount(visits.item, weights=visits.age == 0, minlength=n_items) / (baskets + 5),
                own.item_gap_visits,
                own.item_gap_days,
                first_sold,
                (late + 1) / (earlier + 1),
                self.price_log,
                np.bincount(visits.item, weights=visits.age == 0, minlength=n_items),
                newly,
                newly / (late + 5),
            ]
        ).astype(np.float32)
        distinct = np.bincount(member, minlength=n_members).astype(np.float64)
        rows = np.bincount(visits.member, minlength=n_members).astype(np.float64)
        n = np.maximum(visits.n_visits, 1)
        newest = np.full(n_members, np.nan)
        oldest = np.full(n_members, np.nan)
        some = visits.n_visits > 0
        starts = visits.first_row[:-1][some]
        oldest[some] = visits.days[starts]
        newest[some] = visits.days[visits.first_row[1:][some] - 1]
        gap = np.where(visits.n_visits > 1, (oldest - newest) / np.maximum(visits.n_visits - 1, 1), np.nan)
        with np.errstate(invalid="ignore", divide="ignore"):
            self.member = np.column_stack(
                [
                    visits.n_visits,
                    rows / n,
                    distinct,
                    1 - distinct / np.maximum(rows, 1),
                    np.bincount(visits.member, weights=visits.age == 0, minlength=n_members),
                    newest,
                    gap,
                    newest / gap,
                ]
            ).astype(np.float32)
        self.spend = np.bincount(visits.member, weights=visits.bought.spend_yuan, minlength=n_members)
        weight = np.bincount(visits.member, weights=self.price_log[visits.item], minlength=n_members)
        self.price_of_member = weight / np.maximum(rows, 1)
        self._categories(state, n_items, n_members)
        self.own = self._own()

    def _own(self) -> NDArray[np.float32]:
        own = self.signals.own
        gap_visits = np.where(np.isfinite(own.gap_visits), own.gap_visits, own.item_gap_visits[own.item])
        gap_days = np.where(np.isfinite(own.gap_days), own.gap_days, own.item_gap_days[own.item])
        pace = np.where(np.isfinite(own.pace_days), own.pace_days, gap_days)
        return np.column_stack(
            [
                own.count,
                own.count / np.maximum(own.n_visits, 1),
                own.fade95,
                own.fade80,
                own.fade60,
                own.last_age,
                own.first_age,
                own.gap_visits,
                (own.last_age + 1) / np.maximum(gap_visits, 0.5),
                own.in_last3,
                own.in_last5,
                own.streak,
                own.count / (own.first_age + 1),
                own.last_days,
                own.gap_days,
                own.last_days / np.maximum(gap_days, 1),
                own.last_days / np.maximum(pace, 1),
                own.last_qty / np.maximum(own.mean_qty, 1e-9),
                own.spend_yuan / np.maximum(self.spend[own.member], 1e-9),
            ]
        ).astype(np.float32)

    def _categories(self, state: Any, n_items: int, n_members: int) -> None:
        """The member's share of purchases, and latest visit, in the item's category; null where there is one per item."""
        names = (
            state.items["category_l2"].fillna(state.items["category_l1"]).fillna("").astype(str).to_numpy(dtype=str)
        )
        kinds, code = np.unique(names, return_inverse=True)
        self.category = code.astype(np.int64)
        self.kinds = len(kinds)
        visits = self.signals.visits
        # A category for nearly every item says nothing beyond the item.
        self.use_categories = 1 < self.kinds <= max(2, n_items // 3)
        if not self.use_categories:
            return
        key = visits.member.astype(np.int64) * self.kinds + self.category[visits.item]
        self.category_key, at = np.unique(key, return_inverse=True)
        count = np.bincount(at, minlength=len(self.category_key)).astype(np.float64)
        rows = np.maximum(np.bincount(visits.member, minlength=n_members), 1)
        self.category_share = count / rows[self.category_key // self.kinds]
        self.category_age = np.full(len(self.category_key), np.inf)
        np.minimum.at(self.category_age, at, visits.age.astype(np.float64))

    def matrix(self, found: Candidates) -> NDArray[np.float32]:
        """float32[pairs, len(NAMES)] in the order of the candidates."""
        member = found.members[found.row]
        owned = found.owned_at >= 0
        out = np.empty((len(found.row), len(NAMES)), np.float32)
        out[:, 0] = owned
        at = 1
        block = out[:, at : at + len(OWN)]
        block[:] = np.nan
        block[owned] = self.own[found.owned_at[owned]]
        for name in (
            "own_count",
            "own_share",
            "own_fade95",
            "own_fade80",
            "own_fade60",
            "own_last3",
            "own_last5",
            "own_streak",
        ):
            block[~owned, OWN.index(name)] = 0.0
        at += len(OWN)
        out[:, at : at + len(ITEM)] = self.item[found.item]
        at += len(ITEM)
        out[:, at : at + len(MEMBER)] = self.member[member]
        at += len(MEMBER)
        out[:, at : at + len(SIGNALS)] = found.signal
        at += len(SIGNALS)
        share, age = np.full(len(member), np.nan), np.full(len(member), np.nan)
        if self.use_categories and len(self.category_key):
            key = member * self.kinds + self.category[found.item]
            place = np.minimum(np.searchsorted(self.category_key, key), len(self.category_key) - 1)
            there = self.category_key[place] == key
            share = np.where(there, self.category_share[place], 0.0)
            age = np.where(there, self.category_age[place], np.nan)
        out[:, at] = share
        out[:, at + 1] = age
        out[:, at + 2] = self.price_log[found.item] - self.price_of_member[member]
        out[:, at + 3] = self.signals.popular_rank[found.item]
        out[:, at + 4] = found.store_rank
        out[:, at + 5] = self.signals.latest_rank[found.item]
        for k, name in enumerate(("near", "similar", "next", "bm25", "expected", "als")):
            out[:, at + 6 + k] = rank_in_row(found.row, found.signal[:, SIGNALS.index(name)])
        return out


def rank_in_row(row: NDArray[Any], value: NDArray[Any]) -> NDArray[np.float32]:
    """Place of each value within its row, 0 = highest; rows are sorted."""
    order = np.lexsort((-value, row))
    out = np.empty(len(row), np.float32)
    out[order] = np.arange(len(row)) - np.searchsorted(row, row)
    return out
