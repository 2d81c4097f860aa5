"""Two chances beside the survival curve: that a friend deletes the guide, and that a member who never bought will buy.

Both are logistic regressions on a handful of vector columns, learned on the newest matured snapshot (as of D−H, labels
before D), and refuse with NotEnoughData where the event was seen too rarely. Where the record reaches back far enough,
the same is learned a horizon earlier and must have foretold what followed better than the plain rate did; else the plain
rate answers for everybody, labelled as fallback. Purchase churn is not among them: that is the curve's.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from features.errors import NotEnoughData
from features.history import History
from features.vectors import MemberVectors, build_vectors
from training.labels import label_outcomes

Floats = NDArray[np.float64]

# What a deletion may depend on: how long they know each other, how often the guide wrote, and how it was answered.
FRIEND_INPUTS = (
    "friend_days",
    "contacts_30d",
    "contacts_90d",
    "contact_recency_days",
    "answered_365d",
    "refused_365d",
)
# What a first purchase may depend on: how long ago the member joined, and signs of interest since.
FIRST_INPUTS = (
    "member_days",
    "event_recency_days",
    "events_30d",
    "views_30d",
    "intents_30d",
    "is_friend",
    "contacts_90d",
)
# Fewer of the event, or of its absence, than this teach nothing that holds.
FEWEST_EVENTS = 30


FRIEND_LOSS, FIRST_PURCHASE = "friend_loss", "first_purchase"
WHAT = {FRIEND_LOSS: "friend loss", FIRST_PURCHASE: "first purchase"}
FILE = "propensities.json"


@dataclass(frozen=True)
class Propensity:
    """A logistic regression: P = 1 / (1 + exp(−(intercept + Σ slope · (x − centre) / spread))).

    x is log(1 + value) of each input, and 1 where it is null in a column of its own.
    """

    what: str
    inputs: tuple[str, ...]
    horizon_days: int
    intercept: float
    slopes: tuple[float, ...]
    centres: tuple[float, ...]
    spreads: tuple[float, ...]
    members: int
    events: int
    as_of: str

    def predict(self, vectors: MemberVectors) -> pd.DataFrame:
        """member_id, probability (float64) for every row of the vectors."""
        x = (_design(vectors.frame, self.inputs) - np.array(self.centres)) / np.array(self.spreads)
        logit = self.intercept + x @ np.array(self.slopes)
        return pd.DataFrame({"member_id": vectors.members, "probability": 1.0 / (1.0 + np.exp(-logit))})

    def save(self, path: Path) -> None:
        """Write the model as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Propensity":
        """The model that `save` wrote."""
        return cls.from_dict(json.loads(path.read_text(encoding="utf-8")))

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> "Propensity":
        """The inverse of dataclasses.asdict."""
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in told.items()}
        return cls(**values)


@dataclass(frozen=True)
class Propensities:
    """What could be learned, by FRIEND_LOSS and FIRST_PURCHASE; missing: why the others are not told; judged: log loss
    of the recipe and of the plain rate a horizon earlier, where the record reached back so far; fallback: why the plain
    rate answers."""

    found: Mapping[str, Propensity]
    missing: Mapping[str, str]
    judged: Mapping[str, Mapping[str, float]]
    fallback: Mapping[str, str] = field(default_factory=dict)

    @property
    def card(self) -> dict[str, Any]:
        """For a manifest: by name, source (model, fallback or None), the reason of the latter two, and what was seen."""
        told: dict[str, Any] = {name: {"source": None, "reason": why} for name, why in self.missing.items()}
        for name, one in self.found.items():
            about = {"horizon_days": one.horizon_days, "members": one.members, "events": one.events}
            source = "fallback" if name in self.fallback else "model"
            judged = dict(self.judged.get(name, {})) or None
            told[name] = {"source": source, "reason": self.fallback.get(name), **about, "judged": judged}
        return told

    def predict(self, vectors: MemberVectors) -> dict[str, Floats]:
        """Probability by name, float64[members]: of friends, and of members who never bought; NaN for others.

        Vectors must have been built with cold=True for the second to mean anything.
        """
        told = {name: np.full(len(vectors.frame), np.nan) for name in WHAT}
        for name, model in self.found.items():
            rows = _asked(name, vectors.frame)
            part = MemberVectors(vectors.frame[rows].reset_index(drop=True), vectors.columns)
            told[name][rows] = model.predict(part)["probability"].to_numpy(dtype=float)
        return told

    def save(self, folder: Path) -> None:
        """Write FILE into a folder."""
        told = {"found": {name: asdict(one) for name, one in self.found.items()}}
        rest = {"missing": dict(self.missing), "judged": {name: dict(one) for name, one in self.judged.items()}}
        rest["fallback"] = dict(self.fallback)
        (folder / FILE).write_text(json.dumps(told | rest, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Propensities":
        """What `save` wrote; where there is nothing, both are missing with the reason."""
        path = folder / FILE
        if not path.is_file():
            why = "the serving model was trained before this was learned; run huitou train"
            return cls({}, dict.fromkeys(WHAT, why), {})
        told = json.loads(path.read_text(encoding="utf-8"))
        found = {name: Propensity.from_dict(one) for name, one in told["found"].items()}
        return cls(found, told["missing"], told["judged"], told["fallback"])


def fit_propensities(history: History, as_of: date, horizon_days: int) -> Propensities:
    """Learn both chances; one that lacks data is missing, one no better than the plain rate gives way to it."""
    found: dict[str, Propensity] = {}
    missing: dict[str, str] = {}
    fallback: dict[str, str] = {}
    judged: dict[str, dict[str, float]] = {}
    then = as_of - timedelta(days=horizon_days)
    earlier = then - timedelta(days=horizon_days)
    vectors, older = (
        build_vectors(history, [day], cold=True) if day > history.coverage_start else None for day in (then, earlier)
    )
    for name in WHAT:
        try:
            model = _learn(name, history, as_of, horizon_days, vectors)
            try:
                before = _learn(name, history, then, horizon_days, older)
            except NotEnoughData:
                before = None
            if before is not None and vectors is not None:
                judged[name] = _judge(name, before, history, vectors, then, as_of)
                own, plain = judged[name]["log_loss"], judged[name]["log_loss_of_the_rate"]
                if own >= plain:
                    fallback[name] = (
                        f"{WHAT[name]}: in the {horizon_days} days before {as_of} the log loss was {own:.4f}, "
                        f"against {plain:.4f} of the plain rate"
                    )
                    model = _plain_rate(model)
            found[name] = model
        except NotEnoughData as why:
            missing[name] = str(why)
    return Propensities(found, missing, judged, fallback)


def _plain_rate(model: Propensity) -> Propensity:
    """The same for everybody: how often it happened."""
    rate = model.events / model.members
    return replace(model, intercept=float(np.log(rate / (1 - rate))), slopes=(0.0,) * len(model.slopes))


def fit_friend_loss(history: History, as_of: date, horizon_days: int) -> Propensity:
    """P(the member deletes the guide's contact within the horizon | they are friends), from contacts and assignments."""
    return _learn(FRIEND_LOSS, history, as_of, horizon_days, None)


def fit_first_purchase(history: History, as_of: date, horizon_days: int) -> Propensity:
    """P(a registered member who never bought makes the first purchase within the horizon)."""
    return _learn(FIRST_PURCHASE, history, as_of, horizon_days, None)


def _learn(name: str, history: History, as_of: date, horizon_days: int, vectors: MemberVectors | None) -> Propensity:
    if name == FRIEND_LOSS and history.tables.get("assignments") is None:
        raise NotEnoughData(
            "friend loss: there is no assignments table; send it with friend_since and friend_lost_at"
        )
    then = _snapshot_day(history, as_of, horizon_days, WHAT[name])
    part, happened = _seen(name, history, vectors or build_vectors(history, [then], cold=True), then, as_of)
    return _fit(
        WHAT[name],
        part,
        happened,
        FRIEND_INPUTS if name == FRIEND_LOSS else FIRST_INPUTS,
        horizon_days,
        as_of,
    )


def _asked(name: str, frame: pd.DataFrame) -> NDArray[np.bool_]:
    """Friends, or members who never bought."""
    if name == FRIEND_LOSS:
        return frame["is_friend"].to_numpy(dtype=float) == 1
    return ~(frame["visits"].to_numpy(dtype=float) > 0)


def _seen(
    name: str, history: History, vectors: MemberVectors, then: date, as_of: date
) -> tuple[MemberVectors, NDArray[np.bool_]]:
    """The members who are asked about on the day `then`, and to whom it happened before as_of."""
    rows = _asked(name, vectors.frame)
    part = MemberVectors(vectors.frame[rows].reset_index(drop=True), vectors.columns)
    if name == FIRST_PURCHASE:
        labels = label_outcomes(history, part, [then], (as_of - then).days, known_before=as_of).frame
        return part, labels["observed"].to_numpy(bool)
    lost = history.tables["assignments"].select("member_id", "friend_lost_at", "lost_by").to_pandas()
    day = pd.to_datetime(lost["friend_lost_at"])
    inside = (day >= pd.Timestamp(then)) & (day < pd.Timestamp(as_of)) & lost["lost_by"].ne("guide")
    return part, np.isin(part.members, lost.loc[inside, "member_id"].to_numpy(str))


def _judge(
    name: str, model: Propensity, history: History, vectors: MemberVectors, then: date, as_of: date
) -> dict[str, float]:
    """Log loss on what followed `then`, beside that of the rate the model was learned from."""
    part, happened = _seen(name, history, vectors, then, as_of)
    told = model.predict(part)["probability"].to_numpy(dtype=float)
    rate = np.full(len(told), model.events / model.members)

    def loss(p: Floats) -> float:
        p = np.clip(p, 1e-6, 1 - 1e-6)
        return float(-np.where(happened, np.log(p), np.log1p(-p)).mean()) if len(p) else float("inf")

    return {"log_loss": loss(told), "log_loss_of_the_rate": loss(rate)}


def _snapshot_day(history: History, as_of: date, horizon_days: int, what: str) -> date:
    then = as_of - timedelta(days=horizon_days)
    if then <= history.coverage_start:
        raise NotEnoughData(
            f"{what}: no window of {horizon_days} days lies between {history.coverage_start} and {as_of}; "
            "give a longer history or a shorter horizon"
        )
    return then


def _fit(
    what: str, vectors: MemberVectors, happened: NDArray[np.bool_], inputs: Sequence[str], days: int, as_of: date
) -> Propensity:
    events = int(happened.sum())
    if min(events, len(happened) - events) < FEWEST_EVENTS:
        raise NotEnoughData(
            f"{what}: {events} of {len(happened)} members in the {days} days before {as_of}; "
            f"{FEWEST_EVENTS} of each kind are needed"
        )
    x = _design(vectors.frame, inputs)
    centre, spread = x.mean(axis=0), x.std(axis=0)
    spread = np.where(spread > 1e-9, spread, 1.0)
    found = LogisticRegression(C=1.0, max_iter=2000).fit((x - centre) / spread, happened)
    return Propensity(
        what=what,
        inputs=tuple(inputs),
        horizon_days=days,
        intercept=float(found.intercept_[0]),
        slopes=tuple(map(float, found.coef_[0])),
        centres=tuple(map(float, centre)),
        spreads=tuple(map(float, spread)),
        members=len(happened),
        events=events,
        as_of=as_of.isoformat(),
    )


def _design(frame: pd.DataFrame, inputs: Sequence[str]) -> Floats:
    values = frame[list(inputs)].to_numpy(dtype=float)
    null = ~np.isfinite(values)
    return np.hstack([np.log1p(np.maximum(np.where(null, 0.0, values), 0.0)), null.astype(float)])
