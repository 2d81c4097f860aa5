"""What a person sees while a verb works: one progress bar, then tables of what was written."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from features.progress import Progress as Tell

# Progress goes to standard error, so that what a verb prints can be piped.
errors = Console(stderr=True)
out = Console()


@contextmanager
def bar(title: str) -> Iterator[Tell]:
    """A progress bar for one piece of long work; yields the callable that moves it."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=errors, transient=not errors.is_terminal) as progress:
        task = progress.add_task(title, total=1.0)

        def tell(message: str, fraction: float) -> None:
            progress.update(task, description=f"{title}: {message}"[:70], completed=min(max(fraction, 0.0), 1.0))

        yield tell
        progress.update(task, description=title, completed=1.0)
    if not errors.is_terminal:
        errors.print(f"{title}: done")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a small table."""
    shown = Table(title=title, title_justify="left", header_style="bold")
    for name in columns:
        shown.add_column(name, overflow="fold")
    for row in rows:
        shown.add_row(*(("" if cell is None else str(cell)) for cell in row))
    out.print(shown)


def facts(title: str, values: Mapping[str, Any]) -> None:
    """Print names and values, one a line."""
    table(title, ["", ""], list(values.items()))
