"""A member's ranked items, the shop's rules and live facts in; the list to show, with the rung of every place, out.

Pure and small enough for the request path: plain Python over a few dozen codes, for which numpy's calls cost more. Rules choose and order items; no rule knows a
price. What is not on the shelf, not in stock, filtered, just bought or returned is never shown, not even when pinned.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from features.errors import InputError
from training.recommend.caps import CapCounts, groups_of, in_turn
from training.recommend.conditions import Catalogue, Condition, attribute_of, meets

# What a member brought back is not shown to it for half a year.
RETURN_REST_DAYS = 180


@dataclass(frozen=True)
class Pin:
    """Show an item at a place (0 = first) while the period lasts; `author` is kept for the audit.

    Of several pins of one place the first that may be shown stands there, the others at the next free places.
    """

    item_id: str
    place: int
    starts: date
    ends: date
    author: str


@dataclass(frozen=True)
class Weight:
    """Multiply the order score of items that meet a condition: above 1 boosts, below 1 buries."""

    condition: Condition
    factor: float
    starts: date
    ends: date
    author: str


@dataclass(frozen=True)
class Cap:
    """At most so many items with the same value of an attribute (a brand, a category); without a value, no cap."""

    attribute: str
    most: int


@dataclass(frozen=True)
class Rules:
    """The shop's rules: a filter that every item must meet, pins, weights and caps."""

    only: Condition | None = None
    pins: tuple[Pin, ...] = ()
    weights: tuple[Weight, ...] = ()
    caps: tuple[Cap, ...] = ()


@dataclass(frozen=True)
class Compiled:
    """Rules of a day over a catalogue, made once per change of the rules and shared by all requests."""

    allowed: NDArray[np.bool_]
    factor: NDArray[np.float64]
    pins: tuple[tuple[int, int], ...]  # (place, code), by place, pins of one place in the order of the rules
    caps: tuple[tuple[NDArray[np.int64], int], ...]  # (group of each item, -1 without a value; most)
    # What fills a list when all else is used up: allowed items in final order, from `whole_catalogue`.
    catalogue: "Rung | None" = None

    @cached_property
    def by_code(self) -> tuple[memoryview, memoryview]:
        """`allowed` (0 or 1) and `factor`, to be read one item at a time: a fifth of what an array's own index takes."""
        return self.allowed.view(np.uint8).data, np.ascontiguousarray(self.factor, float).data


def compile_rules(rules: Rules, catalogue: Catalogue, day: date) -> Compiled:
    """Masks and factors of the rules in force on a day. Unknown attributes and pinned ids are refused by name."""
    size = len(catalogue.item_ids)
    allowed = np.ones(size, bool) if rules.only is None else meets(rules.only, catalogue)
    factor = np.ones(size)
    for weight in rules.weights:
        if not np.isfinite(weight.factor) or weight.factor <= 0:
            raise InputError(f"rules.weights: factor {weight.factor} of {weight.author!r}; expected a number above 0")
        if weight.starts <= day <= weight.ends:
            factor[meets(weight.condition, catalogue)] *= weight.factor
    pins: list[tuple[int, int]] = []
    for pin in rules.pins:
        if pin.item_id not in catalogue.code_of:
            raise InputError(
                f"rules.pins: item {pin.item_id!r} is not in the catalogue; name an item_id of table items"
            )
        if pin.place < 0:
            raise InputError(f"rules.pins: place {pin.place} of item {pin.item_id!r}; expected 0 (first) or more")
        if pin.starts <= day <= pin.ends:
            pins.append((pin.place, catalogue.code_of[pin.item_id]))
    caps = []
    for cap in rules.caps:
        if cap.most < 0:
            raise InputError(f"rules.caps: {cap.attribute} at most {cap.most}; expected 0 or more")
        caps.append((groups_of(attribute_of(cap.attribute, catalogue)), cap.most))
    return Compiled(allowed, factor, tuple(sorted(pins, key=lambda pin: pin[0])), tuple(caps))


@dataclass(frozen=True)
class Rung:
    """One step of the ladder: a name and its item codes, best first, with order scores above 0.

    ordered: boosts are in the order already and no code stands twice, so that a long rung need not be sorted.
    """

    name: str
    codes: NDArray[np.int32]
    scores: NDArray[np.float32]
    ordered: bool = False

    @staticmethod
    def of(name: str, codes: Any, scores: Any = None) -> "Rung":
        """A rung from codes; without scores the order itself counts (1/2, 1/3, …). Empty places (-1) are left out."""
        codes = np.asarray(codes, np.int32)
        scores = 1.0 / np.arange(2, len(codes) + 2) if scores is None else np.asarray(scores, float)
        real = codes >= 0
        return Rung(name, codes[real], np.maximum(scores[real], 1e-12).astype(np.float32))


def whole_catalogue(order: Any, rules: Compiled) -> Rung:
    """The last rung: all allowed items of the catalogue.

    order: every item code once, best first; boosts apply to it as to any rung. The same for everybody.
    """
    codes = np.asarray(order, np.int64)
    scores = rules.factor[codes] / np.arange(2, len(codes) + 2)
    kept = np.lexsort((codes, -scores))
    kept = kept[rules.allowed[codes[kept]]]
    return Rung("catalogue", codes[kept].astype(np.int32), scores[kept].astype(np.float32), ordered=True)


@dataclass(frozen=True)
class Shown:
    """The list: `codes` (at most n, no -1), `rungs` the name of the rung that filled each place ("pin" for pins)."""

    codes: NDArray[np.int32]
    scores: NDArray[np.float32]
    rungs: tuple[str, ...]
    short: int  # places that nothing allowed could fill
    why_short: Literal["", "rules_and_stock_leave_too_few"] = ""


def apply_rules(
    ladder: Iterable[Rung],
    n: int,
    rules: Compiled,
    *,
    in_stock: NDArray[np.bool_] | None = None,
    on_shelf: NDArray[np.bool_] | None = None,
    hidden: Any = (),
    due_again: Any = (),
) -> Shown:
    """The first n items of the ladder that everything allows; a later rung is asked for only when it is needed.

    in_stock: of the member's store; on_shelf: status on; both bool over the catalogue, None = all. hidden: codes just
    bought or returned; those in due_again (used up by now) may show all the same. Within a rung the order is score times
    factor; a later rung fills only what earlier ones leave. Pins stand at their places as long as they are allowed;
    where a place has several, the first allowed one, the others at the next free places.
    """
    if n < 1:
        raise InputError(f"n is {n}; expected at least 1")
    able, factor = rules.by_code
    gone = {int(code) for code in hidden} - {int(code) for code in due_again}
    masks = [mask for mask in (in_stock, on_shelf) if mask is not None]
    counts = CapCounts(rules.caps)

    def allowed(code: int) -> bool:
        return bool(able[code]) and code not in gone and (not masks or all(mask[code] for mask in masks))

    def in_order() -> Iterator[tuple[int, float, str]]:
        """Every allowed item once, in the order of the ladder; a rung is looked at only when it is needed."""
        seen: set[int] = set()
        for rung in ladder:
            if rung.ordered:
                free = rules.allowed.copy()
                free[[code for code in gone | seen if code < len(free)]] = False
                for mask in masks:
                    free &= mask
                for at in in_turn(rung.codes, free[rung.codes], counts):
                    seen.add(int(rung.codes[at]))
                    yield int(rung.codes[at]), float(rung.scores[at]), rung.name
                continue
            codes = rung.codes.tolist()
            kept = [
                (-score * factor[code], code)
                for code, score in zip(codes, rung.scores.tolist(), strict=True)
                if allowed(code)
            ]
            kept.sort()
            for negative, code in kept:
                if code not in seen:
                    seen.add(code)
                    yield code, -negative, rung.name

    return _placed(in_order(), n, rules.pins, counts, allowed)


def _placed(
    candidates: Iterator[tuple[int, float, str]],
    n: int,
    asked: Sequence[tuple[int, int]],
    counts: CapCounts,
    allowed: Callable[[int], bool],
) -> Shown:
    """Pins at their places, the rest in order, caps counted over both."""
    pins: dict[int, int] = {}

    def pin(place: int, code: int) -> None:
        if place < n and allowed(code) and code not in pins.values() and counts.fits(code):
            pins[place] = code
            counts.take(code)

    displaced: list[tuple[int, int]] = []
    for place, code in asked:
        if place in pins:
            displaced.append((place, code))
        else:
            pin(place, code)
    for place, code in displaced:
        while place in pins:
            place += 1
        pin(place, code)
    pinned = set(pins.values())
    room = n - len(pins)
    rest: list[tuple[int, float, str]] = []
    while len(rest) < room and (found := next(candidates, None)) is not None:
        if found[0] not in pinned and counts.fits(found[0]):
            rest.append(found)
            counts.take(found[0])
    out: list[tuple[int, float, str]] = []
    waiting = iter(rest)
    for place in range(n):
        if place in pins:
            out.append((pins[place], 0.0, "pin"))
        elif (following := next(waiting, None)) is not None:
            out.append(following)
    short = n - len(out)
    return Shown(
        np.array([code for code, _, _ in out], np.int32),
        np.array([score for _, score, _ in out], np.float32),
        tuple(name for _, _, name in out),
        short,
        "rules_and_stock_leave_too_few" if short else "",
    )


def fold_in(
    codes: Any,
    scores: Any,
    recent: Any,
    similar: NDArray[np.int32],
    together: NDArray[np.int32],
    *,
    share: float = 0.5,
    stay: Any = (),
) -> Rung:
    """Tonight's list with what happened since: items like, or bought with, `recent` ones move up or join.

    codes, scores: the member's list of the release. recent: item codes since the release, newest first (a basket, the
    item looked at, purchases). An item named k-th by the j-th recent item gains share · 0.8^j / (k + 2) of the best score.
    Recent items themselves leave the list, except those of `stay` that are on it (viewed, or bought and due again): they
    gain as if they named themselves first.
    """
    base = Rung.of("own", codes, scores)
    recent = np.asarray(recent, np.int64)[:50]
    recent = recent[recent >= 0]
    if len(recent) == 0:
        return base
    best = float(base.scores.max()) if len(base.scores) else 1.0
    fade = 0.8 ** np.arange(len(recent))
    gained_codes, gained = [base.codes.astype(np.int64)], [base.scores.astype(np.float64)]
    for table in (together, similar):
        found = table[recent].astype(np.int64)
        gain = share * best * fade[:, None] / (np.arange(found.shape[1]) + 2.0)
        real = found >= 0
        gained_codes.append(found[real])
        gained.append(gain[real])
    staying = np.isin(recent, np.asarray(stay, np.int64)) & np.isin(recent, base.codes)
    gained_codes.append(recent[staying])
    gained.append((share * best * fade[staying] / 2.0).astype(np.float64))
    code, at = np.unique(np.concatenate(gained_codes), return_inverse=True)
    total = np.bincount(at, weights=np.concatenate(gained), minlength=len(code))
    keep = ~np.isin(code, recent) | np.isin(code, recent[staying])
    order = np.lexsort((code[keep], -total[keep]))
    return Rung("own", code[keep][order].astype(np.int32), total[keep][order].astype(np.float32))
