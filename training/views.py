"""What the components of a curve see of members on one day: vectors as a matrix, and the buy-till-you-die curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from features.errors import InputError, NotEnoughData
from training.btyd import FAMILIES, Btyd, Family, fit_btyd
from training.periods import Bins

FloatArray = npt.NDArray[np.floating]

# Fewer members than this carry no four parameters of a buy-till-you-die model.
FEWEST_FOR_BTYD = 10


@lru_cache(maxsize=512)
def places_of(names: tuple[str, ...], wanted: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """Where the wanted columns stand among `names`; asked for again and again on the request path, so remembered."""
    missing = [name for name in wanted if name not in names]
    if missing:
        raise InputError(f"vectors: missing columns {missing[:8]}, which the curve needs; found {list(names)[:8]}…")
    return np.array([names.index(name) for name in wanted], dtype=np.int64)


@dataclass(frozen=True)
class View:
    """Members on one day. `values` float32[n, k] C-ordered with `names`; `btyd` survival at the bins' edges [n, E]."""

    member_ids: np.ndarray
    values: npt.NDArray[np.float32]
    names: tuple[str, ...]
    bins: Bins
    btyd: Mapping[Family, FloatArray]

    def __len__(self) -> int:
        return len(self.values)

    def column(self, name: str) -> FloatArray:
        """One vector column as float64[n]."""
        return self.values[:, places_of(self.names, (name,))[0]].astype(np.float64)

    def columns(self, names: tuple[str, ...]) -> npt.NDArray[np.float32]:
        """Several vector columns in the order asked for, float32[n, len(names)]."""
        return self.values if names == self.names else self.values[:, places_of(self.names, names)]

    def rows(self, keep: npt.NDArray[np.integer] | npt.NDArray[np.bool_] | slice) -> "View":
        """Some of the members, in the order asked for."""
        return View(
            self.member_ids[keep],
            self.values[keep],
            self.names,
            self.bins,
            {family: curve[keep] for family, curve in self.btyd.items()},
        )


@dataclass(frozen=True)
class Watched:
    """A view whose members were watched afterwards: T per member and the whole days of follow-up.

    days_to_next: float64[n], T in 1, 2, …, inf where not seen within follow_up_days.
    age_days: days between this snapshot and the day the model is fitted for.
    """

    view: View
    days_to_next: FloatArray
    follow_up_days: int
    age_days: int

    def rows(self, keep: npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> "Watched":
        return Watched(self.view.rows(keep), self.days_to_next[keep], self.follow_up_days, self.age_days)

    def until(self, age_days: int) -> "Watched":
        """The same members watched only until `age_days` before the day the model is fitted for."""
        follow_up = self.follow_up_days - age_days
        seen = np.where(self.days_to_next <= follow_up, self.days_to_next, np.inf)
        return Watched(self.view, seen, follow_up, self.age_days - age_days)


def fit_families(
    repeat_visits: FloatArray,
    first_to_last_days: FloatArray,
    tenure_days: FloatArray,
    *,
    k: int = 1,
    start: Mapping[Family, Btyd] | None = None,
    max_rows: int = 4_000,
    seed: int = 0,
) -> dict[Family, Btyd]:
    """BG/NBD, and MBG/NBD whose gaps are Erlang-k; empty where members are too few. start: an earlier fit to begin from."""
    if len(repeat_visits) < FEWEST_FOR_BTYD:
        return {}
    fitted: dict[Family, Btyd] = {}
    for family in FAMILIES:
        try:
            fitted[family] = fit_btyd(
                repeat_visits,
                first_to_last_days,
                tenure_days,
                family=family,
                k=k if family == "mbg_nbd" else 1,
                start=None if start is None else start.get(family),
                max_rows=max_rows,
                seed=seed,
            )
        except NotEnoughData:
            continue
    return fitted


def make_view(
    member_ids: np.ndarray,
    values: npt.NDArray[np.float32],
    names: Sequence[str],
    bins: Bins,
    families: Mapping[Family, Btyd],
) -> View:
    """A view of vectors, the families' curves computed at the bins' edges."""
    names = tuple(names)
    bare = View(member_ids, values, names, bins, {})
    tenure = bare.column("tenure_days")
    first_to_last = np.clip(tenure - bare.column("recency_days"), 0.0, tenure)
    repeats = np.maximum(bare.column("visits") - 1.0, 0.0)
    curves = {
        family: np.clip(model.survival(bins.edges, repeats, first_to_last, tenure), 1e-9, 1.0)
        for family, model in families.items()
    }
    return View(member_ids, values, names, bins, curves)
