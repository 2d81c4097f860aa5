"""A preset's categories and lines in; the items a brand sells, and what goes with what, out."""

import dataclasses

import numpy as np
import pandas as pd

from simulator.preset import Preset


@dataclasses.dataclass(frozen=True)
class Catalogue:
    """Items by code 0..n-1, sorted by category.

    price_yuan is the list price; first_day and last_day are days of the simulated span on which the item is sold;
    `starts` holds the first code of each category (length categories + 1); `by_line[category, series]` is a code;
    `popularity` is the running share inside the item's category, ready for a search by category + u; `size_codes[item]`
    holds the item's first size and how many sizes it comes in (1 where members don't keep to a size).
    """

    ids: np.ndarray
    spu_ids: np.ndarray
    titles: np.ndarray
    sizes: np.ndarray
    category: np.ndarray
    series: np.ndarray
    price_yuan: np.ndarray
    first_day: np.ndarray
    last_day: np.ndarray
    starts: np.ndarray
    by_line: np.ndarray
    popularity: np.ndarray
    evergreen: np.ndarray
    size_codes: np.ndarray

    def draw(self, category: np.ndarray, u: np.ndarray) -> np.ndarray:
        """One item code for each category, popular items more often; u is uniform on [0, 1)."""
        codes = np.searchsorted(self.popularity, category + u, side="right")
        return np.clip(codes, self.starts[category], self.starts[category + 1] - 1)


def make_catalogue(preset: Preset, days: int, rng: np.random.Generator) -> Catalogue:
    """Every line × noun × size of each category, thinned at random, with prices, launches and farewells."""
    rows: list[tuple[int, int, int, str, str, float]] = []
    for c, category in enumerate(preset.categories):
        low, high = category.price
        for s, series in enumerate(preset.titles.series):
            nouns = rng.permutation(len(category.nouns))[: max(1, (len(category.nouns) * 2 + 2) // 3)]
            for n in np.sort(nouns):
                base = (low + (high - low) * rng.random()) * preset.titles.series_price[s]
                for k, size in enumerate(category.sizes):
                    markup = 1.0 if category.sized else 1.0 + 0.45 * k
                    price = _shelf_price(base * markup)
                    rows.append((c, s, int(n), f"{series}{category.nouns[n]} {size}", size, price))
    code = np.arange(len(rows))
    category_of = np.array([row[0] for row in rows])
    series_of = np.array([row[1] for row in rows])
    starts = np.searchsorted(category_of, np.arange(len(preset.categories) + 1))
    share = rng.permuted(1.0 / np.arange(1, len(rows) + 1) ** 0.9) * np.exp(rng.normal(0, 0.6, len(rows)))
    popularity = np.empty(len(rows))
    evergreen = np.empty(len(preset.categories), dtype=np.int64)
    by_line = np.empty((len(preset.categories), len(preset.titles.series)), dtype=np.int64)
    first_day = np.zeros(len(rows), dtype=np.int64) - 2000
    last_day = np.full(len(rows), days + 2000, dtype=np.int64)
    launched = rng.random(len(rows)) < 0.14
    first_day[launched] = rng.integers(0, max(days, 1), launched.sum())
    leaves = (rng.random(len(rows)) < 0.06) & ~launched
    last_day[leaves] = rng.integers(days // 3, max(days, 2), leaves.sum())
    for c in range(len(preset.categories)):
        span = slice(starts[c], starts[c + 1])
        popularity[span] = c + np.cumsum(share[span]) / share[span].sum()
        best = starts[c] + int(np.argmax(share[span]))
        evergreen[c], first_day[best], last_day[best] = best, -2000, days + 2000
        for s in range(by_line.shape[1]):
            own = code[span][series_of[span] == s]
            by_line[c, s] = own[np.argmax(share[own])]
    return Catalogue(
        ids=np.array([f"SK{c:02d}{s:02d}{n}{i:04d}" for i, (c, s, n, *_rest) in enumerate(rows)], dtype=object),
        spu_ids=np.array([f"SP{c:02d}{s:02d}{n}" for c, s, n, *_rest in rows], dtype=object),
        titles=np.array([row[3] for row in rows], dtype=object),
        sizes=np.array([row[4] for row in rows], dtype=object),
        category=category_of,
        series=series_of,
        price_yuan=np.array([row[5] for row in rows]),
        first_day=first_day,
        last_day=last_day,
        starts=starts,
        by_line=by_line,
        popularity=popularity,
        evergreen=evergreen,
        size_codes=_sizes(preset, rows),
    )


def _shelf_price(yuan: float) -> float:
    """Prices end in 9 from 20 yuan on, in .9 below."""
    return max(round(yuan / 10) * 10 - 1.0, 19.0) if yuan >= 20 else max(round(yuan) - 0.1, 0.9)


def _sizes(preset: Preset, rows: list[tuple[int, int, int, str, str, float]]) -> np.ndarray:
    sized = np.array([category.sized for category in preset.categories])
    width = np.array([len(category.sizes) for category in preset.categories])
    category = np.array([row[0] for row in rows])
    position = np.array([preset.categories[row[0]].sizes.index(row[4]) for row in rows])
    code = np.arange(len(rows))
    return np.stack(
        [np.where(sized[category], code - position, code), np.where(sized[category], width[category], 1)], axis=1
    )


def items_table(preset: Preset, catalogue: Catalogue, start: np.datetime64, days: int) -> pd.DataFrame:
    """The contract's items table."""
    l1 = np.array([category.l1 for category in preset.categories], dtype=object)[catalogue.category]
    l2 = np.array([category.l2 for category in preset.categories], dtype=object)[catalogue.category]
    launch = np.maximum(catalogue.first_day, -720)
    gone = catalogue.last_day < days
    return pd.DataFrame(
        {
            "item_id": catalogue.ids,
            "spu_id": catalogue.spu_ids,
            "title": catalogue.titles,
            "category_l1": l1,
            "category_l2": l2,
            "category_l3": _series(preset, catalogue) + l2,
            "product_brand": preset.title,
            "list_yuan": catalogue.price_yuan,
            "launch_date": pd.to_datetime(start + launch.astype("timedelta64[D]")),
            "off_shelf_date": pd.Series(pd.to_datetime(start + catalogue.last_day.astype("timedelta64[D]"))).where(
                gone
            ),
            "status": np.where(gone, "off", "on"),
            "size": catalogue.sizes,
            "pack_size": 1.0,
            "is_gift_or_sample": False,
            "item_type": "product",
        }
    )


def _series(preset: Preset, catalogue: Catalogue) -> np.ndarray:
    return np.array(preset.titles.series, dtype=object)[catalogue.series]
