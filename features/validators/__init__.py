"""What is judged across rows: kept tables in DuckDB in, findings out. One module a subject, one function a finding."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import duckdb

from features.report import Finding, Severity

# Shares from the contract: below the first a relation is only worth a warning, from the second the file is refused.
ORPHANS_REFUSED = 0.02
# How many ids a finding shows as examples.
EXAMPLES = 5


@dataclass(frozen=True)
class Scene:
    """What a validator may look at: the connection with a view per kept table, and which tables are there.

    last_day: no event can be later (the manifest's export day, else the day of the check, else unknown).
    unit_stated: the manifest says that amounts are in yuan.
    """

    con: duckdb.DuckDBPyConnection
    tables: frozenset[str]
    last_day: date | None = None
    unit_stated: bool = False

    def has(self, *names: str) -> bool:
        return self.tables.issuperset(names)

    def row(self, sql: str) -> tuple:
        """The first row of a query; every validator asks for aggregates."""
        return self.con.execute(sql).fetchall()[0]

    def examples(self, sql: str) -> tuple[str, ...]:
        """A few values of the first column, smallest first."""
        rows = self.con.execute(
            f"SELECT DISTINCT CAST(x AS VARCHAR) FROM ({sql}) AS t(x) ORDER BY 1 LIMIT {EXAMPLES}"
        )
        return tuple(row[0] for row in rows.fetchall())


Findings = Iterator[Finding]


def share(rows: int, of: int) -> str:
    """A count with its share, as people read it: '12 of 3,400 (0.35 %)'."""
    return f"{rows:,} of {of:,} ({100 * rows / of:.2f} %)" if of else f"{rows:,}"


def graded(rows: int, of: int, refuse_from: float) -> Severity:
    """Refused from the given share on, a warning below it."""
    return "refused" if of and rows / of >= refuse_from else "warning"
