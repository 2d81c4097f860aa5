"""A history in; out: one survival curve a member, blended from buy-till-you-die models, a pooled hazard and trees."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.errors import InputError
from features.history import History, population
from features.progress import Progress, quiet
from features.vectors import MemberVectors
from training.blend import blend
from training.btyd import Btyd, Family
from training.calibration import ShapeMap, shift_level
from training.curve_fit import Components
from training.curves import SurvivalCurves
from training.direct import DirectTrees
from training.hazard import TreeHazard, TreeSettings, load_booster, save_booster
from training.horizon import Horizon, propose_horizon
from training.ladder import (
    RECENCY_BANDS,
    Step,
    band_curves,
    band_of,
    choose_step,
)
from training.past_days import learn_curve
from training.periods import Bins, make_bins
from training.pooled import PooledHazard
from training.reasons import explain_scores
from training.snapshots import NAMES, Snapshots, SnapshotSettings, drawn_members, snapshot_ages, take_snapshots
from training.views import FloatArray, View, make_view

LONGEST_DAYS = 730
# The plain baselines that can be fitted behind the same class.
ONLY = ("recency", "bg_nbd", "mbg_nbd")
# Members scored at a time: their curves on all edges stay within a processor's cache.
CHUNK_MEMBERS = 4_096
FORMAT = 6


@dataclass(frozen=True)
class CurveModel:
    """A fitted curve: `families` buy-till-you-die parameters, learned `parts`, `weights` by component name, `bands`
    for the lowest rung, `shape`, `level` and `lean` as corrections, `typical` the member that reasons compare with. `card` says how it was made, without member rows."""

    bins: Bins
    names: tuple[str, ...]
    families: Mapping[Family, Btyd]
    parts: Components
    weights: Mapping[str, float]
    shape: ShapeMap
    level: float
    lean: FloatArray
    bands: FloatArray
    typical: npt.NDArray[np.float32]
    rung: str
    card: dict[str, Any]

    def predict(self, vectors: MemberVectors) -> SurvivalCurves:
        """S(h) for every row of `vectors` (one as_of day), on the model's grid up to its longest horizon."""
        days = vectors.frame["as_of"]
        if days.nunique() > 1:
            raise InputError(f"vectors: expected one as_of day, found {days.nunique()}; use vectors.at(day)")
        survival = self.survival(vectors.matrix(), [c.name for c in vectors.columns])
        as_of = pd.Timestamp(days.iloc[0]).date() if len(days) else date.fromisoformat(self.card["as_of"])
        members = vectors.members.astype(str)
        return SurvivalCurves(members, as_of, self.bins.edges, survival, np.full(len(members), self.rung))

    def survival(self, values: npt.NDArray[np.float32], names: Sequence[str]) -> npt.NDArray[np.float32]:
        """Survival at the grid's days, float32[n, grid], from vectors float32[n, k] with these column names."""
        out = np.empty((len(values), len(self.bins.edges)), dtype=np.float32)
        for first in range(0, len(values), CHUNK_MEMBERS):
            rows = slice(first, first + CHUNK_MEMBERS)
            out[rows] = self._chunk(values[rows], names)
        return out

    def _chunk(self, values: npt.NDArray[np.float32], names: Sequence[str]) -> FloatArray:
        view = make_view(np.empty(len(values), dtype="U1"), values, names, self.bins, self.families)
        if self.rung in (RECENCY_BANDS, "recency"):
            return self.bands[band_of(view.column("recency_days"))]
        mixed = blend(self.parts.curves(view), self.weights, self.lean)
        mixed = shift_level(mixed, self.level)
        return self.shape.bend(mixed, self.bins.at_horizon(), view.column("visits"))

    def explain(self, vectors: MemberVectors) -> pd.DataFrame:
        """What made each member's churn score: member_id, base, one column a group (see training/reasons.py), score.

        base + the groups = score = logit S(horizon); a positive part speaks for staying away.
        """
        names = [c.name for c in vectors.columns]
        at = self.bins.at_horizon()
        return explain_scores(
            vectors.members.astype(str),
            vectors.matrix(),
            names,
            self.typical,
            lambda v: self.survival(v, names)[:, at],
        )

    def save(self, folder: Path) -> None:
        """Write parameters as JSON and trees as LightGBM's own text."""
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / "card.json", self.card)
        pooled, trees, direct = self.parts.pooled, self.parts.trees, self.parts.direct
        parameters: dict[str, Any] = {
            "format": FORMAT,
            "edges": self.bins.edges.tolist(),
            "horizon": self.bins.horizon,
            "names": list(self.names),
            "rung": self.rung,
            "families": {family: model.as_dict() for family, model in self.families.items()},
            "weights": dict(self.weights),
            "shape": self.shape.as_dict(),
            "level": self.level,
            "lean": self.lean.tolist(),
            "bands": self.bands.tolist(),
            "typical": [float(v) if np.isfinite(v) else None for v in self.typical],
            "pooled": None if pooled is None else {k: np.asarray(v).tolist() for k, v in pooled.as_arrays().items()},
            "trees": None if trees is None else {"edges": trees.bins.edges.tolist(), "names": list(trees.names)},
            "direct": None if direct is None else {"names": list(direct.names)},
        }
        _write(folder / "curve.json", parameters)
        if trees is not None:
            save_booster(trees.booster, folder / "trees.txt")
        if direct is not None:
            save_booster(direct.booster, folder / "direct.txt")

    @classmethod
    def load(cls, folder: Path) -> "CurveModel":
        """Read what `save` wrote."""
        p = json.loads((folder / "curve.json").read_text(encoding="utf-8"))
        if p.get("format") != FORMAT:
            raise InputError(f"{folder}/curve.json: expected format {FORMAT}, found {p.get('format')}; fit it again")
        horizon = int(p["horizon"])

        def bins(edges: Sequence[int]) -> Bins:
            return Bins(np.array(edges, dtype=np.int32), horizon)

        pooled, trees, direct = None, None, None
        if p["pooled"] is not None:
            arrays = {name: np.array(values, dtype=float) for name, values in p["pooled"].items()}
            pooled = PooledHazard(
                bins=bins(p["pooled"]["edges"]), **{n: a for n, a in arrays.items() if n != "edges"}
            )
        if p["trees"] is not None:
            booster = load_booster(folder / "trees.txt")
            trees = TreeHazard(booster, tuple(p["trees"]["names"]), bins(p["trees"]["edges"]))
        if p["direct"] is not None:
            direct = DirectTrees(load_booster(folder / "direct.txt"), tuple(p["direct"]["names"]))
        return cls(
            bins(p["edges"]),
            tuple(p["names"]),
            {family: Btyd.from_dict(values) for family, values in p["families"].items()},
            Components(pooled, trees, direct),
            p["weights"],
            ShapeMap.from_dict(p["shape"]),
            float(p["level"]),
            np.array(p["lean"], dtype=float),
            np.array(p["bands"], dtype=float),
            np.array([np.nan if v is None else v for v in p["typical"]], dtype=np.float32),
            str(p["rung"]),
            json.loads((folder / "card.json").read_text(encoding="utf-8")),
        )


def fit_curve_model(
    history: History,
    as_of: date,
    horizon_days: int,
    *,
    max_days: int | None = None,
    seed: int = 0,
    members: Sequence[str] | None = None,
    only: str | None = None,
    trees: TreeSettings | None = None,
    snapshots: SnapshotSettings | None = None,
    progress: Progress = quiet,
) -> CurveModel:
    """Fit on what is known before `as_of`; however little that is, something labelled comes back.

    max_days: longest horizon L; by default what the data have observed, at most two years. members: learn from these
    only. only: one plain baseline (recency, bg_nbd, mbg_nbd) behind the same class. Raises InputError for an unknown
    `only`, and where as_of is not after the first day of the data.
    """
    if only is not None and only not in ONLY:
        raise InputError(f"curve: unknown baseline {only!r}; known: {list(ONLY)}")
    settings, taking = trees or TreeSettings(), snapshots or SnapshotSettings()
    span = (as_of - history.coverage_start).days
    longest = max_days or max(horizon_days, min(span - 1, LONGEST_DAYS))
    bins = make_bins(horizon_days, longest)
    base = population(history, as_of)
    if members is not None:
        base = np.intersect1d(base.astype(str), np.asarray(members, dtype=str))
    drawn = drawn_members(base, taking.members, seed)
    followed = base if drawn is None and members is not None else drawn
    ages = snapshot_ages(span, bins, taking)
    if only is not None and only != "recency":
        ages = ages[:1]  # a family learns from histories alone; one past day keeps the lowest rung ready
    taken = take_snapshots(
        history,
        as_of,
        ages,
        bins,
        followed,
        rhythm=only is None,  # a plain baseline is the one that the gate has judged
        seed=seed,
        progress=lambda message, done: progress(message, 0.05 + 0.55 * done),
    )
    bands = band_curves(taken.watched, bins)
    step = _step(history, as_of, taken, len(base), span, bins)
    if only is not None:
        return _baseline(only, bins, taken, bands, step, _card(as_of, bins, taken, len(base), seed))
    progress("fitting the curve", 0.6)
    learned = learn_curve(taken, bins, step, span, settings, seed=seed, progress=progress)
    lesson, parts, shape = learned.lesson, learned.parts, learned.shape
    card = _card(as_of, bins, taken, len(base), seed) | {
        "rung": step.rung,
        "source": "fallback" if step.rung == RECENCY_BANDS else "model",
        "reason": step.reason,
        "weights": dict(learned.weights),
        "past_day": lesson.card if lesson else None,
        "calibration": {
            "level_log_odds": learned.level,
            "lean_log_odds": float(learned.lean[bins.at_horizon()]),
            "shape_returners": list(shape.returners),
        },
        "columns": list(parts.trees.names) if parts.trees else [],
    }
    progress("fitted", 1.0)
    return CurveModel(
        bins,
        NAMES,
        taken.families,
        parts,
        learned.weights,
        shape,
        learned.level,
        learned.lean,
        bands,
        taken.typical,
        step.rung,
        card,
    )


def _step(history: History, as_of: date, taken: Snapshots, members: int, span: int, bins: Bins) -> Step:
    visits = history.visit_frame()
    visits = visits[visits["day"] < np.datetime64(as_of)]
    repeats = len(visits) - visits["member_id"].nunique()
    returns = sum(int(np.isfinite(w.days_to_next).sum()) for w in taken.watched)
    return choose_step(members, repeats, returns, span, bins.horizon, len(taken.families))


def _baseline(
    only: str, bins: Bins, taken: Snapshots, bands: FloatArray, step: Step, card: dict[str, Any]
) -> CurveModel:
    families = {family: model for family, model in taken.families.items() if family == only}
    weights: dict[str, float] = {str(family): 1.0 for family in families}
    rung = only if families else "recency"
    reason = "asked for as the plain baseline"
    if only != "recency" and not families:
        reason = step.reason
    card = card | {"rung": rung, "source": "fallback", "reason": reason, "weights": weights, "columns": []}
    none, flat = Components(None, None), np.zeros(len(bins.edges))
    return CurveModel(
        bins, NAMES, families, none, weights, ShapeMap.unchanged(), 0.0, flat, bands, taken.typical, rung, card
    )


def _card(as_of: date, bins: Bins, taken: Snapshots, members: int, seed: int) -> dict[str, Any]:
    return {
        "as_of": as_of.isoformat(),
        "horizon_days": bins.horizon,
        "max_days": bins.max_days,
        "members": members,
        "seed": seed,
        "snapshots": [
            {
                "as_of": day.isoformat(),
                "label_end": (day + timedelta(days=w.follow_up_days - 1)).isoformat(),
                "members": len(w.view),
            }
            for day, w in zip(taken.days, taken.watched, strict=True)
        ],
        "families": {family: model.as_dict() for family, model in taken.families.items()},
    }


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")


__all__ = ["CurveModel", "Horizon", "View", "fit_curve_model", "propose_horizon"]
