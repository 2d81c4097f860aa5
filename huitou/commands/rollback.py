"""`huitou rollback`: serve an earlier release again."""

from pathlib import Path

import click

from features.errors import InputError
from huitou.console import out
from huitou.options import config_options


@click.command("rollback")
@click.argument("name", required=False)
@config_options
def command(name: str | None, config_file: Path | None, home: str | None) -> None:
    """Point the service at release NAME, by default the one before the current one."""
    from huitou.config import load_config
    from training.release import open_release
    from training.release_writer import current_release, list_releases, point_current_at

    root = load_config(config_file, home=home).home.releases
    names = [path.name for path in list_releases(root)]
    current = current_release(root)
    if name is None:
        earlier = names[: names.index(current)] if current in names else []
        if not earlier:
            raise InputError(f"rollback: there is no release before {current!r}; `huitou releases` lists them")
        name = earlier[-1]
    if name in names:
        open_release(root / name).verify()
    point_current_at(root, name)
    out.print(f"{name} serves (before: {current})")
