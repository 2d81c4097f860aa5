"""`huitou token create|list|revoke`: who may call the service, and as what."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from huitou.options import config_options

if TYPE_CHECKING:
    from huitou.config import Config


@click.group("token")
def command() -> None:
    """Make, list and revoke the tokens that callers of the service carry."""


@command.command("create")
@click.argument("role", type=click.Choice(["guide", "manager", "operator", "app", "analyst", "admin"]))
@click.option("--guide", default="", help="The guide whose members the token may see (role guide).")
@click.option("--store", default="", help="The store whose members the token may see (role manager).")
@click.option("--label", default="", help="A note for the list of tokens.")
@click.option("--days", type=click.IntRange(1), default=None, help="The token ends after so many days.")
@config_options
def create(
    role: str, guide: str, store: str, label: str, days: int | None, config_file: Path | None, home: str | None
) -> None:
    """Make a token and print it. It is shown this once: only its hash is kept."""
    config = _config(config_file, home)
    now = config.now()
    ends = now + timedelta(days=days) if days else None
    ledger = _ledger(config)
    clear = ledger.create_token(role, subject=guide, store_id=store, label=label, at=now, expires_at=ends)
    click.echo(clear)


@command.command("list")
@config_options
def list_(config_file: Path | None, home: str | None) -> None:
    """List the tokens, newest first; never the tokens themselves."""
    from huitou.console import table

    rows = []
    for token in _ledger(_config(config_file, home)).tokens():
        state = (
            "revoked"
            if token["revoked_at"]
            else f"until {token['expires_at']:%Y-%m-%d}"
            if token["expires_at"]
            else "live"
        )
        whose = token["subject"] or token["store_id"]
        rows.append(
            (token["token_id"], token["role"], whose, token["label"], f"{token['created_at']:%Y-%m-%d}", state)
        )
    table("Tokens", ["id", "role", "of", "label", "made", "state"], rows)


@command.command("revoke")
@click.argument("token_id")
@config_options
def revoke(token_id: str, config_file: Path | None, home: str | None) -> None:
    """Revoke a token by its id; it fails from the next call on."""
    config = _config(config_file, home)
    _ledger(config).revoke_token(token_id, at=config.now())
    click.echo(f"{token_id} revoked")


def _config(config_file: Path | None, home: str | None) -> "Config":
    from huitou.config import load_config

    return load_config(config_file, home=home)


def _ledger(config: "Config") -> Any:
    from outreach.ledger import Ledger

    config.home.path.mkdir(parents=True, exist_ok=True)
    return Ledger(config.ledger_url, brand_id=config.brand.id)
