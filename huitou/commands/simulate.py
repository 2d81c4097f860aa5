"""`huitou simulate`: a preset and a size in; a folder that keeps the input contract out."""

import datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress as Bar
from rich.table import Table


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--preset", default="beauty", show_default=True, help="Kind of brand, or a TOML file of your own.")
@click.option("--members", default=20_000, show_default=True, help="Registered members at the end.")
@click.option("--days", default=540, show_default=True, help="Length of the export in days.")
@click.option("--seed", default=7, show_default=True, help="Same seed, same brand.")
@click.option("--dirt", default=0.0, show_default=True, help="Share of rows to spoil, each kind on purpose.")
@click.option("--drift", default=0.0, show_default=True, help="Fall of the pace in the last quarter.")
@click.option("--end", type=click.DateTime(["%Y-%m-%d"]), help="Last day of the export.  [default: 2026-06-30]")
@click.option(
    "--format",
    "form",
    type=click.Choice(["parquet", "csv"]),
    default="parquet",
    show_default=True,
    help="File format.",
)
def command(
    folder: Path,
    preset: str,
    members: int,
    days: int,
    seed: int,
    dirt: float,
    drift: float,
    end: datetime.datetime | None,
    form: str,
) -> None:
    """Simulate a brand's export, with known truth behind it."""
    from simulator.brand import DEFAULT_END, simulate_brand
    from simulator.export import write_brand
    from simulator.preset import load_preset

    console = Console()
    shape = load_preset(Path(preset) if preset.endswith(".toml") else preset)
    last = end.date() if end else DEFAULT_END
    with Bar(console=console, transient=True) as bar:
        task = bar.add_task("simulating", total=1.0)
        tables = simulate_brand(
            shape,
            members=members,
            days=days,
            seed=seed,
            dirt=dirt,
            drift=drift,
            end=last,
            progress=lambda message, done: bar.update(task, description=message, completed=0.8 * done),
        )
        bar.update(task, description="writing")
        write_brand(tables, folder, days=days, end=last, form=form)
    shown = Table("table", "rows", title=f"{shape.title}: {members:,} members, {days} days to {last}")
    for name, frame in tables.items():
        shown.add_row(name, f"{len(frame):,}")
    console.print(shown)
    console.print(f"wrote {folder}")
