"""A history and cut-offs in; how good the item lists were beside every plain recommender, on the same members, out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import InputError
from features.progress import Progress, quiet
from training.item_model import SLATES, ItemModel, fit_items
from training.metrics import DRAWS, comparison, judge, mean_of
from training.recommend.judge import (
    METRICS,
    SLICES,
    coverage,
    hits,
    list_values,
    reliability,
    share_of_top,
    split_by_owned,
)
from training.recommend.simple import SIMPLE, TifuSettings, fit_simple, top_lists
from training.recommend.source import ItemSource, codes_in, day_number, source_from_history
from training.recommend.visits import first_baskets

N = 10


@dataclass(frozen=True)
class _Cutoff:
    """Per-row values of one cut-off: values[slate][method][metric], codes[slate][method]."""

    members: NDArray[Any]
    visits: NDArray[np.int32]
    values: Mapping[str, Mapping[str, Mapping[str, NDArray[np.float64]]]]
    codes: Mapping[str, Mapping[str, NDArray[np.int32]]]
    popularity: NDArray[np.float64]
    card: Mapping[str, Any]
    reliability: Mapping[str, Any]


def judge_items(
    history: Any,
    as_of: Sequence[date],
    horizon_days: int,
    *,
    members: Iterable[str] | None = None,
    item_members: int = 0,
    seed: int = 0,
    draws: int = DRAWS,
    groups: Mapping[str, Iterable[str]] | None = None,
    progress: Progress = quiet,
) -> dict[str, Any]:
    """{"mixed", "again", "new"}: model, baselines, paired, slices by history length, per_cutoff.

    The target of a member is its first basket with as_of <= day < as_of + horizon_days, later returns or not. Members
    are pooled over the cut-offs and drawn together in the bootstrap. `members` restricts judging, never training;
    item_members > 0 judges that many drawn members a cut-off. Members without history stand in slice "0" alone.
    `groups` names sets of member ids that are reported apart as well. Per cut-off, `reliability` holds told
    probabilities beside what was bought, for lists whose scores are probabilities.
    """
    last = day_number(history.coverage_end)
    for one in as_of:
        if day_number(one) + horizon_days - 1 > last:
            raise InputError(
                f"as_of {one}: its window of {horizon_days} days ends on {one + timedelta(days=horizon_days - 1)}, "
                f"after the data's coverage_end {history.coverage_end}; choose an earlier day or a shorter horizon"
            )
    source = source_from_history(history)
    return judge_source(
        source,
        [day_number(one) for one in as_of],
        horizon_days,
        known_at=last + 1,
        members=None if members is None else list(members),
        item_members=item_members,
        seed=seed,
        draws=draws,
        groups={name: list(ids) for name, ids in (groups or {}).items()},
        progress=progress,
    )


def judge_source(
    source: ItemSource,
    days: Sequence[int],
    horizon_days: int,
    *,
    known_at: int,
    members: Sequence[str] | None = None,
    item_members: int = 0,
    seed: int = 0,
    draws: int = DRAWS,
    groups: Mapping[str, Sequence[str]] | None = None,
    progress: Progress = quiet,
) -> dict[str, Any]:
    """`judge_items` on a source and day numbers; outcomes are read as known at `known_at`."""
    if not days:
        raise InputError("as_of: no cut-off given; expected at least one day")
    happened = source.purchases(known_at, True)
    judged: list[_Cutoff] = []
    for place, day in enumerate(days):

        def step(message: str, fraction: float, place: int = place) -> None:
            progress(message, (place + fraction) / len(days))

        bought = first_baskets(happened, day, day + horizon_days)
        judged.append(
            _judge_cutoff(
                source, day, horizon_days, bought, members=members, item_members=item_members, seed=seed, step=step
            )
        )
    progress("intervals of the item lists", 1.0)
    codes = {name: codes_in(source.member_ids, ids) for name, ids in (groups or {}).items()}
    return {slate: _write(slate, judged, seed, draws, codes) for slate in SLATES}


def _judge_cutoff(
    source: ItemSource,
    day: int,
    horizon_days: int,
    bought: tuple[NDArray[Any], NDArray[Any]],
    *,
    members: Sequence[str] | None,
    item_members: int,
    seed: int,
    step: Progress,
) -> _Cutoff:
    step("fitting the item model", 0.0)
    model = fit_items(source, day, horizon_days=horizon_days, seed=seed, progress=lambda m, f: step(m, 0.6 * f))
    state = model.state
    if state is None:
        raise InputError("the item model has no state")
    visits = state.visits
    rows = np.unique(bought[0])
    rows = rows[state.facts.registered[rows]]
    if members is not None:
        rows = np.intersect1d(rows, codes_in(source.member_ids, members))
    if 0 < item_members < len(rows):
        rows = np.sort(np.random.default_rng(seed).choice(rows, item_members, replace=False))
    target = _of_rows(rows, bought)
    own = visits.matrix()[rows]
    owned = (np.repeat(np.arange(len(rows)), np.diff(own.indptr)), own.indices)
    kinds = dict(zip(("again", "new"), split_by_owned(target, owned, source.n_items), strict=True)) | {
        "mixed": target
    }
    values: dict[str, dict[str, dict[str, NDArray[np.float64]]]] = {slate: {} for slate in SLATES}
    codes: dict[str, dict[str, NDArray[np.int32]]] = {slate: {} for slate in SLATES}

    def add(name: str, lists: Any) -> None:
        for slate in SLATES:
            shown = getattr(lists, slate)
            codes[slate][name] = shown
            values[slate][name] = list_values(shown, kinds[slate], source.n_items)

    served = model.recommend(source.member_ids[rows], N)
    add("model", served)
    told = {
        slate: _reliability(getattr(served, slate), getattr(served, f"{slate}_score"), kinds[slate], source.n_items)
        for slate in SLATES
        if model.card["calibrated"][slate]
    }
    tifu = tuned_settings(model)
    for at, name in enumerate(SIMPLE):
        step(f"judging {name}", 0.6 + 0.4 * at / len(SIMPLE))
        # as barred from dead items as our lists are, so that all are compared on equal terms
        scorer = fit_simple(name, visits, tifu=tifu, seed=seed)
        add(name, top_lists(scorer, visits, rows, N, state.sellable, state.returned))
    return _Cutoff(rows, visits.n_visits[rows], values, codes, visits.popularity(), model.card, told)


def _reliability(
    codes: NDArray[np.int32], score: NDArray[np.float32], bought: tuple[NDArray[Any], NDArray[Any]], n_items: int
) -> list[dict[str, float]]:
    """Told probabilities of the filled places beside the share bought, own list and target of a slate."""
    filled = codes >= 0
    return reliability(score[filled], hits(codes, bought, n_items)[filled])


def tuned_settings(model: ItemModel) -> TifuSettings:
    """TIFU-KNN as tuned on baskets earlier than the model's day."""
    return model.learned.tifu


def _of_rows(rows: NDArray[Any], bought: tuple[NDArray[Any], NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The pairs of the given members, the member replaced by its place in rows."""
    inside = np.isin(bought[0], rows)
    return np.searchsorted(rows, bought[0][inside]), bought[1][inside]


def _write(
    slate: str, cutoffs: Sequence[_Cutoff], seed: int, draws: int, groups: Mapping[str, NDArray[Any]]
) -> dict[str, Any]:
    methods = ("model", *SIMPLE)
    members = np.concatenate([c.members for c in cutoffs])
    visits = np.concatenate([c.visits for c in cutoffs])
    values = {
        method: {metric: np.concatenate([c.values[slate][method][metric] for c in cutoffs]) for metric in METRICS}
        for method in methods
    }

    def compare(mask: NDArray[np.bool_]) -> dict[str, Any] | None:
        if not np.isfinite(values["model"]["recall@10"][mask]).any():
            return None
        statistics = {m: {k: mean_of(v[mask]) for k, v in named.items()} for m, named in values.items()}
        out = comparison(judge(statistics, members[mask], draws=draws, seed=seed))
        shown = {m: _pooled(cutoffs, slate, m, mask) for m in methods}
        for method, found in ((m, out["model"] if m == "model" else out["baselines"][m]) for m in methods):
            if found is not None:
                # How many different items were shown is a count of this run, not an estimate: it has no interval.
                found["coverage_items"] = {"value": coverage(shown[method]), "low": None, "high": None}
        out["rows"] = int(np.isfinite(values["model"]["recall@10"][mask]).sum())
        return out

    history = visits > 0
    pooled = compare(history) or {"model": None, "baselines": dict.fromkeys(SIMPLE), "paired": None, "rows": 0}
    slices = {}
    for name, (low, high) in SLICES.items():
        slices[name] = compare((visits >= low) & (visits <= high))
    sizes = np.cumsum([0, *(len(c.members) for c in cutoffs)])
    per_cutoff = {}
    for at, one in enumerate(cutoffs):
        mask = np.zeros(len(members), bool)
        mask[sizes[at] : sizes[at + 1]] = one.visits > 0
        found = compare(mask)
        card = dict(one.card)
        per_cutoff[str(np.datetime64(int(card["as_of_day"]), "D"))] = {
            **(found or {"model": None}),
            "method": card["methods"][slate],
            "exceptions": card["exceptions"].get(slate, {}),
            "reliability": one.reliability.get(slate),
            "share_of_top20": share_of_top(one.codes[slate]["model"], one.popularity),
            "card": card if slate == "mixed" else None,
        }
    apart = {name: compare(history & np.isin(members, ids)) for name, ids in groups.items()}
    return {**pooled, "slices": slices, "groups": apart, "per_cutoff": per_cutoff}


def _pooled(cutoffs: Sequence[_Cutoff], slate: str, method: str, mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    return np.concatenate([c.codes[slate][method] for c in cutoffs])[mask]
