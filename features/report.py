"""What a check found: findings and counts by table, as one frozen report that prints as JSON."""

from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any, Literal

Severity = Literal["note", "warning", "refused"]


@dataclass(frozen=True)
class Finding:
    """One thing found: where, in how many rows, what was expected, what was found and what to do next.

    severity: "note" is for information, "warning" leaves the folder usable, "refused" does not. examples: a few ids.
    """

    severity: Severity
    code: str
    table: str
    column: str | None
    rows: int
    expected: str
    found: str
    next_step: str
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f"{self.table}.{self.column}" if self.column else self.table
        rows = f", {self.rows:,} rows" if self.rows else ""
        return f"{where}{rows}: expected {self.expected}; found {self.found}; next: {self.next_step}"


@dataclass(frozen=True)
class TableCount:
    """Rows of one table: read = kept + quarantined + superseded + refused.

    quarantined: rows by reason. superseded: replaced by a newer row of the same key. refused: rows of a table that
    can't be used at all. emptied: optional cells that could not be read and are empty now, by column.
    """

    read: int
    kept: int
    quarantined: dict[str, int] = field(default_factory=dict)
    superseded: int = 0
    refused: int = 0
    emptied: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class CheckReport:
    """What became of a contract folder."""

    folder: str
    brand_id: str
    tables: dict[str, TableCount]
    findings: tuple[Finding, ...]
    coverage_start: date | None
    coverage_end: date | None
    fingerprint: str
    encodings: dict[str, list[str]] = field(default_factory=dict)

    @property
    def refusals(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.severity == "refused")

    @property
    def usable(self) -> bool:
        return not self.refusals

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON takes it."""
        told = asdict(self)
        told["coverage_start"] = self.coverage_start.isoformat() if self.coverage_start else None
        told["coverage_end"] = self.coverage_end.isoformat() if self.coverage_end else None
        return {"usable": self.usable, **told}
