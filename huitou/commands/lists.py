"""`huitou lists`: the contact lists of a day."""

from datetime import date
from pathlib import Path

import click

from huitou.console import bar, out, table
from huitou.options import config_options


@click.command("lists")
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--date", "day", default=None, help="Day of the lists, YYYY-MM-DD; the release's own day by default.")
@config_options
def command(folder: Path | None, day: str | None, config_file: Path | None, home: str | None) -> None:
    """Write every guide's contact list of a day to the ledger. Doing it again changes nothing."""
    from features.errors import InputError
    from huitou.brand import ledger_of, read_people
    from huitou.config import load_config
    from huitou.daily import write_lists
    from training.release import open_release

    config = load_config(config_file, home=home, input=str(folder) if folder else None)
    if not config.home.current.exists():
        raise InputError(f"lists: no release under {config.home.releases}; run `huitou release` first")
    release = open_release(config.home.current)
    try:
        wanted = date.fromisoformat(day or release.manifest["as_of"])
    except ValueError as error:
        raise InputError(f"lists: --date must be YYYY-MM-DD, found {day!r}") from error
    with bar("lists") as tell:
        ledger = ledger_of(config)
        tables = read_people(config)[0]
        written = write_lists(config, tables, release, ledger, wanted, now=config.now(), progress=tell)
    plan = written.plan
    table(f"Lists of {wanted}", ["", "members"], [("eligible", plan.eligible), *sorted(plan.excluded.items())])
    out.print(f"order: {written.learned.why}")
    out.print(f"{len(plan.lists)} lists in {config.ledger_url}: {written.counts}")
