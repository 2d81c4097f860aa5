"""The shop's rules for items as JSON in; out: rules compiled over the release's catalogue, once per change and day."""

import datetime as dt
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import InputError
from outreach.ledger.live import Live
from serving.releases import Served
from training.recommend.conditions import Catalogue, condition_from
from training.recommend.rules import (
    Cap,
    Compiled,
    Pin,
    Rules,
    Weight,
    compile_rules,
    whole_catalogue,
)

log = logging.getLogger("huitou.rules")

# The rule's name in PUT /v1/rules, and what it may hold.
NAME = "recommendations"
FIELDS: dict[str, tuple[str, ...]] = {
    "only": (),
    "pins": ("item_id", "place"),
    "weights": ("condition", "factor"),
    "caps": ("attribute", "most"),
}
PERIOD = ("starts", "ends")
OPTIONAL = {"pins": (*PERIOD, "author"), "weights": (*PERIOD, "author"), "caps": ()}
ATTRIBUTES = ("item_id", "category_l1", "category_l2", "product_brand", "status")
# More rules than a shop keeps by hand would make a request slow.
MOST_EACH = 100


def rules_from(said: Mapping[str, Any]) -> Rules:
    """Rules from {"only": condition, "pins": […], "weights": […], "caps": […]}; all may be absent.

    A pin is {item_id, place (0 = first)}, a weight {condition, factor}; both take starts and ends (YYYY-MM-DD, inclusive)
    and author. A cap is {attribute, most}. Raises InputError naming what does not fit; nothing here can name a price.
    """
    unknown = sorted(set(said) - set(FIELDS))
    if unknown:
        raise InputError(f"rules.{NAME}: unknown parts {unknown}; known: {', '.join(FIELDS)}; no rule knows a price")
    try:
        only = None if said.get("only") is None else condition_from(said["only"])
        return Rules(
            only,
            tuple(
                Pin(str(row["item_id"]), int(row["place"]), *_period(row), str(row.get("author", "")))
                for row in _rows(said, "pins")
            ),
            tuple(
                Weight(
                    condition_from(row["condition"]), float(row["factor"]), *_period(row), str(row.get("author", ""))
                )
                for row in _rows(said, "weights")
            ),
            tuple(Cap(str(row["attribute"]), int(row["most"])) for row in _rows(said, "caps")),
        )
    except (TypeError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(f"rules.{NAME}: a value does not fit: {error}; see docs/http-api.md") from error


def check_rules(said: Mapping[str, Any], served: Served, day: dt.date) -> None:
    """Raise InputError unless the rules can be compiled over the release in use."""
    compile_rules(rules_from(said), catalogue_of(served), day)


def catalogue_of(served: Served) -> Catalogue:
    """The release's catalogue as rules see it: no column of it is about money."""
    rows = served.release.items.catalogue
    return Catalogue.of(served.release.items.item_ids, {name: [row.get(name) for row in rows] for name in ATTRIBUTES})


class ShopRules:
    """The compiled rules of the moment; compiled anew when the rules, the release or the day change."""

    def __init__(self) -> None:
        self._kept: tuple[tuple[Any, ...], Compiled] | None = None
        self.compilations = 0

    def compiled(self, ledger: Any, live: Live, served: Served, day: dt.date) -> Compiled:
        """The rules in force on a day over the served catalogue."""
        key = (live.stamp("rules"), served.release.release_id, day)
        kept = self._kept
        if kept is None or kept[0] != key:
            self.compilations += 1
            kept = self._kept = (key, compile_for(ledger.rules().get(NAME) or {}, served, day))
        return kept[1]


def compile_for(said: Mapping[str, Any], served: Served, day: dt.date) -> Compiled:
    """The rules as JSON over a release's catalogue on a day; what is not on sale that day is never allowed."""
    rules, catalogue = rules_from(said), catalogue_of(served)
    # A pinned item may have left the catalogue since the rule was set: it cannot be shown, the other rules hold.
    there = tuple(pin for pin in rules.pins if pin.item_id in catalogue.code_of)
    if len(there) < len(rules.pins):
        log.warning("pinned items are not in the release", extra={"pins": len(rules.pins) - len(there)})
    compiled = compile_rules(Rules(rules.only, there, rules.weights, rules.caps), catalogue, day)
    compiled = replace(compiled, allowed=compiled.allowed & on_sale(served, day))
    return replace(compiled, catalogue=whole_catalogue(by_popularity(served), compiled))


def on_sale(served: Served, day: dt.date) -> NDArray[np.bool_]:
    """bool [items]: what the release calls sellable (launched, no gift or sample) and the shop still sells on a day.

    `off_shelf_date` of the catalogue is the last day on sale; a release without these facts forbids nothing by them.
    """
    items, today = served.release.items, day.isoformat()
    last_days = [row.get("off_shelf_date") for row in items.catalogue]
    able = np.array([not last or str(last)[: len(today)] >= today for last in last_days], bool)
    if items.sellable is not None:
        able &= np.asarray(items.sellable) == 1
    able[np.fromiter(served.switched_off, np.int64)] = False
    return able


def by_popularity(served: Served) -> NDArray[np.int64]:
    """Every item code once: the brand's popular list, then the rest by baskets ever, equal ones in catalogue order."""
    items = served.release.items
    size = len(items.item_ids)
    sold = np.zeros(size) if items.sold is None else np.asarray(items.sold, float)
    popular = np.array([code for code in items.popular.get("") or () if code >= 0], np.int64)
    place = np.full(size, len(popular))
    place[popular[::-1]] = np.arange(len(popular))[::-1]
    return np.lexsort((np.arange(size), -sold, place))


def _rows(said: Mapping[str, Any], part: str) -> Sequence[Mapping[str, Any]]:
    rows = said.get(part) or []
    if not isinstance(rows, list) or len(rows) > MOST_EACH or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"rules.{NAME}.{part}: expected a list of at most {MOST_EACH} objects")
    for row in rows:
        missing = sorted(set(FIELDS[part]) - set(row))
        unknown = sorted(set(row) - {*FIELDS[part], *OPTIONAL[part]})
        if missing or unknown:
            raise InputError(
                f"rules.{NAME}.{part}: missing {missing}, unknown {unknown}; "
                f"expected {', '.join(FIELDS[part])}"
                + (f", optional {', '.join(OPTIONAL[part])}" if OPTIONAL[part] else "")
            )
    return rows


def _period(row: Mapping[str, Any]) -> tuple[dt.date, dt.date]:
    starts, ends = (row.get(name) for name in PERIOD)
    return (
        dt.date.fromisoformat(starts) if starts else dt.date.min,
        dt.date.fromisoformat(ends) if ends else dt.date.max,
    )
