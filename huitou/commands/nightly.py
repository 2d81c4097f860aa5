"""`huitou nightly`: everything a brand needs before the shops open."""

from pathlib import Path

import click

from huitou.console import bar, facts
from huitou.options import config_options


@click.command("nightly")
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@config_options
def command(folder: Path | None, config_file: Path | None, home: str | None) -> None:
    """Check the tables, build vectors, score, publish a release and write today's lists. Can be run again."""
    from huitou.config import load_config
    from huitou.nightly import nightly

    config = load_config(config_file, home=home, input=str(folder) if folder else None)
    with bar("nightly") as tell:
        night = nightly(config, now=config.now(), progress=tell)
    facts(
        "Night done",
        {
            "release": night.release.release_id,
            "members": f"{night.release.manifest['members']:,}",
            "lists": len(night.lists.plan.lists),
            "tasks": sum(len(one.tasks) for one in night.lists.plan.lists),
            "order": night.lists.learned.why,
            "ledger": night.lists.counts,
        },
    )
