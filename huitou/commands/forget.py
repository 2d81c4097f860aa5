"""`huitou forget MEMBER`: a member leaves the ledger and every release, and a receipt says what was removed."""

import json
from pathlib import Path

import click

from huitou.options import config_options


@click.command("forget")
@click.argument("member_id")
@config_options
def command(member_id: str, config_file: Path | None, home: str | None) -> None:
    """Forget a member: ledger, releases (those in Bentos too), kept predictions, later inputs. Prints a receipt."""
    from huitou.config import load_config
    from outreach.forgetting import forget_everywhere
    from outreach.ledger import Ledger
    from serving.carried import places_of

    config = load_config(config_file, home=home)
    ledger = Ledger(config.ledger_url, brand_id=config.brand.id)
    receipt = forget_everywhere(
        ledger, places_of(config.place), member_id, at=config.now().replace(tzinfo=None, microsecond=0)
    )
    folder = config.home.path / "receipts"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{receipt['receipt_id']}.json"
    path.write_text(json.dumps(receipt, ensure_ascii=False, indent=1, default=str), encoding="utf-8")
    click.echo(json.dumps(receipt, ensure_ascii=False, indent=1, default=str))
    click.echo(f"written: {path}")
