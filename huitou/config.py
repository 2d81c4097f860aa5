"""`huitou.toml` in, frozen settings out. Every key has a default and one comment; an unknown key is refused by name."""

import dataclasses
import tomllib
import types
import typing
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from features.errors import InputError
from outreach.settings import ContactSettings
from serving.settings import Place, ServingSettings
from training.settings import TrackingSettings, TrainingSettings

FILE_NAME = "huitou.toml"


@dataclass(frozen=True)
class BrandSettings:
    """The brand that this deployment serves, and where its tables are."""

    id: str = field(default="brand", metadata={"doc": "short id of the brand; begins every key of the ledger"})
    input: str = field(default="data", metadata={"doc": "folder of the brand's tables (docs/data-contract.md)"})
    home: str = field(default="home", metadata={"doc": "folder for all that Huitou writes"})
    ledger: str = field(default="", metadata={"doc": "SQLAlchemy URL of the ledger; empty = SQLite under home"})


@dataclass(frozen=True)
class ReleaseSettings:
    """What a release holds, and how many are kept for a roll-back."""

    keep: int = field(default=5, metadata={"doc": "releases kept on disk, the current one included"})
    explained: int = field(
        default=20_000,
        metadata={"doc": "members, by expected spend, whose reasons are computed with it; others' on request"},
    )


SECTIONS: dict[str, type] = {
    "brand": BrandSettings,
    "training": TrainingSettings,
    "tracking": TrackingSettings,
    "contact": ContactSettings,
    "release": ReleaseSettings,
    "serving": ServingSettings,
}


@dataclass(frozen=True)
class Config:
    """All sections of `huitou.toml`."""

    brand: BrandSettings = field(default_factory=BrandSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    tracking: TrackingSettings = field(default_factory=TrackingSettings)
    contact: ContactSettings = field(default_factory=ContactSettings)
    release: ReleaseSettings = field(default_factory=ReleaseSettings)
    serving: ServingSettings = field(default_factory=ServingSettings)

    @property
    def place(self) -> Place:
        """What a worker of the service is told."""
        return Place(self.home.path, self.ledger_url, self.brand.id, self.serving)

    @cached_property
    def home(self) -> "Home":
        return Home(Path(self.brand.home))

    def now(self) -> datetime:
        """The brand's clock: what the service says is said by this one too, wherever the machine stands."""
        return datetime.now(ZoneInfo(self.serving.timezone))

    @property
    def ledger_url(self) -> str:
        return self.brand.ledger or f"sqlite:///{(self.home.path / 'ledger.db').resolve()}"


@dataclass(frozen=True)
class Home:
    """The one folder that Huitou writes to."""

    path: Path

    @property
    def releases(self) -> Path:
        return self.path / "releases"

    @property
    def current(self) -> Path:
        return self.releases / "current"

    @property
    def kept_predictions(self) -> Path:
        """What releases predicted, kept until it has matured and `huitou monitor` has judged it."""
        return self.path / "monitor"

    @property
    def models(self) -> Path:
        return self.path / "models"


def load_config(path: Path | None = None, **overrides: str | None) -> Config:
    """Read `huitou.toml` (or the defaults where there is none); `home=`, `input=` override the brand's folders.

    Raises InputError for a missing file that was named, broken TOML, an unknown section or key, or a wrong type.
    """
    if path is not None and not path.is_file():
        raise InputError(f"{path}: no such file; print one with `huitou config > {FILE_NAME}`")
    file = path or Path(FILE_NAME)
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{file}: not TOML: {error}") from error
    unknown = sorted(set(content) - set(SECTIONS))
    if unknown:
        raise InputError(f"{file}: unknown sections {unknown}; known: {sorted(SECTIONS)}")
    sections = {name: _section(file, name, kind, content.get(name, {})) for name, kind in SECTIONS.items()}
    given = {key: value for key, value in overrides.items() if value is not None}
    sections["brand"] = dataclasses.replace(sections["brand"], **given)
    return Config(**sections)


def _section(file: Path, name: str, kind: type, values: Any) -> Any:
    if not isinstance(values, dict):
        raise InputError(f"{file}: {name} must be a section: [{name}]")
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise InputError(f"{file}: unknown keys in [{name}]: {unknown}; known: {sorted(hints)}")
    given = {key: _value(f"{file}: {name}.{key}", hints[key], value) for key, value in values.items()}
    return kind(**given)


def _value(where: str, hint: Any, value: Any) -> Any:
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if isinstance(value, list):
        value = tuple(value)
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    plain = tuple(typing.get_origin(kind) or kind for kind in kinds)
    if typing.Literal in plain:
        choices = [choice for kind in kinds for choice in typing.get_args(kind)]
        if value not in choices:
            raise InputError(f"{where}: expected one of {choices}, found {value!r}")
    elif not isinstance(value, plain) or (isinstance(value, bool) and bool not in plain):
        expected = " or ".join(getattr(kind, "__name__", str(kind)) for kind in plain)
        raise InputError(f"{where}: expected {expected}, found {value!r}")
    return value


def default_toml() -> str:
    """The text of a `huitou.toml` with every key at its default, one comment each."""
    blocks = ["# Settings of Huitou. Every key is optional; what stands here is the default.\n"]
    for name, kind in SECTIONS.items():
        doc = (kind.__doc__ or "").strip().splitlines()[0]
        lines = [f"# {doc}", f"[{name}]"]
        for entry in dataclasses.fields(kind):
            default, doc = getattr(kind(), entry.name), entry.metadata.get("doc", "")
            # TOML has no null: a key without a default is shown commented out.
            lines.append(
                f"# {entry.name} =  # {doc}" if default is None else f"{entry.name} = {_toml(default)}  # {doc}"
            )
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml(part) for part in value) + "]"
    if isinstance(value, Path):
        return _toml(str(value))
    return str(value)
