"""`huitou config`: print the settings with their defaults."""

import click


@click.command("config")
def command() -> None:
    """Print a huitou.toml with every key at its default and one comment each."""
    from huitou.config import default_toml

    click.echo(default_toml(), nl=False)
