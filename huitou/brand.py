"""The configuration in; out: the brand's tables as the jobs read them, and its ledger."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from features.history import History, build_history
from features.progress import Progress, quiet
from features.rekeying import one_person_each
from features.tables import Tables, open_tables
from huitou.config import Config
from huitou.forgotten import without_forgotten
from outreach.ledger import Ledger


@dataclass(frozen=True)
class Brand:
    """A brand's history, every person one member in it, and which old card number belongs to whom."""

    history: History
    aliases: Mapping[str, str]


def read_people(config: Config, progress: Progress = quiet) -> tuple[Tables, Mapping[str, str]]:
    """The brand's checked tables with every person one member and nobody forgotten in them, and the old card numbers.

    Raises InputError where the tables are refused.
    """
    tables = open_tables(Path(config.brand.input), progress=progress)
    people, one = one_person_each(without_forgotten(tables, ledger_of(config)))
    return people, one.aliases


def read_brand(config: Config, progress: Progress = quiet) -> Brand:
    """What `read_people` gives, and the visits made of it."""
    people, aliases = read_people(config, progress)
    return Brand(build_history(people), aliases)


def ledger_of(config: Config) -> Ledger:
    config.home.path.mkdir(parents=True, exist_ok=True)
    return Ledger(config.ledger_url, brand_id=config.brand.id)
