"""Expected net spend and yesterday's tiers in; a value tier A, B or C a member, which does not flap, out."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from features.errors import InputError

TIERS = ("A", "B", "C")


@dataclass(frozen=True)
class TierSettings:
    """How the scored members are cut into tiers by expected net spend."""

    share_a: float = field(default=0.20, metadata={"doc": "Share of the scored members in tier A"})
    share_b: float = field(default=0.30, metadata={"doc": "Share of the scored members in tier B; the rest is C"})
    hold: float = field(
        default=0.05, metadata={"doc": "A member keeps the tier until this share of all members stands between"}
    )

    def __post_init__(self) -> None:
        if not (0 < self.share_a < 1 and 0 < self.share_b < 1 and self.share_a + self.share_b < 1):
            raise InputError(
                f"tiers: share_a and share_b must be above 0 and leave room for C; found {self.share_a}, {self.share_b}"
            )
        if not 0 <= self.hold < 0.5:
            raise InputError(f"tiers: hold must lie in [0, 0.5); found {self.hold}")


def assign_tiers(
    expected: pd.DataFrame, previous: pd.DataFrame | None = None, *, settings: TierSettings | None = None
) -> pd.DataFrame:
    """Cut members into tiers whose shares are exactly those of the settings.

    expected: member_id, expected_spend_yuan. previous: member_id, tier of the last run; members it doesn't know start
    without a claim. A member who holds a tier is ranked `hold` higher when that tier is filled, so that only a clear
    change moves somebody. Ties are broken by member_id. Returns member_id, tier in the order of `expected`.
    """
    cut = settings or TierSettings()
    ids = expected["member_id"].to_numpy(str)
    spend = expected["expected_spend_yuan"].to_numpy(float)
    if np.isnan(spend).any():
        raise InputError(
            f"tiers: expected_spend_yuan is null for {int(np.isnan(spend).sum())} members; score them before tiers"
        )
    n = len(ids)
    held = np.full(n, "", dtype=object)
    if previous is not None and len(previous):
        before = previous.dropna(subset=["tier"]).set_index("member_id")["tier"]
        held = before.reindex(ids).fillna("").to_numpy(dtype=object)
    place = np.empty(n)
    place[np.lexsort((ids, -spend))] = np.arange(n)
    place /= max(n, 1)  # 0 is the best
    tier = np.full(n, "C", dtype=object)
    a = _best(place - cut.hold * (held == "A"), ids, round(cut.share_a * n))
    tier[a] = "A"
    left = np.setdiff1d(np.arange(n), a)
    claim = np.isin(held[left], ["A", "B"])
    b = left[_best(place[left] - cut.hold * claim, ids[left], round(cut.share_b * n))]
    tier[b] = "B"
    return pd.DataFrame({"member_id": ids, "tier": tier})


def _best(place: np.ndarray, ids: np.ndarray, count: int) -> np.ndarray:
    return np.lexsort((ids, place))[:count]
