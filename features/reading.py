"""The files of one table come in; out comes the table typed, as Parquet, every row with what is wrong in it.

One pass over each file, in DuckDB. Beside the contract's columns a staged row carries `_part` (which file),
`_problem` (why the row can't be kept, null if it can), `_emptied` (optional cells that could not be read and are null
now), `_mobile` (columns that hold a clear mobile number) and, where there is a problem, `_raw` (the row as it was).
"""

import re
from dataclasses import dataclass
from pathlib import Path

import duckdb

from features.casts import as_text, literal, quoted, typed
from features.contract import Column, TableSpec
from features.errors import InputError
from features.sources import SourceFile, as_utf8, csv_header

# What an empty cell means where that depends on the row, as SQL over the typed columns.
FILLS = {
    ("orders", "loaded_at"): "order_time",
    ("behaviours", "event_id"): (
        "md5(concat_ws('|', member_id, id_type, id_scope, id_value, event_time, event_type, app_id, item_id,"
        " content_id, query, dwell_ms))"
    ),
}
# Rows that can't be used though each cell can, as (SQL over the typed columns, reason).
ROW_RULES = {
    "order_lines": (("line_type = 'return' AND returned_at IS NULL", "returned_at: missing in a return line"),),
    "behaviours": (
        ("member_id IS NULL AND id_value IS NULL", "member_id: missing, and id_type, id_scope, id_value as well"),
    ),
}
_KIND_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "0 or 1",
    "timestamp": "a time such as 2026-03-01 18:30:00",
    "date": "a day such as 2026-03-01",
}
# A mobile number alone in its cell, also as people write it: +86 138-1234-5678. Two cheap tests come first.
_MOBILE_CELL = r"^(\+?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}$"
# A mobile number within other text.
_MOBILE_INSIDE = r"(^|[^0-9A-Za-z])1[3-9]\d{9}([^0-9A-Za-z]|$)"
# What a spreadsheet makes of a long number.
SCIENTIFIC = r"^\d(\.\d+)?[eE]\+\d+$"


@dataclass(frozen=True)
class Staged:
    """A table after typing: where it lies, the rows of each file, and columns the contract doesn't know."""

    spec: TableSpec
    paths: tuple[Path, ...]
    sources: tuple[SourceFile, ...]
    encodings: tuple[str, ...]
    given: tuple[str, ...]
    extra: tuple[str, ...]
    rejected: tuple[tuple[str, int, str, str], ...]

    def relation(self) -> str:
        """SQL of the staged rows with `_row`, the number of the row within its part, from 1."""
        files = ", ".join(literal(str(p)) for p in self.paths)
        return (
            f"(SELECT *, file_row_number + 1 AS _row FROM read_parquet([{files}], file_row_number = true,"
            " union_by_name = true))"
        )


def expected(column: Column) -> str:
    """What a cell of the column should be, in words."""
    if column.kind == "enum" and column.values:
        return "one of " + " ".join(column.values)
    words = _KIND_WORDS.get(column.kind, "text")
    return words if column.minimum is None else f"{words} from {column.minimum:g}"


def stage(con: duckdb.DuckDBPyConnection, spec: TableSpec, sources: list[SourceFile], scratch: Path) -> Staged:
    """Type the files of one table into Parquet under `scratch`.

    Raises InputError for a file that can't be read at all or lacks a required column.
    """
    paths: list[Path] = []
    encodings: list[str] = []
    given: list[str] = []
    rejected: list[tuple[str, int, str, str]] = []
    for source in sources:
        scan, columns, encoding = _scan(con, source, scratch)
        # DuckDB looks names up whatever their case, so the contract's spelling will do from here on.
        columns = [(name.lower() if name.lower() in spec.by_name else name, kind) for name, kind in columns]
        names = [name for name, _ in columns]
        missing = [name for name in spec.required_names if name not in names]
        if missing:
            raise InputError(
                f"{spec.name}: missing columns {missing} in {source.path.name}; found {names};"
                " add them or rename the columns they have in your export"
            )
        given += [name for name in names if name not in given]
        target = scratch / f"{spec.name}.{source.part}.staged.parquet"
        con.execute(
            f"COPY ({_staging_sql(spec, source, scan, dict(columns))}) TO {literal(str(target))} (FORMAT parquet)"
        )
        if source.path.suffix == ".csv":
            rejected += _rejects(con, source)
        paths.append(target)
        encodings.append(encoding)
    extra = tuple(name for name in given if name not in spec.by_name)
    return Staged(spec, tuple(paths), tuple(sources), tuple(encodings), tuple(given), extra, tuple(rejected))


def _scan(
    con: duckdb.DuckDBPyConnection, source: SourceFile, scratch: Path
) -> tuple[str, list[tuple[str, str]], str]:
    """The file as an SQL relation, its columns with their types, and its encoding."""
    if source.path.suffix == ".parquet":
        scan = f"read_parquet({literal(str(source.path))})"
        try:
            described = con.execute(f"DESCRIBE SELECT * FROM {scan}").fetchall()
        except duckdb.Error as fault:
            raise InputError(
                f"{source.path.name}: not readable as Parquet ({_first_line(fault)}); write it again"
            ) from fault
        return scan, [(str(row[0]), str(row[1])) for row in described], "parquet"
    path, encoding = as_utf8(source.path, scratch)
    names, delimiter = csv_header(path)
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in names)
    scan = (
        f"read_csv({literal(str(path))}, columns = {{{columns}}}, auto_detect = false, header = true,"
        f" delim = {literal(delimiter)}, quote = '\"', escape = '\"', nullstr = ['', 'NULL', 'null', '\\N'],"
        " ignore_errors = true, store_rejects = true)"
    )
    return scan, [(name, "VARCHAR") for name in names], encoding


def _rejects(con: duckdb.DuckDBPyConnection, source: SourceFile) -> list[tuple[str, int, str, str]]:
    """Lines that are no row of the file at all (broken quotes, too many or too few cells)."""
    rows = con.execute("SELECT line, csv_line, error_type FROM reject_errors ORDER BY line").fetchall()
    con.execute("DROP TABLE IF EXISTS reject_errors; DROP TABLE IF EXISTS reject_scans")
    seen: dict[int, tuple[str, int, str, str]] = {}
    for line, text, kind in rows:
        reason = str(kind).lower().replace("_", " ")
        seen.setdefault(int(line), (source.path.name, int(line), f"line: {reason}", str(text)))
    return list(seen.values())


def _first_line(fault: Exception) -> str:
    return str(fault).splitlines()[0][:200]


def _staging_sql(spec: TableSpec, source: SourceFile, scan: str, types: dict[str, str]) -> str:
    """Raw cells (`r_…`) and read cells (`c_…`) side by side first, then what is wrong, then fills and defaults."""
    inner, outer, problems, emptied, mobiles = [], [], [], [], []
    for name, sql_type in types.items():
        inner.append(f"{as_text(quoted(name), sql_type)} AS {quoted('r_' + name)}")
        mobiles += _mobile_test(name, sql_type, spec.by_name.get(name))
    for column in spec.columns:
        raw, cell = quoted("r_" + column.name), quoted("c_" + column.name)
        if column.name in types:
            inner.append(f"{typed(column, quoted(column.name), types[column.name], source.timezone)} AS {cell}")
            unread = f"{cell} IS NULL AND {raw} IS NOT NULL"
            name = literal(column.name)
            if column.required:
                wrong = literal(f"{column.name}: expected {expected(column)}")
                missing = literal(f"{column.name}: missing")
                problems.append(
                    f"CASE WHEN {cell} IS NULL THEN CASE WHEN {raw} IS NULL THEN {missing} ELSE {wrong} END END"
                )
                if column.is_id:
                    cut = literal(f"{column.name}: in scientific notation, digits are lost")
                    test = f"contains(upper({cell}), 'E+') AND regexp_matches({cell}, {literal(SCIENTIFIC)})"
                    problems.append(f"CASE WHEN {test} THEN {cut} END")
            elif column.kind != "str" and (column.kind != "enum" or column.values):
                emptied.append(f"CASE WHEN {unread} THEN {name} END")
        else:
            inner.append(f"{typed(column, 'NULL', 'VARCHAR', source.timezone)} AS {cell}")
        outer.append(f"{_filled(spec, column)} AS {quoted(column.name)}")
    for condition, reason in ROW_RULES.get(spec.name, ()):
        problems.append(f"CASE WHEN {_on_cells(spec, condition)} THEN {literal(reason)} END")
    raws = ", ".join(f"{quoted(name)} := {quoted('r_' + name)}" for name in types)
    cells = ", ".join(outer)
    marks = f"{_joined(problems)} AS _problem, {_joined(emptied)} AS _emptied, {_joined(mobiles)} AS _mobile"
    return (
        "SELECT * EXCLUDE (_as_given),"
        " CASE WHEN _problem IS NOT NULL OR _emptied IS NOT NULL THEN to_json(_as_given) END AS _raw"
        f" FROM (SELECT {cells}, CAST({source.part} AS INTEGER) AS _part, {marks}, struct_pack({raws}) AS _as_given"
        f" FROM (SELECT {', '.join(inner)} FROM {scan}))"
    )


def _joined(tests: list[str]) -> str:
    return f"NULLIF(concat_ws('; ', {', '.join(tests)}), '')" if tests else "CAST(NULL AS VARCHAR)"


def _filled(spec: TableSpec, column: Column) -> str:
    cell = quoted("c_" + column.name)
    if (spec.name, column.name) in FILLS:
        return f"coalesce({cell}, {_on_cells(spec, FILLS[spec.name, column.name])})"
    if column.default is not None:
        default = {"bool": "false", "int": column.default}.get(column.kind, literal(column.default))
        return f"coalesce({cell}, {default})"
    return cell


def _on_cells(spec: TableSpec, sql: str) -> str:
    """SQL over column names, said over the read cells."""
    for column in sorted(spec.columns, key=lambda c: -len(c.name)):
        sql = _replace_word(sql, column.name, quoted("c_" + column.name))
    return sql


def _replace_word(sql: str, word: str, by: str) -> str:
    return re.sub(rf"(?<![\w\"']){re.escape(word)}(?![\w\"'])", by, sql)


def _mobile_test(name: str, sql_type: str, column: Column | None) -> list[str]:
    """SQL that names the column where a cell shows a clear mobile number; times, days and amounts can't."""
    if sql_type not in ("VARCHAR", "BIGINT", "UBIGINT", "HUGEINT", "DOUBLE"):
        return []
    if column is not None and column.kind in ("timestamp", "date", "bool"):
        return []
    cell = quoted("r_" + name)
    if column is None or (column.kind == "str" and not column.is_id):
        test = f"length({cell}) >= 11 AND (regexp_matches({cell}, {literal(_MOBILE_INSIDE)})"
        test += f" OR regexp_matches({cell}, {literal(_MOBILE_CELL)}))"
    else:
        test = f"length({cell}) BETWEEN 11 AND 17 AND {cell} [1] IN ('1', '8', '+')"
        test += f" AND regexp_matches({cell}, {literal(_MOBILE_CELL)})"
    return [f"CASE WHEN {test} THEN {literal(name)} END"]
