"""`huitou backtest`: a contract folder and past days in; a JSON of figures and an HTML page beside it out."""

import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from features.errors import InputError


@click.command("backtest", short_help="Judge every model on past days, beside plain baselines.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--as-of", "as_of", multiple=True, required=True, metavar="DAY", help="A cut-off, 2026-03-01; repeatable."
)
@click.option("--horizon", type=int, required=True, metavar="DAYS", help="Days after each cut-off that are judged.")
@click.option(
    "--tasks", default="churn,timing,items,value", show_default=True, help="Some of them, with commas between."
)
@click.option("--members", type=click.Path(path_type=Path), help="Judge only these ids (a file, one id a line).")
@click.option("--item-members", type=int, default=0, help="Judge item lists on so many drawn members; 0 = all.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of every random choice.")
@click.option("--draws", type=int, default=500, show_default=True, help="Bootstrap draws of members.")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE.json", help="Where figures go.")
def command(
    folder: Path,
    as_of: tuple[str, ...],
    horizon: int,
    tasks: str,
    members: Path | None,
    item_members: int,
    seed: int,
    draws: int,
    out: Path,
) -> None:
    """Judge the whole product on DIR, a folder that keeps the input contract.

    At each --as-of day everything is fitted on what was known before it and held against the --horizon days after,
    beside plain baselines, with 95 % intervals from a bootstrap over members. Writes FILE.json and FILE.html.
    """
    from features.history import build_history
    from features.rekeying import one_person_each
    from features.tables import open_tables
    from training.backtest import backtest
    from training.report import html_report

    console = Console(stderr=True)
    began = time.monotonic()
    days = []
    for text in as_of:
        try:
            days.append(datetime.strptime(text.strip(), "%Y-%m-%d").date())
        except ValueError:
            raise InputError(f"--as-of {text!r}: expected a day such as 2026-03-01") from None
    wanted = None if members is None else read_ids(members)
    if not out.parent.is_dir():
        raise InputError(f"--out {out}: the folder {out.parent} does not exist; make it first")
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console, transient=True
    ) as bar:
        line = bar.add_task("reading", total=1.0)

        def tell(share: float, start: float) -> Callable[[str, float], None]:
            return lambda message, done: bar.update(line, description=message[:60], completed=start + share * done)

        tables = open_tables(folder, progress=tell(0.08, 0.0))
        tables, _ = one_person_each(tables)
        history = build_history(tables, progress=tell(0.02, 0.08))
        report = backtest(
            history,
            days,
            horizon,
            tasks=[task.strip() for task in tasks.split(",") if task.strip()],
            members=wanted,
            item_members=item_members,
            seed=seed,
            draws=draws,
            progress=tell(0.9, 0.1),
        )
    out.write_text(json.dumps(report, ensure_ascii=False, indent=1, allow_nan=False) + "\n", "utf-8")
    page = out.with_suffix(".html")
    page.write_text(html_report(report), "utf-8")
    console.print(_summary(report))
    click.echo(f"wrote {out} and {page} ({time.monotonic() - began:.0f} s)")


def read_ids(path: Path) -> list[str]:
    """Member ids of a file, one a line; blank lines are left out.

    Raises InputError where there is no such file or no id in it.
    """
    if not path.is_file():
        raise InputError(f"--members {path}: no such file; expected one member_id a line")
    ids = [line.strip() for line in path.read_text("utf-8-sig").splitlines()]
    ids = [one for one in ids if one and one != "member_id"]
    if not ids:
        raise InputError(f"--members {path}: no id found; expected one member_id a line")
    return ids


def _summary(report: dict[str, Any]) -> Table:
    table = Table(title=f"Backtest, {report['horizon_days']} days, {report['members']:,} members")
    for title in ("task", "metric", "Huitou", "best baseline", "difference [95 %]"):
        table.add_column(title)
    blocks = {name: block for name, block in report["tasks"].items() if name != "items" and block}
    blocks |= {f"items, {name}": block for name, block in (report["tasks"].get("items") or {}).items()}
    for name, block in blocks.items():
        for metric, own in ((block or {}).get("model") or {}).items():
            if not isinstance(own, dict):
                continue
            pair = ((block["paired"] or {}).get("best") or {}).get(metric)
            told = ("", "")
            if pair and pair.get("low") is not None:
                beaten = block["baselines"][pair["baseline"]][metric]["value"]
                told = (
                    f"{beaten:.4f} {pair['baseline']}",
                    f"{pair['value']:+.4f} [{pair['low']:+.4f}, {pair['high']:+.4f}]",
                )
            table.add_row(name, metric, f"{own['value']:.4f}", *told)
    return table
