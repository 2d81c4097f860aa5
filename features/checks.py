"""A contract folder comes in; out come its kept rows as Parquet and a report on everything else.

The work is done in DuckDB, whatever engine reads the kept rows afterwards, so that both engines see the same bytes.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from features import keeping, mending
from features.casts import literal, quoted
from features.contract import CORE_TABLES, SCHEMA
from features.errors import InputError
from features.progress import Progress, quiet
from features.reading import Staged, stage
from features.report import CheckReport, Finding, TableCount
from features.sources import Manifest, SourceFile, check_against_manifest, find_exports, find_sources, unknown_files
from features.validators import Scene, files
from features.validators.everything import judge as judge_rows


@dataclass(frozen=True)
class Checked:
    """A report, and where the kept rows of each table lie."""

    report: CheckReport
    paths: Mapping[str, Path]


def check_folder(
    folder: Path, *, quarantine: Path | None = None, today: date | None = None, progress: Progress = quiet
) -> CheckReport:
    """Check a contract folder; quarantined rows are written under `quarantine`, one CSV a table.

    today: no event can be later; the manifest's exported_at comes first. Raises InputError only where there is nothing
    to check: no such folder, no table in it, no readable manifest.
    """
    with TemporaryDirectory(prefix="huitou-check-") as work:
        return run_checks(Path(folder), Path(work), quarantine=quarantine, today=today, progress=progress).report


def run_checks(
    folder: Path,
    work: Path,
    *,
    quarantine: Path | None = None,
    judge: bool = True,
    today: date | None = None,
    threads: int | None = None,
    memory_limit: str | None = None,
    progress: Progress = quiet,
) -> Checked:
    """Check a contract folder and leave the kept rows in `work`; without `judge` only rows and keys are looked at."""
    exports = find_exports(folder)
    con = duckdb.connect()
    try:
        con.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = true; SET enable_progress_bar = false")
        con.execute(f"SET temp_directory = {literal(str(work / 'spill'))}")
        if threads:
            con.execute(f"SET threads = {threads}")
        if memory_limit:
            con.execute(f"SET memory_limit = {literal(memory_limit)}")
        return _Run(con, folder, work, exports, judge, today, progress).finish(quarantine)
    finally:
        con.close()


class _Run:
    """One check under way: what was staged, what was found, and rows that were refused."""

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        folder: Path,
        work: Path,
        exports: list[tuple[Path, Manifest]],
        judge: bool,
        today: date | None,
        progress: Progress,
    ) -> None:
        self.con, self.folder, self.work, self.exports = con, folder, work, exports
        self.sources = find_sources(exports)
        self.judge, self.progress = judge, progress
        self.manifest = exports[-1][1]
        self.last_day = self.manifest.export_day or (today if judge else None)
        self.findings: list[Finding] = []
        self.staged: dict[str, Staged] = {}
        self.refused: dict[str, int] = {}
        self.paths: dict[str, Path] = {}

    def finish(self, quarantine: Path | None) -> Checked:
        """Stage every table, leave out what can't be kept, write what can, and judge it."""
        self._look_around()
        total = sum(s.path.stat().st_size for parts in self.sources.values() for s in parts) or 1
        done = 0.0
        for table, parts in self.sources.items():
            self.progress(f"reading {table}", 0.6 * done / total)
            self._stage(table, parts)
            done += sum(s.path.stat().st_size for s in parts)
        for i, (name, staged) in enumerate(self.staged.items()):
            self.progress(f"keeping {name}", 0.6 + 0.2 * i / len(self.staged))
            self._keep(name, staged)
        self._mend_items()
        counts = {name: self._count(staged) for name, staged in self.staged.items()}
        for name in CORE_TABLES if self.judge else ():
            if name in counts and not counts[name].kept:
                found = f"none of {counts[name].read:,} rows that can be kept"
                self.findings.append(
                    _refusal("missing_table", name, "at least one row", found, f"export {name} again")
                )
        for name, staged in self.staged.items():
            self.findings += files.extra_columns(staged)
            self.findings += files.unread_cells(staged, counts[name])
            self.findings += files.quarantined_rows(staged, counts[name])
        if self.judge:
            self.findings += judge_rows(self._scene(), lambda what, part: self.progress(what, 0.8 + 0.18 * part))
        if quarantine is not None:
            for staged in self.staged.values():
                keeping.write_left_out(self.con, staged, Path(quarantine))
        report = self._report(counts)
        self.progress("checked", 1.0)
        return Checked(report, self.paths)

    def _look_around(self) -> None:
        for export, manifest in self.exports:
            self.findings += [_refusal(*told) for told in check_against_manifest(export, manifest)]
            for name in unknown_files(export):
                what = "a file of a table the contract doesn't know, which is not read"
                found = Finding("note", "unknown_file", name, None, 0, "files named after tables", what, "nothing")
                self.findings.append(found)
        for name in CORE_TABLES if self.judge else ():
            if name not in self.sources:
                step = f"add {name}.csv or {name}.parquet"
                self.findings.append(_refusal("missing_table", name, "this table", "no such file", step))

    def _stage(self, table: str, parts: list[SourceFile]) -> None:
        try:
            staged = stage(self.con, SCHEMA[table], parts, self.work)
        except InputError as fault:
            step = "mend the file and export it again"
            self.findings.append(_refusal("unreadable", table, "a table as the contract says", str(fault), step))
            self.refused[table] = 0
            return
        keeping.left_out(self.con, staged)
        read = self._number(f"SELECT count(*) FROM {quoted('staged_' + table)}") + len(staged.rejected)
        refusals = [*files.clear_mobiles(self._scene(), staged), *self._wrong_rows(staged)]
        self.findings += refusals
        if refusals:
            self.refused[table] = read
        else:
            self.staged[table] = staged

    def _wrong_rows(self, staged: Staged) -> list[Finding]:
        """Files that hold another number of rows than the manifest says."""
        wrong = []
        for source in staged.sources:
            told = source.manifest.told(source.path, source.export).get("rows")
            rows = self._number(f"SELECT count(*) FROM read_parquet({literal(str(staged.paths[source.part]))})")
            rows += sum(1 for name, *_ in staged.rejected if name == source.path.name)
            if told is not None and int(told) != rows:
                step = "copy the export again; it was cut or changed"
                found = f"{rows:,} rows"
                wrong.append(_refusal("row_count", staged.spec.name, f"{int(told):,} rows (manifest)", found, step))
        return wrong

    def _keep(self, name: str, staged: Staged) -> None:
        """Write the kept rows of a table, mended. Tables come in the contract's order: members, orders, lines, items."""
        if name == "orders":
            keeping.impossible_orders(self.con, self.last_day)
        if name == "order_lines" and "orders" in self.staged:
            keeping.orphan_lines(self.con)
        path = keeping.write_kept(self.con, staged, self.work)
        mend = mending.Mend({})
        if name == "members":
            mend = mending.mend_members(self.con, self.manifest.brand_id)
        elif name == "orders" and "members" in self.staged and self.judge:
            mend = mending.mend_orders(self.con, "identities" in self.staged)
        elif name == "assignments" and self.judge:
            mend = mending.mend_assignments(self.con)
        self.paths[name] = keeping.write_mended(self.con, staged, self.work, mend, path)

    def _mend_items(self) -> None:
        if self.judge and {"items", "order_lines"} <= set(self.staged):
            mend = mending.mend_items(self.con)
            items = self.staged["items"]
            self.paths["items"] = keeping.write_mended(self.con, items, self.work, mend, self.paths["items"])

    def _count(self, staged: Staged) -> TableCount:
        name = staged.spec.name
        read = self._number(f"SELECT count(*) FROM {quoted('staged_' + name)}") + len(staged.rejected)
        reasons = Counter(reason for _, _, reason, _ in staged.rejected)
        for reason, rows in self.con.execute(
            f"SELECT reason, count(*) FROM {quoted('out_' + name)} GROUP BY reason ORDER BY reason"
        ).fetchall():
            reasons[reason] += rows
        superseded = reasons.pop(keeping.SUPERSEDED, 0)
        emptied = dict(
            self.con.execute(
                f"SELECT unnest(string_split(_emptied, '; ')) AS c, count(*) FROM {quoted('staged_' + name)}"
                " WHERE _emptied IS NOT NULL GROUP BY c ORDER BY c"
            ).fetchall()
        )
        return TableCount(read, read - superseded - sum(reasons.values()), dict(reasons), superseded, 0, emptied)

    def _scene(self) -> Scene:
        return Scene(self.con, frozenset(self.staged), self.last_day, self.manifest.unit_stated)

    def _report(self, counts: dict[str, TableCount]) -> CheckReport:
        refused = {f.table for f in self.findings if f.severity == "refused"}
        for name in refused & set(counts):
            counts[name] = replace(counts[name], kept=0, refused=counts[name].kept)
        for name, rows in self.refused.items():
            counts[name] = TableCount(read=rows, kept=0, refused=rows)
        start, end = self._coverage()
        severities = ("refused", "warning", "note")
        return CheckReport(
            folder=str(self.folder),
            brand_id=self.manifest.brand_id,
            tables={name: counts[name] for name in SCHEMA if name in counts},
            findings=tuple(sorted(self.findings, key=lambda f: severities.index(f.severity))),
            coverage_start=self.manifest.coverage_start or start,
            coverage_end=self.manifest.coverage_end or end,
            fingerprint=self._fingerprint(),
            encodings={name: list(staged.encodings) for name, staged in self.staged.items()},
        )

    def _number(self, sql: str) -> int:
        return int(self.con.execute(sql).fetchall()[0][0])

    def _coverage(self) -> tuple[date | None, date | None]:
        if "orders" not in self.staged:
            return None, None
        span = self.con.execute("SELECT min(order_time)::DATE, max(order_time)::DATE FROM orders").fetchall()[0]
        return span[0], span[1]

    def _fingerprint(self) -> str:
        """SHA-256 over rows and a sum of row hashes of each table: the order of rows is not in it.

        DuckDB makes the row hashes, so another DuckDB may give another fingerprint of the same rows.
        """
        told: list[tuple[object, ...]] = []
        for name in self.staged:
            columns = ", ".join(quoted(c) for c in SCHEMA[name].column_names)
            sql = f"SELECT count(*), sum(hash({columns})::HUGEINT) FROM {quoted(name)}"
            told.append((name, *self.con.execute(sql).fetchall()[0]))
        return hashlib.sha256(repr(sorted(told, key=str)).encode()).hexdigest()


def _refusal(code: str, table: str, expected: str, found: str, step: str) -> Finding:
    return Finding("refused", code, table, None, 0, expected, found, step)
