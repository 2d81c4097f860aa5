"""A history in; out: one survival curve a member, blended from buy-till-you-die models, a pooled hazard and trees."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from features.errors import InputError
from features.history import History
from features.progress import Progress, quiet
from features.vectors import MemberVectors, build_vectors
from training.btyd import Btyd, Family
from training.curves import SurvivalCurves, expit, from_hazards, logit, resample
from training.hazard import TreeHazard, TreeSettings, grow_hazard, load_booster, rows_wanted, save_booster
from training.labels import label_outcomes
from training.periods import Bins, make_bins
from training.pooled import PooledHazard, fit_pooled
from training.views import View, Watched, fit_families, make_view

FloatArray = npt.NDArray[np.floating]

LONGEST_DAYS = 730
SNAPSHOTS = 8
# Below these, the steps of the ladder: bands of recency, buy-till-you-die alone, all components.
FEWEST_MEMBERS, FEWEST_FOR_TREES = 100, 1_000
BANDS = (7, 14, 30, 60, 90, 120, 180, 270, 365, 100_000)
ONLY = ("recency", "bg_nbd", "mbg_nbd")


@dataclass(frozen=True)
class Horizon:
    """A proposed churn horizon in days, and why."""

    days: int
    why: str


def propose_horizon(history: History, as_of: date) -> Horizon:
    """H = twice the median gap between visits, rounded to 30, 60, 90 or 180 days, and at most a third of the history."""
    visits = history.visit_frame()
    gaps = visits.loc[visits["day"].dt.date < as_of, "gap_days"].dropna()
    median = float(gaps.median()) if len(gaps) else 45.0
    longest = max(((as_of - history.coverage_start).days) // 3, 7)
    steps = [step for step in (30, 60, 90, 180) if step <= longest] or [longest]
    days = min(steps, key=lambda step: abs(np.log(step / max(2 * median, 1.0))))
    return Horizon(days, f"members' median gap is {median:.0f} days; twice that, rounded")


@dataclass(frozen=True)
class CurveModel:
    """A fitted curve. `families` hold the buy-till-you-die parameters, `trees` and `pooled` may be absent."""

    bins: Bins
    names: tuple[str, ...]
    families: Mapping[Family, Btyd]
    pooled: PooledHazard | None
    trees: TreeHazard | None
    bands: FloatArray
    rung: str
    card: dict[str, Any]

    def predict(self, vectors: MemberVectors) -> SurvivalCurves:
        """S(h) for every row of `vectors` (one as_of day), on the model's grid up to its longest horizon."""
        view = make_view(
            vectors.members, vectors.matrix(), [c.name for c in vectors.columns], self.bins, self.families
        )
        if self.rung == "recency":
            band = np.searchsorted(BANDS, np.nan_to_num(view.column("recency_days"), nan=BANDS[-2]))
            survival = self.bands[np.minimum(band, len(BANDS) - 1)]
        else:
            parts = [view.btyd[family] for family in sorted(view.btyd)]
            coarse = self.trees.bins if self.trees else None
            if self.pooled is not None:
                parts.append(self._fine(self.pooled.bins, from_hazards(self.pooled.hazards(view))))
            if self.trees is not None and coarse is not None:
                parts.append(self._fine(coarse, from_hazards(self.trees.hazards(view))))
            survival = expit(np.mean([logit(part) for part in parts], axis=0))
        survival = np.minimum.accumulate(np.clip(survival, 0, 1), axis=1)
        survival[:, 0] = 1.0
        as_of = vectors.frame["as_of"].iloc[0].date() if len(vectors.frame) else date.min
        return SurvivalCurves(
            view.member_ids, as_of, self.bins.edges, survival.astype(np.float32), np.full(len(view), self.rung)
        )

    def _fine(self, bins: Bins, survival: FloatArray) -> FloatArray:
        return np.asarray(resample(bins.edges, survival, self.bins.edges))

    def save(self, folder: Path) -> None:
        """Write parameters as JSON, arrays as npy, trees as LightGBM's own text."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "card.json").write_text(json.dumps(self.card, ensure_ascii=False, indent=1), encoding="utf-8")
        parameters = {
            "edges": self.bins.edges.tolist(),
            "horizon": self.bins.horizon,
            "names": list(self.names),
            "rung": self.rung,
            "families": {family: model.as_dict() for family, model in self.families.items()},
            "bands": self.bands.tolist(),
            "pooled": None
            if self.pooled is None
            else {k: np.asarray(v).tolist() for k, v in self.pooled.as_arrays().items()},
            "trees": None
            if self.trees is None
            else {
                "edges": self.trees.bins.edges.tolist(),
                "names": list(self.trees.names),
                "offset": self.trees.offset,
            },
        }
        (folder / "curve.json").write_text(json.dumps(parameters), encoding="utf-8")
        if self.trees is not None:
            save_booster(self.trees.booster, folder / "trees.txt")

    @classmethod
    def load(cls, folder: Path) -> "CurveModel":
        """Read what `save` wrote."""
        p = json.loads((folder / "curve.json").read_text(encoding="utf-8"))
        horizon = int(p["horizon"])

        def bins(edges: list[int]) -> Bins:
            return Bins(np.array(edges, dtype=np.int32), horizon)

        pooled, trees = p["pooled"], p["trees"]
        return cls(
            bins(p["edges"]),
            tuple(p["names"]),
            {family: Btyd.from_dict(values) for family, values in p["families"].items()},
            None
            if pooled is None
            else PooledHazard(
                np.array(pooled["mean"]),
                np.array(pooled["scale"]),
                np.array(pooled["weights"]),
                bins(pooled["edges"]),
            ),
            None
            if trees is None
            else TreeHazard(
                load_booster(folder / "trees.txt"), tuple(trees["names"]), bins(trees["edges"]), bool(trees["offset"])
            ),
            np.array(p["bands"]),
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
    threads: int | None = None,
    only: str | None = None,
    progress: Progress = quiet,
) -> CurveModel:
    """Fit on what is known before `as_of`.

    max_days: longest horizon L; by default what the data have observed, at most two years. only: fit one plain
    baseline (recency, bg_nbd, mbg_nbd) behind the same class. Raises InputError for an unknown `only`.
    """
    if only is not None and only not in ONLY:
        raise InputError(f"curve: unknown baseline {only!r}; known: {list(ONLY)}")
    span = (as_of - history.coverage_start).days
    longest = max_days or int(np.clip(span - 1, horizon_days, LONGEST_DAYS))
    bins = make_bins(horizon_days, longest)
    days = _snapshot_days(as_of, span, horizon_days)
    progress("vectors of past days", 0.05)
    vectors = build_vectors(history, [*days, as_of], members=members)
    names = tuple(c.name for c in vectors.columns)
    now = vectors.at(as_of)
    labels = label_outcomes(history, vectors, days, longest, known_before=as_of) if days else None
    watched: list[Watched] = []
    families: dict[Family, Btyd] = {}
    for day in [*sorted(days), as_of]:
        part = vectors.at(day)
        families = _families(part, families, seed)
        if labels is not None and day != as_of and len(part.frame):
            rows = labels.at(day)
            view = make_view(part.members, part.matrix(), names, bins, families)
            seen = np.where(rows["days_to_next"].notna(), rows["days_to_next"], np.inf).astype(float)
            watched.append(Watched(view, seen, min((as_of - day).days, longest), (as_of - day).days))
    progress("fitting", 0.4)
    bands = _recency_bands(watched, bins)
    rung = only or _rung(len(now.frame), watched, families)
    pooled = trees = None
    if only in ("bg_nbd", "mbg_nbd"):
        families = {family: model for family, model in families.items() if family == only}
        rung = only if families else "recency"
    elif rung in ("pooled", "blend"):
        pooled = fit_pooled(watched, bins.coarser(2))
        if rung == "blend":
            coarse = bins.coarser(2)
            settings = TreeSettings()
            share = settings.rows / max(rows_wanted(watched, coarse), 1)
            trees = grow_hazard(
                _drawn(watched, share, seed), names, coarse, settings, seed=seed, threads=threads or 1
            )
    progress("fitted", 1.0)
    card = {
        "rung": rung,
        "source": "fallback" if only else "model",
        "horizon_days": horizon_days,
        "max_days": longest,
        "members": len(now.frame),
        "as_of": as_of.isoformat(),
        "snapshots": [
            {"as_of": str(d), "label_end": str(min(as_of, d + timedelta(days=longest)) - timedelta(days=1))}
            for d in days
        ],
        "columns": list(names),
    }
    return CurveModel(bins, names, families, pooled, trees, bands, rung, card)


def _snapshot_days(as_of: date, span: int, horizon: int) -> list[date]:
    step = max(horizon // 3, 7)
    return [as_of - timedelta(days=step * k) for k in range(1, SNAPSHOTS + 1) if span - step * k >= max(step, 14)]


def _families(part: MemberVectors, start: Mapping[Family, Btyd], seed: int) -> dict[Family, Btyd]:
    f = part.frame
    tenure = f["tenure_days"].to_numpy(float)
    last = np.clip(tenure - f["recency_days"].to_numpy(float), 0, tenure)
    return fit_families(np.maximum(f["visits"].to_numpy(float) - 1, 0), last, tenure, start=start or None, seed=seed)


def _rung(members: int, watched: Sequence[Watched], families: Mapping[Family, Btyd]) -> str:
    if members < FEWEST_MEMBERS or not families:
        return "recency"
    events = sum(int((w.days_to_next <= w.follow_up_days).sum()) for w in watched)
    if members < FEWEST_FOR_TREES or events < 500:
        return "btyd"
    return "blend"


def _recency_bands(watched: Sequence[Watched], bins: Bins) -> FloatArray:
    """Kaplan–Meier survival of each recency band at the bins' edges, pulled to the whole base's where it is thin."""
    exits, at_risk = np.zeros((len(BANDS) + 1, bins.count)), np.zeros((len(BANDS) + 1, bins.count))
    for snapshot in watched:
        band = np.minimum(np.searchsorted(BANDS, np.nan_to_num(snapshot.view.column("recency_days"))), len(BANDS) - 1)
        whole = min(bins.whole(snapshot.follow_up_days), bins.count)
        for j in range(whole):
            alive = snapshot.days_to_next > bins.edges[j]
            gone = alive & (snapshot.days_to_next <= bins.edges[j + 1])
            for table, rows in ((at_risk, alive), (exits, gone)):
                table[:-1, j] += np.bincount(band[rows], minlength=len(BANDS))
                table[-1, j] += rows.sum()
    overall = (exits[-1] + 0.5) / (at_risk[-1] + 5.0)
    hazard = (exits[:-1] + 10 * overall) / (at_risk[:-1] + 10)
    return np.asarray(from_hazards(hazard))


def _drawn(watched: Sequence[Watched], share: float, seed: int) -> list[Watched]:
    if share >= 1:
        return list(watched)
    rng = np.random.default_rng(seed)
    return [snapshot.rows(rng.random(len(snapshot.view)) < share) for snapshot in watched]


__all__ = ["CurveModel", "Horizon", "View", "fit_curve_model", "propose_horizon"]
