"""`huitou exposures`: what was shown, what came of it, and what exploring more or less would bring."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import click

from huitou.console import out, table
from huitou.options import config_options


@click.command("exposures")
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--before", default=None, help="Lists shown before this day, YYYY-MM-DD; today by default.")
@click.option("--days", default=28, show_default=True, type=click.IntRange(1, 3660), help="Days of lists.")
@click.option("--seed", default=0, show_default=True, help="Seed of the bootstrap.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Also write it as JSON.")
@config_options
def command(
    folder: Path | None,
    before: str | None,
    days: int,
    seed: int,
    json_file: Path | None,
    config_file: Path | None,
    home: str | None,
) -> None:
    """Recompute click-through and acceptance from the exposure log, and keep the summary for the service.

    Orders come from the events that the service was told and from the tables in FOLDER (the configured input where it
    exists).
    """
    from features.errors import InputError
    from huitou.brand import ledger_of, read_people
    from huitou.config import load_config
    from huitou.exposures import report_exposures

    config = load_config(config_file, home=home, input=str(folder) if folder else None)
    today = config.now().date()
    try:
        day = date.fromisoformat(before) if before else today
    except ValueError as error:
        raise InputError(f"exposures: --before must be YYYY-MM-DD, found {before!r}") from error
    ledger = ledger_of(config)
    tables = read_people(config)[0] if folder or Path(config.brand.input).is_dir() else None
    report = report_exposures(ledger, tables, day, today=today, days=days, seed=seed)
    ledger.close()
    rows = [("seen by members", report["seen_by_members"])]
    rows += [(f"filled by {row['rung'] or 'unknown'}", row) for row in report["rungs"]]
    table(
        f"Lists shown from {report['since']} to before {report['before']}",
        ["", "lists", "places", "clicked", "click rate", "accepted", "acceptance"],
        [(name, *(_said(row[key]) for key in _SHOWN)) for name, row in rows],
    )
    own = report["seen_by_members"]
    for figure, within in (("click", "click_within_days"), ("acceptance", "order_within_days")):
        over = own[f"{figure}_lists"]
        if over is not None:
            days_said = "1 day" if report[within] == 1 else f"{report[within]} days"
            out.print(f"{figure}: over {over:,} lists to known members shown more than {days_said} ago")
    tried = report["exploration"]
    out.print(f"explored: {tried['explored']} of {tried['lists']} lists that could, {tried['expected']} expected")
    for row in tried["off_policy"]:
        found = row["estimate"]
        value = f"{found['value']:.4f} [{found['low']:.4f}, {found['high']:.4f}]" if found else row["refused"]
        out.print(f"  {row['reward']} at that place, exploring {row['explore'].replace('_', ' ')}: {value}")
    if json_file is not None:
        json_file.write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        out.print(f"written: {json_file}")
    out.print(f"kept in {config.ledger_url} for GET /v1/experiments/recommendations/summary")


_SHOWN = ("lists", "places", "clicked", "click_rate", "accepted", "acceptance_rate")


def _said(value: Any) -> str:
    if value is None:
        return "not told"
    return f"{value:.4f}" if isinstance(value, float) else f"{value:,}"
