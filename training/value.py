"""Expected spend: vectors and survival curves in; expected yuan, orders and an 80 % interval within the horizon out.

    expected spend = P(buys within H) × visits of those who buy × spend per visit

P(buys) comes from the survival curve. Visits of buyers are counted on the newest matured snapshot, by how often the
member came before. Spend per visit is the gamma-gamma mean, between the member's own and everybody's. The interval is
read off the same snapshot: what members of like expectation then spent.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import InputError, NotEnoughData
from features.history import History
from features.progress import Progress, quiet
from features.vectors import MemberVectors, build_vectors
from training.btyd import Btyd, fit_btyd
from training.peers.curves import Snapshot, btyd_inputs, take_snapshot
from training.peers.value import VALUE_PEERS, GammaGamma, fit_gamma_gamma

Floats = NDArray[np.float64]

# Members alike in past visits; the counts of each group's later visits are pulled to everybody's by this many members.
VISIT_GROUPS = (1, 2, 3, 5, 9, 17, 33)
GROUP_PULL = 20.0
INTERVAL_BANDS = 20
FILE = "value.json"


class Curves(Protocol):
    """What this module needs of survival curves."""

    @property
    def max_days(self) -> int: ...

    def at(self, days: float) -> Any: ...


@dataclass(frozen=True)
class ValueModel:
    """A fitted expectation of spend.

    visits_given_buying: mean visits within the horizon of those who buy, by group of past visits. bands: upper edges
    of expected spend, with the 10 % and 90 % points of what such members spent. `only` names a plain baseline that
    answers instead.
    """

    horizon_days: int
    record_days: int
    only: str | None
    gamma_gamma: GammaGamma | None
    bg_nbd: Btyd | None
    visits_given_buying: tuple[float, ...]
    band_edges: tuple[float, ...]
    band_low_yuan: tuple[float, ...]
    band_high_yuan: tuple[float, ...]
    as_of: str
    members: int

    @property
    def card(self) -> dict[str, Any]:
        """What was fitted, for a model card."""
        source = "model" if self.only is None else "fallback"
        rung = self.only or "curve_visits_gamma_gamma"
        return {"source": source, "rung": rung} | {k: v for k, v in asdict(self).items() if k != "only"}

    def predict(self, vectors: MemberVectors, curves: Curves) -> pd.DataFrame:
        """member_id, expected_spend_yuan, low_yuan, high_yuan (80 %), expected_orders, expected_order_value_yuan."""
        frame = vectors.frame
        visits = np.maximum(np.nan_to_num(frame["visits"].to_numpy(dtype=float)), 0)
        own = np.maximum(np.nan_to_num(frame["spend_mean_yuan"].to_numpy(dtype=float)), 0)
        worth = own if self.gamma_gamma is None else self.gamma_gamma.expected_spend(visits, own)
        if self.only == "last_year":
            spend = np.nan_to_num(frame["spend_365d_yuan"].to_numpy(dtype=float))
            spend = np.maximum(spend, 0) * self.horizon_days / self.record_days
            orders = np.divide(spend, worth, out=np.zeros_like(spend), where=worth > 0)
        elif self.only == "gamma_gamma_bg_nbd" and self.bg_nbd is not None:
            orders = self.bg_nbd.expected_visits(float(self.horizon_days), *btyd_inputs(vectors))
            spend = orders * worth
        else:
            seen = min(self.horizon_days, curves.max_days)
            buys = 1.0 - np.asarray(curves.at(seen), dtype=float)
            group = np.searchsorted(VISIT_GROUPS, visits, side="right") - 1
            orders = buys * np.asarray(self.visits_given_buying)[np.maximum(group, 0)] * self.horizon_days / seen
            orders = np.where(visits > 0, orders, 0.0)
            spend = orders * worth
        band = np.searchsorted(self.band_edges, spend, side="right")
        return pd.DataFrame(
            {
                "member_id": vectors.members,
                "expected_spend_yuan": spend,
                "low_yuan": np.asarray(self.band_low_yuan)[band],
                "high_yuan": np.maximum(np.asarray(self.band_high_yuan)[band], spend),
                "expected_orders": orders,
                "expected_order_value_yuan": worth,
            }
        )

    def save(self, folder: Path) -> None:
        """Write the model as JSON into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE).write_text(json.dumps(asdict(self), indent=2) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path) -> "ValueModel":
        """The model that `save` wrote."""
        told: Mapping[str, Any] = json.loads((folder / FILE).read_text("utf-8"))
        lists = {name: tuple(value) for name, value in told.items() if isinstance(value, list)}
        gamma_gamma = None if told["gamma_gamma"] is None else GammaGamma(**told["gamma_gamma"])
        bg_nbd = None if told["bg_nbd"] is None else Btyd.from_dict(told["bg_nbd"])
        return cls(**{**told, **lists, "gamma_gamma": gamma_gamma, "bg_nbd": bg_nbd})


def fit_value_model(
    history: History,
    as_of: date,
    horizon_days: int,
    *,
    curve_model: Any = None,
    only: str | None = None,
    seed: int = 0,
    progress: Progress = quiet,
) -> ValueModel:
    """Fit on what was known before as_of. `only` names a plain baseline to fit instead (see training.peers.value).

    curve_model is taken for the sake of one signature and not looked at: the curves come with the prediction.
    """
    if only is not None and only not in VALUE_PEERS:
        raise InputError(f"unknown value baseline {only!r}; known: {', '.join(VALUE_PEERS)}")
    progress("fitting expected spend", 0.0)
    vectors = build_vectors(history, [as_of])
    visits = vectors.frame["visits"].to_numpy(dtype=float)
    mean = np.maximum(np.nan_to_num(vectors.frame["spend_mean_yuan"].to_numpy(dtype=float)), 0)
    gamma_gamma, bg_nbd = _fit_or_none(visits, mean, seed), _btyd_or_none(vectors, seed)
    given_buying: tuple[float, ...] = (1.0,) * len(VISIT_GROUPS)
    edges: tuple[float, ...] = ()
    low: tuple[float, ...] = (0.0,)
    high: tuple[float, ...] = (float(mean.max(initial=0.0)),)
    try:
        snapshot = take_snapshot(history, as_of, horizon_days)
    except NotEnoughData:
        pass  # without a matured snapshot: one visit a buyer, and an interval as wide as the brand
    else:
        given_buying = _visits_given_buying(snapshot)
        edges, low, high = _bands(snapshot, seed)
    progress("fitted expected spend", 1.0)
    return ValueModel(
        horizon_days=horizon_days,
        record_days=min(365, max(1, (as_of - history.coverage_start).days)),
        only=only,
        gamma_gamma=gamma_gamma,
        bg_nbd=bg_nbd,
        visits_given_buying=given_buying,
        band_edges=edges,
        band_low_yuan=low,
        band_high_yuan=high,
        as_of=as_of.isoformat(),
        members=len(visits),
    )


def _fit_or_none(visits: Floats, mean: Floats, seed: int) -> GammaGamma | None:
    try:
        return fit_gamma_gamma(visits, mean, seed=seed)
    except NotEnoughData:
        return None


def _btyd_or_none(vectors: MemberVectors, seed: int) -> Btyd | None:
    try:
        return fit_btyd(*btyd_inputs(vectors), family="bg_nbd", seed=seed)
    except NotEnoughData:
        return None


def _visits_given_buying(snapshot: Snapshot) -> tuple[float, ...]:
    bought = ~snapshot.churned
    before = snapshot.vectors.frame["visits"].to_numpy(dtype=float)
    group = np.maximum(np.searchsorted(VISIT_GROUPS, before, side="right") - 1, 0)
    overall = float(snapshot.visits[bought].mean())
    sums = np.bincount(group[bought], snapshot.visits[bought], minlength=len(VISIT_GROUPS))
    counts = np.bincount(group[bought], minlength=len(VISIT_GROUPS))
    return tuple(float(v) for v in (sums + GROUP_PULL * overall) / (counts + GROUP_PULL))


def _bands(snapshot: Snapshot, seed: int) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """Bands of expectation at the snapshot with the 10 % and 90 % points of what was then spent.

    The expectation is that of BG/NBD and gamma-gamma, which need no labels and so say at the snapshot what they would
    have said then.
    """
    vectors = snapshot.vectors
    visits = vectors.frame["visits"].to_numpy(dtype=float)
    mean = np.maximum(np.nan_to_num(vectors.frame["spend_mean_yuan"].to_numpy(dtype=float)), 0)
    gamma_gamma, bg_nbd = _fit_or_none(visits, mean, seed), _btyd_or_none(vectors, seed)
    expected = mean if gamma_gamma is None else gamma_gamma.expected_spend(visits, mean)
    if bg_nbd is not None:
        expected = expected * bg_nbd.expected_visits(float(snapshot.horizon_days), *btyd_inputs(vectors))
    edges = np.unique(np.quantile(expected, np.linspace(0, 1, INTERVAL_BANDS + 1)[1:-1]))
    band = np.searchsorted(edges, expected, side="right")
    low, high = np.zeros(len(edges) + 1), np.zeros(len(edges) + 1)
    for b in range(len(edges) + 1):
        spent = snapshot.net_spend_yuan[band == b]
        if len(spent):
            low[b], high[b] = np.quantile(spent, [0.1, 0.9])
    as_floats = [tuple(float(v) for v in values) for values in (edges, np.maximum(low, 0), np.maximum(high, 0))]
    return as_floats[0], as_floats[1], as_floats[2]
