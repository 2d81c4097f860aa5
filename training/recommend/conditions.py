"""A catalogue and a condition on its attributes in; which items meet it, out. No condition may name a price."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import InputError

FORBIDDEN_ATTRIBUTES = ("list_yuan", "paid_yuan", "price", "discount_yuan", "coupon_id")


@dataclass(frozen=True)
class Is:
    """The item's attribute is one of these values."""

    attribute: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class All:
    """AND: every part holds; holds for an empty list."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True)
class AnyOf:
    """OR: at least one part holds."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True)
class Not:
    """NOT: the part does not hold."""

    part: "Condition"


Condition = Is | All | AnyOf | Not


def condition_from(text: Mapping[str, Any]) -> Condition:
    """A condition from JSON: {"is": [attribute, value…]}, {"all": […]}, {"any": […]}, {"not": {…}}."""
    if len(text) == 1:
        kind, inner = next(iter(text.items()))
        if kind == "is" and isinstance(inner, Sequence) and len(inner) >= 2:
            return Is(str(inner[0]), tuple(str(value) for value in inner[1:]))
        if kind in ("all", "any"):
            parts = tuple(condition_from(part) for part in inner)
            return All(parts) if kind == "all" else AnyOf(parts)
        if kind == "not":
            return Not(condition_from(inner))
    raise InputError(
        f'rules.condition: expected {{"is": [attribute, value, …]}}, {{"all": […]}}, {{"any": […]}} or {{"not": {{…}}}}; '
        f"found {dict(text)!r}"
    )


@dataclass(frozen=True)
class Catalogue:
    """Item ids in code order and their attributes as text, aligned."""

    item_ids: tuple[str, ...]
    attributes: Mapping[str, NDArray[Any]]
    code_of: Mapping[str, int] = field(default_factory=dict)

    @staticmethod
    def of(item_ids: Sequence[str], attributes: Mapping[str, Sequence[Any]]) -> "Catalogue":
        """A catalogue; nulls become empty text."""
        texts = {
            name: np.array(["" if value is None or value != value else str(value) for value in values], dtype=str)
            for name, values in attributes.items()
        }
        return Catalogue(tuple(item_ids), texts, {item: code for code, item in enumerate(item_ids)})


def meets(condition: Condition, catalogue: Catalogue) -> NDArray[np.bool_]:
    """Which items of the catalogue meet a condition."""
    if isinstance(condition, Is):
        return np.isin(attribute_of(condition.attribute, catalogue), condition.values)
    if isinstance(condition, Not):
        return ~meets(condition.part, catalogue)
    start = isinstance(condition, All)
    out = np.full(len(catalogue.item_ids), start)
    for part in condition.parts:
        out = out & meets(part, catalogue) if start else out | meets(part, catalogue)
    return out


def attribute_of(name: str, catalogue: Catalogue) -> NDArray[Any]:
    """The items' values of an attribute. Raises InputError for an unknown one and for one about money."""
    if name in FORBIDDEN_ATTRIBUTES:
        raise InputError(f"rules: attribute {name!r} is about money; rules order and filter items, never by price")
    if name not in catalogue.attributes:
        raise InputError(f"rules: unknown attribute {name!r}; known: {', '.join(sorted(catalogue.attributes))}")
    return catalogue.attributes[name]
