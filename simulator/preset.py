"""A preset's TOML in; the parameters of a simulated brand, as frozen dataclasses, out."""

import dataclasses
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from features.errors import InputError

PRESETS = Path(__file__).parent / "presets"
_Section = TypeVar("_Section")


@dataclasses.dataclass(frozen=True)
class MemberShares:
    """Who is on the member list; shares of all members unless said otherwise."""

    never_buyers: float
    before_coverage: float
    friend_share: float
    staff: float
    wholesale: float
    minor: float
    deregistered: float
    female: float
    birth_years: tuple[int, int]
    anonymous_orders: float
    members_per_store: int
    members_per_guide: int


@dataclasses.dataclass(frozen=True)
class Clock:
    """The personal purchase clock: gaps are Gamma(shape) around a lognormal personal cycle, in days."""

    shape: float
    gap_median_days: float
    gap_sigma: float
    first_same_day: float
    first_later_days: float


@dataclasses.dataclass(frozen=True)
class Dropout:
    """Who leaves after a visit, and who comes back by themselves."""

    after_first: float
    later_alpha: float
    later_beta: float
    return_share: float
    return_days: float


@dataclasses.dataclass(frozen=True)
class Needs:
    """Replenishment: members who come because a staple runs out."""

    planners: float
    staples: tuple[float, ...]
    noise: float
    double_quantity: float


@dataclasses.dataclass(frozen=True)
class BasketShape:
    """What a basket is made of."""

    extra_mean: float
    extra_sigma: float
    repertoire: float
    companion: float
    favourite_line: float
    taste_groups: int
    discount: float
    festival_discount: float


@dataclasses.dataclass(frozen=True)
class Season:
    """Multipliers of the brand's pace by month, weekday (Monday first) and festival; how planted drift slows it."""

    months: tuple[float, ...]
    weekdays: tuple[float, ...]
    drift_response: float
    festivals: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Touch:
    """Past contacts by guides and mass messages, and what they do."""

    per_friend_year: float
    mass_per_year: float
    effect: float
    unfollow: float
    fatigue_beta: float
    quiet_loss_per_year: float


@dataclasses.dataclass(frozen=True)
class CouponPlan:
    """Monthly draws of one published template: how many a member gets, its threshold and face, and its use."""

    per_member_year: float
    threshold_yuan: float
    face_yuan: float
    valid_days: int
    used: float


@dataclasses.dataclass(frozen=True)
class BehaviourPlan:
    """Who uses the mini-program, how often a visit is preceded by browsing, and how often they browse idly."""

    users: float
    seen_before_visit: float
    idle_per_month: float
    history_days: int


@dataclasses.dataclass(frozen=True)
class Titles:
    """The brand's lines and what a line costs against the category's usual price."""

    series: tuple[str, ...]
    series_price: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Category:
    """One category: its words, prices in yuan, return rate, and its replenishment cycle in days (0: none)."""

    l1: str
    l2: str
    weight: float
    cycle_days: float
    price: tuple[float, float]
    returns: float
    nouns: tuple[str, ...]
    sizes: tuple[str, ...]
    goes_with: tuple[str, ...]
    sized: bool = False  # a member keeps to one size
    months: tuple[float, ...] = ()  # the category's own season, by month; empty: none


@dataclasses.dataclass(frozen=True)
class Preset:
    """Everything that makes one simulated brand."""

    name: str
    title: str
    members: MemberShares
    clock: Clock
    dropout: Dropout
    needs: Needs
    baskets: BasketShape
    season: Season
    channels: Mapping[str, float]
    contacts: Touch
    coupons: CouponPlan
    behaviours: BehaviourPlan
    titles: Titles
    categories: tuple[Category, ...]


def preset_names() -> tuple[str, ...]:
    """The presets that ship, by name."""
    return tuple(sorted(path.stem for path in PRESETS.glob("*.toml")))


def load_preset(name: str | Path) -> Preset:
    """Read a preset by its name, or from a TOML file of one's own.

    Raises InputError for an unknown name, a missing key or a key nobody knows.
    """
    path = name if isinstance(name, Path) else PRESETS / f"{name}.toml"
    if not path.is_file():
        raise InputError(f"preset {str(name)!r} is unknown; known presets: {', '.join(preset_names())}")
    return _preset(path.stem, tomllib.loads(path.read_text(encoding="utf-8")))


def _preset(name: str, raw: dict[str, Any]) -> Preset:
    values: dict[str, Any] = {"name": name}
    sections = {
        "members": MemberShares,
        "clock": Clock,
        "dropout": Dropout,
        "needs": Needs,
        "baskets": BasketShape,
        "season": Season,
        "contacts": Touch,
        "coupons": CouponPlan,
        "behaviours": BehaviourPlan,
        "titles": Titles,
    }
    for key, section in sections.items():
        if key not in raw:
            raise InputError(f"preset {name}: section [{key}] is missing; known sections: {', '.join(sections)}")
        values[key] = _section(section, raw.pop(key), f"preset {name}, [{key}]")
    categories = raw.pop("categories", [])
    if not categories:
        raise InputError(f"preset {name}: at least one [[categories]] entry is needed")
    values["categories"] = tuple(
        _section(Category, entry, f"preset {name}, category {n}") for n, entry in enumerate(categories, 1)
    )
    values["channels"] = raw.pop("channels", {"store": 1.0})
    values["title"] = raw.pop("title", name)
    if raw:
        raise InputError(f"preset {name}: unknown keys {sorted(raw)}; known: title, channels, {', '.join(sections)}")
    return Preset(**values)


def _section(kind: type[_Section], raw: dict[str, Any], where: str) -> _Section:
    known = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]  # every section is a dataclass
    needed = [field.name for field in dataclasses.fields(kind) if field.default is dataclasses.MISSING]  # type: ignore[arg-type]  # as above
    missing, unknown = sorted(set(needed) - set(raw)), sorted(set(raw) - set(known))
    if missing or unknown:
        raise InputError(f"{where}: missing keys {missing}, unknown keys {unknown}; known keys: {known}")
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()})
