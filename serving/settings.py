"""How the service runs: the `[serving]` section of `huitou.toml`, handed to the workers through the environment."""

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from features.errors import InputError

HOME_VARIABLE = "HUITOU_HOME"
SETTINGS_VARIABLE = "HUITOU_SERVING"


@dataclass(frozen=True)
class ServingSettings:
    """How the service listens, how much it lets through and how it looks at releases."""

    host: str = field(default="127.0.0.1", metadata={"doc": "address to listen on; 0.0.0.0 opens it to the network"})
    port: int = field(default=3000, metadata={"doc": "port to listen on"})
    workers: int = field(default=1, metadata={"doc": "worker processes; they share the release's memory"})
    timezone: str = field(default="Asia/Shanghai", metadata={"doc": "the brand's time zone"})
    poll_seconds: float = field(default=0.5, metadata={"doc": "how often a worker looks for a new release"})
    requests_per_minute: int = field(
        default=600, metadata={"doc": "per token and worker; an app or analyst gets 100 x"}
    )
    body_limit_bytes: int = field(default=1_000_000, metadata={"doc": "a larger body is answered 413"})
    stale_after_days: int = field(default=3, metadata={"doc": "a release older than this is reported as stale"})
    explore_share: float = field(
        default=0.05, metadata={"doc": "share of a member's new and mixed lists that try an item nobody bought yet"}
    )
    explore_seed: int = field(default=0, metadata={"doc": "seed of that draw; with the request's id it decides"})
    undo_minutes: int = field(default=30, metadata={"doc": "how long a guide may take back an outcome"})

    def __post_init__(self) -> None:
        if not 0 <= self.explore_share <= 0.5:
            raise InputError(
                f"serving.explore_share: expected a share between 0 and 0.5, found {self.explore_share}; "
                "correct huitou.toml"
            )


@dataclass(frozen=True)
class Place:
    """Where a worker finds everything: the home folder, the ledger's URL, the brand, and the settings."""

    home: Path
    ledger_url: str
    brand_id: str
    settings: ServingSettings

    @property
    def releases(self) -> Path:
        return self.home / "releases"

    def as_environment(self) -> dict[str, str]:
        """The variables that tell a worker process all of this."""
        said = {
            "ledger_url": self.ledger_url,
            "brand_id": self.brand_id,
            "settings": dataclasses.asdict(self.settings),
        }
        return {HOME_VARIABLE: str(self.home.resolve()), SETTINGS_VARIABLE: json.dumps(said)}


def place_from_environment(environment: Mapping[str, str] = os.environ) -> Place:
    """The place that the environment names: HUITOU_HOME alone is enough, the rest has defaults."""
    home = Path(environment.get(HOME_VARIABLE, "home"))
    said = json.loads(environment.get(SETTINGS_VARIABLE, "{}"))
    return Place(
        home=home,
        ledger_url=said.get("ledger_url") or f"sqlite:///{(home / 'ledger.db').resolve()}",
        brand_id=said.get("brand_id", "brand"),
        settings=ServingSettings(**said.get("settings", {})),
    )
