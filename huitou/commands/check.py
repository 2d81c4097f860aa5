"""`huitou check`: what a contract folder holds, what is left out and why, and what to do next."""

import json
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from features.checks import check_folder
from features.report import CheckReport, Finding

USER_MISTAKE = 2
_STYLES = {"refused": "bold red", "warning": "yellow", "note": "dim"}


@click.command("check")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Write report.json and the quarantined rows here.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON and nothing else.")
def command(folder: Path, out: Path | None, as_json: bool) -> None:
    """Check a folder of raw tables against the input contract.

    Exit code 0: usable, perhaps with warnings. Exit code 2: something was refused.
    """
    console = Console(stderr=True)
    # A bar for people; where nobody watches (a pipe, a log) it stays away.
    bar = Progress(
        TextColumn("{task.description:<28}"), BarColumn(), TimeElapsedColumn(), console=console, transient=True
    )
    quarantine = None if out is None else out / "quarantine"
    today = datetime.now(ZoneInfo("Asia/Shanghai")).date()
    with bar:
        task = bar.add_task("looking", total=1.0)

        def progress(message: str, fraction: float) -> None:
            bar.update(task, description=message, completed=fraction)

        report = check_folder(folder, quarantine=quarantine, today=today, progress=progress)
    told = json.dumps(report.as_dict(), ensure_ascii=False, indent=2)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "report.json").write_text(told + "\n", "utf-8")
    if as_json:
        click.echo(told)
    else:
        show(report, Console())
        if out is not None:
            click.echo(f"wrote {out / 'report.json'}" + _written(quarantine))
    if not report.usable:
        click.get_current_context().exit(USER_MISTAKE)


def _written(quarantine: Path | None) -> str:
    files = sorted(quarantine.glob("*.csv")) if quarantine is not None and quarantine.is_dir() else []
    return "".join(f", {path}" for path in files)


def show(report: CheckReport, console: Console) -> None:
    """Print the counts, then the findings, worst first."""
    table = Table(title=f"{report.folder}: {report.brand_id}", title_justify="left")
    for name in ("table", "read", "kept", "quarantined", "superseded", "refused"):
        table.add_column(name, justify="left" if name == "table" else "right")
    for name, count in report.tables.items():
        numbers = (count.read, count.kept, sum(count.quarantined.values()), count.superseded, count.refused)
        style = "red" if count.refused else None
        table.add_row(name, *(f"{n:,}" if n else "·" for n in numbers), style=style)
    console.print(table)
    for finding in report.findings:
        console.print(_told(finding), soft_wrap=True)
    if report.coverage_start is not None:
        console.print(f"orders from {report.coverage_start} to {report.coverage_end}")
    warnings = sum(f.severity == "warning" for f in report.findings)
    verdict = f"usable, {warnings} warnings" if report.usable else f"refused, for {len(report.refusals)} reasons"
    console.print(Text(verdict, style="green" if report.usable else "bold red"))


def _told(finding: Finding) -> Text:
    where = f"{finding.table}.{finding.column}" if finding.column else finding.table
    text = Text(f"{finding.severity:<8} ", style=_STYLES[finding.severity])
    text.append(where, style="bold")
    text.append(f": expected {finding.expected}; found {finding.found}")
    text.append(f"\n         next: {finding.next_step}", style="dim")
    if finding.examples:
        text.append(f"\n         for instance {', '.join(finding.examples)}", style="dim")
    return text
