"""`huitou train`: judge and fit every model, register the challengers."""

from pathlib import Path

import click

from huitou.console import bar, out, table
from huitou.options import config_options


@click.command("train")
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@config_options
def command(folder: Path | None, config_file: Path | None, home: str | None) -> None:
    """Train on the brand's tables (FOLDER, or the input of huitou.toml) and register the challengers."""
    from huitou.brand import read_brand
    from huitou.config import load_config
    from huitou.pipeline import tracker_of, train_brand

    config = load_config(config_file, home=home, input=str(folder) if folder else None)
    with bar("train") as tell:
        brand = read_brand(config)
        training = train_brand(config, brand.history, tell)
    rows = [
        (task, found.best_baseline or "–", "passes" if found.passed else "loses", found.reason)
        for task, found in training.verdicts.items()
    ]
    table(
        f"Trained as of {training.as_of}, horizon {training.horizon_days} days",
        ["task", "best baseline", "gate", "why"],
        rows,
    )
    proposed = training.proposed
    out.print(f"horizon the data suggest: {proposed.days} days; {proposed.why}")
    if proposed.categories:
        table(
            "Horizon a category would have of its own",
            ["category", "days", "why"],
            [(name, own.days, own.why) for name, own in proposed.categories.items()],
        )
    out.print(f"runs and models: {tracker_of(config).uri}")
    out.print("next: huitou promote")
