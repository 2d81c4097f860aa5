"""A visit history in; buy-again, new-for-you and mixed lists for any member out, with reasons, due days and rungs.

`fit_item_model` learns once a week; `.at(history, as_of)` looks at tonight's purchases with what was learned.
What is learned holds no member's rows, so `save` writes none.
"""

import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from features.errors import InputError
from features.progress import Progress, quiet
from training.items import NONE
from training.recommend.candidates import CHUNK, Signals
from training.recommend.choose import SEGMENTS, choose
from training.recommend.cold import RUNGS, fill_cold
from training.recommend.explain import explain
from training.recommend.facts import ItemFacts, item_facts, owned_items
from training.recommend.installed import installed
from training.recommend.rank_features import NAMES, RankFeatures
from training.recommend.ranker import Ranker
from training.recommend.reasons import NO_REASON, REASONS
from training.recommend.simple import (
    SIMPLE,
    Lists,
    Scorer,
    TifuSettings,
    fit_simple,
    merged,
    top_lists,
    top_of_pairs,
)
from training.recommend.slates import mixed_by_slots
from training.recommend.source import ItemSource, day_number, source_from_history
from training.recommend.state import ItemState, best_columns, state_on

__all__ = ["REASONS", "RUNGS", "ItemLists", "ItemModel", "fit_item_model", "fit_items"]

SLATES = ("mixed", "again", "new")
RANKER = "ranker"
# The window of a target basket where the caller names none.
DEFAULT_HORIZON_DAYS = 30
NEIGHBOURS_SHOWN = 20
# A thread at work holds dense tables of CHUNK members × items: about 100 MB at 20,000 items.
MOST_THREADS = 4
POPULAR_SHOWN = 200
# Own and new items of a member that all trees of the ranker score, at the least; lists of n take 3 n.
LEAST_SCORED = 60


@dataclass(frozen=True)
class ItemLists:
    """Lists of the members asked for. Codes index `item_ids`; -1 is an empty place.

    again, new, mixed: int32[N, n], best first; `<slate>_score` float32 (a probability of purchase where the card says
    calibrated, else only an order), `<slate>_reason` uint8 into REASONS, `<slate>_because` int32 the own item a reason
    speaks of. again_due_days: int16[N, n], days until an item is used up, 0 = due or overdue, -1 = no cycle known.
    rung: uint8[N] into RUNGS. similar, together: int32[items, k]. popular: best sellers by store id, "" the brand.
    facts: what is known of each item. own_at int64[N + 1], own int32: codes of what member k ever bought are
    own[own_at[k]:own_at[k + 1]].
    """

    member_ids: NDArray[Any]
    item_ids: NDArray[Any]
    mixed: NDArray[np.int32]
    again: NDArray[np.int32]
    new: NDArray[np.int32]
    mixed_score: NDArray[np.float32]
    again_score: NDArray[np.float32]
    new_score: NDArray[np.float32]
    mixed_reason: NDArray[np.uint8]
    again_reason: NDArray[np.uint8]
    new_reason: NDArray[np.uint8]
    mixed_because: NDArray[np.int32]
    again_because: NDArray[np.int32]
    new_because: NDArray[np.int32]
    again_due_days: NDArray[np.int16]
    rung: NDArray[np.uint8]
    similar: NDArray[np.int32]
    together: NDArray[np.int32]
    popular: Mapping[str, NDArray[np.int32]]
    facts: ItemFacts
    own_at: NDArray[np.int64]
    own: NDArray[np.int32]


@dataclass(frozen=True)
class Learned:
    """What a fit decided: the method behind each slate and its parameters. No member's rows."""

    methods: Mapping[str, str]
    tifu: TifuSettings
    horizon_days: int
    seed: int
    card: Mapping[str, Any]
    ranker: Ranker | None = None
    new_slots: int = 0
    # By slate, the history lengths (names of SEGMENTS) that another method serves.
    exceptions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class ItemModel:
    """What was learned, and the purchases it looks at. Without a state (after `load`) call `.at(history, as_of)`."""

    learned: Learned
    state: ItemState | None = None
    _kept: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def card(self) -> dict[str, Any]:
        """Source (model or fallback), rung, method of each slate, gate figures, counts."""
        return dict(self.learned.card)

    def at(self, history: Any, as_of: date) -> "ItemModel":
        """The same learned choices over what is known before `as_of`."""
        return self.on(source_from_history(history), day_number(as_of))

    def on(self, source: ItemSource, day: int) -> "ItemModel":
        """The same on a source and a day number."""
        return replace(self, state=state_on(source, day, returns=True), _kept={})

    def recommend(self, member_ids: Sequence[str] | NDArray[Any], n: int = 10) -> ItemLists:
        """Lists of length n; members without history, and unknown ids, get the ladder store → level → brand."""
        if n < 1:
            raise InputError(f"recommend: n is {n}, expected at least 1")
        state = self._state()
        ids = np.asarray(member_ids, dtype=str)
        rows = _codes(state, ids)
        known = np.flatnonzero(rows >= 0)
        known = known[state.visits.n_visits[rows[known]] > 0]
        parts: dict[str, NDArray[Any]] = {}
        for slate in SLATES:
            parts[slate] = np.full((len(ids), n), NONE, np.int32)
            parts[f"{slate}_score"] = np.zeros((len(ids), n), np.float32)
            parts[f"{slate}_reason"] = np.full((len(ids), n), NO_REASON, np.uint8)
            parts[f"{slate}_because"] = np.full((len(ids), n), NONE, np.int32)
        parts["again_due_days"] = np.full((len(ids), n), -1, np.int16)
        parts["rung"] = np.full(len(ids), RUNGS.index("own"), np.uint8)
        if len(known):
            self._fill_own(state, rows, known, n, parts)
        cold = np.setdiff1d(np.arange(len(ids)), known)
        if len(cold):
            fill_cold(state, rows, cold, n, self._popular(), self._popular_by_level(), parts)
        own_at, own = owned_items(state.own, rows)
        return ItemLists(
            member_ids=ids,
            item_ids=state.item_ids,
            similar=self._keep("similar", lambda: state.neighbours(NEIGHBOURS_SHOWN)),
            together=self._keep("together", lambda: best_columns(state.together, NEIGHBOURS_SHOWN)),
            popular=self._popular(),
            facts=self._keep("facts", lambda: item_facts(state)),
            own_at=own_at,
            own=own,
            **parts,
        )

    def _fill_own(
        self, state: ItemState, rows: NDArray[Any], known: NDArray[Any], n: int, parts: dict[str, NDArray[Any]]
    ) -> None:
        asked = rows[known]
        served = {slate: self._served(slate, state.visits.n_visits[asked]) for slate in SLATES}
        for method in dict.fromkeys(str(name) for names in served.values() for name in np.unique(names)):
            # The ranker and each plain recommender answer for the members they serve in any of the lists.
            mine = np.flatnonzero(np.logical_or.reduce([names == method for names in served.values()]))
            lists = (
                self._ranked(asked[mine], n)
                if method == RANKER
                else top_lists(self._scorer(method), state.visits, asked[mine], n, state.sellable, state.returned)
            )
            for slate in SLATES:
                here = served[slate][mine] == method
                parts[slate][known[mine[here]]] = getattr(lists, slate)[here]
                parts[f"{slate}_score"][known[mine[here]]] = getattr(lists, f"{slate}_score")[here]
        for slate in SLATES:
            told = explain(state, asked, parts[slate][known])
            parts[f"{slate}_reason"][known] = told.reason
            parts[f"{slate}_because"][known] = told.because
            if slate == "again":
                parts["again_due_days"][known] = told.due_days

    def served_by(self, member_ids: Sequence[str] | NDArray[Any]) -> dict[str, NDArray[Any]]:
        """By slate, the method behind each member's own list: str[N]. Of members without history it means nothing."""
        state = self._state()
        # Code -1, of an id that is not known, reads the 0 at the end.
        n_visits = np.append(state.visits.n_visits, 0)[_codes(state, np.asarray(member_ids, dtype=str))]
        return {slate: self._served(slate, n_visits) for slate in SLATES}

    def _served(self, slate: str, n_visits: NDArray[Any]) -> NDArray[Any]:
        """The method behind a slate for members with so many visits."""
        names = np.full(len(n_visits), self.learned.methods[slate], dtype=object)
        for segment, method in self.learned.exceptions.get(slate, {}).items():
            low, high = SEGMENTS[segment]
            names[(n_visits >= low) & (n_visits <= high)] = method
        return names.astype(str)

    def _ranked(self, asked: NDArray[Any], n: int) -> Lists:
        """The ranker's lists, a chunk of members at a time."""
        ranker = self.learned.ranker
        if ranker is None:
            raise InputError("item model: a list is served by the ranker but none was saved; fit and save again")
        signals: Signals = self._keep(
            "signals", lambda: Signals(self._state(), self.learned.tifu, seed=self.learned.seed)
        )
        features: RankFeatures = self._keep("features", lambda: RankFeatures(signals))

        def lists_of(members: NDArray[Any]) -> Lists:
            chunk = signals.of(members)
            values = features.matrix(chunk)
            keep = ranker.promising(values, chunk.row, max(LEAST_SCORED, 3 * n))
            row, item, owned = chunk.row[keep], chunk.item[keep], chunk.owned_at[keep] >= 0
            score = ranker.score(values[keep])
            chance = ranker.probability(score, owned)
            size = len(chunk.members)
            lists = merged(
                top_of_pairs(row[owned], item[owned], chance[owned], size, n),
                top_of_pairs(row[~owned], item[~owned], chance[~owned], size, n),
                n,
            )
            both = top_of_pairs(row, item, ranker.mixed_probability(score), size, n)
            lists = replace(lists, mixed=both[0], mixed_score=both[1])
            mixed, mixed_score = mixed_by_slots(lists, self.learned.new_slots)
            return replace(lists, mixed=mixed, mixed_score=mixed_score)

        asked = np.asarray(asked, np.int64)
        parts = [asked[start : start + CHUNK] for start in range(0, len(asked), CHUNK)]
        # Sorting, sparse products and the booster release the lock, so that threads share the work.
        with ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_THREADS)) as pool:
            return Lists.stack(pool.map(lists_of, parts))

    def _popular(self) -> dict[str, NDArray[np.int32]]:
        found: dict[str, NDArray[np.int32]] = self._keep("popular", lambda: self._state().popular(POPULAR_SHOWN))
        return found

    def _popular_by_level(self) -> dict[str, NDArray[np.int32]]:
        found: dict[str, NDArray[np.int32]] = self._keep(
            "levels", lambda: self._state().popular_by_level(POPULAR_SHOWN)
        )
        return found

    def _scorer(self, method: str) -> Scorer:
        found: Scorer = self._keep(
            f"scorer {method}",
            lambda: fit_simple(method, self._state().visits, tifu=self.learned.tifu, seed=self.learned.seed),
        )
        return found

    def _keep(self, name: str, make: Any) -> Any:
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]

    def _state(self) -> ItemState:
        if self.state is None:
            raise InputError(
                "recommend: this model was loaded and has no purchases to look at; call .at(history, as_of) first"
            )
        return self.state

    def save(self, folder: Path) -> None:
        """Write what was learned as JSON (and Booster text); no member's rows."""
        folder.mkdir(parents=True, exist_ok=True)
        learned = self.learned
        text: dict[str, Any] = {
            "methods": dict(learned.methods),
            "tifu": learned.tifu.as_dict(),
            "horizon_days": learned.horizon_days,
            "seed": learned.seed,
            "card": dict(learned.card),
            "new_slots": learned.new_slots,
            "exceptions": {slate: dict(found) for slate, found in learned.exceptions.items()},
        }
        ranker = learned.ranker
        if ranker is not None:
            text["ranker"] = {
                "objective": ranker.objective,
                "rounds": ranker.rounds,
                "calibration": ranker.calibration,
                "columns": list(NAMES),
            }
            ranker.booster.save_model(folder / "ranker.txt")
        (folder / "items.json").write_text(json.dumps(text, ensure_ascii=False, indent=1), encoding="utf-8")

    @staticmethod
    def load(folder: Path) -> "ItemModel":
        """What `save` wrote; call `.at(history, as_of)` before `.recommend`."""
        path = folder / "items.json"
        if not path.exists():
            raise InputError(f"{path}: not found; expected a folder written by ItemModel.save")
        text = json.loads(path.read_text(encoding="utf-8"))
        ranker = None
        if "ranker" in text:
            saved = text["ranker"]
            if saved["columns"] != list(NAMES):
                raise InputError(
                    f"{path}: the ranker was saved with other columns than this version has; fit it again"
                )
            slopes = saved["calibration"]
            ranker = Ranker(
                lgb.Booster(model_file=folder / "ranker.txt"),
                saved["objective"],
                saved["rounds"],
                None if slopes is None else tuple((float(slope), float(offset)) for slope, offset in slopes),
            )
        return ItemModel(
            Learned(
                methods=text["methods"],
                tifu=TifuSettings(**text["tifu"]),
                horizon_days=text["horizon_days"],
                seed=text["seed"],
                card=text["card"],
                ranker=ranker,
                new_slots=text["new_slots"],
                exceptions=text.get("exceptions", {}),
            )
        )


def fit_item_model(
    history: Any,
    as_of: date,
    *,
    horizon_days: int | None = None,
    seed: int = 0,
    only: str | None = None,
    progress: Progress = quiet,
) -> ItemModel:
    """Learn from everything known before `as_of`; nothing from `as_of` on is looked at.

    horizon_days: the window of the backtest's target, 30 by default. only: install one plain recommender
    (popularity, own_counts, decayed_counts, cosine, als, bm25, tifu_knn) instead of choosing.
    """
    return fit_items(
        source_from_history(history),
        day_number(as_of),
        horizon_days=horizon_days,
        seed=seed,
        only=only,
        progress=progress,
    )


def fit_items(
    source: ItemSource,
    day: int,
    *,
    horizon_days: int | None = None,
    seed: int = 0,
    only: str | None = None,
    progress: Progress = quiet,
) -> ItemModel:
    """`fit_item_model` on a source and a day number."""
    if only is not None and only not in SIMPLE:
        raise InputError(f"only: unknown recommender {only!r}; expected one of {', '.join(SIMPLE)}")
    state = state_on(source, day, returns=True)
    horizon = horizon_days or DEFAULT_HORIZON_DAYS
    chosen = (
        installed(only, source, day, horizon, seed=seed)
        if only
        else choose(source, day, horizon, seed=seed, progress=progress)
    )
    ranked = chosen.methods["mixed"] == RANKER
    card = {
        "source": "model" if ranked else "fallback",
        "rung": chosen.methods["mixed"],
        "reason": None if ranked else chosen.report.get("why", "the ranker did not beat the plain recommenders here"),
        "as_of_day": day,
        "methods": chosen.methods,
        "exceptions": chosen.exceptions,
        "calibrated": {
            slate: method == RANKER and not chosen.exceptions.get(slate) for slate, method in chosen.methods.items()
        },
        "tifu": chosen.tifu.as_dict(),
        "members": int((state.visits.n_visits > 0).sum()),
        "items": len(state.item_ids),
        "rows": len(state.visits.member),
        "horizon_days": horizon,
        "choice": chosen.report,
    }
    progress("item model is ready", 1.0)
    return ItemModel(
        Learned(chosen.methods, chosen.tifu, horizon, seed, card, chosen.ranker, chosen.new_slots, chosen.exceptions),
        state,
    )


def _codes(state: ItemState, ids: NDArray[Any]) -> NDArray[np.int64]:
    from training.recommend.source import codes_in

    return codes_in(state.member_ids, ids)
