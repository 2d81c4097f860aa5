"""A history and the serving models in; out: one row a member with everything that is predicted of him or her."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.history import History, population
from features.progress import Progress, quiet
from features.vectors import MemberVectors, build_vectors
from training.curve_model import CurveModel
from training.propensities import Propensities
from training.release import COLD, NEVER_SCORED, SCORED
from training.stages import assign_stage, stage_thresholds
from training.tiers import assign_tiers
from training.timing import next_purchase
from training.value import ValueModel

# Vector columns that are kept beside the predictions, because lists and cards need them as numbers.
CARRIED = ("recency_days", "visits", "gap_shrunk_days", "spend_mean_yuan", "spend_365d_yuan", "tenure_days")
# Upper edges of the churn bands that a guide sees in words. They cut the probability itself, so that "low" means the
# same for every brand.
BANDS = ((0.35, "low"), (0.65, "medium"), (1.01, "high"))


@dataclass(frozen=True)
class ModelSource:
    """Which version serves a task: `source` is model or fallback; a fallback gives its reason."""

    task: str
    name: str
    version: str
    run_id: str
    source: str
    reason: str | None
    trained_as_of: str


@dataclass(frozen=True)
class Predictions:
    """What is predicted at `as_of`, all arrays in the order of `frame`, which is sorted by the bytes of member_id.

    frame: member_id, kind (0 scored, 1 registered without a purchase, 2 never scored), churn_probability (no purchase
    within horizon_days), return_probability (within the longest horizon), next_median_days, next_low_days,
    next_high_days (80 % window, days from as_of, null with next_null_reason), expected_spend_yuan with low and high
    (net, next 365 days or the longest horizon), expected_orders, tier, stage, churn_band, rung, CARRIED columns, and
    friend_loss_probability (of friends) and first_purchase_probability (of kind 1), both within horizon_days.
    grid_days int32 [grid]; survival float32 [members, grid] (NaN where not scored); vectors float32 [members, columns].
    propensities: by name, where the last two come from, or why they are null.
    """

    as_of: date
    horizon_days: int
    frame: pd.DataFrame
    grid_days: npt.NDArray[np.int32]
    survival: npt.NDArray[np.float32]
    vectors: npt.NDArray[np.float32]
    propensities: Mapping[str, Any] = field(default_factory=dict)

    @property
    def scored(self) -> npt.NDArray[np.str_]:
        """Ids of the members with predictions."""
        return self.frame.loc[self.frame["kind"] == SCORED, "member_id"].to_numpy(str)


def known_members(history: History, as_of: date) -> pd.DataFrame:
    """member_id and kind of every member the service answers for, sorted; deregistered members are not among them."""
    members = history.tables["members"].select("member_id", "status").to_pandas()
    members = members[members["status"] != "deregistered"]
    buyers = population(history, as_of)
    may_be_scored = history.purchases.members.select("member_id").to_pandas()["member_id"]
    ids = pd.Index(sorted(set(members["member_id"]) | set(buyers), key=str.encode))
    kind = np.where(ids.isin(buyers), SCORED, np.where(ids.isin(may_be_scored), COLD, NEVER_SCORED))
    return pd.DataFrame({"member_id": ids, "kind": kind.astype(np.uint8)})


def score(
    history: History,
    as_of: date,
    horizon_days: int,
    *,
    curve: CurveModel,
    value: ValueModel,
    propensities: Propensities | None = None,
    tiers_before: pd.DataFrame | None = None,
    progress: Progress = quiet,
) -> Predictions:
    """Predict for every member known at `as_of`.

    propensities: chances of friend loss and first purchase; None leaves both null.
    tiers_before: member_id, tier of the last release, so that tiers do not flap.
    """
    known = known_members(history, as_of)
    progress("vectors", 0.05)
    vectors = build_vectors(history, [as_of], cold=True)
    buyers = vectors.frame["visits"].to_numpy() > 0
    scored = MemberVectors(vectors.frame[buyers].reset_index(drop=True), vectors.columns)
    progress("survival curves", 0.4)
    curves = curve.predict(scored)
    progress("value, tiers, stages", 0.7)
    frame = next_purchase(curves, max_days=int(curves.grid_days[-1])).rename(
        columns={
            "median_days": "next_median_days",
            "low_days": "next_low_days",
            "high_days": "next_high_days",
            "null_reason": "next_null_reason",
        }
    )
    frame["churn_probability"] = curves.at(horizon_days)
    frame["churn_band"] = pd.cut(
        frame["churn_probability"], [-0.01, *(edge for edge, _ in BANDS)], labels=[name for _, name in BANDS]
    ).astype(str)
    frame["rung"] = np.asarray(curves.rung, dtype=object)
    spend = value.predict(scored, curves).rename(
        columns={
            "low_yuan": "expected_spend_low_yuan",
            "high_yuan": "expected_spend_high_yuan",
        }
    )
    frame = frame.merge(spend, on="member_id", validate="one_to_one")
    frame = frame.merge(
        assign_tiers(frame[["member_id", "expected_spend_yuan"]], previous=tiers_before), on="member_id"
    )
    frame = frame.merge(scored.frame[["member_id", *CARRIED]], on="member_id", validate="one_to_one")
    frame = known.merge(frame, on="member_id", how="left", validate="one_to_one")
    frame = frame.merge(
        assign_stage(vectors, stage_thresholds(history, as_of)), on="member_id", how="left", validate="one_to_one"
    )
    chances = (propensities or Propensities({}, {}, {})).predict(vectors)
    told = pd.DataFrame(
        {"member_id": vectors.members, **{f"{name}_probability": values for name, values in chances.items()}}
    )
    frame = frame.merge(told, on="member_id", how="left", validate="one_to_one")
    never = frame["kind"].to_numpy() == NEVER_SCORED
    frame.loc[never, [f"{name}_probability" for name in chances]] = np.nan
    progress("arranged", 0.95)
    return Predictions(
        as_of=as_of,
        horizon_days=horizon_days,
        frame=frame,
        grid_days=np.asarray(curves.grid_days, dtype=np.int32),
        survival=_aligned(frame, curves.member_ids, curves.survival),
        vectors=_aligned(frame, vectors.frame["member_id"].to_numpy(str), vectors.matrix()),
        propensities={} if propensities is None else propensities.card,
    )


def _aligned(
    frame: pd.DataFrame, member_ids: npt.NDArray[np.str_], values: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Rows of `values` in the order of `frame`; NaN for members that have none."""
    out = np.full((len(frame), values.shape[1]), np.nan, dtype=np.float32)
    rows = pd.Index(member_ids).get_indexer(pd.Index(frame["member_id"]))
    out[rows >= 0] = values[rows[rows >= 0]]
    return out
