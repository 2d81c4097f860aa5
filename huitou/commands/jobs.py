"""`huitou jobs`: does what was asked for over HTTP; a job outlives a restart of the service."""

import time
from datetime import datetime
from pathlib import Path

import click

from huitou.options import config_options

# How often the queue is looked at; a manager who asked for new lists looks again after a minute or so.
POLL_SECONDS = 1.0


@click.command("jobs")
@click.option("--once", is_flag=True, help="Do what waits, then end.")
@config_options
def command(once: bool, config_file: Path | None, home: str | None) -> None:
    """Run waiting jobs: new contact lists for a store or for some guides."""
    from huitou.config import load_config
    from huitou.jobs import run_one
    from outreach.ledger import Ledger

    config = load_config(config_file, home=home)
    ledger = Ledger(config.ledger_url, brand_id=config.brand.id)
    try:
        while True:
            done = run_one(config, ledger, now=lambda: datetime.now().astimezone())
            if done is not None:
                click.echo(f"{done['job_id']}: {done['state']}: {done['result']}")
            elif once:
                return
            else:
                time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        return
    finally:
        ledger.close()
