"""`huitou releases`: what is on disk and what serves."""

import json
from pathlib import Path

import click

from huitou.console import table
from huitou.options import config_options


@click.command("releases")
@config_options
def command(config_file: Path | None, home: str | None) -> None:
    """List the releases, oldest first; the one that serves is marked."""
    from huitou.config import load_config
    from training.release_writer import current_release, list_releases

    root = load_config(config_file, home=home).home.releases
    current = current_release(root)
    rows = []
    for path in list_releases(root):
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        mark = "serves" if path.name == current else ""
        rows.append((path.name, manifest["created_at"], manifest["as_of"], f"{manifest['members']:,}", mark))
    table(f"Releases under {root}", ["release", "created", "as of", "members", ""], rows)
