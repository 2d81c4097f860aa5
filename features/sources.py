"""A folder comes in; out come its files by table, the manifest, and each file as a relation DuckDB can scan.

One directory is one export: `orders.csv` or `orders.parquet`, or a directory `orders/` of parts. A directory that
holds no table of its own but exports in sub-directories is a sequence: the last full export and what came after it.
"""

import codecs
import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from features.contract import SCHEMA, SCHEMA_VERSION
from features.errors import InputError

FORMATS = (".csv", ".parquet")
MANIFEST = "manifest.json"
_CHUNK = 1 << 22


@dataclass(frozen=True)
class Manifest:
    """What an export says about itself. Every field has a default, so that the file may be left out."""

    brand_id: str = "brand"
    timezone: str = "Asia/Shanghai"
    mode: str = "full"
    exported_at: str = ""
    coverage_start: date | None = None
    coverage_end: date | None = None
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    export_day: date | None = None
    unit_stated: bool = False

    def told(self, path: Path, export: Path) -> dict[str, Any]:
        """What the manifest says of a file: rows and sha256, or nothing."""
        return self.files.get(path.relative_to(export).as_posix(), {})


@dataclass(frozen=True)
class SourceFile:
    """One file of one table; `part` counts the files of the table in the order in which later ones win."""

    table: str
    path: Path
    part: int
    export: Path
    manifest: Manifest

    @property
    def timezone(self) -> str:
        return self.manifest.timezone


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an export, or the defaults where there is none.

    Raises InputError for JSON that can't be read, another schema version, another currency or unit.
    """
    path = folder / MANIFEST
    if not path.exists():
        return Manifest()
    try:
        told = json.loads(path.read_text(encoding="utf-8-sig"))
        if not isinstance(told, dict):
            raise ValueError("it holds no object")
    except ValueError as fault:
        raise InputError(f"{MANIFEST}: not readable as JSON ({fault}); write it again or leave it out") from fault
    expected = {"currency": "CNY", "amount_unit": "yuan", "schema_version": SCHEMA_VERSION}
    for key, value in expected.items():
        if str(told.get(key, value)) != value:
            raise InputError(f"{MANIFEST}: {key} expected {value!r}, found {told[key]!r}; export again in that form")
    mode = told.get("mode", "full")
    if mode not in ("full", "incremental"):
        raise InputError(f"{MANIFEST}: mode expected 'full' or 'incremental', found {mode!r}")
    days: dict[str, date | None] = {}
    for key in ("coverage_start", "coverage_end", "exported_at"):
        try:
            days[key] = date.fromisoformat(str(told[key])[:10]) if told.get(key) else None
        except ValueError as fault:
            raise InputError(f"{MANIFEST}: {key} expected a day such as 2026-03-01, found {told[key]!r}") from fault
    files = told.get("files", {})
    if not isinstance(files, dict) or not all(isinstance(v, dict) for v in files.values()):
        raise InputError(
            f'{MANIFEST}: files expected {{"orders.csv": {{"rows": …, "sha256": …}}}}, found another shape'
        )
    return Manifest(
        brand_id=str(told.get("brand_id", "brand")),
        timezone=str(told.get("timezone", "Asia/Shanghai")),
        mode=mode,
        exported_at=str(told.get("exported_at", "")),
        coverage_start=days["coverage_start"],
        coverage_end=days["coverage_end"],
        files=files,
        export_day=days["exported_at"],
        unit_stated="amount_unit" in told,
    )


def _table_files(export: Path) -> Iterator[tuple[str, Path]]:
    for name in SCHEMA:
        found = [export / f"{name}{ending}" for ending in FORMATS if (export / f"{name}{ending}").is_file()]
        if len(found) > 1:
            raise InputError(f"{name}: both {found[0].name} and {found[1].name} are there; keep one")
        if (export / name).is_dir():
            found += sorted(
                p for p in (export / name).iterdir() if p.suffix in FORMATS and not p.name.startswith(".")
            )
        for path in found:
            yield name, path


def find_exports(folder: Path) -> list[tuple[Path, Manifest]]:
    """The exports to read, oldest first: the folder itself, or the last full export within it and what followed.

    Raises InputError for a folder that is missing or holds no table.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the folder that holds members.csv, orders.csv and so on")
    if any(True for _ in _table_files(folder)):
        return [(folder, read_manifest(folder))]
    inside = [p for p in sorted(folder.iterdir()) if p.is_dir() and any(True for _ in _table_files(p))]
    exports = sorted(((p, read_manifest(p)) for p in inside), key=lambda e: (e[1].exported_at, e[0].name))
    full = [i for i, (_, manifest) in enumerate(exports) if manifest.mode == "full"]
    if not full:
        found = sorted(p.name for p in folder.iterdir())[:10]
        raise InputError(f"{folder}: no table found; expected members.csv or .parquet and so on, found {found}")
    return exports[full[-1] :]


def find_sources(exports: list[tuple[Path, Manifest]]) -> dict[str, list[SourceFile]]:
    """Files by table, in the order in which later ones win."""
    sources: dict[str, list[SourceFile]] = {}
    for export, manifest in exports:
        for table, path in _table_files(export):
            parts = sources.setdefault(table, [])
            parts.append(SourceFile(table, path, len(parts), export, manifest))
    return sources


def check_against_manifest(export: Path, manifest: Manifest) -> Iterator[tuple[str, str, str, str, str]]:
    """Files that are missing or differ from what the manifest says: (code, table, expected, found, next step)."""
    for name, told in sorted(manifest.files.items()):
        path = export / name
        table = Path(name).parts[0].split(".")[0] if name else name
        if not path.is_file():
            yield "missing_file", table, f"{name}, which the manifest lists", "no such file", "copy the export again"
        elif (wanted := told.get("sha256")) and (found := file_sha256(path)) != str(wanted).lower():
            step = "copy the export again, or write a new manifest if the file was changed on purpose"
            yield "checksum", table, f"{name} with sha256 {str(wanted)[:12]}…", f"{found[:12]}…", step


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unknown_files(export: Path) -> list[str]:
    """Data files of an export that belong to no table of the contract."""
    known = {path for _, path in _table_files(export)}
    return sorted(p.name for p in export.iterdir() if p.is_file() and p.suffix in FORMATS and p not in known)


def as_utf8(path: Path, scratch: Path) -> tuple[Path, str]:
    """The CSV file itself if it is UTF-8, else a copy in UTF-8 in `scratch`; and the name of its encoding.

    Raises InputError for text that is neither UTF-8 (with or without BOM) nor GB18030.
    """
    with path.open("rb") as file:
        start = file.read(4)
    if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return _decoded(path, "utf-16", scratch)
    encoding = "utf-8-sig" if start[:3] == codecs.BOM_UTF8 else "utf-8"
    if _decodes(path, "utf-8"):
        return path, encoding
    if _decodes(path, "gb18030"):
        return _decoded(path, "gb18030", scratch)
    raise InputError(f"{path.name}: expected text in UTF-8 or GB18030, found neither; save it again as UTF-8")


def _decodes(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _decoded(path: Path, encoding: str, scratch: Path) -> tuple[Path, str]:
    copy = scratch / f"{path.parent.name}-{path.stem}.utf8.csv"
    with path.open(encoding=encoding, newline="") as source, copy.open("w", encoding="utf-8", newline="") as target:
        while chunk := source.read(_CHUNK):
            target.write(chunk)
    return copy, encoding


def csv_header(path: Path) -> tuple[list[str], str]:
    """Column names of a UTF-8 CSV file and its delimiter; a column without a name gets its place as one.

    Raises InputError for an empty file or a name that is there twice, upper or lower case alike.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline()
    if not first.strip():
        raise InputError(f"{path.name}: expected a header line, found an empty file; leave the file out instead")
    delimiter = max((",", "\t", ";", "|"), key=first.count)
    cells = [name.strip().strip("\ufeff") for name in next(csv.reader([first], delimiter=delimiter))]
    names = [name or f"column {i}" for i, name in enumerate(cells, start=1)]
    lower = [name.lower() for name in names]
    twice = sorted({name for name in lower if lower.count(name) > 1})
    if twice:
        raise InputError(f"{path.name}: column names expected once each, found twice: {twice}; remove one of each")
    return names, delimiter
