"""The night's work in order: check, vectors and scores, release, lists, and what came of the lists shown. Safe to run again after a crash."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from features.errors import InputError
from features.progress import Progress, quiet
from huitou.brand import ledger_of, read_brand
from huitou.config import Config
from huitou.daily import ListsWritten, write_lists
from huitou.experiment import measure_lists
from huitou.exposures import report_exposures
from huitou.pipeline import keep_predictions, make_release, part_of
from training.release import Release


@dataclass(frozen=True)
class Night:
    """What a night left behind."""

    release: Release
    lists: ListsWritten


def nightly(config: Config, *, now: datetime, progress: Progress = quiet) -> Night:
    """Run the night's jobs one after another.

    Each step is written aside and appears by one rename or one transaction; a step that is done already is recognised
    and changes nothing. So a crash anywhere leaves yesterday's release answering, and running again completes the
    night. Raises InputError where another night is still running, or where the input is refused.
    """
    with only_one(config):
        progress("checking the tables", 0.0)
        brand = read_brand(config, part_of(progress, 0.0, 0.2))
        release = make_release(config, brand, now=now, progress=part_of(progress, 0.2, 0.6))
        keep_predictions(config, release)
        ledger = ledger_of(config)
        day = datetime.fromisoformat(release.manifest["as_of"]).date()
        lists = write_lists(
            config, brand.history.tables, release, ledger, day, now=now, progress=part_of(progress, 0.8, 0.2)
        )
        measure_lists(brand.history.tables, ledger, day, config.contact)
        if ledger.count_exposures():
            report_exposures(ledger, brand.history.tables, day, seed=config.training.seed)
        return Night(release, lists)


@contextmanager
def only_one(config: Config) -> Iterator[None]:
    """Hold the home folder's lock; the kernel drops it with the process, however that ends."""
    config.home.path.mkdir(parents=True, exist_ok=True)
    with (config.home.path / "nightly.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"nightly: another night is running on {config.home.path}; wait for it to end"
            ) from error
        yield
