"""Visits, people and a catalogue in; the lines of every visit (item, quantity, price) out."""

import dataclasses

import numpy as np

from simulator.catalogue import Catalogue
from simulator.people import People
from simulator.preset import Preset
from simulator.rhythm import Visits

# A member's own handful of items; the first of it is bought most.
REPERTOIRE = 6


@dataclasses.dataclass(frozen=True)
class Lines:
    """Sale lines sorted by visit and item: visit (index into Visits), item (code), qty, unit and paid yuan."""

    visit: np.ndarray
    item: np.ndarray
    qty: np.ndarray
    list_yuan: np.ndarray
    paid_yuan: np.ndarray


def taste_shares(preset: Preset, rng: np.random.Generator) -> np.ndarray:
    """Each taste group's share of the categories, float64[groups, categories]."""
    weight = np.array([category.weight for category in preset.categories])
    groups = max(preset.baskets.taste_groups, 1)
    if groups == 1:
        return (weight / weight.sum())[None, :]
    return rng.dirichlet(4.0 * weight / weight.mean(), groups)


def fill_baskets(
    preset: Preset,
    people: People,
    catalogue: Catalogue,
    visits: Visits,
    festival: np.ndarray,
    month: np.ndarray,
    rng: np.random.Generator,
) -> Lines:
    """Staples that are due, then further items: own repertoire, what goes with the basket, or something new.

    `festival[v]` says whether visit v falls into a festival (promotion prices for everybody), `month[v]` its month, 0..11.
    """
    shape = preset.baskets
    taste = taste_shares(preset, rng)[None, :, :] * _category_seasons(preset)[:, None, :]
    cdf = np.cumsum(taste / taste.sum(axis=2, keepdims=True), axis=2)  # [month, taste group, category]

    def category_for(member: np.ndarray, when: np.ndarray) -> np.ndarray:
        group, u = people.taste[member], rng.random(len(member))
        chosen = np.zeros(len(member), dtype=np.int64)
        for c in range(cdf.shape[2] - 1):
            chosen += u > cdf[when, group, c]
        return chosen

    def explore(member: np.ndarray, category: np.ndarray) -> np.ndarray:
        item = catalogue.draw(category, rng.random(len(member)))
        own_line = rng.random(len(member)) < shape.favourite_line
        return np.where(own_line, catalogue.by_line[category, people.line[member]], item)

    everyone = np.arange(len(people))
    any_month = rng.integers(0, 12, len(people))
    slots = people.staples.shape[1]
    staple_item = np.stack(
        [np.where(people.staples[:, j] >= 0, explore(everyone, np.maximum(people.staples[:, j], 0)), -1)
         for j in range(slots)], axis=1,
    )  # fmt: skip
    handful = np.stack([explore(everyone, category_for(everyone, any_month)) for _ in range(REPERTOIRE)], axis=1)

    v, j = np.nonzero(visits.staple_qty)
    staple_visit, staple_code = v, staple_item[visits.member[v], j]
    staple_count = visits.staple_qty[v, j].astype(np.int64)

    has_staple = visits.staple_qty.any(axis=1)
    extra = rng.poisson(people.basket[visits.member] * np.where(has_staple, 0.8, 1.0) * np.where(festival, 1.3, 1.0))
    extra = np.maximum(extra, np.where(has_staple, 0, 1))
    visit = np.repeat(np.arange(len(visits.member)), extra)
    member = visits.member[visit]
    kind = rng.random(len(visit))
    item = explore(member, category_for(member, month[visit]))
    own = kind < shape.repertoire
    pick = np.minimum(rng.geometric(0.38, len(visit)) - 1, REPERTOIRE - 1)
    item = np.where(own, handful[member, pick], item)
    # what goes with the first item of the basket
    anchor = np.full(len(visits.member), -1, dtype=np.int64)
    last_first = np.flatnonzero(np.r_[True, np.diff(visit) > 0]) if len(visit) else np.empty(0, dtype=np.int64)
    anchor[visit[last_first]] = item[last_first]
    anchor[staple_visit[::-1]] = staple_code[::-1]
    goes = _companions(preset)
    follows = (kind >= shape.repertoire) & (kind < shape.repertoire + shape.companion)
    follows[last_first] &= anchor[visit[last_first]] != item[last_first]
    base = anchor[visit]
    width = goes.shape[1]
    companion = goes[catalogue.category[base], rng.integers(0, width, len(visit))]
    # mostly of the same line as the anchor: the toner of the cream
    same_line = np.where(
        rng.random(len(visit)) < 0.7,
        catalogue.by_line[np.maximum(companion, 0), catalogue.series[base]],
        catalogue.draw(np.maximum(companion, 0), rng.random(len(visit))),
    )
    item = np.where(follows & (companion >= 0), same_line, item)

    visit = np.concatenate([staple_visit, visit])
    item = np.concatenate([staple_code, item])
    qty = np.concatenate([staple_count, 1 + (rng.random(len(visit) - len(staple_visit)) < 0.08)])
    first_size, sizes = catalogue.size_codes[item].T
    item = np.where(sizes > 1, first_size + (people.size[visits.member[visit]] * sizes).astype(np.int64), item)
    day = visits.day[visit]
    sold = (day >= catalogue.first_day[item]) & (day < catalogue.last_day[item])
    item = np.where(sold, item, catalogue.evergreen[catalogue.category[item]])
    # one line per visit and item
    key, where = np.unique(visit * len(catalogue.ids) + item, return_inverse=True)
    qty = np.bincount(where, weights=qty, minlength=len(key)).astype(np.int64)
    visit, item = key // len(catalogue.ids), key % len(catalogue.ids)
    off = np.where(festival[visit], shape.festival_discount, shape.discount)
    listed = np.round(catalogue.price_yuan[item] * qty, 2)
    return Lines(visit, item, qty, listed, np.round(listed * (1.0 - off), 2))


def _category_seasons(preset: Preset) -> np.ndarray:
    """Each category's multiplier by month, float64[12, categories]."""
    return np.array([category.months or (1.0,) * 12 for category in preset.categories], dtype=float).T


def _companions(preset: Preset) -> np.ndarray:
    """Category codes that go with each category, int64[categories, widest], -1 where there are fewer."""
    code = {category.l2: n for n, category in enumerate(preset.categories)}
    lists = [[code[name] for name in category.goes_with if name in code] for category in preset.categories]
    width = max((len(entry) for entry in lists), default=0) or 1
    return np.array([entry + [-1] * (width - len(entry)) for entry in lists], dtype=np.int64)
