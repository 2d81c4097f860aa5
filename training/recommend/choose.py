"""Earlier baskets in; which method serves each list, with the ranker and its gate figures, out. Nothing from the cut-off on.

The newest snapshot judges, older ones teach; where there is one only, half of its members teach. The ranker that serves
learns from all of them and from newer ones whose windows the cut-off cuts short. A list is served by the
ranker where its gain over the best plain recommender has a bootstrap interval above zero, else by a plain one: own counts,
popularity for new items, or the best of them all where its gain over these has an interval above zero. Members whose
history has a length at which a plain recommender does better than the ranker get that one's list.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.progress import Progress, quiet
from training.metrics import MemberBootstrap
from training.recommend.candidates import Signals
from training.recommend.judge import SLICES, list_values, split_by_owned
from training.recommend.ranker import (
    MEMBERS_LEARNED,
    OTHERS_KEPT,
    Ranker,
    RankRows,
    calibrate,
    fit_ranker,
    label_keys,
    rank_rows,
    ranked_lists,
    thinned,
)
from training.recommend.simple import SIMPLE, Lists, TifuKnn, TifuSettings, fit_simple, top_dense, top_lists
from training.recommend.slates import BY_PROBABILITY, mixed_by_slots
from training.recommend.snapshots import Snapshot, choose_snapshots, fresh_snapshots
from training.recommend.source import ItemSource
from training.recommend.state import ItemState, state_on

SLATES = ("mixed", "again", "new")
N = 10
# What serves a list until another plain recommender is ahead beyond its noise: the best of seven on a few hundred
# members is often the luckiest.
DEFAULT: Mapping[str, str] = {"mixed": "own_counts", "again": "own_counts", "new": "popularity"}
# With fewer labelled members than this every choice is noise: the defaults serve.
LEAST_TO_CHOOSE = 30
# With fewer than this no ranker is fitted.
LEAST_TO_RANK = 150
JUDGED_MEMBERS = 2_500
TUNED_MEMBERS = 500
GATE_DRAWS = 400
# A history length is judged apart from this many members on; fewer say nothing.
LEAST_IN_SEGMENT = 100
# Visits before the cut-off, by segment; a member without any gets the ladder instead.
SEGMENTS: Mapping[str, tuple[int, int]] = {name: span for name, span in SLICES.items() if span[0] > 0}


@dataclass(frozen=True)
class Choice:
    """Methods by list, tuned TIFU-KNN, the ranker (None where none was fitted), slots of new items in `mixed`.

    exceptions: by list, the history lengths (names of SEGMENTS) that another method serves.
    """

    methods: dict[str, str]
    tifu: TifuSettings
    ranker: Ranker | None
    new_slots: int
    report: dict[str, Any]
    exceptions: dict[str, dict[str, str]] = field(default_factory=dict)


def choose(source: ItemSource, day: int, horizon_days: int, *, seed: int = 0, progress: Progress = quiet) -> Choice:
    """Fit, compare and choose on snapshots before `day`."""
    snapshots = choose_snapshots(source.purchases(day, True), day, horizon_days)
    labelled = len(snapshots[0].members) if snapshots else 0
    report: dict[str, Any] = {"snapshots": _told(snapshots)}
    if labelled < LEAST_TO_CHOOSE:
        return Choice(
            dict(DEFAULT),
            TifuSettings(),
            None,
            0,
            report | {"why": f"{labelled} earlier baskets; {LEAST_TO_CHOOSE} needed"},
        )
    newest = snapshots[0]
    rng = np.random.default_rng(seed)
    everybody = newest.members
    older = [s for s in snapshots[1:] if len(s.members) >= LEAST_TO_CHOOSE]
    judged, teachers = drawn(everybody, JUDGED_MEMBERS, rng), np.zeros(0, np.int32)
    if not older:
        half = rng.permutation(everybody)
        judged, teachers = np.sort(half[: len(half) // 2][:JUDGED_MEMBERS]), np.sort(half[len(half) // 2 :])
    state = state_on(source, newest.day)
    truth = _truth(state, judged, newest)
    progress("tuning TIFU-KNN on earlier baskets", 0.05)
    tifu = tune_tifu(state, judged[:TUNED_MEMBERS], newest)
    values: dict[str, dict[str, NDArray[np.float64]]] = {slate: {} for slate in SLATES}
    for name in SIMPLE:
        scorer = fit_simple(name, state.visits, tifu=tifu, seed=seed)
        lists = top_lists(scorer, state.visits, judged, N, state.sellable)
        for slate in SLATES:
            values[slate][name] = _worth(getattr(lists, slate), truth[slate], state)
    best = {slate: _best(values[slate]) for slate in SLATES}
    methods = {slate: proven(values[slate], best[slate], DEFAULT[slate], judged, seed) for slate in SLATES}
    report["plain"] = {slate: {m: _mean(v) for m, v in values[slate].items()} for slate in SLATES}
    if labelled < LEAST_TO_RANK:
        return Choice(
            methods,
            tifu,
            None,
            0,
            report | {"why": f"{labelled} earlier baskets; {LEAST_TO_RANK} needed for a ranker"},
        )
    progress("candidates of earlier baskets", 0.2)
    signals = Signals(state, tifu, seed=seed)
    keys = label_keys(newest, source.n_items)
    shown = rank_rows(signals, judged, keys, others=None, seed=seed)
    report["candidate_recall"] = shown.candidate_recall
    lessons: list[RankRows] = []
    if len(teachers):
        lessons.append(rank_rows(signals, drawn(teachers, MEMBERS_LEARNED, rng), keys, others=OTHERS_KEPT, seed=seed))
    # The newest baskets that judge nothing are learned from in the last fit.
    rest = drawn(np.setdiff1d(np.setdiff1d(everybody, judged), teachers), MEMBERS_LEARNED, rng)
    newest_rest = [rank_rows(signals, rest, keys, others=OTHERS_KEPT, seed=seed)] if len(rest) else []
    del signals
    for at, snapshot in enumerate(older):
        progress("candidates of earlier baskets", 0.35 + 0.3 * at / len(older))
        lessons.append(_lesson(source, snapshot, tifu, rng, seed))
    lessons = [one for one in lessons if one.bought.any()]
    if not lessons or not shown.bought.any():
        return Choice(methods, tifu, None, 0, report | {"why": "no earlier basket holds a candidate"})
    progress("fitting the ranker", 0.65)
    tried: dict[str, tuple[Ranker, Lists, dict[str, NDArray[np.float64]]]] = {}
    for objective in ("lambdarank", "binary"):
        ranker = calibrate(fit_ranker(lessons, objective, seed=seed, valid=shown), shown)
        lists = ranked_lists(shown, ranker.score(shown.values), len(judged), N)
        found = {slate: _worth(getattr(lists, slate), truth[slate], state) for slate in SLATES}
        tried[objective] = (ranker, lists, found)
    report["objectives"] = {name: {s: _mean(v) for s, v in found.items()} for name, (_, _, found) in tried.items()}
    objective = max(
        tried, key=lambda name: sum(_mean(tried[name][2][s]) / max(_mean(values[s][best[s]]), 1e-9) for s in SLATES)
    )
    ranker, lists, found = tried[objective]
    slots = {BY_PROBABILITY: found["mixed"]}
    for new in (1, 2, 3):
        slots[new] = _worth(mixed_by_slots(lists, new)[0], truth["mixed"], state)
    new_slots = max(slots, key=lambda new: (round(_mean(slots[new]), 6), new))
    found["mixed"] = slots[new_slots]
    report |= {
        "objective": objective,
        "slots": {str(new): _mean(v) for new, v in slots.items()},
        "new_slots": new_slots,
    }
    gate = {}
    for slate in SLATES:
        gate[slate] = gain(found[slate], values[slate][best[slate]], judged, seed)
        gate[slate]["against"] = best[slate]
        if gate[slate]["low"] > 0:
            methods[slate] = "ranker"
    report["gate"] = gate
    exceptions = {
        slate: exceptions_of(found[slate], values[slate], state.visits.n_visits[judged], judged, seed)
        for slate in SLATES
        if methods[slate] == "ranker"
    }
    report["exceptions"] = exceptions
    if "ranker" not in methods.values():
        return Choice(methods, tifu, None, 0, report | {"why": "the ranker did not beat the plain recommenders"})
    progress("candidates of the newest baskets", 0.75)
    newer = [one for one in fresh_snapshots(source.purchases(day, True), newest, day) if len(one.members)]
    report["fresh_snapshots"] = _told(newer)
    fresh = [_lesson(source, snapshot, tifu, rng, seed) for snapshot in newer]
    progress("fitting the ranker on all earlier baskets", 0.85)
    final = fit_ranker(
        [*lessons, *newest_rest, thinned(shown, OTHERS_KEPT, seed), *fresh],
        ranker.objective,
        seed=seed,
        rounds=ranker.rounds,
    )
    return Choice(
        methods,
        tifu,
        Ranker(final.booster, final.objective, final.rounds, ranker.calibration),
        new_slots,
        report,
        exceptions,
    )


def _told(snapshots: Sequence[Snapshot]) -> list[dict[str, int]]:
    return [{"as_of_day": s.day, "label_end_day": s.end, "members": len(s.members)} for s in snapshots]


def _lesson(
    source: ItemSource, snapshot: Snapshot, tifu: TifuSettings, rng: np.random.Generator, seed: int
) -> RankRows:
    """Candidates of a snapshot's members as of its own day, with what they bought."""
    signals = Signals(state_on(source, snapshot.day), tifu, seed=seed)
    members = drawn(snapshot.members, MEMBERS_LEARNED, rng)
    return rank_rows(signals, members, label_keys(snapshot, source.n_items), others=OTHERS_KEPT, seed=seed)


def exceptions_of(
    ours: NDArray[np.float64],
    plain: Mapping[str, NDArray[np.float64]],
    n_visits: NDArray[Any],
    members: NDArray[Any],
    seed: int,
) -> dict[str, str]:
    """The history lengths at which the best plain recommender is ahead by more than one standard error."""
    found = {}
    for name, (low, high) in SEGMENTS.items():
        inside = (n_visits >= low) & (n_visits <= high) & np.isfinite(ours)
        if inside.sum() < LEAST_IN_SEGMENT:
            continue
        best = _best({method: value[inside] for method, value in plain.items()})
        difference = gain(ours[inside], plain[best][inside], members[inside], seed)
        if difference["value"] < -(difference["high"] - difference["low"]) / 4:
            found[name] = best
    return found


def gain(ours: NDArray[np.float64], theirs: NDArray[np.float64], members: NDArray[Any], seed: int) -> dict[str, Any]:
    """Mean of ours minus theirs over members with a target, with its 95 % bootstrap interval."""
    known = np.isfinite(ours) & np.isfinite(theirs)
    difference = (ours - theirs)[known]
    if len(difference) < 2:
        return {"value": 0.0, "low": 0.0, "high": 0.0}
    drawn = [
        (weights @ difference) / weights.sum(axis=1)
        for weights in MemberBootstrap(members[known], GATE_DRAWS, seed).batches()
    ]
    low, high = np.quantile(np.concatenate(drawn), [0.025, 0.975])
    return {"value": float(difference.mean()), "low": float(low), "high": float(high)}


def tune_tifu(state: ItemState, members: NDArray[Any], snapshot: Snapshot) -> TifuSettings:
    """TIFU-KNN's settings with the highest (recall + NDCG) / 2 at 10 on first baskets of the snapshot."""
    bought = _truth(state, members, snapshot)["mixed"]
    best, settings = -1.0, TifuSettings()
    for within, group, m in product((0.9, 1.0), (0.7, 1.0), (3, 7)):
        model = TifuKnn(state.visits, TifuSettings(300, within, group, 0.5, m))
        near = model.nearest(members, 300)
        for k in (100, 300):
            own, mean = (x.toarray() for x in model.parts_of(members, near[:, :k]))
            for alpha in (0.1, 0.3, 0.5, 0.7, 0.9):
                codes = top_dense(alpha * own + (1 - alpha) * mean, N)[0]
                worth = _mean(_worth(codes, bought, state))
                if worth > best:
                    best, settings = worth, TifuSettings(k, within, group, alpha, m)
    return settings


def drawn(members: NDArray[Any], most: int, rng: np.random.Generator) -> NDArray[Any]:
    """The members, or a draw of `most` of them, in their order."""
    return members if len(members) <= most else np.sort(rng.choice(members, most, replace=False))


def _truth(
    state: ItemState, members: NDArray[Any], snapshot: Snapshot
) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """Target pairs of the members by list: (place in members, item)."""
    inside = np.isin(snapshot.member, members)
    bought = (np.searchsorted(members, snapshot.member[inside]), snapshot.item[inside])
    own = state.visits.matrix()[members]
    owned = (np.repeat(np.arange(len(members)), np.diff(own.indptr)), own.indices)
    again, new = split_by_owned(bought, owned, len(state.item_ids))
    return {"mixed": bought, "again": again, "new": new}


def _worth(
    codes: NDArray[np.int32], bought: tuple[NDArray[Any], NDArray[Any]], state: ItemState
) -> NDArray[np.float64]:
    values = list_values(codes, bought, len(state.item_ids))
    return (values["recall@10"] + values["ndcg@10"]) / 2


def _best(values: Mapping[str, NDArray[np.float64]]) -> str:
    """The method with the highest mean; of equals the first by name."""
    means = {name: _mean(value) for name, value in sorted(values.items())}
    return max(means, key=lambda name: means[name])


def proven(
    values: Mapping[str, NDArray[np.float64]], best: str, default: str, members: NDArray[Any], seed: int
) -> str:
    """`best` where its gain over `default` has an interval above zero, else `default`."""
    return best if gain(values[best], values[default], members, seed)["low"] > 0 else default


def _mean(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else 0.0
