"""Lists and what was bought next in; recall, NDCG, hit rate and coverage out, as per-member values and as statistics."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Pairs = tuple[NDArray[Any], NDArray[Any]]  # (row, item), sorted by row then item

METRICS = ("recall@10", "ndcg@10", "phr@10")
SLICES: dict[str, tuple[int, int]] = {"0": (0, 0), "1-2": (1, 2), "3-4": (3, 4), "5-9": (5, 9), "10+": (10, 1 << 30)}


def hits(codes: NDArray[np.int32], bought: Pairs, n_items: int) -> NDArray[np.bool_]:
    """True where the list of a row holds an item that the row bought; -1 is never a hit."""
    wanted = np.sort(bought[0].astype(np.int64) * n_items + bought[1])
    asked = np.arange(len(codes), dtype=np.int64)[:, None] * n_items + codes
    if len(wanted) == 0:
        return np.zeros(codes.shape, bool)
    at = np.minimum(np.searchsorted(wanted, asked), len(wanted) - 1)
    return (wanted[at] == asked) & (codes >= 0)


def list_values(codes: NDArray[np.int32], bought: Pairs, n_items: int) -> dict[str, NDArray[np.float64]]:
    """recall@k, ndcg@k (ideal over min(k, basket size)) and phr@k of each row, k the list's width, named "@10".

    Rows that bought nothing of this kind are NaN: they are not judged.
    """
    k = codes.shape[1]
    hit = hits(codes, bought, n_items).astype(np.float64)
    size = np.bincount(bought[0], minlength=len(codes)).astype(np.float64)
    discount = 1.0 / np.log2(np.arange(2, k + 2))
    ideal = np.r_[0.0, np.cumsum(discount)]
    judged = size > 0
    safe = np.maximum(size, 1)
    found = hit.sum(1)
    values = {
        "recall@10": found / safe,
        "ndcg@10": (hit @ discount) / ideal[np.minimum(safe, k).astype(int)],
        "phr@10": (found > 0).astype(np.float64),
    }
    return {name: np.where(judged, value, np.nan) for name, value in values.items()}


def reliability(score: NDArray[np.float32], hit: NDArray[np.bool_], bins: int = 10) -> list[dict[str, float]]:
    """Places of lists by told probability in bins of equal size: mean told, share that was bought, number of places."""
    told, found = np.asarray(score, np.float64).ravel(), hit.ravel()
    table = []
    for part in np.array_split(np.lexsort((found, told)), bins):
        if len(part):
            table.append({"told": float(told[part].mean()), "bought": float(found[part].mean()), "places": len(part)})
    return table


def split_by_owned(bought: Pairs, owned: Pairs, n_items: int) -> tuple[Pairs, Pairs]:
    """(bought before, never bought before) of the bought pairs."""
    key = bought[0].astype(np.int64) * n_items + bought[1]
    have = np.isin(key, owned[0].astype(np.int64) * n_items + owned[1])
    return (bought[0][have], bought[1][have]), (bought[0][~have], bought[1][~have])


def coverage(codes: NDArray[np.int32]) -> int:
    """How many different items the lists show."""
    return len(np.unique(codes[codes >= 0]))


def share_of_top(codes: NDArray[np.int32], popularity: NDArray[np.float64], top: int = 20) -> float:
    """The share of all shown places that the `top` most popular items take."""
    best = np.lexsort((np.arange(len(popularity)), -popularity))[:top]
    shown = codes[codes >= 0]
    return float(np.isin(shown, best).mean()) if len(shown) else float("nan")
