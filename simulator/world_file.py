"""A world's parameter file (TOML) in, checked parameters out; an unknown key is refused with the known ones listed."""

import itertools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from features.errors import InputError

WORLDS = Path(__file__).parent / "worlds"
# What a shop can see of a member beside purchases and contacts, as standard scores.
SIGNALS = ("activity", "replies", "reserve", "breadth", "distance")


@dataclass(frozen=True)
class Loadings:
    """How strongly each signal enters; a signal not named does not."""

    activity: float = field(default=0.0, metadata={"doc": "mini-program and store activity", "unit": "per sd"})
    replies: float = field(default=0.0, metadata={"doc": "how readily messages are answered", "unit": "per sd"})
    reserve: float = field(default=0.0, metadata={"doc": "muted notices, short answers", "unit": "per sd"})
    breadth: float = field(default=0.0, metadata={"doc": "how many categories are looked at", "unit": "per sd"})
    distance: float = field(default=0.0, metadata={"doc": "how far from the store", "unit": "per sd"})


@dataclass(frozen=True)
class Size:
    name: str = field(metadata={"doc": "name of the world", "unit": ""})
    members: int = field(default=8000, metadata={"doc": "members, all friends on day 0", "unit": "members"})
    guides: int = field(
        default=20, metadata={"doc": "guides, each with an equal chance of a member", "unit": "guides"}
    )
    capacity: int = field(default=8, metadata={"doc": "tasks a guide can do a day", "unit": "tasks a day"})
    burn_in_days: int = field(default=400, metadata={"doc": "history before day 0, without contacts", "unit": "days"})
    margin: float = field(default=0.5, metadata={"doc": "gross margin of net spend", "unit": "share"})
    contact_cost_yuan: float = field(default=2.0, metadata={"doc": "a guide's time for one contact", "unit": "yuan"})


@dataclass(frozen=True)
class Purchases:
    cycle_median_days: float = field(
        metadata={"doc": "median over members of the mean days between purchases", "unit": "days"}
    )
    basket_median_yuan: float = field(metadata={"doc": "median over members of the median basket", "unit": "yuan"})
    lifetime_days: float = field(
        metadata={"doc": "median over members of the mean days until lapsing", "unit": "days"}
    )
    cycle_sigma: float = field(default=0.7, metadata={"doc": "spread of the cycle over members", "unit": "log sd"})
    basket_sigma: float = field(default=0.45, metadata={"doc": "spread of the basket over members", "unit": "log sd"})
    basket_noise: float = field(default=0.6, metadata={"doc": "spread of one member's baskets", "unit": "log sd"})
    lifetime_sigma: float = field(
        default=0.6, metadata={"doc": "spread of the lapsing hazard over members", "unit": "log sd"}
    )
    lapsed_rate: float = field(
        default=0.03, metadata={"doc": "purchase rate of a lapsed member, of the own rate", "unit": "share"}
    )


@dataclass(frozen=True)
class Affinity:
    """Affinity = σ(intercept + loadings · signals + noise): how readily a member answers to a contact."""

    loadings: Loadings = field(default=Loadings(), metadata={"doc": "weights of the true signals", "unit": ""})
    intercept: float = field(
        default=-0.3, metadata={"doc": "affinity of a middling member, before σ", "unit": "logit"}
    )
    noise: float = field(default=0.6, metadata={"doc": "what no signal shows", "unit": "logit sd"})
    blur: float = field(default=0.3, metadata={"doc": "error with which the shop sees each signal", "unit": "sd"})


@dataclass(frozen=True)
class Response:
    """A contact adds p_max · affinity · g(r) · e^(−decay F) purchase probability, r = days since over own cycle."""

    p_max: float = field(metadata={"doc": "added purchase probability at its best", "unit": "probability"})
    shape: tuple[tuple[float, float], ...] = field(
        metadata={"doc": "knots [r, g] of g, straight between", "unit": "cycles, share"}
    )
    effect_days: int = field(
        default=7, metadata={"doc": "days over which the added probability is spread", "unit": "days"}
    )
    lapsed_share: float = field(
        default=0.5, metadata={"doc": "effect on a lapsed member, of the active one's", "unit": "share"}
    )
    reactivation: float = field(
        default=0.10,
        metadata={"doc": "a contact wins a lapsed member back with this x affinity", "unit": "probability"},
    )
    retention: float = field(
        default=0.4, metadata={"doc": "the lapsing hazard falls by this x affinity after a contact", "unit": "share"}
    )
    retention_days: int = field(default=14, metadata={"doc": "for so long", "unit": "days"})


@dataclass(frozen=True)
class Dogs:
    """Sleeping dogs: members whom a contact makes buy less and unfriend more."""

    loadings: Loadings = field(
        default=Loadings(breadth=1.0), metadata={"doc": "weights of the true signals", "unit": ""}
    )
    noise: float = field(default=0.5, metadata={"doc": "what no signal shows", "unit": "sd"})
    threshold: float = field(default=1.5, metadata={"doc": "above this sum a member is one", "unit": "sd"})
    effect: float = field(default=-0.15, metadata={"doc": "their effect, of the usual one", "unit": "share"})
    unfollow_factor: float = field(
        default=3.0, metadata={"doc": "their unfriending, of the usual one", "unit": "times"}
    )


@dataclass(frozen=True)
class Fatigue:
    half_life_days: float = field(
        default=14.0, metadata={"doc": "a contact tires half as much after so long", "unit": "days"}
    )
    decay: float = field(
        default=0.35, metadata={"doc": "the effect falls by exp(-this) per point of fatigue", "unit": "per point"}
    )


@dataclass(frozen=True)
class Unfollow:
    """A contact loses the friend with base · multiplier · e^(growth F), at most one half."""

    base: float = field(default=0.004, metadata={"doc": "for a rested, middling member", "unit": "probability"})
    growth: float = field(default=0.17, metadata={"doc": "growth with fatigue", "unit": "per point"})
    sigma: float = field(default=0.5, metadata={"doc": "spread over members", "unit": "log sd"})
    loadings: Loadings = field(
        default=Loadings(reserve=0.5), metadata={"doc": "weights of the true signals on its log", "unit": ""}
    )
    spontaneous_180d: float = field(
        default=0.14, metadata={"doc": "friends lost in 180 days without any contact", "unit": "share"}
    )
    spend_loss: float = field(default=0.2, metadata={"doc": "who is no friend buys less by this", "unit": "share"})
    value_days: float = field(
        default=180.0, metadata={"doc": "a lost friend is charged that loss for so long", "unit": "days"}
    )


@dataclass(frozen=True)
class Guides:
    """What guides do with a list: a listed member is contacted with (1 − skip) · (1 − cherry_pick · (1 − q))."""

    skip: float = field(default=0.0, metadata={"doc": "tasks left undone for no reason", "unit": "share"})
    cherry_pick: float = field(
        default=0.0,
        metadata={
            "doc": "how much they shun those who look hard; q is the member's rank by activity and recency",
            "unit": "share",
        },
    )


@dataclass(frozen=True)
class WorldParameters:
    """Everything that is true in a world."""

    world: Size
    purchases: Purchases
    response: Response
    affinity: Affinity = Affinity()
    dogs: Dogs = Dogs()
    fatigue: Fatigue = Fatigue()
    unfollow: Unfollow = Unfollow()
    guides: Guides = Guides()


def _build(kind: type, body: Mapping[str, Any], where: str) -> Any:
    """One table of the file as its dataclass, key by key."""
    known = {f.name: f for f in fields(kind)}
    types = get_type_hints(kind)
    unknown = sorted(set(body) - set(known))
    if unknown:
        raise InputError(f"{where}: unknown keys {unknown}; known are {sorted(known)}; see docs/worlds.md")
    values: dict[str, Any] = {}
    for name, value in body.items():
        path = f"{where}.{name}" if where else name
        wanted = types[name]
        if isinstance(value, Mapping):
            if wanted in (int, float, str) or name == "shape":
                raise InputError(f"{path}: expected a value, found a table; see docs/worlds.md")
            values[name] = _build(wanted, value, path)
        elif name == "shape":
            values[name] = _knots(value, path)
        elif wanted in (int, float):
            if (
                isinstance(value, bool)
                or not isinstance(value, int | float)
                or (wanted is int and value != int(value))
            ):
                raise InputError(f"{path}: expected a {wanted.__name__}, found {value!r}; see docs/worlds.md")
            values[name] = wanted(value)
        elif wanted is str and isinstance(value, str):
            values[name] = value
        else:
            raise InputError(
                f"{path}: expected a {getattr(wanted, '__name__', wanted)}, found {value!r}; see docs/worlds.md"
            )
    missing = [n for n, f in known.items() if n not in values and not _has_default(f)]
    if missing:
        raise InputError(f"{where or 'the world file'}: missing keys {missing}; see docs/worlds.md")
    return kind(**values)


def _has_default(one: Any) -> bool:
    from dataclasses import MISSING

    return one.default is not MISSING or one.default_factory is not MISSING


def _knots(value: Any, path: str) -> tuple[tuple[float, float], ...]:
    try:
        knots = tuple((float(r), float(g)) for r, g in value)
    except (TypeError, ValueError):
        knots = ()
    if len(knots) < 1 or any(b[0] <= a[0] for a, b in itertools.pairwise(knots)):
        raise InputError(f"{path}: expected knots [[r, g], …] with rising r, found {value!r}; see docs/worlds.md")
    return knots


# Bounds per (table, key): inclusive.
_SHARES = {
    ("world", "margin"), ("purchases", "lapsed_rate"), ("response", "p_max"), ("response", "reactivation"),
    ("response", "retention"), ("response", "lapsed_share"), ("unfollow", "base"), ("unfollow", "spontaneous_180d"),
    ("unfollow", "spend_loss"), ("guides", "skip"), ("guides", "cherry_pick"),
}  # fmt: skip
_POSITIVE = {
    ("world", "members"), ("world", "guides"), ("world", "capacity"), ("world", "burn_in_days"),
    ("purchases", "cycle_median_days"), ("purchases", "basket_median_yuan"), ("purchases", "lifetime_days"),
    ("response", "effect_days"), ("response", "retention_days"), ("fatigue", "half_life_days"),
}  # fmt: skip


def parse_world(body: Mapping[str, Any]) -> WorldParameters:
    """Check a parsed TOML file; raises InputError naming table.key, what was expected and what was found."""
    p: WorldParameters = _build(WorldParameters, body, "")
    for table, key in sorted(_SHARES | _POSITIVE):
        value = getattr(getattr(p, table), key)
        if (table, key) in _SHARES and not 0 <= value <= 1:
            raise InputError(f"{table}.{key}: expected a share between 0 and 1, found {value}; see docs/worlds.md")
        if (table, key) in _POSITIVE and value <= 0:
            raise InputError(f"{table}.{key}: expected a number above 0, found {value}; see docs/worlds.md")
    return p


def read_world(path: Path | str, changes: Mapping[str, Any] | None = None) -> WorldParameters:
    """Read a world file, or one of the shipped worlds by name; `changes` are {"table.key": value} put over it."""
    file = Path(path)
    if not file.suffix and not file.exists():
        file = WORLDS / f"{path}.toml"
    if not file.is_file():
        raise InputError(f"world file {path}: not found; the shipped worlds are {shipped_worlds()}")
    try:
        body = tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as wrong:
        raise InputError(f"world file {path}: not valid TOML ({wrong}); see docs/worlds.md") from None
    for dotted, value in (changes or {}).items():
        table: dict[str, Any] = body
        *way, last = dotted.split(".")
        for step in way:
            table = table.setdefault(step, {})
        table[last] = value
    return parse_world(body)


def shipped_worlds() -> list[str]:
    """Names of the worlds that come with the package."""
    return sorted(file.stem for file in WORLDS.glob("*.toml"))
