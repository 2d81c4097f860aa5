"""A lazy table in; out: the same table computed once and held by its engine until it is let go."""

import itertools

import ibis
from ibis.expr.types import Table

_numbers = itertools.count()  # names only: two stored tables of one process never share one


def stored(table: Table, name: str) -> Table:
    """Compute a table now and hold it: a temporary table on DuckDB, a view of a local checkpoint on Spark.

    A checkpoint, not a cache: a cached plan still carries everything it came from, and such plans grow without end.
    """
    backend = table.get_backend()
    unique = f"huitou_{name}_{next(_numbers)}"
    if backend.name == "duckdb":
        return backend.create_table(unique, table, temp=True)
    frame = backend._session.sql(ibis.to_sql(table, dialect="pyspark")).localCheckpoint()
    frame.createOrReplaceTempView(unique)
    return backend.table(unique)


def let_go(table: Table) -> None:
    """Give back what a stored table held."""
    backend = table.get_backend()
    if backend.name == "duckdb":
        backend.raw_sql(f'DROP TABLE "{table.op().name}"')
    else:
        backend._session.catalog.dropTempView(table.op().name)
