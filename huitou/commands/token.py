"""`huitou token create|list|revoke`: who may call the service, and as what."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from huitou.options import config_options


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
    now = datetime.now().astimezone()
    ends = now + timedelta(days=days) if days else None
    ledger = _ledger(config_file, home)
    clear = ledger.create_token(role, subject=guide, store_id=store, label=label, at=now, expires_at=ends)
    click.echo(clear)


@command.command("list")
@config_options
def list_(config_file: Path | None, home: str | None) -> None:
    """List the tokens, newest first; never the tokens themselves."""
    from huitou.console import table

    rows = []
    for token in _ledger(config_file, home).tokens():
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
    _ledger(config_file, home).revoke_token(token_id, at=datetime.now().astimezone())
    click.echo(f"{token_id} revoked")


def _ledger(config_file: Path | None, home: str | None) -> Any:
    from huitou.config import load_config
    from outreach.ledger import Ledger

    config = load_config(config_file, home=home)
    config.home.path.mkdir(parents=True, exist_ok=True)
    return Ledger(config.ledger_url, brand_id=config.brand.id)
