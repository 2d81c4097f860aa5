"""A contract folder or frames come in; out come `Tables`: typed, checked and on one engine."""

import json
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import ibis
import pandas as pd

from features.checks import Checked, run_checks
from features.contract import SCHEMA, SCHEMA_VERSION, Column, TableSpec
from features.errors import InputError
from features.progress import Progress, quiet
from features.sources import file_sha256

__all__ = ["SCHEMA", "Column", "TableSpec", "Tables", "open_tables", "tables_from_frames", "write_tables"]


@dataclass(frozen=True)
class Tables:
    """The checked raw tables, as ibis tables on one engine.

    backend: the ibis backend (DuckDB or PySpark). frames: a table for each one the brand gave, with every column of
    the contract; an optional column that was not given is a typed null, an optional table that was not given is not
    there. coverage_start, coverage_end: first and last day with data, inclusive. fingerprint: changes when any row
    changes, not when rows change places.
    """

    backend: Any
    frames: Mapping[str, ibis.Table]
    coverage_start: date
    coverage_end: date
    brand_id: str
    fingerprint: str

    def __getitem__(self, name: str) -> ibis.Table:
        if name not in self.frames:
            known = "" if name in SCHEMA else f"; the contract knows {sorted(SCHEMA)}"
            raise InputError(
                f"{name}: this table is needed here and was not given; found {sorted(self.frames)}{known}"
            )
        return self.frames[name]

    def __getattr__(self, name: str) -> ibis.Table:
        if name in SCHEMA:
            return self[name]
        raise AttributeError(name)

    def __contains__(self, name: str) -> bool:
        return name in self.frames

    def __iter__(self) -> Iterator[str]:
        return iter(self.frames)

    def get(self, name: str) -> ibis.Table | None:
        """The table, or None where the brand did not give it."""
        return self.frames.get(name)


def connect(engine: str, threads: int | None = None, memory_limit: str | None = None) -> Any:
    """An ibis backend with its session in UTC: times are brand-local and carry no zone.

    Raises InputError for an engine there is none of.
    """
    if engine == "duckdb":
        settings: dict[str, Any] = {}
        if threads:
            settings["threads"] = threads
        if memory_limit:
            settings["memory_limit"] = memory_limit
        backend = ibis.duckdb.connect(**settings)
        backend.raw_sql("SET TimeZone = 'UTC'")
        return backend
    if engine == "pyspark":
        return _connect_spark(threads, memory_limit)
    raise InputError(f"engine: expected 'duckdb' or 'pyspark', found {engine!r}")


def _connect_spark(threads: int | None, memory_limit: str | None) -> Any:
    import os
    import sys

    try:
        from pyspark.sql import SparkSession
    except ImportError as fault:
        raise InputError("engine: pyspark is not installed; install huitou[spark], and Java 17") from fault
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.master(f"local[{threads or '*'}]").appName("huitou")
    options = {
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.shuffle.partitions": str(2 * (threads or 4)),
        "spark.driver.memory": memory_limit or "2g",
    }
    for key, value in options.items():
        builder = builder.config(key, value)
    return ibis.pyspark.connect(builder.getOrCreate())


def open_tables(
    folder: Path,
    *,
    engine: str = "duckdb",
    threads: int | None = None,
    memory_limit: str | None = None,
    progress: Progress = quiet,
) -> Tables:
    """The tables of a contract folder, checked. Quarantined rows are left out.

    memory_limit: as DuckDB or Spark write it, for instance "2GB". Raises InputError with everything that made the
    check refuse; `features.checks.check_folder` gives the same as a report.
    """
    with _scratch() as scratch:
        checked = run_checks(Path(folder), scratch, threads=threads, memory_limit=memory_limit, progress=progress)
        report = checked.report
        if report.refusals:
            raise InputError(f"{folder}: refused. " + " | ".join(str(f) for f in report.refusals))
        if report.coverage_start is None or report.coverage_end is None:
            raise InputError("orders: no kept order, so there is no day of data; expected at least one row")
        span = report.coverage_start, report.coverage_end
        return _opened(connect(engine, threads, memory_limit), checked, *span, scratch)


def tables_from_frames(
    frames: Mapping[str, pd.DataFrame],
    *,
    coverage_start: date | None = None,
    coverage_end: date | None = None,
    brand_id: str = "brand",
    engine: str = "duckdb",
) -> Tables:
    """Tables made of pandas frames, typed by the same rules as files; for tests and adapters.

    Any subset of the contract's tables will do. A row that would be quarantined raises InputError here, and nothing
    is judged across rows, apart from keys and lines without their order.
    """
    manifest = {"brand_id": brand_id, "coverage_start": coverage_start, "coverage_end": coverage_end}
    with _scratch() as scratch:
        given = write_tables(
            frames, scratch / "given", manifest={k: str(v) for k, v in manifest.items() if v is not None}
        )
        checked = run_checks(given, scratch, judge=False)
        report = checked.report
        wrong = [str(f) for f in report.refusals]
        for name, count in report.tables.items():
            wrong += [f"{name}: {rows} rows, {reason}" for reason, rows in count.quarantined.items()]
        if wrong:
            raise InputError(" | ".join(wrong))
        # Frames without an order still make tables; their coverage is the one day nobody asks about.
        start, end = report.coverage_start or date(1970, 1, 1), report.coverage_end or date(1970, 1, 1)
        return _opened(connect(engine), checked, start, end, scratch)


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder that goes away where making tables of it fails, and with the backend that reads it where it doesn't."""
    path = Path(tempfile.mkdtemp(prefix="huitou-tables-"))
    try:
        yield path
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise


def _opened(backend: Any, checked: Checked, start: date, end: date, scratch: Path) -> Tables:
    # Every table made of these holds on to its backend, and so keeps the files.
    weakref.finalize(backend, shutil.rmtree, scratch, ignore_errors=True)
    report = checked.report
    frames = {}
    for name, path in checked.paths.items():
        table = backend.read_parquet(str(path), table_name=f"{name}_{scratch.name[-8:]}")
        frames[name] = table.select(*SCHEMA[name].column_names)
    return Tables(backend, frames, start, end, report.brand_id, report.fingerprint)


def write_tables(
    frames: Mapping[str, pd.DataFrame],
    folder: Path,
    *,
    format: str = "parquet",
    manifest: dict[str, Any] | None = None,
) -> Path:
    """Write frames as a contract folder with its manifest (rows and sha256 of each file); gives the folder back.

    Columns keep the types they have; times are written without an offset, booleans of CSV as 0 and 1.
    Raises InputError for a table the contract doesn't know.
    """
    unknown = sorted(set(frames) - set(SCHEMA))
    if unknown:
        raise InputError(f"{unknown}: no such table in the contract; expected some of {sorted(SCHEMA)}")
    if format not in ("parquet", "csv"):
        raise InputError(f"format: expected 'parquet' or 'csv', found {format!r}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, frame in frames.items():
        path = folder / f"{name}.{format}"
        if format == "parquet":
            frame.to_parquet(path, index=False)
        else:
            flags = frame.select_dtypes("bool").columns
            frame.astype(dict.fromkeys(flags, "int8")).to_csv(path, index=False, date_format="%Y-%m-%d %H:%M:%S")
        files[path.name] = {"rows": len(frame), "sha256": file_sha256(path)}
    told = {
        "schema_version": SCHEMA_VERSION,
        "brand_id": "brand",
        "timezone": "Asia/Shanghai",
        "currency": "CNY",
        "amount_unit": "yuan",
        "mode": "full",
        **(manifest or {}),
        "files": files,
    }
    (folder / "manifest.json").write_text(json.dumps(told, ensure_ascii=False, indent=2, default=str) + "\n", "utf-8")
    return folder
