"""`huitou promote`: run the gates and move the champion aliases."""

from pathlib import Path

import click

from features.errors import GateRefused, InputError
from huitou.console import out, table
from huitou.options import config_options


@click.command("promote")
@click.argument("tasks", nargs=-1)
@config_options
def command(tasks: tuple[str, ...], config_file: Path | None, home: str | None) -> None:
    """Let the challengers of TASKS (curve, value, items; all by default) through their gates.

    Exit code 3 where a champion was kept against a challenger, 0 where a first fallback was installed.
    """
    from huitou.config import load_config
    from huitou.pipeline import promote_brand

    done = promote_brand(load_config(config_file, home=home), tasks or None)
    rows = [
        (p.task, p.outcome, p.champion.version if p.champion else "", p.verdict.reason if p.verdict else "")
        for p in done
    ]
    table("Promotion", ["task", "outcome", "champion", "why"], rows)
    missing = [p.task for p in done if p.missing]
    if missing:
        raise InputError(f"promote: no challenger for {', '.join(missing)}; run `huitou train` first")
    refused = [p.task for p in done if p.refused]
    if refused:
        raise GateRefused(f"the champion stays for {', '.join(refused)}")
    out.print("next: huitou release")
