"""`huitou schedule`: lines for cron and systemd."""

import shlex
import sys
from pathlib import Path

import click

from huitou.options import config_options


@click.command("schedule")
@click.option("--at", default="04:30", show_default=True, help="Local time of the nightly job, HH:MM.")
@config_options
def command(at: str, config_file: Path | None, home: str | None) -> None:
    """Print cron and systemd lines: the night's job every day, training and promotion on Mondays before it."""
    hour, minute = _clock(at)
    program = Path(sys.argv[0]).resolve()
    options = [f"--config={config_file.resolve()}"] if config_file else []
    options += [f"--home={Path(home).resolve()}"] if home else []

    def verb(name: str) -> str:
        return shlex.join([str(program), name, *options])

    place = shlex.quote(str(Path.cwd()))
    # A kept champion (exit code 3) is no reason to stop; a refused input (2) or a fault (1) is.
    weekly = f"{verb('train')} && {{ {verb('promote')} || [ $? -eq 3 ]; }}"
    click.echo("# cron (crontab -e); times are the machine's local time")
    click.echo(f"{minute} {(hour - 2) % 24} * * 1  cd {place} && {weekly}")
    click.echo(f"{minute} {hour} * * *  cd {place} && {verb('nightly')}")
    click.echo("\n# systemd: /etc/systemd/system/huitou-nightly.service")
    click.echo(f"[Service]\nType=oneshot\nWorkingDirectory={Path.cwd()}\nExecStart={verb('nightly')}")
    click.echo("\n# systemd: /etc/systemd/system/huitou-nightly.timer")
    click.echo(
        f"[Timer]\nOnCalendar=*-*-* {hour:02d}:{minute:02d}:00\nPersistent=true\n\n[Install]\nWantedBy=timers.target"
    )


def _clock(text: str) -> tuple[int, int]:
    try:
        hour, minute = (int(part) for part in text.split(":"))
    except ValueError as error:
        raise click.BadParameter(f"expected HH:MM, found {text!r}", param_hint="--at") from error
    if not (0 <= hour < 24 and 0 <= minute < 60):
        raise click.BadParameter(f"expected a time of day, found {text!r}", param_hint="--at")
    return hour, minute
