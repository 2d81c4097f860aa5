"""`huitou jobs`: does what was asked for over HTTP; a job outlives a restart of the service."""

import logging
import time
from pathlib import Path
from typing import Any

import click

from huitou.options import config_options

# How often the queue is looked at; a manager who asked for new lists looks again after a minute or so.
POLL_SECONDS = 1.0
# And how long it is left alone after it could not be looked at.
REST_SECONDS = 5.0

log = logging.getLogger("huitou.jobs")


@click.command("jobs")
@click.option("--once", is_flag=True, help="Do what waits, then end.")
@config_options
def command(once: bool, config_file: Path | None, home: str | None) -> None:
    """Run waiting jobs: new contact lists for a store or for some guides."""
    from huitou.config import load_config
    from outreach.ledger import Ledger
    from serving.logs import structured_logs

    config = load_config(config_file, home=home)
    structured_logs()
    ledger = Ledger(config.ledger_url, brand_id=config.brand.id)

    def one() -> dict[str, Any] | None:
        if not ledger.any_job():
            return None
        # What makes lists takes a second to import and 200 MB to hold: not before there is something to do.
        from huitou.jobs import run_one

        return run_one(config, ledger, now=config.now)

    try:
        while True:
            try:
                done = one()
            except Exception:
                if once:
                    raise
                # The ledger may be away for a while; what was asked for waits in it.
                log.exception("the jobs could not be looked at; trying again")
                time.sleep(REST_SECONDS)
                continue
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
