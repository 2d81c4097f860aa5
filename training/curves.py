"""Survival curves in memory: one row per member, S(h) on a grid of days, read at any horizon up to the last day."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from features.errors import InputError

FloatArray = npt.NDArray[np.floating]

# S is kept inside this band so that its logarithm and its logit stay finite in float32.
SMALLEST_SURVIVAL = 1e-6


@dataclass(frozen=True)
class SurvivalCurves:
    """S(h) = P(no purchase within h days | history before `as_of`), for each member.

    member_ids: str[N], sorted as the vectors were.
    as_of: the day the curves look ahead from.
    grid_days: int32[G], ascending, grid_days[0] = 0; the last one is L, the longest horizon that can be asked.
    survival: float32[N, G], survival[:, 0] = 1, never rising along a row.
    rung: str[N] (or one str for all), the step of the fallback ladder that answered (see training/ladder.py).

    The duration convention is T = (day of next visit - as_of).days + 1, so churn at H is T > H and its
    probability is `at(H)`.

    >>> curves = SurvivalCurves(np.array(["m1"]), date(2026, 1, 1), np.array([0, 10, 20]),
    ...                         np.array([[1.0, 0.64, 0.32]], dtype=np.float32), np.array(["blend"]))
    >>> float(curves.at(5).round(2)[0]), float(curves.at(10).round(2)[0])
    (0.8, 0.64)
    >>> float(curves.quantile(0.5, horizon=20).round(1)[0])
    9.3
    """

    member_ids: np.ndarray
    as_of: date
    grid_days: npt.NDArray[np.int32]
    survival: npt.NDArray[np.float32]
    rung: np.ndarray

    def __post_init__(self) -> None:
        grid = np.asarray(self.grid_days, dtype=np.int32)
        survival = np.asarray(self.survival, dtype=np.float32)
        rung = np.asarray(self.rung)
        if rung.ndim == 0:
            rung = np.full(len(self.member_ids), str(rung))
        if grid.ndim != 1 or len(grid) < 2 or grid[0] != 0 or np.any(np.diff(grid) <= 0):
            raise InputError(f"curves.grid_days: expected ascending days from 0, found {grid[:6].tolist()}")
        if survival.shape != (len(self.member_ids), len(grid)) or len(rung) != len(self.member_ids):
            raise InputError(
                f"curves.survival: expected shape ({len(self.member_ids)}, {len(grid)}), found {survival.shape}"
            )
        object.__setattr__(self, "grid_days", grid)
        object.__setattr__(self, "survival", survival)
        object.__setattr__(self, "rung", rung)

    def __len__(self) -> int:
        return len(self.member_ids)

    @property
    def max_days(self) -> int:
        """L, the last day the curves speak of."""
        return int(self.grid_days[-1])

    def at(self, days: float) -> FloatArray:
        """S(days) for every member, float64[N]; between grid days log S runs in a straight line."""
        return self.at_each(np.full(len(self), float(days)))

    def at_each(self, days: FloatArray) -> FloatArray:
        """S(days[i]) for member i, float64[N]."""
        days = np.asarray(days, dtype=np.float64)
        if len(days) and (days.min() < 0 or days.max() > self.max_days):
            raise InputError(
                f"curves.at: expected days from 0 to {self.max_days}, found {days.min():g} to {days.max():g}; "
                "fit with a longer max_days to ask further"
            )
        right = np.clip(np.searchsorted(self.grid_days, days, side="left"), 1, len(self.grid_days) - 1)
        low, high = self.grid_days[right - 1], self.grid_days[right]
        share = (days - low) / (high - low)
        rows = np.arange(len(self))
        log_left = np.log(np.maximum(self.survival[rows, right - 1].astype(np.float64), SMALLEST_SURVIVAL))
        log_right = np.log(np.maximum(self.survival[rows, right].astype(np.float64), SMALLEST_SURVIVAL))
        return np.exp(log_left + share * (log_right - log_left))

    def daily(self, days: npt.NDArray[np.integer] | None = None) -> FloatArray:
        """S on the given days (default 0…L), float64[N, len(days)]."""
        wanted = np.arange(self.max_days + 1) if days is None else np.asarray(days)
        return resample(self.grid_days, self.survival, wanted)

    def quantile(self, q: float | FloatArray, horizon: int | None = None) -> FloatArray:
        """The day t where (1-S(t)) / (1-S(horizon)) = q: among those who return within `horizon`, share q has.

        q is one share or one per member; horizon defaults to L. Real days, float64[N]; the purchase falls into
        day number ceil(t) counted from as_of (day 1 is as_of itself).
        """
        horizon = self.max_days if horizon is None else int(horizon)
        returned = 1.0 - self.at(horizon)
        return self.day_of_survival(1.0 - np.asarray(q, dtype=np.float64) * returned)

    def day_of_survival(self, target: FloatArray) -> FloatArray:
        """The first real day on which S falls to target[i], float64[N]; L where it never does."""
        log_s = np.log(np.maximum(self.survival.astype(np.float64), SMALLEST_SURVIVAL))
        log_s[:, 0] = 0.0
        goal = np.log(np.maximum(np.broadcast_to(target, (len(self),)), SMALLEST_SURVIVAL))
        reached = log_s <= goal[:, None] + 1e-12
        right = np.where(reached.any(1), reached.argmax(1), len(self.grid_days) - 1)
        rows, left = np.arange(len(self)), np.maximum(right - 1, 0)
        fall = log_s[rows, left] - log_s[rows, right]
        share = np.divide(log_s[rows, left] - goal, fall, out=np.ones(len(self)), where=fall > 0)
        width = self.grid_days[right] - self.grid_days[left]
        day = self.grid_days[left] + np.clip(share, 0.0, 1.0) * width
        return np.where(right == 0, 0.0, day)

    def restricted_mean_days(self, horizon: int | None = None) -> FloatArray:
        """∫₀ʰ S(t) dt, the expected quiet days within `horizon`: one number that orders members by return date."""
        days = np.arange((self.max_days if horizon is None else int(horizon)) + 1)
        survival = self.daily(days)
        return (survival[:, 1:] + survival[:, :-1]).sum(1) / 2


def resample(grid_days: npt.NDArray[np.integer], survival: FloatArray, days: npt.NDArray[np.integer]) -> FloatArray:
    """Curves on other days, log-linear between grid days: float64[N, len(days)]."""
    right = np.clip(np.searchsorted(grid_days, days, side="left"), 1, len(grid_days) - 1)
    low, high = grid_days[right - 1], grid_days[right]
    share = (np.asarray(days) - low) / (high - low)
    log_s = np.log(np.maximum(np.asarray(survival, dtype=np.float64), SMALLEST_SURVIVAL))
    return np.exp(log_s[:, right - 1] * (1.0 - share) + log_s[:, right] * share)


def from_hazards(hazards: FloatArray) -> FloatArray:
    """Hazards per bin [N, B] → survival at the bins' edges [N, B+1]: S_k = Π_{j<k} (1 - h_j)."""
    log_steps = np.log(1.0 - np.clip(hazards, 1e-9, 1.0 - 1e-6))
    survival = np.ones((hazards.shape[0], hazards.shape[1] + 1))
    survival[:, 1:] = np.exp(np.cumsum(log_steps, axis=1))
    return survival


def to_hazards(survival: FloatArray) -> FloatArray:
    """Survival at edges [N, B+1] → hazards per bin [N, B]: h_j = 1 - S_{j+1}/S_j."""
    return 1.0 - survival[:, 1:] / np.maximum(survival[:, :-1], 1e-12)


def logit(p: FloatArray) -> FloatArray:
    """log p/(1-p), with p kept away from 0 and 1."""
    p = np.clip(p, SMALLEST_SURVIVAL, 1.0 - SMALLEST_SURVIVAL)
    return np.log(p / (1.0 - p))


def expit(x: FloatArray) -> FloatArray:
    """1/(1+e^-x), without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * x))
