"""Visits in; for every (member, item) ever bought: how often, how lately, at what pace and when it is used up, out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.recommend.visits import Visits

# An item has a cycle of its own from this many repeat gaps on; below, no due day is told.
LEAST_REPEATS = 20
# Gaps of an item speak of a cycle where the middle half of them lies within this factor.
WIDEST_CYCLE = 3.0
# A member's own pace against the item's: as much as this many gaps.
PACE_PRIOR_GAPS = 2.0
# The share of a member's quantity that the next gap follows is fitted on gaps whose quantity differs; below this
# many of them it is taken as in proportion.
LEAST_QUANTITY_PAIRS = 200
QUANTITY_POWERS = np.linspace(0.0, 1.0, 21)
# A gap further than this (log) from the pair's own is no refill of the same kind; how far it is says nothing.
QUANTITY_BOUND = 0.3


@dataclass(frozen=True)
class OwnItems:
    """One row per (member, item) bought before the day, sorted by `key` = member · n_items + item.

    count visits with it; last_age, first_age in visits; last_days, first_days in days; gap_visits, gap_days: mean
    between purchases, NaN for one; pace_days: expected days from the last purchase to the next, given its quantity;
    due_days: days from now until then (negative: overdue), NaN where the item has no cycle.
    """

    n_items: int
    key: NDArray[np.int64]
    count: NDArray[np.float64]
    n_visits: NDArray[np.float64]
    fade95: NDArray[np.float64]
    fade80: NDArray[np.float64]
    fade60: NDArray[np.float64]
    last_age: NDArray[np.float64]
    first_age: NDArray[np.float64]
    last_days: NDArray[np.float64]
    first_days: NDArray[np.float64]
    gap_visits: NDArray[np.float64]
    gap_days: NDArray[np.float64]
    in_last3: NDArray[np.float64]
    in_last5: NDArray[np.float64]
    streak: NDArray[np.float64]
    last_qty: NDArray[np.float64]
    mean_qty: NDArray[np.float64]
    spend_yuan: NDArray[np.float64]
    pace_days: NDArray[np.float64]
    due_days: NDArray[np.float64]
    item_gap_visits: NDArray[np.float64]
    item_gap_days: NDArray[np.float64]
    has_cycle: NDArray[np.bool_]
    quantity_power: float

    @property
    def member(self) -> NDArray[np.int64]:
        """Member code of each row."""
        return self.key // self.n_items

    @property
    def item(self) -> NDArray[np.int64]:
        """Item code of each row."""
        return self.key % self.n_items

    def find(self, key: NDArray[np.int64]) -> NDArray[np.int64]:
        """Row of each key, -1 where never bought."""
        if len(self.key) == 0:
            return np.full(len(key), -1, np.int64)
        at = np.minimum(np.searchsorted(self.key, key), len(self.key) - 1)
        return np.where(self.key[at] == key, at, -1)


def own_items(visits: Visits) -> OwnItems:
    """Every pair of a member and an item it bought, in one pass over the sorted rows."""
    n_items = visits.n_items
    key = visits.member.astype(np.int64) * n_items + visits.item
    order = np.lexsort((visits.visit, key))
    key = key[order]
    age = visits.age[order].astype(np.float64)
    days = visits.days[order].astype(np.float64)
    qty = np.maximum(visits.bought.qty[order].astype(np.float64), 1e-9)
    spend = visits.bought.spend_yuan[order].astype(np.float64)
    opens = np.r_[True, key[1:] != key[:-1]][: len(key)]
    start = np.flatnonzero(opens)
    end = np.r_[start[1:], len(key)] - 1 if len(start) else np.zeros(0, np.int64)

    def total(values: NDArray[Any]) -> NDArray[np.float64]:
        return np.add.reduceat(values.astype(np.float64), start) if len(start) else np.zeros(0)

    count = (end - start + 1).astype(np.float64)
    repeats = count - 1
    gap_visits = np.where(repeats > 0, (age[start] - age[end]) / np.maximum(repeats, 1), np.nan)
    gap_days = np.where(repeats > 0, (days[start] - days[end]) / np.maximum(repeats, 1), np.nan)
    before = end - 1
    prev_in = np.zeros(len(start), bool)
    twice = repeats > 0
    prev_in[twice] = age[before[twice]] == 1
    item = key[start] % n_items if len(start) else np.zeros(0, np.int64)
    pair_at = np.cumsum(opens) - 1
    pace, has_cycle, power = _pace(key, days, qty, opens, pair_at, item, repeats, n_items, end)
    last_days = days[end]
    return OwnItems(
        n_items=n_items,
        key=key[start],
        count=count,
        n_visits=visits.n_visits[key[start] // max(n_items, 1)].astype(np.float64) if len(start) else np.zeros(0),
        fade95=total(0.95**age),
        fade80=total(0.8**age),
        fade60=total(0.6**age),
        last_age=age[end],
        first_age=age[start],
        last_days=last_days,
        first_days=days[start],
        gap_visits=gap_visits,
        gap_days=gap_days,
        in_last3=total(age < 3),
        in_last5=total(age < 5),
        streak=(age[end] == 0) * (1.0 + prev_in),
        last_qty=qty[end],
        mean_qty=total(qty) / np.maximum(count, 1),
        spend_yuan=total(spend),
        pace_days=pace,
        due_days=np.where(has_cycle[item], pace - last_days, np.nan) if len(start) else np.zeros(0),
        item_gap_visits=_item_mean(gap_visits, item, n_items),
        item_gap_days=_item_mean(gap_days, item, n_items),
        has_cycle=has_cycle,
        quantity_power=power,
    )


def _item_mean(gap: NDArray[np.float64], item: NDArray[np.int64], n_items: int) -> NDArray[np.float64]:
    """Mean gap of each item over members who repeated it, as much as 5 members of the brand's mean added."""
    known = np.isfinite(gap)
    prior = float(gap[known].mean()) if known.any() else 1.0
    summed = np.bincount(item[known], weights=gap[known], minlength=n_items)
    return (summed + 5 * prior) / (np.bincount(item[known], minlength=n_items) + 5)


def _pace(
    key: NDArray[np.int64],
    days: NDArray[np.float64],
    qty: NDArray[np.float64],
    opens: NDArray[np.bool_],
    pair_at: NDArray[np.int64],
    item: NDArray[np.int64],
    repeats: NDArray[np.float64],
    n_items: int,
    end: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.bool_], float]:
    """Days to the next purchase of each pair: exp(mean over gaps of log gap − b · log quantity) · last quantity^b.

    b is 1 where a double quantity lasts twice as long, 0 where quantity says nothing; it is fitted within members.
    A pair's mean is shrunk to its item's, the item's to the brand's.
    """
    pairs = len(item)
    follow = np.flatnonzero(~opens)  # rows that have an earlier purchase of the same pair
    gap = np.maximum(days[follow - 1] - days[follow], 1.0)
    log_gap, log_qty, pair = np.log(gap), np.log(qty[follow - 1]), pair_at[follow]
    if len(gap) == 0:
        return np.full(pairs, np.nan), np.zeros(n_items, bool), 1.0
    n = np.bincount(pair, minlength=pairs)
    power = _quantity_power(log_gap, log_qty, pair, pairs)
    rate = log_gap - power * log_qty
    brand = float(np.median(rate))
    of_item = item[pair]
    item_n = np.bincount(of_item, minlength=n_items)
    item_rate = _group_quantile(rate, of_item, n_items, 0.5, brand)
    item_rate = (item_n * item_rate + 2.0 * brand) / (item_n + 2.0)
    spread = _group_quantile(rate, of_item, n_items, 0.75, 0.0) - _group_quantile(rate, of_item, n_items, 0.25, 0.0)
    has_cycle = (item_n >= LEAST_REPEATS) & (np.exp(spread) <= WIDEST_CYCLE)
    # The median of a pair: a piece bought in between, or a refill bought elsewhere, must not move its pace.
    middle = _group_middle(rate, pair, pairs)
    own = (n * middle + PACE_PRIOR_GAPS * item_rate[item]) / (n + PACE_PRIOR_GAPS)
    return np.exp(own + power * np.log(qty[end])), has_cycle, power


def _quantity_power(
    log_gap: NDArray[np.float64], log_qty: NDArray[np.float64], pair: NDArray[np.int64], pairs: int
) -> float:
    """The power of quantity that a gap follows, 0..1, fitted within pairs where the quantity differs.

    Least squares would be pulled to 0 by purchases in between, so the bounded loss min(|deviation|, QUANTITY_BOUND)
    from the pair's median is taken, as in redescending M-estimators (Huber and Ronchetti, Robust Statistics, ch. 4).
    """
    largest = np.full(pairs, -np.inf)
    smallest = np.full(pairs, np.inf)
    np.maximum.at(largest, pair, log_qty)
    np.minimum.at(smallest, pair, log_qty)
    moving = (largest - smallest)[pair] > 1e-9
    if moving.sum() < LEAST_QUANTITY_PAIRS:
        return 1.0
    gap, qty, group = log_gap[moving], log_qty[moving], pair[moving]
    loss = []
    for power in QUANTITY_POWERS:
        rate = gap - power * qty
        away = np.abs(rate - _group_middle(rate, group, pairs)[group])
        loss.append(np.minimum(away, QUANTITY_BOUND).mean())
    return float(QUANTITY_POWERS[int(np.argmin(loss))])


def _group_middle(values: NDArray[np.float64], group: NDArray[np.int64], groups: int) -> NDArray[np.float64]:
    """The median of each group, the mean of the middle two where their number is even; 0 for empty groups."""
    order = np.lexsort((values, group))
    size = np.bincount(group, minlength=groups)
    start = np.r_[0, np.cumsum(size)[:-1]]
    ranked = np.r_[values[order], 0.0]
    low, high = start + np.maximum(size - 1, 0) // 2, start + size // 2
    return np.where(size > 0, (ranked[np.minimum(low, len(values))] + ranked[np.minimum(high, len(values))]) / 2, 0.0)


def _group_quantile(
    values: NDArray[np.float64], group: NDArray[np.int64], groups: int, q: float, empty: float
) -> NDArray[np.float64]:
    order = np.lexsort((values, group))
    size = np.bincount(group, minlength=groups)
    start = np.r_[0, np.cumsum(size)[:-1]]
    at = start + np.floor(q * np.maximum(size - 1, 0)).astype(np.int64)
    ranked = values[order]
    return np.where(size > 0, ranked[np.minimum(at, len(ranked) - 1)], empty)
