"""Two chances beside the survival curve: that a friend deletes the guide, and that a member who never bought will buy.

Both are logistic regressions on a handful of vector columns, learned on the newest matured snapshot (as of D−H, labels
before D), and refuse with NotEnoughData where the event was seen too rarely. Purchase churn is not among them: that is
the curve's.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
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
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in told.items()}
        return cls(**values)


def fit_friend_loss(history: History, as_of: date, horizon_days: int) -> Propensity:
    """P(the member deletes the guide's contact within the horizon | they are friends), from contacts and assignments."""
    if history.tables.get("assignments") is None:
        raise NotEnoughData(
            "friend loss: there is no assignments table; send it with friend_since and friend_lost_at"
        )
    then = _snapshot_day(history, as_of, horizon_days, "friend loss")
    vectors = build_vectors(history, [then], cold=True)
    friends = vectors.frame["is_friend"].to_numpy(dtype=float) == 1
    vectors = MemberVectors(vectors.frame[friends].reset_index(drop=True), vectors.columns)
    lost = history.tables["assignments"].select("member_id", "friend_lost_at", "lost_by").to_pandas()
    day = pd.to_datetime(lost["friend_lost_at"])
    inside = (day >= pd.Timestamp(then)) & (day < pd.Timestamp(as_of)) & lost["lost_by"].ne("guide")
    gone = np.isin(vectors.members, lost.loc[inside, "member_id"].to_numpy(str))
    return _fit("friend loss", vectors, gone, FRIEND_INPUTS, horizon_days, as_of)


def fit_first_purchase(history: History, as_of: date, horizon_days: int) -> Propensity:
    """P(a registered member who never bought makes the first purchase within the horizon)."""
    then = _snapshot_day(history, as_of, horizon_days, "first purchase")
    vectors = build_vectors(history, [then], cold=True)
    cold = ~(vectors.frame["visits"].to_numpy(dtype=float) > 0)
    vectors = MemberVectors(vectors.frame[cold].reset_index(drop=True), vectors.columns)
    labels = label_outcomes(history, vectors, [then], horizon_days, known_before=as_of).frame
    return _fit("first purchase", vectors, labels["observed"].to_numpy(bool), FIRST_INPUTS, horizon_days, as_of)


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
