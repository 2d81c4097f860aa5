"""`huitou release`: score every member and publish a release."""

from pathlib import Path

import click

from huitou.console import bar, facts, out
from huitou.options import config_options


@click.command("release")
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@config_options
def command(folder: Path | None, config_file: Path | None, home: str | None) -> None:
    """Score the members of FOLDER (or of the input in huitou.toml) with the champions and publish a release."""
    from huitou.brand import read_brand
    from huitou.config import load_config
    from huitou.pipeline import make_release

    config = load_config(config_file, home=home, input=str(folder) if folder else None)
    with bar("release") as tell:
        release = make_release(config, read_brand(config), now=config.now(), progress=tell)
    facts(
        "Release",
        {
            "release": release.release_id,
            "as of": release.manifest["as_of"],
            "members": f"{release.manifest['members']:,} ({release.manifest['scored']:,} scored)",
            **{task: f"{m['source']} {m['version']}" for task, m in release.manifest["models"].items()},
        },
    )
    out.print(f"written: {release.path}")
