"""The release in use: a worker looks at the `current` link, loads a new one beside the old and swaps one reference."""

import datetime as dt
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from features.errors import HuitouError
from features.vector_names import NAMES
from serving.errors import ApiError
from serving.item_methods import ItemMethods
from training.recommend.rules import Compiled, Rung
from training.release import BrokenRelease, Release, open_release

if TYPE_CHECKING:
    from training.curve_model import CurveModel

log = logging.getLogger("huitou.releases")

# Where a sentence's days are not known it is said without them.
WITHOUT_DAYS = {"到期复购，约{days}天后用完": "到期复购", "Due again in about {days} days": "Due again"}
# Sentences about items kept ready; a sentence is some 500 bytes.
REASONS_KEPT = 5_000


@dataclass(frozen=True)
class Served:
    """A release with the small things that every answer needs: people of the stores, sources, versions."""

    release: Release
    stores: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    guides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @cached_property
    def version(self) -> str:
        return str(self.release.manifest.get("model_version") or self.release.release_id)

    @cached_property
    def as_of(self) -> str:
        return str(self.release.manifest["as_of"])

    @cached_property
    def curve_model(self) -> "CurveModel":
        """The curve model that the release carries, loaded when it is first asked: most answers are read, not computed.

        Raises ApiError 503 where the release carries none.
        """
        folder = self.release.path / "models/curve"
        if not (folder / "curve.json").is_file():
            raise ApiError(
                503, "no_model", f"release {self.release.release_id} carries no curve model to compute with"
            )
        from training.curve_model import CurveModel

        return CurveModel.load(folder)

    @property
    def can_compute_at_once(self) -> bool:
        """Whether the model is loaded already; loading it takes a second or more."""
        return "curve_model" in vars(self)

    def computed_survival(self, rows: np.ndarray) -> np.ndarray:
        """S at the grid's days of these rows, float32 [rows, grid], computed from their vectors by the release's model."""
        vectors = np.ascontiguousarray(self.release.vectors[rows])
        return self.curve_model.survival(vectors, self.columns)

    @cached_property
    def columns(self) -> list[str]:
        """Names of the vectors' columns."""
        return [str(name) for name in self.release.manifest["columns"]]

    def reasons(self, row: int) -> list[tuple[dict[str, str], float]]:
        """The groups of a member's numbers that may be told and what each adds to logit(churn), the weightiest first.

        Read from the release, or computed by its model for a member whom the release left out.
        """
        groups = self.release.manifest.get("reason_groups") or []
        held = self.release.reason_parts
        if not groups or held is None:
            return []
        parts = held[row]
        if np.isnan(parts).any():
            from training.reasons import reason_parts

            vectors = np.ascontiguousarray(self.release.vectors[[row]])
            parts = reason_parts(self.curve_model, vectors, self.columns)[0]
        told = [(group, part) for group, part in zip(groups, parts.tolist(), strict=True) if "zh" in group]
        return sorted(told, key=lambda pair: -abs(pair[1]))

    @cached_property
    def sources(self) -> dict[str, dict[str, Any]]:
        """Per task: source (model or fallback), name, version, reason."""
        models: Mapping[str, Mapping[str, Any]] = self.release.manifest.get("models", {})
        return {
            task: {key: said.get(key) for key in ("source", "name", "version", "reason")}
            for task, said in models.items()
        }

    def source(self, *tasks: str) -> dict[str, Any]:
        """`source` and `fallback_reason` of the first of the tasks that the release names."""
        for task in tasks:
            if task in self.sources:
                said = self.sources[task]
                return {"source": said["source"] or "model", "fallback_reason": said["reason"]}
        return {"source": "model", "fallback_reason": None}

    @cached_property
    def item_reasons(self) -> list[dict[str, str]]:
        return [dict(reason) for reason in self.release.manifest.get("item_reasons", [])]

    @cached_property
    def items_said(self) -> list[dict[str, Any]]:
        """What every item list shows of an item, by its code, with room for what a list says of it."""
        blank = dict.fromkeys(("rank", "rung", "reason", "due_days", "score"))
        return [
            {"item_id": row["item_id"], "title": row.get("title"), "category": row.get("category_l1"), **blank}
            for row in self.release.items.catalogue
        ]

    def item_reason(self, code: int, because: int, due_days: int | None) -> dict[str, str] | None:
        """A reason's sentence with the own item and the days that it speaks of; None where there is none."""
        key = (code, because, due_days)
        if key not in self._reasons:
            if len(self._reasons) >= REASONS_KEPT:
                self._reasons.clear()
            self._reasons[key] = self._item_reason(*key)
        return self._reasons[key]

    @cached_property
    def _reasons(self) -> dict[tuple[int, int, int | None], dict[str, str] | None]:
        return {}

    def _item_reason(self, code: int, because: int, due_days: int | None) -> dict[str, str] | None:
        if code >= len(self.item_reasons):
            return None
        said = self.item_reasons[code]
        if not said["zh"]:
            return None
        values: dict[str, Any] = {}
        if "{item}" in said["zh"]:
            if because < 0:
                return None
            values["item"] = self.release.items.catalogue[because].get("title") or ""
        words = {language: WITHOUT_DAYS.get(said[language], said[language]) for language in ("zh", "en")}
        if due_days is not None and due_days > 0 and "{days}" in said["zh"]:
            words, values["days"] = {language: said[language] for language in ("zh", "en")}, due_days
        return {"code": said["code"], **{language: text.format(**values) for language, text in words.items()}}

    @cached_property
    def _english(self) -> list[tuple[re.Pattern[str], str]]:
        pairs = [(said["zh"], said["en"]) for said in self.item_reasons if said["zh"]]
        pairs += [(WITHOUT_DAYS[zh], WITHOUT_DAYS[en]) for zh, en in pairs if zh in WITHOUT_DAYS]
        found = []
        for zh, en in pairs:
            pattern = re.escape(zh).replace(r"\{item\}", "(?P<item>.+)").replace(r"\{days\}", r"(?P<days>\d+)")
            found.append((re.compile(pattern), en))
        return found

    def both_languages(self, why: str) -> dict[str, str]:
        """A suggestion's Chinese reason with its English beside; Chinese twice where the release does not know it."""
        for pattern, en in self._english:
            match = pattern.fullmatch(why)
            if match:
                return {"zh": why, "en": en.format(**match.groupdict())}
        return {"zh": why, "en": why}

    def canonical(self, member_id: str) -> str:
        """The member behind an id: cards that were merged answer under the one that stayed."""
        return self.release.aliases.get(member_id, member_id)

    def popular_rungs(self, store_id: str) -> tuple[Rung, ...]:
        """What sells in a store, then what sells in the brand, ready for `apply_rules`."""
        popular = self.release.items.popular
        store_id = store_id if popular.get(store_id) else ""
        found = self._popular.get(store_id)
        if found is None:
            names = [("store", store_id)] * bool(store_id) + [("brand", "")]
            found = self._popular[store_id] = tuple(Rung.of(name, popular.get(key) or ()) for name, key in names)
        return found

    @cached_property
    def _popular(self) -> dict[str, tuple[Rung, ...]]:
        return {}

    def item_rung(self, row: int) -> str:
        """Which step of the ladder the night filled a member's lists with: own, store, level or brand."""
        names = self.release.manifest.get("item_rungs") or ("own",)
        return str(names[min(int(self.release.items.rung[row]), len(names) - 1)])

    @cached_property
    def item_methods(self) -> ItemMethods:
        """Which recommender made each member's item lists."""
        said = self.sources.get("items", {})
        name = {"name": said.get("name") or "items"}
        return ItemMethods(self.release, self.source("items") | name, str(said.get("version") or self.version))

    @cached_property
    def as_of_day(self) -> dt.date:
        return dt.date.fromisoformat(self.as_of)

    def cold_allowed(self, rules: Compiled) -> NDArray[np.int64]:
        """Those of the cold items that the rules of the moment allow; found once a change of the rules."""
        kept = self._cold.get("kept")
        if kept is None or kept[0] is not rules:
            kept = self._cold["kept"] = (rules, self.cold_items[rules.allowed[self.cold_items]])
        return kept[1]

    def rules_only_filter(self, rules: Compiled) -> bool:
        """Whether the rules of the moment neither pin nor boost nor cap; found once a change of the rules."""
        kept = self._filters.get("kept")
        if kept is None or kept[0] is not rules:
            plain = not rules.pins and not rules.caps and bool((rules.factor == 1.0).all())
            kept = self._filters["kept"] = (rules, plain)
        return kept[1]

    @cached_property
    def _filters(self) -> dict[str, tuple[Compiled, bool]]:
        return {}

    @cached_property
    def _cold(self) -> dict[str, tuple[Compiled, NDArray[np.int64]]]:
        return {}

    @cached_property
    def cold_items(self) -> NDArray[np.int64]:
        """Codes of items on sale that nobody has bought yet; none where the release is from before they were counted."""
        items = self.release.items
        if items.sold is None or items.sellable is None:
            return np.zeros(0, np.int64)
        codes = np.flatnonzero((np.asarray(items.sold) == 0) & (np.asarray(items.sellable) == 1))
        return codes[~np.isin(codes, list(self.switched_off))]

    @cached_property
    def switched_off(self) -> frozenset[int]:
        """Codes of items that are no longer sold."""
        rows = enumerate(self.release.items.catalogue)
        return frozenset(code for code, row in rows if row.get("status") == "off")


class ReleaseStore:
    """Watches a folder of releases; what is served changes only when the new one has loaded whole."""

    def __init__(self, root: Path, carried: Path | None = None) -> None:
        self.root, self.carried = root, carried
        self._served: Served | None = None
        self._seen: tuple[Path, int] | None = None
        self.refused: dict[str, str] = {}
        self.swaps = 0

    @property
    def served(self) -> Served:
        """The release in use. Raises ApiError 503 while there is none."""
        if self._served is None:
            raise ApiError(
                503, "no_release", "no release is loaded yet; `huitou release` makes one", None, {"Retry-After": "5"}
            )
        return self._served

    @property
    def ready(self) -> bool:
        return self._served is not None

    def look(self) -> bool:
        """Load what `current` points at, if that changed; True where a new release took over.

        Where there is no `current`, the release that came with the Bento serves. A release that cannot be loaded is
        refused once, by name and reason, and the old one keeps answering.
        """
        link = self.root / "current"
        try:
            target = (link if self.carried is None or link.exists() else self.carried).resolve(strict=True)
            # A copy in a Bento keeps its name when a member is taken out of it, but becomes another folder.
            seen = (target, target.stat().st_ino)
        except OSError:
            return False
        if seen == self._seen:
            return False
        try:
            served = load_served(target)
        except HuitouError as error:
            self.refused[target.name] = str(error)
            self._seen = seen
            log.error("release refused", extra={"release_id": target.name, "reason": str(error)})
            return False
        self._served, self._seen = served, seen
        self.swaps += 1
        log.info("release loaded", extra={"release_id": target.name})
        return True


def load_served(path: Path) -> Served:
    """Open a release folder and what serving needs beside it. Raises BrokenRelease where it does not fit this code."""
    release = open_release(path)
    _check_columns(release)
    if not (path / "aliases.json").is_file():
        raise BrokenRelease(f"release {path.name}: aliases.json is missing; write it again")
    n = len(release.items.item_ids)
    highest = {name: int(np.max(codes, initial=-1)) for name, codes in (("similar", release.items.similar),)}
    if highest["similar"] >= n:
        raise BrokenRelease(f"release {path.name}: similar items name code {highest['similar']}, there are {n} items")
    return Served(release, _people(path / "stores.json", "store_id"), _people(path / "guides.json", "guide_id"))


def _check_columns(release: Release) -> None:
    """Raise BrokenRelease unless the vectors have the columns of this code, in its order."""
    found = [str(name) for name in release.manifest.get("columns") or ()]
    if found != list(NAMES):
        gone, new = sorted(set(NAMES) - set(found)), sorted(set(found) - set(NAMES))
        what = f"it lacks {gone[:5]} and has {new[:5]} beside" if gone or new else "the same names in another order"
        raise BrokenRelease(
            f"release {release.release_id}: manifest.columns names {len(found)} columns, this version of Huitou has "
            f"{len(NAMES)} ({what}); write the release again with `huitou release`"
        )
    if release.vectors.ndim != 2 or release.vectors.shape[1] != len(found):
        raise BrokenRelease(
            f"release {release.release_id}: members/vectors.npy has the shape {release.vectors.shape}, the manifest names "
            f"{len(found)} columns; write the release again with `huitou release`"
        )


def _people(path: Path, key: str) -> dict[str, dict[str, Any]]:
    if not path.is_file():
        return {}
    return {str(row[key]): row for row in json.loads(path.read_text(encoding="utf-8"))}
