"""Vectors and a score in; out: what made each member's score, in groups that a guide would name, adding up to it.

Contributions of trees alone would cost some 460 predictions a member and leave out the rest of the blend. Here the
whole score is asked again with one group after another set to the typical member's values, once forwards and once
backwards, and the two are averaged: eleven predictions a member, exact in sum for any kind of score.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.curves import logit
from training.periods import Bins
from training.views import FloatArray


@dataclass(frozen=True)
class ReasonGroup:
    """A group of vector columns under one name. `told`: may be said to a guide."""

    code: str
    name_zh: str
    name_en: str
    columns: frozenset[str]
    told: bool = True


# Every column not named below belongs to "other", which is never told.
GROUPS: tuple[ReasonGroup, ...] = (
    ReasonGroup(
        "last_visit",
        "距上次到店与自身节奏",
        "last visit against the own rhythm",
        frozenset(
            {
                *("recency_days", "first_to_last_days", "recency_over_gap", "recency_over_gap_max"),
                *("gap_mean_days", "gap_median_days", "gap_shrunk_days", "gap_last_days", "gap_before_last_days"),
                *("gap_min_days", "gap_max_days"),
            }
        ),
    ),
    ReasonGroup(
        "frequency",
        "到店次数",
        "number of visits",
        frozenset({"visits", "repeat_visits", "orders", "visits_365d", "visits_weighted", "visits_per_30d"}),
    ),
    ReasonGroup(
        "trend",
        "近期变化",
        "recent trend",
        frozenset(
            {
                *("visits_30d", "visits_60d", "visits_90d", "visits_180d", "visits_trend_30d", "visits_trend_90d"),
                *("visits_trend_180d", "spend_recent_share", "gap_trend", "basket_trend", "pace_365d"),
                *("spend_30d_yuan", "spend_60d_yuan", "spend_90d_yuan", "spend_180d_yuan"),
            }
        ),
    ),
    ReasonGroup(
        "spend",
        "消费金额",
        "spend",
        frozenset(
            {
                *("spend_total_yuan", "spend_mean_yuan", "spend_median_yuan", "spend_std_yuan", "spend_max_yuan"),
                *("last_visit_spend_yuan", "spend_365d_yuan", "spend_mean_365d_yuan", "spend_last_over_mean"),
            }
        ),
    ),
    ReasonGroup("regularity", "规律性", "regularity", frozenset({"gap_std_days", "gap_cv"})),
    ReasonGroup("tenure", "入会时间", "time since joining", frozenset({"tenure_days", "member_days"})),
)
OTHER = "other"
CODES: tuple[str, ...] = (*(group.code for group in GROUPS), OTHER)


def explain_scores(
    member_ids: np.ndarray,
    values: npt.NDArray[np.float32],
    names: Sequence[str],
    typical: npt.NDArray[np.float32],
    churn: Callable[[npt.NDArray[np.float32]], FloatArray],
) -> pd.DataFrame:
    """Parts of logit(churn) per member: member_id, base, one column a group in CODES, score = base + Σ groups.

    values: float32[n, len(names)]; typical: float32[len(names)], the member compared with (see `typical_member`);
    churn: P(churn) from such a matrix.
    A positive part speaks for staying away.
    """
    columns = {code: np.array([j for j, name in enumerate(names) if _group(name) == code]) for code in CODES}
    score = logit(churn(values).astype(np.float64))
    parts = {code: np.zeros(len(values)) for code in CODES}
    for order in (CODES, CODES[::-1]):
        now, before = values.copy(), score
        for code in order:
            if len(columns[code]):
                now[:, columns[code]] = typical[columns[code]]
            after = logit(churn(now).astype(np.float64))
            parts[code] += (before - after) / 2.0
            before = after
        base = before
    frame = pd.DataFrame({"member_id": member_ids, "base": base if len(values) else np.zeros(0)})
    for code in CODES:
        frame[code] = parts[code]
    frame["score"] = score
    return frame


class Scorer(Protocol):
    """What is asked for reasons: a curve model."""

    @property
    def bins(self) -> Bins:
        """The grid of days."""
        ...

    @property
    def typical(self) -> npt.NDArray[np.float32]:
        """The member compared with."""
        ...

    def survival(self, values: npt.NDArray[np.float32], names: Sequence[str]) -> npt.NDArray[np.float32]:
        """S at the grid's days."""
        ...


def reason_parts(model: Scorer, values: npt.NDArray[np.float32], names: Sequence[str]) -> npt.NDArray[np.float32]:
    """Parts of logit(churn at the horizon), float32 [n, groups in the order of CODES]; positive speaks for staying away."""
    at = model.bins.at_horizon()
    nobody = np.empty(len(values), dtype="U1")
    explained = explain_scores(nobody, values, names, model.typical, lambda v: model.survival(v, names)[:, at])
    return explained[list(CODES)].to_numpy(np.float32)


def told_groups() -> list[dict[str, str]]:
    """code, zh, en of each of CODES, as a release's manifest says them; groups that are never told have no words."""
    words = {group.code: {"zh": group.name_zh, "en": group.name_en} for group in GROUPS if group.told}
    return [{"code": code, **words.get(code, {})} for code in CODES]


def top_groups(explained: pd.DataFrame, n: int = 3) -> pd.DataFrame:
    """member_id, rank 1…n, code, part of the groups that speak loudest for churn, those a guide may hear of only."""
    told = [group.code for group in GROUPS if group.told]
    parts = explained[told].to_numpy(float)
    order = np.argsort(-parts, axis=1, kind="stable")[:, :n]
    rows = np.repeat(np.arange(len(parts)), order.shape[1])
    flat = order.ravel()
    frame = pd.DataFrame(
        {
            "member_id": explained["member_id"].to_numpy()[rows],
            "rank": np.tile(np.arange(1, order.shape[1] + 1), len(parts)),
            "code": np.array(told)[flat],
            "part": parts[rows, flat],
        }
    )
    return frame[frame["part"] > 0].reset_index(drop=True)


def _group(name: str) -> str:
    return next((group.code for group in GROUPS if name in group.columns), OTHER)


def typical_member(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The median of each column of vectors [n, k]; missing where most members miss it."""
    typical = np.full(values.shape[1], np.nan, dtype=np.float32)
    for j in range(values.shape[1]):
        column = values[:, j]
        known = column[np.isfinite(column)]
        if len(known) * 2 >= len(column) and len(known):
            typical[j] = np.median(known)
    return typical
