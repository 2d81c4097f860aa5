"""Staged rows come in; out come the rows to keep as Parquet, and every other row with the reason it was left out.

A row is left out because a cell it needs can't be read, because its key was there already, or because the order it
belongs to is not there. Where a key comes again with a newer `updated_at` or in a later file, the newer supersedes.
"""

from pathlib import Path

import duckdb

from features.casts import literal, quoted
from features.reading import Staged

# Reasons that come from other rows; those of single cells name the column.
SAME_ROW = "the same row again"
SAME_KEY = "the same key again with other values"
SUPERSEDED = "superseded by a newer row"
ORPHAN_LINE = "order_id: not in orders"


def left_out(con: duckdb.DuckDBPyConnection, staged: Staged) -> None:
    """Make the table `out_<table>` (_part, _row, reason): rows wrong in themselves and all but one row of each key.

    Which row of a key is kept: newest updated_at, then latest file, then the greatest text, so never by position.
    """
    spec = staged.spec
    out = quoted("out_" + spec.name)
    con.execute(f"CREATE OR REPLACE VIEW {quoted('staged_' + spec.name)} AS SELECT * FROM {staged.relation()}")
    rows = quoted("staged_" + spec.name)
    con.execute(
        f"CREATE OR REPLACE TABLE {out} AS"
        f" SELECT _part, _row, _problem AS reason FROM {rows} WHERE _problem IS NOT NULL"
    )
    key = ", ".join(quoted(k) for k in spec.key)
    values = ", ".join(quoted(c) for c in spec.column_names)
    newest = "updated_at DESC NULLS LAST," if "updated_at" in spec.by_name else ""
    later = "updated_at IS DISTINCT FROM newest OR" if newest else ""
    kept_time = ", first_value(updated_at) OVER byrank AS newest" if newest else ""
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE twice AS
            SELECT h FROM (SELECT hash({key}) AS h FROM {rows} WHERE _problem IS NULL) GROUP BY h HAVING count(*) > 1
        """
    )
    if not con.execute("SELECT count(*) FROM twice").fetchall()[0][0]:
        return
    con.execute(
        f"""
        INSERT INTO {out}
        SELECT _part, _row, CASE
            WHEN text = kept_text THEN {literal(SAME_ROW)}
            WHEN {later} _part <> kept_part THEN {literal(SUPERSEDED)}
            ELSE {literal(SAME_KEY)} END
        FROM (
            SELECT *, row_number() OVER byrank AS place, first_value(text) OVER byrank AS kept_text,
                first_value(_part) OVER byrank AS kept_part{kept_time}
            FROM (
                SELECT _part, _row, {values}, to_json(struct_pack({values}))::VARCHAR AS text
                FROM {rows} WHERE _problem IS NULL AND hash({key}) IN (SELECT h FROM twice)
            )
            WINDOW byrank AS (PARTITION BY {key} ORDER BY {newest} _part DESC, text DESC, _row
                ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
        ) WHERE place > 1
        """
    )


def orphan_lines(con: duckdb.DuckDBPyConnection) -> int:
    """Leave out order lines whose order was not given or not kept; gives how many have no order given at all."""
    con.execute(
        f"""
        INSERT INTO out_order_lines
        SELECT l._part, l._row, {literal(ORPHAN_LINE)} FROM staged_order_lines l
        WHERE l.order_id IS NOT NULL AND l.order_id NOT IN (
            SELECT order_id FROM staged_orders s ANTI JOIN out_orders o ON s._part = o._part AND s._row = o._row
            WHERE order_id IS NOT NULL)
        AND (l._part, l._row) NOT IN (SELECT (_part, _row) FROM out_order_lines)
        """
    )
    row = con.execute(
        "SELECT count(*) FROM staged_order_lines l ANTI JOIN staged_orders s ON l.order_id = s.order_id"
        " WHERE l.order_id IS NOT NULL"
    ).fetchall()
    return int(row[0][0])


def write_kept(con: duckdb.DuckDBPyConnection, staged: Staged, folder: Path, brand_id: str) -> Path:
    """Write the rows to keep as `<table>.parquet`, and make the view of the table's name over it.

    Two things are mended here, both counted by the validators: an order of a member who is not in members becomes an
    anonymous sale, and an item that was sold but not given gets a row of its own, off the shelf.
    """
    spec = staged.spec
    path = folder / f"{spec.name}.parquet"
    columns = ", ".join(quoted(c) for c in spec.column_names)
    if spec.name == "members":
        columns = columns.replace('"brand_id"', f'coalesce("brand_id", {literal(brand_id)}) AS "brand_id"')
    out = quoted("out_" + spec.name)
    rows = quoted("staged_" + spec.name)
    some_out = con.execute(f"SELECT count(*) FROM {out}").fetchall()[0][0]
    without = f" s ANTI JOIN {out} o ON s._part = o._part AND s._row = o._row" if some_out else ""
    con.execute(f"COPY (SELECT {columns} FROM {rows}{without}) TO {literal(str(path))} (FORMAT parquet)")
    con.execute(f"CREATE OR REPLACE VIEW {quoted(spec.name)} AS SELECT * FROM read_parquet({literal(str(path))})")
    return path


def write_left_out(con: duckdb.DuckDBPyConnection, staged: Staged, folder: Path) -> int:
    """Write quarantined rows as `<table>.csv`: file, row, reason, then the row as it was given; gives how many."""
    spec = staged.spec
    names = [*spec.column_names, *staged.extra]
    cells = ", ".join(_as_given(name, name in spec.by_name) for name in names)
    files = "MAP {" + ", ".join(f"{s.part}: {literal(s.path.name)}" for s in staged.sources) + "}"
    lines = ", ".join("NULL" for _ in names)
    rejected = " ".join(
        f"UNION ALL SELECT {literal(reason.split(':')[0])}, {line - 1}, {literal(reason)}, {lines}"
        for reason, line, _ in staged.rejected[:1000]
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{spec.name}.csv"
    con.execute(
        f"""
        COPY (SELECT * FROM (
            SELECT {files}[s._part] AS _file, s._row, o.reason AS _reason, {cells}
            FROM {quoted("staged_" + spec.name)} s JOIN {quoted("out_" + spec.name)} o
                ON s._part = o._part AND s._row = o._row
            WHERE o.reason <> {literal(SUPERSEDED)} {rejected}
        ) ORDER BY ALL) TO {literal(str(path))} (HEADER)
        """
    )
    written = con.execute(f"SELECT count(*) FROM read_csv({literal(str(path))}, all_varchar = true)").fetchall()[0][0]
    if not written:
        path.unlink()
    return int(written)


def _as_given(name: str, known: bool) -> str:
    path = literal('$."' + name + '"')
    typed = f"CAST(s.{quoted(name)} AS VARCHAR)" if known else "NULL"
    return f"coalesce(_raw ->> {path}, {typed}) AS {quoted(name)}"
