"""Expected and observed spend of matured snapshots in; a rising map from the first to what such members did spend, out.

Order is learned best from spend whose largest orders are cut off, and sums are then spread too evenly. The map leaves
the order of members as it is and moves each tenth of them to the sum that tenth had spent.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

Floats = NDArray[np.float64]

TENTHS = 10
# So many buyers in a tenth count as much as the belief that its sum is right already.
PRIOR_BUYERS = 30.0
# The least rise of the map, in log yuan for one log yuan: nobody changes places, and no two become one.
LEAST_RISE = 0.05


@dataclass(frozen=True)
class SpendMap:
    """Log of observed over expected spend at rising logs of expected spend; straight between, level beyond."""

    log_expected: tuple[float, ...] = ()
    log_ratio: tuple[float, ...] = ()

    def factor(self, expected_yuan: Floats) -> Floats:
        """What to multiply each expectation with: float64[n]; 1 everywhere for an empty map."""
        if not self.log_expected:
            return np.ones(len(expected_yuan))
        at = np.log(np.maximum(expected_yuan, 1e-9))
        return np.exp(np.interp(at, self.log_expected, self.log_ratio))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> "SpendMap":
        """The inverse of `as_dict`."""
        return cls(tuple(told["log_expected"]), tuple(told["log_ratio"]))


def learn_spend_map(expected_yuan: Floats, spent_yuan: Floats) -> SpendMap:
    """From members of matured snapshots; an empty map where they are fewer than ten a tenth or spent nothing."""
    known = expected_yuan > 0
    expected, spent = expected_yuan[known], spent_yuan[known]
    if len(expected) < 10 * TENTHS or spent.sum() <= 0:
        return SpendMap()
    order = np.argsort(expected, kind="stable")
    whole = np.log(spent.sum() / expected.sum())
    knots, ratios = [], []
    for rows in np.array_split(order, TENTHS):
        buyers = float((spent[rows] > 0).sum())
        share = buyers / (buyers + PRIOR_BUYERS)
        own = np.log(max(spent[rows].sum(), 1e-9) / expected[rows].sum()) if spent[rows].sum() > 0 else whole
        knots.append(float(np.log(expected[rows].mean())))
        ratios.append(float(np.clip(share * own + (1 - share) * whole, -2.0, 2.0)))
    told = [knots[0] + ratios[0]]
    for k in range(1, TENTHS):
        least = told[-1] + LEAST_RISE * max(knots[k] - knots[k - 1], 1e-9)
        told.append(max(knots[k] + ratios[k], least))
    return SpendMap(tuple(knots), tuple(float(t - k) for t, k in zip(told, knots, strict=True)))


def brought_to(probability: Floats, share: float) -> Floats:
    """Probabilities moved by one constant of log odds so that their mean is `share`, found by halving."""
    odds, low, high = logit(np.clip(probability, 1e-6, 1 - 1e-6)), -12.0, 12.0
    share = float(np.clip(share, 1e-6, 1 - 1e-6))
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if expit(odds + middle).mean() < share else (low, middle)
    return expit(odds + (low + high) / 2)
