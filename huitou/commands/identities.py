"""`huitou identities`: which cards belong to one person, and which cases a person must decide."""

from pathlib import Path

import click
import pandas as pd
from rich.console import Console
from rich.table import Table

from features.errors import InputError
from features.identity import DECISIONS, OneId, decisions_frame, resolve, unmerge
from features.tables import open_tables

_SHOWN = 20


@click.command("identities")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Write merges.csv and conflicts.csv here.")
@click.option(
    "--decisions",
    type=click.Path(path_type=Path),
    help="CSV with member_id, other_id and decision (apart or same); made where it is missing.",
)
@click.option("--apart", nargs=2, multiple=True, metavar="A B", help="Decide that two cards are not the same person.")
@click.option("--same", nargs=2, multiple=True, metavar="A B", help="Decide that two cards are the same person.")
@click.option("--unmerge", "unmerged", multiple=True, metavar="OLD", help="Take a merged card out again.")
def command(
    folder: Path,
    out: Path | None,
    decisions: Path | None,
    apart: tuple[tuple[str, str], ...],
    same: tuple[tuple[str, str], ...],
    unmerged: tuple[str, ...],
) -> None:
    """Print the cards that belong together and the queue of conflicts.

    Decisions are kept in the file of --decisions and hold for every later run that names it.
    """
    console = Console()
    if (apart or same or unmerged) and decisions is None:
        raise InputError("identities: expected --decisions FILE to keep the decision in, found none; name a file")
    decided = _read(decisions)
    told = [(a, b, "apart") for a, b in apart] + [(a, b, "same") for a, b in same]
    decided = pd.concat([decided, decisions_frame(told)], ignore_index=True).drop_duplicates(
        DECISIONS[:2], keep="last"
    )
    tables = open_tables(folder)
    one = resolve(tables, decisions=decided)
    for old in unmerged:
        decided = unmerge(decided, one, old)
    if unmerged:
        one = resolve(tables, decisions=decided)
    show(one, console)
    if decisions is not None and (told or unmerged):
        decided.to_csv(decisions, index=False)
        click.echo(f"wrote {decisions}: {len(decided)} decisions")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        one.merges.to_csv(out / "merges.csv", index=False)
        one.conflicts.to_csv(out / "conflicts.csv", index=False)
        click.echo(f"wrote {out / 'merges.csv'}, {out / 'conflicts.csv'}")


def _read(path: Path | None) -> pd.DataFrame:
    if path is None or not path.exists():
        return decisions_frame()
    given = pd.read_csv(path, dtype=str, keep_default_na=False)
    missing = [name for name in DECISIONS if name not in given.columns]
    if missing:
        raise InputError(f"{path.name}: missing columns {missing}; found {list(given.columns)}")
    return decisions_frame(given[list(DECISIONS)].itertuples(index=False, name=None))


def show(one: OneId, console: Console) -> None:
    """Print counts and the first rows of each kind."""
    people = one.merges.member_id.nunique()
    console.print(f"{len(one.merges):,} cards merged into {people:,} members; {len(one.conflicts):,} cases to decide")
    for title, frame, names in (
        ("merged", one.merges, ("old_id", "member_id", "id_type", "reason")),
        ("to decide", one.conflicts, ("members", "id_type", "reason", "told")),
    ):
        if frame.empty:
            continue
        table = Table(title=title, title_justify="left")
        for name in names:
            table.add_column(name)
        for row in frame[list(names)].head(_SHOWN).itertuples(index=False):
            table.add_row(*(str(cell) for cell in row))
        console.print(table)
        if len(frame) > _SHOWN:
            console.print(f"and {len(frame) - _SHOWN:,} more; write them all with --out")
