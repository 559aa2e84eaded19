"""What SQLite, PostgreSQL and MariaDB say differently."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, Final, TypeVar

from sqlalchemy import BigInteger, Date, Enum, Float, String, Table, type_coerce
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.expression import FunctionElement

_SQLITE_BUSY_MS: Final = 30_000
"""Milliseconds a SQLite connection waits for another writer."""
_MYSQL_TRANSIENT: Final = frozenset({1020, 1205, 1213})
"""Lock wait timeout, deadlock, "record has changed since last read" (MariaDB's snapshot isolation)."""
_MYSQL_REJECTED: Final = frozenset({1366, 3819, 4025})
"""Refused values that its drivers do not call IntegrityError or DataError: a string that does not fit the column's
character set, a CHECK constraint."""
_MYSQL_READ_ONLY: Final = frozenset({1290, 1792, 1836})
"""A replica, a read-only transaction."""
_POSTGRES_TRANSIENT: Final = frozenset({"40001", "40P01", "55P03"})
_POSTGRES_LOCKED: Final = "55P03"
"""Lock not available within `lock_timeout`; lock wait timeout, NOWAIT."""
_MYSQL_LOCKED: Final = frozenset({1205, 3572})
#: Seconds; from here on the bound that MariaDB and SQLite connections have anyway will do.
_LONG_PATIENCE: Final = 5.0


_MOST_VALUES: Final = 4_000
"""Values of one IN list: PostgreSQL takes 65,535 parameters in a statement, SQLite 32,766. They are written into the statement
at one go, for which an event loop stands 5 us each."""

_ROWS_AT_ONCE: Final = 250
"""Rows that are taken from a database without a pause."""

Value = TypeVar("Value")


def in_pieces(values: Iterable[Value]) -> Iterator[list[Value]]:
    """Values in lists that one statement of any database takes."""
    rest = iter(values)
    while piece := list(islice(rest, _MOST_VALUES)):
        yield piece


def in_turns(session: Session) -> dict[str, Any]:
    """Options of a SELECT of many rows: an event loop gets its turn between pieces of them, threads have theirs anyway."""
    return {"yield_per": _ROWS_AT_ONCE} if session.get_bind().dialect.is_async else {}


class db_now_ms(FunctionElement[int]):
    """The database's clock at this statement, in milliseconds since 1970; workers' clocks may differ."""

    type = BigInteger()
    inherit_cache = True


@compiles(db_now_ms, "sqlite")
def _sqlite_now(element: Any, compiler: Any, **kwargs: Any) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


@compiles(db_now_ms, "postgresql")
def _postgresql_now(element: Any, compiler: Any, **kwargs: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"


@compiles(db_now_ms, "mysql")
@compiles(db_now_ms, "mariadb")
def _mysql_now(element: Any, compiler: Any, **kwargs: Any) -> str:
    return "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6)) DIV 1000)"


class _Stored(FunctionElement[Any]):
    """A Float column at full precision: MariaDB shows six digits of a FLOAT (12345.67 as 12345.7), PostgreSQL's REAL nine."""

    inherit_cache = True


@compiles(_Stored)
def _stored(element: Any, compiler: Any, **kwargs: Any) -> str:
    return str(compiler.process(next(iter(element.clauses)), **kwargs))


@compiles(_Stored, "postgresql")
def _postgresql_stored(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"CAST({_stored(element, compiler, **kwargs)} AS DOUBLE PRECISION)"


@compiles(_Stored, "mysql")
@compiles(_Stored, "mariadb")
def _mysql_stored(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"({_stored(element, compiler, **kwargs)} + 0e0)"


def as_stored(column: Any) -> Any:
    """The column for a SELECT that must tell what is stored: a Float at full precision, an Enum as its word."""
    kind: object = column.type
    if isinstance(kind, Enum):
        return type_coerce(column, String())
    return type_coerce(_Stored(column), column.type) if isinstance(kind, Float) else column


class exact_text(FunctionElement[str]):
    """A text that is compared character by character, whatever the collation of its column holds equal."""

    type = String()
    inherit_cache = True


@compiles(exact_text)
def _exact_text(element: Any, compiler: Any, **kwargs: Any) -> str:
    return str(compiler.process(next(iter(element.clauses)), **kwargs))


@compiles(exact_text, "sqlite")
def _sqlite_exact_text(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"({_exact_text(element, compiler, **kwargs)} COLLATE BINARY)"


@compiles(exact_text, "mysql")
@compiles(exact_text, "mariadb")
def _mysql_exact_text(element: Any, compiler: Any, **kwargs: Any) -> str:
    # As bytes: even the binary collations there ignore blanks at the end.
    return f"CAST(CONVERT({_exact_text(element, compiler, **kwargs)} USING utf8mb4) AS BINARY)"


def as_words(value: object) -> str:
    """What a SELECT of `exact_text` gives: MariaDB compares bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)


class calendar_day(FunctionElement[Any]):
    """The day of a column that holds a date, or a date with a time; SQLite compares such values as texts of any length."""

    type = Date()
    inherit_cache = True


@compiles(calendar_day)
def _calendar_day(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"CAST({compiler.process(next(iter(element.clauses)), **kwargs)} AS DATE)"


@compiles(calendar_day, "sqlite")
def _sqlite_calendar_day(element: Any, compiler: Any, **kwargs: Any) -> str:
    return f"date({compiler.process(next(iter(element.clauses)), **kwargs)})"


def begin_write(session: Session) -> None:
    """Take SQLite's write lock before the first read; the others lock rows as they go.

    A transaction that reads first and writes later fails with "database is locked" at once when another wrote between.
    """
    connection = session.connection()
    if connection.dialect.name != "sqlite":
        return
    if not connection.info.get("timeweb_busy_timeout"):
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {_SQLITE_BUSY_MS}")
        connection.info["timeweb_busy_timeout"] = True
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    except DBAPIError as error:
        # The host begins its transactions itself (the recipe in SQLAlchemy's documentation); then its mode holds.
        if "within a transaction" not in str(error.orig):
            raise


@contextmanager
def wait_at_most(session: Session, seconds: float) -> Generator[None]:
    """Within it no statement of the transaction waits longer for a lock; one that would fails (`is_lock_timeout`).

    MariaDB and MySQL count whole seconds, and their own bound (50 seconds for a row) is left alone where patience is long:
    it is a setting of the session there, to be set back by a statement of its own.
    """
    connection = session.connection()
    match connection.dialect.name:
        case "postgresql":
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {int(seconds * 1000)}")
            yield
        case "sqlite" if seconds <= _LONG_PATIENCE:
            usual = connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(seconds * 1000)}")
            connection.info["timeweb_busy_timeout"] = True
            try:
                yield
            finally:
                connection.exec_driver_sql(f"PRAGMA busy_timeout = {max(usual, _SQLITE_BUSY_MS)}")
        case _ if seconds > _LONG_PATIENCE:
            yield  # SQLite: `begin_write` sets the bound once for each connection
        case _:
            bound = max(1, int(seconds))
            connection.exec_driver_sql(
                "SET @timeweb_rows = @@SESSION.innodb_lock_wait_timeout, @timeweb_tables = @@SESSION.lock_wait_timeout, "
                f"SESSION innodb_lock_wait_timeout = {bound}, SESSION lock_wait_timeout = {bound}"
            )
            try:
                yield
            finally:
                with suppress(DBAPIError):  # a lost connection keeps no settings
                    connection.exec_driver_sql(
                        "SET SESSION innodb_lock_wait_timeout = @timeweb_rows, SESSION lock_wait_timeout = @timeweb_tables"
                    )


def insert_ignore(session: Session, table: Table) -> Any:
    """An INSERT that does nothing where a unique key is taken."""
    name = session.connection().dialect.name
    if name == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing()
    if name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    # Not IGNORE, which also turns values that do not fit into warnings.
    first = next(iter(table.primary_key.columns))
    return mysql.insert(table).on_duplicate_key_update({first.key: first})


def upsert(session: Session, table: Table, *, key: str, columns: Iterable[str]) -> Any:
    """An INSERT that updates `columns` of the row where `key` is taken."""
    name = session.connection().dialect.name
    if name in {"sqlite", "postgresql"}:
        statement: Any = sqlite.insert(table) if name == "sqlite" else postgresql.insert(table)
        return statement.on_conflict_do_update(
            index_elements=[table.c[key]], set_={column: statement.excluded[column] for column in columns}
        )
    duplicate: Any = mysql.insert(table)
    return duplicate.on_duplicate_key_update({column: duplicate.inserted[column] for column in columns})


def rejects_values(error: StatementError) -> bool:
    """The database (or the driver) refuses these values; anything else is a lost database or a wrong schema."""
    if not isinstance(error, DBAPIError) or isinstance(error, IntegrityError | DataError):
        return True
    arguments: tuple[Any, ...] = getattr(error.orig, "args", ())
    return bool(arguments) and arguments[0] in _MYSQL_REJECTED


def is_lock_timeout(error: BaseException) -> bool:
    """Whether a statement gave up because somebody held a lock for too long."""
    if not isinstance(error, DBAPIError) or error.connection_invalidated:
        return False
    arguments = getattr(error.orig, "args", ())
    return (
        getattr(error.orig, "sqlstate", None) == _POSTGRES_LOCKED
        or bool(arguments and arguments[0] in _MYSQL_LOCKED)
        or "database is locked" in str(error.orig)
    )


def takes_used_key(error: StatementError, table: Table) -> bool:
    """Whether PostgreSQL itself gave a new row a key that is in use: its sequence is behind the largest one."""
    original: Any = getattr(error, "orig", None)
    found = getattr(getattr(original, "diag", None), "constraint_name", None)
    found = found or getattr(getattr(original, "__cause__", None), "constraint_name", None)  # asyncpg
    return isinstance(error, IntegrityError) and found in {table.primary_key.name, f"{table.name}_pkey"} - {None}


def is_read_only(error: BaseException) -> bool:
    """Whether the database answers and refuses to write: a replica, a file without the right."""
    original: Any = getattr(error, "orig", None)
    arguments: tuple[Any, ...] = getattr(original, "args", ())
    if getattr(original, "sqlstate", None) == "25006" or (arguments and arguments[0] in _MYSQL_READ_ONLY):
        return True
    return "readonly database" in str(original)


def is_transient(error: BaseException) -> bool:
    """Whether the whole transaction may simply be tried again: a deadlock, a lock that took too long."""
    if not isinstance(error, DBAPIError) or error.connection_invalidated:
        return False
    original: Any = error.orig
    if getattr(original, "sqlstate", None) in _POSTGRES_TRANSIENT:
        return True
    arguments = getattr(original, "args", ())
    if arguments and arguments[0] in _MYSQL_TRANSIENT:
        return True
    return "database is locked" in str(original) or "database table is locked" in str(original)
