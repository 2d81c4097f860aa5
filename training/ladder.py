"""How much data there are in; out: the step of the ladder that may answer, by name and with the reason."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.curves import from_hazards
from training.periods import Bins
from training.views import FloatArray, Watched

RECENCY_BANDS, BTYD, EQUAL_BLEND, WEIGHTED_BLEND = "recency_bands", "btyd", "equal_blend", "weighted_blend"
# The steps, the fullest last; a member's prediction says which one made it.
RUNGS = (RECENCY_BANDS, BTYD, EQUAL_BLEND, WEIGHTED_BLEND)
FEWEST_MEMBERS = 100
FEWEST_REPEATS = 20
FEWEST_RETURNS = 150
FEWEST_FOR_TREES = 300
# Days since the last visit: the last band is open.
BANDS = (7, 14, 30, 60, 90, 120, 180, 270, 365)
# A band of few members leans on the whole base by this many of them.
BAND_PRIOR = 20.0


@dataclass(frozen=True)
class Step:
    """The rung, whether trees take part, and why it is not a higher one (empty on the highest)."""

    rung: str
    trees: bool
    reason: str


def choose_step(members: int, repeats: int, returns: int, span_days: int, horizon: int, families: int) -> Step:
    """members with a purchase; repeats: visits after the first; returns: purchases seen after the snapshots."""
    if members < FEWEST_MEMBERS:
        return Step(RECENCY_BANDS, False, f"not enough data: {members} members, {FEWEST_MEMBERS} needed")
    if repeats < FEWEST_REPEATS or not families:
        return Step(RECENCY_BANDS, False, f"not enough data: {repeats} repeat visits, {FEWEST_REPEATS} needed")
    if returns < FEWEST_RETURNS:
        return Step(BTYD, False, f"{returns} returns seen; a blend needs {FEWEST_RETURNS}")
    if members < FEWEST_FOR_TREES:
        return Step(EQUAL_BLEND, False, f"{members} members; trees and weights of its own need {FEWEST_FOR_TREES}")
    if span_days < 2 * horizon:
        return Step(EQUAL_BLEND, True, f"{span_days} days of history; weights of its own need {2 * horizon}")
    return Step(WEIGHTED_BLEND, True, "")


def band_of(recency_days: FloatArray) -> np.ndarray:
    """The band of each member: 0 … len(BANDS)."""
    return np.searchsorted(BANDS, np.nan_to_num(recency_days, nan=BANDS[-1] + 1.0), side="left")


def band_curves(watched: Sequence[Watched], bins: Bins) -> FloatArray:
    """Kaplan–Meier survival of each recency band at the bins' edges: float64[len(BANDS)+1, edges].

    Bands lean on the whole base where they are thin; beyond what was watched the last daily hazard goes on.
    """
    bands = len(BANDS) + 1
    exits, at_risk = np.zeros((bands, bins.count)), np.zeros((bands, bins.count))
    for snapshot in watched:
        band = band_of(snapshot.view.column("recency_days"))
        for j in range(min(bins.whole(snapshot.follow_up_days), bins.count)):
            alive = snapshot.days_to_next > bins.edges[j]
            gone = alive & (snapshot.days_to_next <= bins.edges[j + 1])
            at_risk[:, j] += np.bincount(band[alive], minlength=bands)
            exits[:, j] += np.bincount(band[gone], minlength=bands)
    all_risk, all_exits = at_risk.sum(0), exits.sum(0)
    # With nothing watched at all: one return in a hundred within ten days of risk, a cautious guess.
    daily = (all_exits.sum() + 0.1) / ((all_risk * bins.width).sum() + 100.0)
    overall = np.empty(bins.count)
    for j in range(bins.count):
        expected = 1.0 - (1.0 - min(daily, 0.99)) ** bins.width[j]
        overall[j] = (all_exits[j] + 5.0 * expected) / (all_risk[j] + 5.0)
        if all_risk[j] > 0:
            daily = 1.0 - (1.0 - min(overall[j], 0.999)) ** (1.0 / bins.width[j])
    hazards = (exits + BAND_PRIOR * overall) / (at_risk + BAND_PRIOR)
    return from_hazards(hazards)
