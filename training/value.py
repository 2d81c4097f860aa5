"""Expected spend: vectors and survival curves in; expected net yuan, orders and an 80 % interval within a horizon out.

    expected spend = P(buys within H) × E[net spend | buys]        the curve's, and training.spend_given_buying
                   = expected orders × expected order value         expected orders = P(buys) × E[visits | buys]

The newest labels of a whole horizon are a horizon old, and spend per buyer moves meanwhile. So the same is learned a
second time from windows half as long, which reach closer to today, brought to the horizon by the visits that BG/NBD
expects; the geometric mean of both answers is told. What tenths of the members spent on the newest matured snapshots, with
the curve's P(buys) there brought to the share who did buy, then sets each tenth's sum right and leaves the order as it is.

The interval is of one member's spend: with probability 1 − P(buys) it is nothing, else the expectation times what buyers
spent over what was expected of them. Who may well buy nothing has an interval that begins there. Where no matured snapshot has enough buyers, BG/NBD visits times the gamma-gamma
spend per visit answer, and the rung says so. With fewer than ten paying members the rung is `own_mean`: expected visits
(of BG/NBD, else the curve's chance to buy) times what the member's own visits brought on average. Other horizons scale by
the visits that BG/NBD expects.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

from features.errors import InputError, NotEnoughData
from features.history import History, population
from features.progress import Progress, quiet
from features.vectors import MemberVectors, build_vectors
from training.btyd import Btyd, fit_btyd
from training.cutoffs import check_label_rows, snapshot_days
from training.labels import label_outcomes
from training.peers.curves import btyd_inputs
from training.peers.value import VALUE_PEERS, GammaGamma, fit_gamma_gamma
from training.spend_calibration import SpendMap, brought_to, learn_spend_map
from training.spend_given_buying import SpendGivenBuying, fit_spend_given_buying

Floats = NDArray[np.float64]

# Snapshots, newest first, whose labels teach; older ones say less about today's spend.
MOST_SNAPSHOTS = 4
# The newest of them tell what tenths of the members spent.
NEWEST = 2
# More members than this teach no better; a draw of them keeps the fit cheap.
MOST_MEMBERS = 60_000
# Windows tried for the labels when the record is too short for the horizon asked for.
SHORTER_DAYS = (180, 90, 60, 30, 14)
# Windows half as long as the horizon are worth their noise from this length on.
FEWEST_FRESH_DAYS = 30
# Expected spend per visit over what a visit then brought, for baselines that have no snapshot of their own.
PLAIN_RATIOS = (0.1, 0.3, 0.5, 0.7, 0.85, 1.0, 1.2, 1.6, 2.2, 3.5)
INTERVAL = (0.1, 0.9)
# The lowest rung: nobody else's spend is known well enough to lean on.
OWN_MEAN = "own_mean"
FILE, TREES_FILE, FRESH_TREES_FILE = "value.json", "value_trees.txt", "value_fresh_trees.txt"


class Curves(Protocol):
    """What this module needs of survival curves."""

    @property
    def max_days(self) -> int: ...

    def at(self, days: float) -> Any: ...


class CurveMaker(Protocol):
    """A fitted model of survival curves."""

    def predict(self, vectors: MemberVectors) -> Curves: ...


@dataclass(frozen=True)
class ValueModel:
    """A fitted expectation of spend within horizon_days; label_days is the window the labels of given_buying had.

    fresh is learned from the newer labels of fresh_days; None where the horizon is short or the buyers are few.

    `only` names a plain baseline that answers instead of the model.
    """

    horizon_days: int
    label_days: int
    record_days: int
    only: str | None
    given_buying: SpendGivenBuying | None
    fresh_days: int
    fresh: SpendGivenBuying | None
    gamma_gamma: GammaGamma | None
    bg_nbd: Btyd | None
    as_of: str
    members: int
    snapshots: tuple[str, ...]
    spend_map: SpendMap = field(default_factory=SpendMap)

    @property
    def rung(self) -> str:
        """Which answer serves: curve_two_part, gamma_gamma_bg_nbd, last_year or own_mean."""
        if self.only == "last_year":
            return self.only
        if self.given_buying is not None:
            return "curve_two_part"
        return OWN_MEAN if self.gamma_gamma is None else "gamma_gamma_bg_nbd"

    @property
    def card(self) -> dict[str, Any]:
        """What was fitted, for a model card."""
        last = np.timedelta64(self.label_days - 1, "D")
        given = self.given_buying
        return {
            "source": "model" if self.rung == "curve_two_part" else "fallback",
            "rung": self.rung,
            "horizon_days": self.horizon_days,
            "label_days": self.label_days,
            "fresh_days": self.fresh_days if self.fresh is not None else None,
            "as_of": self.as_of,
            "members": self.members,
            "buyers": 0 if given is None else given.buyers,
            "tree_weight": 0.0 if given is None else given.weight,
            "snapshots": [{"as_of": day, "label_end": str(np.datetime64(day) + last)} for day in self.snapshots],
        }

    def predict(self, vectors: MemberVectors, curves: Curves, *, horizon_days: int | None = None) -> pd.DataFrame:
        """Expectations for every row of the vectors (one as_of); horizon_days other than the fitted one on request.

        Returns member_id, expected_spend_yuan, low_yuan, high_yuan (80 %), expected_orders, expected_order_value_yuan,
        where spend = orders × order value.
        """
        asked = horizon_days or self.horizon_days
        if asked < 1:
            raise InputError(f"value: horizon_days must be at least 1; found {asked}")
        frame = vectors.frame
        visits = np.maximum(np.nan_to_num(frame["visits"].to_numpy(dtype=float)), 0)
        own = np.maximum(np.nan_to_num(frame["spend_mean_yuan"].to_numpy(dtype=float)), 0)
        worth = own if self.gamma_gamma is None else self.gamma_gamma.expected_spend(visits, own)
        window = min(asked, curves.max_days)
        buys = np.clip(1.0 - np.asarray(curves.at(window), dtype=float), 0.0, 1.0)
        ratios: tuple[float, ...] = PLAIN_RATIOS
        if self.rung == "last_year":
            spent = np.maximum(np.nan_to_num(frame["spend_365d_yuan"].to_numpy(dtype=float)), 0)
            spend = spent * asked / self.record_days
            orders = np.divide(spend, worth, out=np.zeros_like(spend), where=worth > 0)
        elif self.given_buying is None:
            orders = buys if self.bg_nbd is None else self.bg_nbd.expected_visits(float(asked), *btyd_inputs(vectors))
            spend = orders * worth
        else:
            ratios = self.given_buying.ratios
            orders, spend = self._learned(vectors, asked, curves)
            learned = spend if asked == self.label_days else self._learned(vectors, self.label_days, curves)[1]
            spend = spend * self.spend_map.factor(learned)
        spend, orders = np.where(visits > 0, spend, 0.0), np.where(visits > 0, orders, 0.0)
        low, high = _interval(buys, spend, np.asarray(ratios))
        value = np.divide(spend, orders, out=worth.copy(), where=orders > 0)
        return pd.DataFrame(
            {
                "member_id": vectors.members,
                "expected_spend_yuan": spend,
                "low_yuan": np.minimum(low, spend),
                "high_yuan": np.maximum(high, spend),
                "expected_orders": orders,
                "expected_order_value_yuan": value,
            }
        )

    def _learned(self, vectors: MemberVectors, asked: int, curves: Curves) -> tuple[Floats, Floats]:
        """Expected orders and spend within so many days by what was learned, before the sums are set right."""
        assert self.given_buying is not None
        window = min(asked, curves.max_days)
        buys = np.clip(1.0 - np.asarray(curves.at(window), dtype=float), 0.0, 1.0)
        beyond = 1.0 if asked == window else self._growth(vectors, asked) / self._growth(vectors, window)
        orders, spend = self._taught(self.given_buying, self.label_days, vectors, window, buys, curves)
        if self.fresh is not None:
            also = self._taught(self.fresh, self.fresh_days, vectors, window, buys, curves)
            orders, spend = np.sqrt(orders * also[0]), np.sqrt(spend * also[1])
        return orders * beyond, spend * beyond

    def _taught(
        self,
        given: SpendGivenBuying,
        labels: int,
        vectors: MemberVectors,
        window: int,
        buys: Floats,
        curves: Curves,
    ) -> tuple[Floats, Floats]:
        """Expected orders and spend within the window by what was learned from labels of another length."""
        # those who buy come more often in a longer window
        longer = self._visits_over(vectors, window, labels, buys, curves)
        orders = buys * np.maximum(given.expected_visits(vectors.frame) * longer, 1.0)
        return orders, buys * given.expected_yuan(vectors.frame) * longer

    def _growth(self, vectors: MemberVectors, days: int) -> Floats:
        """Visits expected within so many days, up to a factor."""
        if self.bg_nbd is None:
            return np.full(len(vectors.frame), float(days))
        return np.maximum(self.bg_nbd.expected_visits(float(days), *btyd_inputs(vectors)), 1e-9)

    def _visits_over(self, vectors: MemberVectors, window: int, labels: int, buys: Floats, curves: Curves) -> Floats:
        """E[visits | buys] in the window over the same in the labels' window; 1 where they are the same."""
        if window == labels:
            return np.ones(len(buys))
        at_labels = np.clip(1.0 - np.asarray(curves.at(min(labels, curves.max_days)), dtype=float), 1e-6, 1.0)
        grown = self._growth(vectors, window) / self._growth(vectors, labels)
        return np.clip(grown * at_labels / np.maximum(buys, 1e-6), 1.0 / 20, 20.0)

    def save(self, folder: Path) -> None:
        """Write the model into a folder: JSON, and the trees as LightGBM text."""
        folder.mkdir(parents=True, exist_ok=True)
        told = {name: value for name, value in asdict(self).items() if name not in ("given_buying", "fresh")}
        told["spend_map"] = self.spend_map.as_dict()
        for name, given, file in self._parts():
            told[name] = None if given is None else given.as_dict()
            if given is not None and given.trees is not None:
                (folder / file).write_text(given.trees, "utf-8")
        (folder / FILE).write_text(json.dumps(told, indent=2) + "\n", "utf-8")

    def _parts(self) -> tuple[tuple[str, SpendGivenBuying | None, str], ...]:
        return (("given_buying", self.given_buying, TREES_FILE), ("fresh", self.fresh, FRESH_TREES_FILE))

    @classmethod
    def load(cls, folder: Path) -> "ValueModel":
        """The model that `save` wrote."""
        told: dict[str, Any] = json.loads((folder / FILE).read_text("utf-8"))
        parts: dict[str, SpendGivenBuying | None] = {}
        for name, file in (("given_buying", TREES_FILE), ("fresh", FRESH_TREES_FILE)):
            said: Mapping[str, Any] | None = told.pop(name)
            trees = (folder / file).read_text("utf-8") if (folder / file).is_file() else None
            parts[name] = None if said is None else SpendGivenBuying.from_dict(said, trees)
        gamma_gamma, bg_nbd = told.pop("gamma_gamma"), told.pop("bg_nbd")
        spend_map = SpendMap.from_dict(told.pop("spend_map", {"log_expected": (), "log_ratio": ()}))
        return cls(
            **{**told, "snapshots": tuple(told["snapshots"])},
            spend_map=spend_map,
            given_buying=parts["given_buying"],
            fresh=parts["fresh"],
            gamma_gamma=None if gamma_gamma is None else GammaGamma(**gamma_gamma),
            bg_nbd=None if bg_nbd is None else Btyd.from_dict(bg_nbd),
        )


def _interval(buys: Floats, spend: Floats, ratios: Floats) -> tuple[Floats, Floats]:
    """An 80 % interval of: nothing with 1 − buys, else spend / buys × one of the ratios.

    From the 10 % to the 90 % point; where more than 10 % buy nothing, nothing is inside, and 80 % reach from it upwards.
    """
    ratios = np.sort(ratios)
    points = (np.arange(len(ratios)) + 0.5) / len(ratios)
    if_buys = np.divide(spend, buys, out=np.zeros_like(spend), where=buys > 0)
    from_nothing = 1.0 - buys >= INTERVAL[0]

    def point(q: Floats) -> Floats:
        inner = np.divide(q - (1.0 - buys), buys, out=np.full_like(buys, -1.0), where=buys > 0)
        return np.where(inner <= 0, 0.0, if_buys * np.interp(inner, points, ratios))

    low = np.where(from_nothing, 0.0, point(np.full_like(buys, INTERVAL[0])))
    high = point(np.where(from_nothing, INTERVAL[1] - INTERVAL[0], INTERVAL[1]))
    return np.maximum(low, 0.0), np.maximum(high, 0.0)


def fit_value_model(
    history: History,
    as_of: date,
    horizon_days: int,
    *,
    curve_model: CurveMaker | None = None,
    only: str | None = None,
    seed: int = 0,
    progress: Progress = quiet,
) -> ValueModel:
    """Fit on what was known before as_of. `only` names a plain baseline to fit instead (see training.peers.value).

    curve_model: the survival curve whose P(buys) predictions will come with; without it tenths are not set right.
    """
    if only is not None and only not in VALUE_PEERS:
        raise InputError(f"unknown value baseline {only!r}; known: {', '.join(VALUE_PEERS)}")
    if horizon_days < 1:
        raise InputError(f"value: horizon_days must be at least 1; found {horizon_days}")
    progress("fitting expected spend", 0.0)
    drawn = _drawn(population(history, as_of), seed)
    vectors = build_vectors(history, [as_of], members=drawn)
    visits = vectors.frame["visits"].to_numpy(dtype=float)
    mean = np.maximum(np.nan_to_num(vectors.frame["spend_mean_yuan"].to_numpy(dtype=float)), 0)
    given: SpendGivenBuying | None = None
    days: list[date] = []
    label_days = horizon_days
    if only is None:
        for label_days in (horizon_days, *(d for d in SHORTER_DAYS if d < horizon_days)):
            progress("learning what buyers spend", 0.3)
            given, days = _given_buying(history, as_of, label_days, drawn, seed)
            if given is not None:
                break
    fresh: SpendGivenBuying | None = None
    fresh_days = label_days // 2
    if given is not None and fresh_days >= FEWEST_FRESH_DAYS:
        progress("learning what buyers spend of late", 0.7)
        fresh, _ = _given_buying(history, as_of, fresh_days, drawn, seed)
    model = ValueModel(
        horizon_days=horizon_days,
        label_days=label_days if given is not None else horizon_days,
        record_days=min(365, max(1, (as_of - history.coverage_start).days)),
        only=only,
        given_buying=given,
        fresh_days=fresh_days,
        fresh=fresh,
        gamma_gamma=_gamma_gamma_or_none(visits, mean, seed),
        bg_nbd=_btyd_or_none(vectors, seed),
        as_of=as_of.isoformat(),
        members=len(visits),
        snapshots=tuple(day.isoformat() for day in days) if given is not None else (),
    )
    if curve_model is not None and given is not None:
        progress("setting sums right", 0.9)
        model = replace(model, spend_map=_spend_map(model, history, as_of, days, drawn, curve_model))
    progress("fitted expected spend", 1.0)
    return model


class _Levelled:
    """Curves of a matured day whose P(buys within label_days) is as often as it came; other days move as much."""

    def __init__(self, curves: Curves, label_days: int, share: float) -> None:
        self.curves, self.max_days = curves, curves.max_days
        buys = 1.0 - np.asarray(curves.at(label_days), dtype=float)
        self.moved = logit(np.clip(brought_to(buys, share), 1e-6, 1 - 1e-6)) - logit(np.clip(buys, 1e-6, 1 - 1e-6))

    def at(self, days: float) -> Floats:
        buys = np.clip(1.0 - np.asarray(self.curves.at(days), dtype=float), 1e-6, 1 - 1e-6)
        return 1.0 - expit(logit(buys) + self.moved)


def _spend_map(
    model: ValueModel,
    history: History,
    as_of: date,
    days: list[date],
    members: NDArray[np.str_] | None,
    curve_model: CurveMaker,
) -> SpendMap:
    """What the model would have expected on its newest snapshots against what came."""
    expected, spent = [], []
    # A past day with less history than the horizon spreads its members too little to teach tenths.
    known = [day for day in days if (day - history.coverage_start).days >= model.label_days]
    for day in known[:NEWEST]:
        vectors = build_vectors(history, [day], members=members)
        labels = label_outcomes(history, vectors, [day], model.label_days, known_before=as_of).frame
        curves = curve_model.predict(vectors)
        if model.label_days > curves.max_days:
            return SpendMap()
        levelled = _Levelled(curves, model.label_days, float(labels["observed"].mean()))
        expected.append(model._learned(vectors, model.label_days, levelled)[1])
        spent.append(labels["net_spend_yuan"].to_numpy(dtype=float))
    return learn_spend_map(np.concatenate(expected), np.concatenate(spent)) if expected else SpendMap()


def _given_buying(
    history: History, as_of: date, label_days: int, members: NDArray[np.str_] | None, seed: int
) -> tuple[SpendGivenBuying | None, list[date]]:
    step = max(14, min(30, label_days // 3))
    days = snapshot_days(as_of, label_days, history.coverage_start, step_days=step, most=MOST_SNAPSHOTS)
    if not days:
        return None, []
    vectors = build_vectors(history, days, members=members)
    labels = label_outcomes(history, vectors, days, label_days, known_before=as_of).frame
    ends = labels["as_of"] + np.timedelta64(label_days - 1, "D")
    check_label_rows(labels.assign(label_end=ends), labels.iloc[:0], test_as_of=as_of)
    day_number = vectors.frame["as_of"].rank(method="dense", ascending=False).to_numpy().astype(np.int64) - 1
    return (
        fit_spend_given_buying(
            vectors.frame,
            labels["net_spend_yuan"].to_numpy(dtype=float),
            labels["orders"].to_numpy(dtype=float),
            day_number,
            seed,
        ),
        days,
    )


def _drawn(ids: NDArray[np.str_], seed: int) -> NDArray[np.str_] | None:
    """A draw of the members where there are more than are needed; None means everybody."""
    if len(ids) <= MOST_MEMBERS:
        return None
    return np.sort(np.random.default_rng(seed).choice(ids, MOST_MEMBERS, replace=False))


def _gamma_gamma_or_none(visits: Floats, mean: Floats, seed: int) -> GammaGamma | None:
    try:
        return fit_gamma_gamma(visits, mean, seed=seed)
    except NotEnoughData:
        return None


def _btyd_or_none(vectors: MemberVectors, seed: int) -> Btyd | None:
    try:
        return fit_btyd(*btyd_inputs(vectors), family="bg_nbd", seed=seed)
    except NotEnoughData:
        return None
