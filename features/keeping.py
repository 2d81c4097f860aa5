"""Staged rows come in; out come the rows to keep as Parquet, and every other row with the reason it was left out.

A row is left out because a cell it needs can't be read, because its key was there already, because its time can't be,
or because the order it belongs to is not there. Where a key comes again with a newer `updated_at` or in a later file,
the newer supersedes.
"""

from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import duckdb

from features.casts import literal, quoted
from features.mending import Mend
from features.reading import Staged

# Reasons that come from other rows; those of single cells name the column.
SAME_ROW = "the same row again"
SAME_KEY = "the same key again with other values"
SUPERSEDED = "superseded by a newer row"
ORPHAN_LINE = "order_id: not in orders"
ORDER_OUT = "order_id: its order was left out"
FUTURE = "order_time: in the future"
FAR = "order_time: far from all other orders"

# Orders this far from all others, and at most this share of them, come from a clock that was reset.
FAR_DAYS, FAR_SHARE, FAR_ENOUGH = 180, 0.001, 1000


def left_out(con: duckdb.DuckDBPyConnection, staged: Staged) -> None:
    """Make the table `out_<table>` (_part, _row, reason): rows wrong in themselves and all but one row of each key.

    Which row of a key is kept: newest updated_at, then latest file, then the greatest text, so never by position.
    """
    spec = staged.spec
    out, rows = quoted("out_" + spec.name), quoted("staged_" + spec.name)
    con.execute(f"CREATE OR REPLACE VIEW {rows} AS SELECT * FROM {staged.relation()}")
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE {out} AS"
        f" SELECT _part, _row, _problem AS reason FROM {rows} WHERE _problem IS NOT NULL"
    )
    key = ", ".join(quoted(k) for k in spec.key)
    values = ", ".join(quoted(c) for c in spec.column_names)
    dated = "updated_at" in spec.by_name
    newest = "updated_at DESC NULLS LAST," if dated else ""
    later = "updated_at IS DISTINCT FROM newest OR" if dated else ""
    kept_time = ", first_value(updated_at) OVER byrank AS newest" if dated else ""
    # Hashes find the few keys that may be there twice without holding every key in memory.
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE twice AS
            SELECT h FROM (SELECT hash({key}) AS h FROM {rows} WHERE _problem IS NULL) GROUP BY h HAVING count(*) > 1
        """
    )
    if not _count(con, "twice"):
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


def kept_rows(con: duckdb.DuckDBPyConnection, table: str) -> str:
    """SQL of the staged rows that are not left out, as a relation."""
    out, rows = quoted("out_" + table), quoted("staged_" + table)
    if not _count(con, out):
        return rows
    return f"(SELECT s.* FROM {rows} s ANTI JOIN {out} o ON s._part = o._part AND s._row = o._row)"


def impossible_orders(con: duckdb.DuckDBPyConnection, last_day: date | None) -> None:
    """Leave out orders after the last day there can be, and a handful that lie far from all others."""
    rows = kept_rows(con, "orders")
    days = con.execute(f"SELECT order_time::DATE AS day, count(*) FROM {rows} GROUP BY day ORDER BY day").fetchall()
    if last_day is not None:
        days = [(day, n) for day, n in days if day <= last_day]
    first, last = _without_far_days(days)
    tests = [f"WHEN order_time >= DATE '{last_day}' + 1 THEN {literal(FUTURE)}"] if last_day is not None else []
    if first is not None and last is not None:
        outside = f"order_time < DATE '{first}' OR order_time >= DATE '{last}' + 1"
        tests.append(f"WHEN {outside} THEN {literal(FAR)}")
    if tests:
        con.execute(
            f"INSERT INTO out_orders SELECT * FROM (SELECT _part, _row, CASE {' '.join(tests)} END AS reason FROM {rows})"
            " WHERE reason IS NOT NULL"
        )


def _without_far_days(days: list[tuple[date, int]]) -> tuple[date | None, date | None]:
    """First and last day once the few orders beyond a long silence are set aside, at either end."""
    total = sum(n for _, n in days)
    if total < FAR_ENOUGH:
        return None, None
    first = _edge(days, total, timedelta(days=FAR_DAYS))
    last = _edge(days[::-1], total, timedelta(days=FAR_DAYS))
    return first, last


def _edge(days: list[tuple[date, int]], total: int, silence: timedelta) -> date:
    seen = 0
    edge = days[0][0]
    for (day, n), (following, _) in pairwise(days):
        seen += n
        if seen > FAR_SHARE * total:
            break
        if abs(following - day) >= silence:
            edge = following
    return edge


def orphan_lines(con: duckdb.DuckDBPyConnection) -> None:
    """Sum the lines of each order into `line_sums`; leave out those whose order isn't kept.

    `orphan_lines` (order_id) holds the lines whose order was never given. Needs the view `orders` of kept orders.
    """
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE line_sums AS
        SELECT order_id, coalesce(sum(paid_yuan) FILTER (WHERE line_type <> 'return'), 0) AS sold,
            coalesce(sum(paid_yuan) FILTER (WHERE line_type = 'return'), 0) AS returned
        FROM {kept_rows(con, "order_lines")} GROUP BY order_id
        """
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE headless AS SELECT order_id FROM line_sums ANTI JOIN orders USING (order_id)"
    )
    con.execute("CREATE OR REPLACE TEMP TABLE orphan_lines (order_id VARCHAR)")
    if not _count(con, "headless"):
        return
    lines = kept_rows(con, "order_lines")
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE headless_lines AS
        SELECT _part, _row, order_id, order_id NOT IN (
            SELECT order_id FROM staged_orders SEMI JOIN headless USING (order_id)) AS orphan
        FROM {lines} SEMI JOIN headless USING (order_id)
        """
    )
    con.execute(
        f"INSERT INTO out_order_lines SELECT _part, _row,"
        f" CASE WHEN orphan THEN {literal(ORPHAN_LINE)} ELSE {literal(ORDER_OUT)} END FROM headless_lines"
    )
    con.execute("INSERT INTO orphan_lines SELECT order_id FROM headless_lines WHERE orphan")
    con.execute("DELETE FROM line_sums WHERE order_id IN (SELECT order_id FROM headless)")


def write_kept(con: duckdb.DuckDBPyConnection, staged: Staged, folder: Path) -> Path:
    """Write the rows to keep as `<table>.parquet`, and make the view of the table's name over it."""
    columns = ", ".join(quoted(c) for c in staged.spec.column_names)
    return _write(con, staged.spec.name, f"SELECT {columns} FROM {kept_rows(con, staged.spec.name)}", folder, "")


def write_mended(con: duckdb.DuckDBPyConnection, staged: Staged, folder: Path, mend: Mend, path: Path) -> Path:
    """Write a kept table again with what was mended; gives the new path, or `path` where nothing was."""
    if not mend.columns and mend.added is None:
        return path
    spec = staged.spec
    replaced = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in mend.columns.items())
    select = f"SELECT * {f'REPLACE ({replaced})' if replaced else ''} FROM {quoted(spec.name)} AS t"
    if mend.added is not None:
        select += f" UNION ALL BY NAME {mend.added}"
    columns = ", ".join(quoted(c) for c in spec.column_names)
    return _write(con, spec.name, f"SELECT {columns} FROM ({select})", folder, "mended.")


def _write(con: duckdb.DuckDBPyConnection, table: str, select: str, folder: Path, mark: str) -> Path:
    path = folder / f"{table}.{mark}parquet"
    con.execute(f"COPY ({select}) TO {literal(str(path))} (FORMAT parquet)")
    con.execute(f"CREATE OR REPLACE VIEW {quoted(table)} AS SELECT * FROM read_parquet({literal(str(path))})")
    return path


def write_left_out(con: duckdb.DuckDBPyConnection, staged: Staged, folder: Path) -> Path | None:
    """Write quarantined rows as `<table>.csv`: file, row, reason, then the row as it was given; None if there are none.

    Rows superseded by newer ones are not in it: nothing is wrong with them.
    """
    spec = staged.spec
    names = [*spec.column_names, *staged.extra]
    cells = ", ".join(_as_given(name, name in spec.by_name) for name in names)
    files = "MAP {" + ", ".join(f"{s.part}: {literal(s.path.name)}" for s in staged.sources) + "}"
    out = quoted("out_" + spec.name)
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE quarantine AS
        SELECT {files}[s._part] AS _file, s._row, o.reason AS _reason, {cells}, NULL::VARCHAR AS _line
        FROM {quoted("staged_" + spec.name)} s JOIN {out} o ON s._part = o._part AND s._row = o._row
        WHERE o.reason <> {literal(SUPERSEDED)}
        """
    )
    if staged.rejected:
        con.executemany(
            "INSERT INTO quarantine (_file, _row, _reason, _line) VALUES (?, ?, ?, ?)",
            [(file, line - 1, reason, text) for file, line, reason, text in staged.rejected],
        )
    if not _count(con, "quarantine"):
        return None
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{spec.name}.csv"
    con.execute(f"COPY (SELECT * FROM quarantine ORDER BY _file, _row) TO {literal(str(path))} (HEADER)")
    return path


def _as_given(name: str, known: bool) -> str:
    path = literal('$."' + name + '"')
    cell = f"CAST(s.{quoted(name)} AS VARCHAR)" if known else "NULL"
    return f"CASE WHEN s._raw IS NULL THEN {cell} ELSE s._raw ->> {path} END AS {quoted(name)}"


def _count(con: duckdb.DuckDBPyConnection, table: str) -> int:
    return int(con.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])
