"""The jobs behind the verbs: train, promote, release, lists; each takes the configuration and can be run again."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.errors import InputError
from features.history import History
from features.progress import Progress, quiet
from huitou.brand import Brand, ledger_of
from huitou.config import Config
from outreach.arms import hash_ids, held_out
from outreach.forgetting import forget_late
from outreach.settings import ContactSettings
from serving.carried import places_of
from training.cards import member_cards, open_assignments
from training.curve_model import CurveModel
from training.item_model import REASONS, RUNGS, SLATES, ItemModel
from training.kept_predictions import keep_release
from training.promote import GATES, Promotion, promote_each
from training.propensities import Propensities
from training.reasons import CODES, reason_parts, told_groups
from training.release import SCORED, Release, open_release
from training.release_methods import list_methods
from training.release_people import owner_frame
from training.release_readiness import readiness
from training.release_writer import (
    ReleaseParts,
    current_release,
    point_current_at,
    prune_releases,
    write_release,
)
from training.scoring import ModelSource, Predictions, score
from training.shadow import keep_shadow
from training.tracking import CHAMPION, SHADOW, Registered, Tracker
from training.train import Training, train
from training.value import ValueModel

# Places in a precomputed list; a guide sees three, the mini-program asks for ten, rules may take some away.
LIST_LENGTH = 20
_SLATE_PARTS = ("", "_score", "_reason", "_because")


def tracker_of(config: Config) -> Tracker:
    return Tracker(config.home.path, config.tracking)


@contextmanager
def _scratch(config: Config) -> Iterator[Path]:
    """A folder under home that is gone afterwards."""
    config.home.path.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".work-", dir=config.home.path))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def train_brand(config: Config, history: History, progress: Progress = quiet) -> Training:
    """Judge and fit every task, register the challengers."""
    with _scratch(config) as work:
        return train(history, tracker_of(config), config.training, work=work, progress=progress)


def promote_brand(config: Config, tasks: Sequence[str] | None = None) -> list[Promotion]:
    """Run the gate of each task; one that was never trained is told as such."""
    tracker = tracker_of(config)
    with _scratch(config) as work:
        return promote_each(tracker, tasks or tuple(GATES), work=work)


@dataclass(frozen=True)
class Served:
    """The champions' folders and where each came from."""

    folders: dict[str, Path]
    sources: dict[str, ModelSource]
    horizon_days: int


def champions(config: Config) -> Served:
    """Resolve the champion aliases once and copy the models under home. Raises InputError where a task has none."""
    tracker = tracker_of(config)
    found = {task: tracker.get(task, CHAMPION) for task in GATES}
    missing = [task for task, model in found.items() if model is None]
    if missing:
        raise InputError(f"release: no champion for {missing}; run `huitou train`, then `huitou promote`")
    folders, sources = {}, {}
    for task, model in found.items():
        assert model is not None
        folder = config.home.models / f"{model.name}-{model.version}"
        folders[task] = folder if folder.is_dir() else tracker.fetch(model, folder)
        sources[task] = _source(task, model)
    curve = found["curve"]
    assert curve is not None
    horizon = (
        curve.tags.get("horizon_days") or json.loads((folders["curve"] / "card.json").read_text())["horizon_days"]
    )
    return Served(folders, sources, int(horizon))


def _source(task: str, model: Registered) -> ModelSource:
    return ModelSource(
        task=task,
        name=model.tags.get("baseline") or model.name,
        version=f"{model.name}/{model.version}",
        run_id=model.run_id,
        source="fallback" if model.is_fallback else "model",
        reason=model.tags.get("reason"),
        trained_as_of=model.tags.get("as_of", ""),
    )


def items_source(source: ModelSource, card: Mapping[str, Any]) -> ModelSource:
    """The same, as fallback where the item model itself chose a plain recommender: a tie with it passes the gate."""
    if source.source == "fallback" or card["source"] != "fallback":
        return source
    return replace(source, source="fallback", name=card["rung"], reason=card["reason"])


def make_release(config: Config, brand: Brand, *, now: datetime, progress: Progress = quiet) -> Release:
    """Score every member with the champions and write a release; `current` moves to it at the end."""
    served, history = champions(config), brand.history
    as_of = history.coverage_end + timedelta(days=1)
    curve = CurveModel.load(served.folders["curve"])
    value = ValueModel.load(served.folders["value"])
    root = config.home.releases
    root.mkdir(parents=True, exist_ok=True)
    before = None
    if (name := current_release(root)) is not None:
        before = _tiers(open_release(root / name))
    predictions = score(
        history,
        as_of,
        served.horizon_days,
        curve=curve,
        value=value,
        propensities=Propensities.load(served.folders["curve"]),
        tiers_before=before,
        progress=part_of(progress, 0.0, 0.45),
    )
    progress("reasons", 0.45)
    reasons = reasons_of(curve, predictions, config.release.explained)
    progress("item lists", 0.5)
    ids = predictions.frame["member_id"].to_numpy(str)
    items = ItemModel.load(served.folders["items"]).at(history, as_of)
    lists = items.recommend(ids, n=LIST_LENGTH)
    progress("cards", 0.7)
    parts = ReleaseParts(
        brand_id=config.brand.id,
        predictions=predictions,
        cards=member_cards(history, ids.tolist(), as_of),
        slates={
            **{f"{name}{part}": getattr(lists, f"{name}{part}") for name in SLATES for part in _SLATE_PARTS},
            "rung": lists.rung,
            "due_days": lists.again_due_days,
            "similar": lists.similar,
            "together": lists.together,
            "own_at": lists.own_at,
            "own": lists.own,
            **vars(lists.facts),
        },
        catalogue=catalogue(history, lists.item_ids.tolist()),
        popular={store: np.asarray(codes).tolist() for store, codes in lists.popular.items()},
        item_reasons=[dict(reason) for reason in REASONS],
        item_rungs=RUNGS,
        places=places(history),
        aliases=brand.aliases,
        models=served.folders,
        sources=served.sources | {"items": items_source(served.sources["items"], items.card)},
        fingerprint=history.tables.fingerprint,
        people=people(history, ids, as_of, config.contact),
        reason_parts=reasons,
        reason_groups=told_groups(),
        readiness=readiness(history, as_of, served.horizon_days, served.folders),
        item_methods=list_methods(items.card, items.served_by(ids)),
    )
    release = write_release(root, parts, created_at=now.isoformat(), progress=part_of(progress, 0.75, 0.25))
    # Whoever was forgotten since the tables were read is in the release by now: out again, before anybody is served.
    release = forget_late(ledger_of(config), places_of(config.place), release)
    point_current_at(root, release.release_id)
    prune_releases(root, config.release.keep)
    return release


def keep_predictions(config: Config, release: Release) -> list[Path]:
    """Keep what a release said until it can be judged, and beside it what a challenger in shadow would have said."""
    root = config.home.kept_predictions
    kept = keep_release(root, release)
    if kept is None:
        return []
    shadow = tracker_of(config).get("curve", SHADOW)
    if shadow is None:
        return [kept]
    folder = config.home.models / f"{shadow.name}-{shadow.version}"
    if not folder.is_dir():
        tracker_of(config).fetch(shadow, folder)
    beside = keep_shadow(root, release, CurveModel.load(folder), f"{shadow.name}/{shadow.version}")
    return [kept] if beside is None else [kept, beside]


def reasons_of(curve: CurveModel, predictions: Predictions, most: int) -> np.ndarray:
    """What made the churn score of at most `most` members, those with the largest expected spend: [members, groups]."""
    frame = predictions.frame
    spend = frame["expected_spend_yuan"].fillna(0.0).to_numpy(float)
    rows = np.flatnonzero(frame["kind"].to_numpy() == SCORED)
    rows = np.sort(rows[np.argsort(-spend[rows], kind="stable")[:most]])
    parts = np.full((len(frame), len(CODES)), np.nan, np.float32)
    if len(rows):
        parts[rows] = reason_parts(curve, predictions.vectors[rows], list(curve.names))
    return parts


def catalogue(history: History, item_ids: Sequence[str]) -> list[dict[str, Any]]:
    """What pages show of an item, in the order of `item_ids`."""
    columns = ["item_id", "title", "category_l1", "category_l2", "product_brand", "status", "off_shelf_date"]
    rows = history.tables["items"].select(*columns).to_pandas().set_index("item_id").reindex(list(item_ids))
    rows["off_shelf_date"] = rows["off_shelf_date"].astype("string")
    return _records(rows.reset_index(names="item_id"))


def people(history: History, member_ids: np.ndarray, as_of: date, contact: ContactSettings) -> pd.DataFrame:
    """guide_id, store_id, is_friend, held_out, contacted_day of the members, in their order."""
    members = history.tables["members"].select("member_id", "home_store_id", "register_store_id").to_pandas()
    frame = owner_frame(members, open_assignments(history.tables, as_of), member_ids)
    contacts = history.tables.get("contacts")
    last = pd.Series(dtype="datetime64[ns]")
    if contacts is not None:
        sent = contacts.filter(contacts.sent_at < pd.Timestamp(as_of)).group_by("member_id")
        last = sent.agg(at=contacts.sent_at.max()).to_pandas().set_index("member_id")["at"]
    day = (pd.to_datetime(last.reindex(member_ids)) - pd.Timestamp(0)).dt.days.fillna(-1).to_numpy(np.int32)
    return frame.assign(held_out=held_out(hash_ids(member_ids.astype(object)), contact), contacted_day=day)


def places(history: History) -> dict[str, list[dict[str, Any]]]:
    """Stores and guides, as rows of the contract."""
    found = {}
    for name in ("stores", "guides"):
        table = history.tables.get(name)
        rows = pd.DataFrame() if table is None else table.to_pandas()
        for column in rows.columns:
            if pd.api.types.is_datetime64_any_dtype(rows[column]):
                rows[column] = rows[column].dt.strftime("%Y-%m-%d")
        found[name] = _records(rows)
    return found


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as mappings, nulls as None."""
    return [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in rows.to_dict("records")
    ]


def _tiers(release: Release) -> pd.DataFrame:
    labels = np.array([*release.manifest["labels"]["tier"], None], dtype=object)
    codes = np.minimum(release.codes["tier"], len(labels) - 1)
    rows = pd.DataFrame({"member_id": np.char.decode(release.ids, "utf-8"), "tier": labels[codes]})
    return rows.dropna()


def part_of(progress: Progress, start: float, share: float) -> Progress:
    """Progress of one part of a longer job: its 0..1 becomes start..start+share."""
    return lambda message, fraction: progress(message, start + share * fraction)
