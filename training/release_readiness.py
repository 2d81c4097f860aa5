"""A brand's history and its fitted models in; out: what each task has, what it would need, and what answers meanwhile."""

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from features.history import History
from training.ladder import FEWEST_FOR_TREES, FEWEST_REPEATS, WEIGHTED_BLEND
from training.recommend.choose import LEAST_TO_RANK
from training.value import ValueModel


def readiness(
    history: History, as_of: date, horizon_days: int, folders: Mapping[str, Path]
) -> dict[str, dict[str, Any]]:
    """task -> have, need (counts by name), fallback (what answers instead of the full model, or None) and why.

    folders: each task's saved model; their cards say what they were learned from.
    """
    visits = history.visits
    counted = visits.aggregate(visits=visits.count(), members=visits["member_id"].nunique()).to_pandas().iloc[0]
    members = int(counted["members"])
    have = {
        "members": members,
        "repeat_visits": int(counted["visits"]) - members,
        "history_days": (as_of - history.coverage_start).days,
    }
    said = {task: make(folders[task], horizon_days) for task, make in _SAID.items() if task in folders}
    return {
        task: {"have": have | more, "need": need, "fallback": fallback, "why": why}
        for task, (more, need, fallback, why) in said.items()
    }


_Said = tuple[dict[str, int], dict[str, int], str | None, str | None]


def _curve(folder: Path, horizon_days: int) -> _Said:
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    need = {"members": FEWEST_FOR_TREES, "repeat_visits": FEWEST_REPEATS, "history_days": 2 * horizon_days}
    return {}, need, None if card["rung"] == WEIGHTED_BLEND else str(card["rung"]), card.get("reason") or None


def _value(folder: Path, horizon_days: int) -> _Said:
    model = ValueModel.load(folder)
    full = model.given_buying is not None
    fallback = None if full else model.rung
    why = None if full else "no past day with enough buyers whose spend is known by now"
    return {"past_days_with_known_spend": len(model.snapshots)}, {"past_days_with_known_spend": 1}, fallback, why


def _items(folder: Path, horizon_days: int) -> _Said:
    card = json.loads((folder / "items.json").read_text(encoding="utf-8"))["card"]
    choice = card.get("choice") or {}
    snapshots = choice.get("snapshots") or [{"members": 0}]
    plain = {name for name in card["methods"].values() if name != "ranker"}
    fallback = None if not plain else ", ".join(sorted(plain))
    why = card.get("reason") or choice.get("why")
    return {"earlier_baskets": int(snapshots[0]["members"])}, {"earlier_baskets": LEAST_TO_RANK}, fallback, why


_SAID = {"curve": _curve, "value": _value, "items": _items}
