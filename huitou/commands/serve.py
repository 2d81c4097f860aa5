"""`huitou serve`: the service in the foreground, with the worker that makes lists when a manager asks."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

import click

from huitou.options import config_options


@click.command("serve")
@click.option(
    "--host", default=None, help="Address to listen on; 127.0.0.1 by default. 0.0.0.0 opens it to the network."
)
@click.option("--port", type=click.IntRange(1, 65535), default=None, help="Port to listen on; 3000 by default.")
@click.option("--workers", type=click.IntRange(1, 64), default=None, help="Worker processes; 1 by default.")
@click.option("--jobs/--no-jobs", default=True, show_default=True, help="Also run the jobs asked for over HTTP.")
@config_options
def command(
    host: str | None, port: int | None, workers: int | None, jobs: bool, config_file: Path | None, home: str | None
) -> None:
    """Serve the newest release: pages, REST and bulk calls, until Ctrl-C."""
    from huitou.config import load_config
    from huitou.console import errors
    from outreach.ledger import Ledger
    from serving.server import listen_on, run

    config = load_config(config_file, home=home)
    settings = dataclasses.replace(
        config.serving,
        host=host or config.serving.host,
        port=port or config.serving.port,
        workers=workers or config.serving.workers,
    )
    place = dataclasses.replace(config.place, settings=settings)
    listening = listen_on(settings.host, settings.port)
    place.home.mkdir(parents=True, exist_ok=True)
    Ledger(place.ledger_url, brand_id=place.brand_id).close()
    os.environ.update(place.as_environment())
    if settings.workers > 1:
        # Several workers add their metrics up through files of this run.
        shared = place.home / "run" / "metrics"
        shutil.rmtree(shared, ignore_errors=True)
        shared.mkdir(parents=True)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(shared.resolve())
    errors.print(f"serving {place.releases} on http://{settings.host}:{settings.port}/guide  (Ctrl-C ends it)")
    helper = None
    if jobs:
        run_jobs = [sys.executable, "-m", "huitou", "jobs", "--home", str(place.home)]
        run_jobs += ["--config", str(config_file)] if config_file else []
        helper = subprocess.Popen(run_jobs)

    def ended_early(number: int, frame: FrameType | None) -> None:
        raise SystemExit(0)

    # Until the server listens to signals itself; it gives this handler back when it ends.
    signal.signal(signal.SIGTERM, ended_early)
    code = 1
    try:
        code = run(listening, settings.workers)
    except KeyboardInterrupt:
        code = 0
    finally:
        if helper is not None:
            helper.terminate()
            helper.wait(timeout=30)
    sys.exit(code)
