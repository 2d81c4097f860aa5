"""Opening a ledger: one SQLAlchemy engine (SQLite in WAL mode or PostgreSQL), migrated by Alembic, with quick reads.

Writers run in one transaction each and raise the revision of what they changed. Readers on a request's path use
`rows`: the statement is compiled once and runs on a plain driver connection kept per thread.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from features.errors import InputError
from outreach.ledger import tables

if TYPE_CHECKING:
    import pandas as pd
    from alembic.config import Config

# How long a writer waits for another writer on SQLite before it gives up, in milliseconds.
BUSY_MS = 15_000

# PostgreSQL's advisory lock that lets one process migrate while others wait; any constant will do.
MIGRATION_LOCK = 728_346_501


class LedgerCore:
    """The engine, its transactions and its revisions; the books of the ledger stand on it.

    Args:
        url: SQLAlchemy URL, as `sqlite:////home/brand/ledger.db` or `postgresql+psycopg://…`.
        brand_id: first part of every key.
        migrate: bring the schema up to date; False refuses a ledger that is not.
    """

    def __init__(self, url: str, *, brand_id: str = "brand", migrate: bool = True) -> None:
        self.url, self.brand_id = url, brand_id
        self.engine = _engine(url)
        self._local = threading.local()
        self._compiled: dict[int, tuple[Any, str, Any, Any]] = {}
        if migrate:
            self._migrate()
        self._refuse_other_schema()

    @contextmanager
    def writing(self, *kinds: str) -> Iterator[sa.Connection]:
        """One transaction that raises the revision of each of `kinds` when it commits."""
        with self.engine.connect().execution_options(ledger_writes=True) as connection, connection.begin():
            yield connection
            for kind in sorted(kinds):
                self._raise_revision(connection, kind)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """One consistent view of the ledger."""
        with self.engine.connect() as connection, connection.begin():
            yield connection

    def frame(self, statement: sa.Select[Any]) -> "pd.DataFrame":
        """A statement's rows as a frame with the statement's column names."""
        import pandas as pd

        with self.reading() as connection:
            result = connection.execute(statement)
            return pd.DataFrame(result.fetchall(), columns=list(result.keys()))

    def rows(self, statement: sa.Select[Any], values: Mapping[str, Any]) -> Sequence[Any]:
        """Rows of a statement with `bindparam`s, quickly: tuples as the driver gives them (no type conversion)."""
        key = id(statement)
        if key not in self._compiled:
            compiled: Any = statement.compile(dialect=self.engine.dialect)
            self._compiled[key] = (statement, str(compiled), compiled.positiontup, compiled.params)
        _, text, positions, constants = self._compiled[key]
        given = {**constants, **values}
        parameters = tuple(given[name] for name in positions) if positions is not None else given
        try:
            cursor = self._driver_connection().execute(text, parameters)
            return cursor.fetchall()
        except self.engine.dialect.loaded_dbapi.OperationalError:
            # The server went away or was restarted: one fresh connection, then the error is the caller's.
            self._local.connection = None
            return self._driver_connection().execute(text, parameters).fetchall()

    def insert_new(self, connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> int:
        """Insert the rows whose key is not there yet; returns how many were new."""
        if not rows:
            return 0
        statement = self._insert(table).on_conflict_do_nothing()
        before = connection.execute(statement, [dict(row) for row in rows])
        return max(before.rowcount, 0)

    def put(self, connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert the rows, or replace those with the same key."""
        if not rows:
            return
        statement = self._insert(table)
        keys = [column.name for column in table.primary_key]
        changed = {name: statement.excluded[name] for name in rows[0] if name not in keys}
        connection.execute(
            statement.on_conflict_do_update(index_elements=keys, set_=changed), [dict(row) for row in rows]
        )

    def revisions(self) -> dict[str, int]:
        """How often each kind of live state was written. Not to be changed in place.

        On SQLite the table is read only when another connection has committed since this thread looked last.
        """
        key = {"brand": self.brand_id}
        if self.engine.dialect.name != "sqlite":
            return dict(self.rows(_REVISIONS, key))
        version = self._driver_connection().execute("PRAGMA data_version").fetchone()[0]
        seen: tuple[Any, dict[str, int]] | None = getattr(self._local, "revisions", None)
        if seen is None or seen[0] != version:
            seen = self._local.revisions = (version, dict(self.rows(_REVISIONS, key)))
        return seen[1]

    def is_away(self, error: BaseException) -> bool:
        """Whether an error says that the database cannot be reached or used at the moment, rather than that we erred."""
        driver = self.engine.dialect.loaded_dbapi
        return isinstance(
            error, (sa.exc.OperationalError, sa.exc.InterfaceError, driver.OperationalError, driver.InterfaceError)
        )

    def close(self) -> None:
        """Give back this thread's connection and the pool's."""
        held = getattr(self._local, "connection", None)
        if held is not None:
            held.close()
            self._local.connection = None
        self.engine.dispose()

    def _insert(self, table: sa.Table) -> Any:
        if self.engine.dialect.name != "postgresql":
            return sqlite.insert(table)
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)

    def _raise_revision(self, connection: sa.Connection, kind: str) -> None:
        statement = self._insert(tables.revision).values(brand_id=self.brand_id, kind=kind, number=1)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["brand_id", "kind"], set_={"number": tables.revision.c.number + 1}
            )
        )

    def _driver_connection(self) -> Any:
        held: Any = getattr(self._local, "connection", None)
        if held is None:
            checked_out = self.engine.raw_connection()
            held = checked_out.dbapi_connection
            checked_out.detach()  # lives with the thread from here on; the pool forgets it
            if self.engine.dialect.name == "postgresql":
                held.autocommit = True
            self._local.connection = held
            self._local.revisions = None  # a version means something on its own connection only
        return held

    def _migrate(self) -> None:
        with self.engine.connect() as connection:
            if _schema_of(connection) == newest_schema():
                return
        from alembic import command

        config = alembic_config()
        with self.engine.connect().execution_options(ledger_writes=True) as connection, connection.begin():
            if self.engine.dialect.name == "postgresql":
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:k)"), {"k": MIGRATION_LOCK})
            if _schema_of(connection) != newest_schema():
                config.attributes["connection"] = connection
                command.upgrade(config, "head")

    def _refuse_other_schema(self) -> None:
        with self.engine.connect() as connection:
            found = _schema_of(connection)
            if found != newest_schema():
                raise InputError(
                    f"ledger: the schema is at {found or 'nothing'}, this version of Huitou needs {newest_schema()}; "
                    "run `huitou serve` or `huitou lists` once, which bring it up to date, or install the newer Huitou"
                )


def plain_row(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A result row as a dict whose keys are plain strings (SQLAlchemy's are a kind of their own, which JSON refuses)."""
    return {str(name): value for name, value in row.items()}


def alembic_config() -> "Config":
    """Alembic's configuration for the migrations shipped beside this module."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    return config


_REVISIONS = sa.select(tables.revision.c.kind, tables.revision.c.number).where(
    tables.revision.c.brand_id == sa.bindparam("brand")
)


def newest_schema() -> str:
    """The revision that this version needs: the newest file of migrations. A worker need not import Alembic to know it."""
    return max(path.stem for path in Path(__file__).with_name("migrations").glob("versions/0*.py")).split("_")[0]


def _schema_of(connection: sa.Connection) -> str | None:
    """The revision that the ledger is at, or None where it is empty."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def _engine(url: str) -> sa.Engine:
    try:
        engine = sa.create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
    except (sa.exc.ArgumentError, ModuleNotFoundError) as error:
        raise InputError(
            f"ledger.url: expected sqlite:///PATH or postgresql+psycopg://USER@HOST/NAME "
            f"(the latter needs `pip install huitou[postgres]`), found {url!r}: {error}"
        ) from error
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _sqlite_settings)
        sa.event.listen(engine, "begin", _sqlite_begin)
    return engine


def _sqlite_settings(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # transactions are begun by us, see _sqlite_begin
    # The time to wait comes first: two workers that open a new ledger at once meet at the journal's mode already.
    connection.execute(f"PRAGMA busy_timeout={BUSY_MS}").fetchall()
    _write_ahead(connection)
    for pragma in ("synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def _write_ahead(connection: Any) -> None:
    """Set the journal's mode, which a file keeps. SQLite does not wait here where two ask at once: one is refused."""
    end = time.monotonic() + BUSY_MS / 1000
    while True:
        try:
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                connection.execute("PRAGMA journal_mode=WAL").fetchall()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.02)


def _sqlite_begin(connection: sa.Connection) -> None:
    # A writer takes its lock at once: a transaction that reads first and writes later could be refused in the middle.
    writes = connection.get_execution_options().get("ledger_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
