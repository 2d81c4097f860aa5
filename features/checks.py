"""A contract folder comes in; out come its kept rows as Parquet and a report on everything else.

The work is done in DuckDB, whatever engine reads the kept rows afterwards, so that both engines see the same bytes.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from features.casts import literal, quoted
from features.contract import CORE_TABLES, SCHEMA
from features.errors import InputError
from features.keeping import SUPERSEDED, left_out, orphan_lines, write_kept, write_left_out
from features.progress import Progress, quiet
from features.reading import Staged, stage
from features.report import CheckReport, Finding, TableCount
from features.sources import Manifest, SourceFile, find_exports, find_sources


@dataclass(frozen=True)
class Checked:
    """A report, and where the kept rows of each table lie."""

    report: CheckReport
    paths: Mapping[str, Path]


def check_folder(folder: Path, *, quarantine: Path | None = None, progress: Progress = quiet) -> CheckReport:
    """Check a contract folder; quarantined rows are written under `quarantine`, one CSV a table.

    Raises InputError only where there is nothing to check: no such folder, no table in it, no readable manifest.
    """
    with TemporaryDirectory(prefix="huitou-check-") as work:
        return run_checks(folder, Path(work), quarantine=quarantine, progress=progress).report


def run_checks(
    folder: Path,
    work: Path,
    *,
    quarantine: Path | None = None,
    judge: bool = True,
    threads: int | None = None,
    memory_limit: str | None = None,
    progress: Progress = quiet,
) -> Checked:
    """Check a contract folder and leave the kept rows in `work`; without `judge` only rows and keys are looked at."""
    exports = find_exports(folder)
    sources = find_sources(exports)
    con = duckdb.connect()
    try:
        # Files are scratch here; ICU's zone only matters for times with an offset, which name theirs.
        con.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = true")
        con.execute(f"SET temp_directory = {literal(str(work / 'spill'))}")
        if threads:
            con.execute(f"SET threads = {threads}")
        if memory_limit:
            con.execute(f"SET memory_limit = {literal(memory_limit)}")
        return _Run(con, folder, work, exports, sources, judge, progress).finish(quarantine)
    finally:
        con.close()


class _Run:
    """One check under way."""

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        folder: Path,
        work: Path,
        exports: list[tuple[Path, Manifest]],
        sources: dict[str, list[SourceFile]],
        judge: bool,
        progress: Progress,
    ) -> None:
        self.con, self.folder, self.work = con, folder, work
        self.exports, self.sources, self.judge, self.progress = exports, sources, judge, progress
        self.findings: list[Finding] = []
        self.staged: dict[str, Staged] = {}
        self.refused: dict[str, int] = {}

    def finish(self, quarantine: Path | None) -> Checked:
        """Stage every table, leave out what can't be kept, write what can, and judge it."""
        tables = list(self.sources)
        for i, table in enumerate(tables):
            self.progress(f"reading {table}", 0.7 * i / len(tables))
            self._stage(table)
        for name in CORE_TABLES if self.judge else ():
            if name not in self.sources:
                self._refuse(
                    "missing_table", name, 0, "this table", "no such file", f"add {name}.csv or {name}.parquet"
                )
        for staged in self.staged.values():
            left_out(self.con, staged)
        if {"orders", "order_lines"} <= set(self.staged):
            orphan_lines(self.con)
        paths: dict[str, Path] = {}
        counts: dict[str, TableCount] = {}
        manifest = self.exports[-1][1]
        for name, staged in self.staged.items():
            self.progress(f"keeping {name}", 0.7)
            paths[name] = write_kept(self.con, staged, self.work, manifest.brand_id)
            counts[name] = self._count(staged)
            if quarantine is not None:
                write_left_out(self.con, staged, quarantine)
        for name, rows in self.refused.items():
            counts[name] = TableCount(read=rows, kept=0, refused=rows)
        start, end = self._coverage()
        self.progress("checked", 1.0)
        report = CheckReport(
            folder=str(self.folder),
            brand_id=manifest.brand_id,
            tables={name: counts[name] for name in SCHEMA if name in counts},
            findings=tuple(self.findings),
            coverage_start=manifest.coverage_start or start,
            coverage_end=manifest.coverage_end or end,
            fingerprint=self._fingerprint(),
        )
        return Checked(report, paths)

    def _refuse(self, code: str, table: str, rows: int, expected: str, found: str, step: str) -> None:
        self.findings.append(Finding("refused", code, table, None, rows, expected, found, step))

    def _stage(self, table: str) -> None:
        spec = SCHEMA[table]
        try:
            staged = stage(self.con, spec, self.sources[table], self.work)
        except InputError as fault:
            self._refuse("unreadable", table, 0, "a table as the contract says", str(fault), "mend the file")
            self.refused[table] = 0
            return
        self.staged[table] = staged

    def _count(self, staged: Staged) -> TableCount:
        name = staged.spec.name
        read = self._number(f"SELECT count(*) FROM {quoted('staged_' + name)}") + len(staged.rejected)
        reasons = Counter(reason.split(": ", 1)[1] for reason, _, _ in staged.rejected)
        for reason, rows in self.con.execute(
            f"SELECT reason, count(*) FROM {quoted('out_' + name)} GROUP BY reason ORDER BY reason"
        ).fetchall():
            reasons[reason] += rows
        superseded = reasons.pop(SUPERSEDED, 0)
        kept = read - superseded - sum(reasons.values())
        emptied = dict(
            self.con.execute(
                f"SELECT unnest(string_split(_emptied, '; ')) AS c, count(*) FROM {quoted('staged_' + name)}"
                " WHERE _emptied IS NOT NULL GROUP BY c ORDER BY c"
            ).fetchall()
        )
        return TableCount(read, kept, dict(reasons), superseded, 0, emptied)

    def _number(self, sql: str) -> int:
        return int(self.con.execute(sql).fetchall()[0][0])

    def _coverage(self) -> tuple[date | None, date | None]:
        if "orders" not in self.staged:
            return None, None
        span = self.con.execute("SELECT min(order_time)::DATE, max(order_time)::DATE FROM orders").fetchall()[0]
        return span[0], span[1]

    def _fingerprint(self) -> str:
        """SHA-256 over rows and a sum of row hashes of each table: the order of rows is not in it."""
        told = []
        for name in SCHEMA:
            if name in self.staged:
                columns = ", ".join(quoted(c) for c in SCHEMA[name].column_names)
                sql = f"SELECT count(*), sum(hash({columns})::HUGEINT) FROM {quoted(name)}"
                told.append((name, *self.con.execute(sql).fetchall()[0]))
        return hashlib.sha256(repr(told).encode()).hexdigest()
