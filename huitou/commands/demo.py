"""`huitou demo`: the whole line on a simulated brand, ending in a page one can open."""

import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import click

from features.errors import HuitouError
from huitou.console import bar, errors, facts, out
from huitou.options import config_options

# A cold start imports BentoML and LightGBM, and maps the release.
START_SECONDS = 120


@click.command("demo")
@click.option("--members", default=20_000, show_default=True, help="Members of the simulated brand.")
@click.option("--serve/--no-serve", default=True, show_default=True, help="Serve the page at the end and stay up.")
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="Port on 127.0.0.1.")
@config_options
def command(members: int, serve: bool, port: int, config_file: Path | None, home: str | None) -> None:
    """Simulate a brand, train, promote, release, write today's lists and show a guide's page."""
    from huitou.config import load_config
    from huitou.demo import run_demo
    from serving.server import listen_on

    if serve:
        listen_on("127.0.0.1", port).close()  # a taken port is told now, not after the training
    folder = Path(home or load_config(config_file).brand.home)
    config = load_config(config_file, home=str(folder), input=str(folder / "demo-data"))

    def stage(title: str, work: Callable[[Any], Any]) -> Any:
        with bar(title) as tell:
            return work(tell)

    now = config.now()
    demo = run_demo(config, members, today=now.date(), now=now, stage=stage)
    manifest, plan = demo.release.manifest, demo.lists.plan
    facts(
        "Demo",
        {
            "members": f"{manifest['members']:,} ({manifest['scored']:,} scored as of {manifest['as_of']})",
            **{
                f"model for {p.task}": f"{p.outcome}; {p.verdict.reason if p.verdict else ''}"
                for p in demo.promotions
            },
            "lists": f"{len(plan.lists)} guides, {sum(len(one.tasks) for one in plan.lists)} tasks",
            "seconds": ", ".join(f"{name} {value:.0f}" for name, value in demo.seconds.items()),
            "written": str(config.home.path.resolve()),
        },
    )
    if not serve:
        out.print("serve it: ", f"huitou serve --home {folder}", sep="")
        return
    show_page(folder, port, demo.guide_id, demo.token)


def show_page(home: Path, port: int, guide_id: str, token: str) -> None:
    """Serve a home on 127.0.0.1, say the address of the guide's page once it answers, and stay until told to end."""

    def told_to_end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(0)

    # Without it a SIGTERM would leave the service running.
    signal.signal(signal.SIGTERM, told_to_end)
    server = subprocess.Popen([sys.executable, "-m", "huitou", "serve", "--home", str(home), "--port", str(port)])
    try:
        _wait(server, f"http://127.0.0.1:{port}/v1/guides/{guide_id}/contact-list", token)
        out.print(f"\n[bold green]Open the page of guide {guide_id}:[/]")
        click.echo(f"http://127.0.0.1:{port}/guide#token={token}")
        out.print("Ctrl-C ends it.")
        server.wait()
    except KeyboardInterrupt:
        errors.print("stopping")
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait(server: "subprocess.Popen[bytes]", address: str, token: str) -> None:
    """Until the guide's own list is answered: another service on the port does not know the token."""
    asked = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"})
    for _ in range(START_SECONDS * 2):
        if server.poll() is not None:
            raise HuitouError(f"the service ended with code {server.returncode} before it answered")
        try:
            with urllib.request.urlopen(asked, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise HuitouError(f"{address} did not answer within {START_SECONDS} s")
