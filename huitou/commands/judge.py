"""`huitou judge`: put contact policies into a world of known truth and write what each of them earns."""

import json
import tomllib
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress as Bar
from rich.table import Table

from features.errors import InputError


def parse_change(text: str) -> tuple[str, Any]:
    """'guides.skip=0.2' as ('guides.skip', 0.2); the value is read as TOML."""
    key, sign, value = text.partition("=")
    try:
        if not sign or not key.strip():
            raise ValueError("no '='")
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except (ValueError, tomllib.TOMLDecodeError):
        raise InputError(f"--set {text}: expected TABLE.KEY=VALUE, such as guides.cherry_pick=0.8") from None


@click.command(name="judge", help=__doc__)
@click.option("--world", "world", required=True, help="world file (TOML), or the name of a shipped world")
@click.option("--policy", "policies", multiple=True, required=True, help="policy to judge; may be repeated")
@click.option("--days", default=120, show_default=True, help="days that each policy makes the lists")
@click.option("--seeds", default=5, show_default=True, help="seeds 0 … K−1, the same for every policy")
@click.option("--log-days", default=0, show_default=True, help="days of our own exploring policy before that")
@click.option("--set", "changes", multiple=True, help="change a key of the world: TABLE.KEY=VALUE; may be repeated")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="JSON file to write")
def command(
    world: str,
    policies: tuple[str, ...],
    days: int,
    seeds: int,
    log_days: int,
    changes: tuple[str, ...],
    out: Path,
) -> None:
    from huitou.judge import judge
    from simulator.world_file import read_world

    parameters = read_world(world, dict(parse_change(text) for text in changes))
    if not out.parent.is_dir():
        raise InputError(f"--out {out}: the folder does not exist; make it first")
    console = Console(stderr=True)
    with Bar(console=console, transient=True) as bar:
        task = bar.add_task("judging", total=1.0)
        result = judge(
            parameters,
            policies,
            days=days,
            seeds=seeds,
            log_days=log_days,
            progress=lambda message, share: bar.update(task, description=message, completed=share),
        )
    out.write_text(json.dumps(result, ensure_ascii=False, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    Console().print(_table(result))
    click.echo(f"wrote {out}")


def _table(result: dict[str, Any]) -> Table:
    table = Table(title=f"{result['world']}: {result['days']} days, {result['seeds']} seeds, {result['interval']}")
    for head in ("policy", "net, yuan", "share of oracle", "revenue lift", "friends lost, points", "contacts"):
        table.add_column(head, justify="left" if head == "policy" else "right")
    for name, row in result["policies"].items():
        table.add_row(
            name,
            _cell(row["net_yuan"], "{:,.0f}"),
            _cell(row["share_of_oracle"], "{:.2f}"),
            _cell(row["revenue_lift"], "{:.1%}"),
            _cell(row["friends_lost_pp"], "{:+.2f}"),
            _cell(row["contacts"], "{:,.0f}", bare=True),
        )
    return table


def _cell(figure: dict[str, float | None], form: str, *, bare: bool = False) -> str:
    if figure["value"] is None:
        return "–"
    text = form.format(figure["value"])
    if bare or figure["low"] is None:
        return text
    return f"{text} ({form.format(figure['low'])} … {form.format(figure['high'])})"
