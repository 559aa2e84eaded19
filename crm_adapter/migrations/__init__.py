"""Schema of the adapter: `timeweb-crm migrate` and the same from Python.

The history is Alembic's, in a version table of its own (`timeweb_alembic_version`), so it never meets the host's.
A host that prefers one history calls `crm_adapter.migrations.helpers` from its own migrations instead.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from crm_adapter.migrations import helpers
from crm_adapter.migrations.helpers import HOSTING_TABLE, DuplicateTimewebIds, MigrationError, check, split

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = [
    "HOSTING_TABLE",
    "VERSION_TABLE",
    "DuplicateTimewebIds",
    "MigrationError",
    "MigrationReport",
    "current_revision",
    "downgrade",
    "head_revision",
    "upgrade",
]

VERSION_TABLE = "timeweb_alembic_version"

_LOCK_TIMEOUT = 60
"""Seconds to wait for another process that migrates the same database."""
_LOCK_NAME = "timeweb_crm_migrate"
_LOCK_NUMBER = 0x74696D6577656200


@dataclass(frozen=True)
class MigrationReport:
    """What a run did. Revisions are None where the schema of the adapter is absent."""

    before: str | None
    after: str | None
    table: str
    created_table: bool
    added_columns: tuple[str, ...]
    dropped_columns: tuple[str, ...]

    @property
    def changed(self) -> bool:
        """Whether the schema moved at all."""
        return self.before != self.after or self.created_table or bool(self.added_columns)

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "before": self.before,
            "after": self.after,
            "table": self.table,
            "changed": self.changed,
            "created_table": self.created_table,
            "added_columns": list(self.added_columns),
            "dropped_columns": list(self.dropped_columns),
        }


def upgrade(engine: sa.Engine, *, table: str = HOSTING_TABLE, revision: str = "head") -> MigrationReport:
    """Bring the schema up to `revision`; does nothing when it is there already.

    `engine` is a synchronous engine. `table` may name a schema. Raises `MigrationError` before any change when
    `table` cannot take it.
    """

    def action(config: Config) -> None:
        command.upgrade(config, revision)
        # The version is that of the database: it was there already if another table was prepared before this one.
        helpers.upgrade(Operations(MigrationContext.configure(connection)), table=table)

    with engine.connect() as connection, helpers.explained(table), _exclusive(connection):
        check(connection, table=table)
        # Alembic creates its version table before the first migration looks: refused databases must stay untouched.
        had_version = sa.inspect(connection).has_table(VERSION_TABLE)
        try:
            return _run(connection, table, action)
        except Exception:
            connection.rollback()
            if not had_version and sa.inspect(connection).has_table(VERSION_TABLE):
                _drop_version_table(connection)
            raise


def downgrade(engine: sa.Engine, *, table: str = HOSTING_TABLE, revision: str = "base") -> MigrationReport:
    """Take the schema back to `revision`: the host's table gets its former column list, our tables go."""
    with engine.connect() as connection, _exclusive(connection):
        report = _run(connection, table, lambda config: command.downgrade(config, revision))
        if report.after is None:
            _drop_version_table(connection)
        return report


def _drop_version_table(connection: sa.Connection) -> None:
    """Alembic leaves its version table behind, empty."""
    connection.execute(sa.schema.DropTable(sa.Table(VERSION_TABLE, sa.MetaData()), if_exists=True))
    connection.commit()


def current_revision(engine: sa.Engine) -> str | None:
    """The revision that the database is at, None when it was never migrated."""
    with engine.connect() as connection:
        return _current(connection)


def head_revision() -> str:
    """The revision that this version of the package needs."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def _run(connection: sa.Connection, table: str, action: Callable[[Config], None]) -> MigrationReport:
    before, columns_before = _current(connection), _columns(connection, table)
    config = _config()
    config.attributes.update(connection=connection, table=table)
    action(config)
    connection.commit()
    after, columns_after = _current(connection), _columns(connection, table)
    return MigrationReport(
        before,
        after,
        table,
        created_table=not columns_before and bool(columns_after),
        added_columns=tuple(name for name in columns_after if columns_before and name not in columns_before),
        dropped_columns=tuple(name for name in columns_before if name not in columns_after),
    )


def _current(connection: sa.Connection) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return context.get_current_revision()


def _columns(connection: sa.Connection, table: str) -> tuple[str, ...]:
    inspector, where = sa.inspect(connection), split(table)
    return tuple(column["name"] for column in inspector.get_columns(*where)) if inspector.has_table(*where) else ()


def _config() -> Config:
    config = Config()
    # A percent sign in the path would be read as interpolation.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@contextmanager
def _exclusive(connection: sa.Connection) -> Generator[None]:
    """One migration at a time: the workers of a deployment all start together."""
    match connection.dialect.name:
        case "postgresql":
            # Of the transaction, not of the session: behind PgBouncer a session is another one after each commit.
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK_NUMBER)))
            yield
            connection.rollback()
            return
        case "mysql" | "mariadb":
            if connection.scalar(sa.select(sa.func.get_lock(_LOCK_NAME, _LOCK_TIMEOUT))) != 1:
                raise MigrationError(f"another process has been migrating this database for {_LOCK_TIMEOUT} s; try again later")
            release = sa.select(sa.func.release_lock(_LOCK_NAME))
        case _:
            _lock_sqlite(connection)
            yield
            return
    connection.commit()
    try:
        yield
    finally:
        connection.rollback()
        connection.execute(release)
        connection.commit()


def _lock_sqlite(connection: sa.Connection) -> None:
    """Hold SQLite's write lock from the first look to the commit, which also makes its DDL one transaction."""
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {_LOCK_TIMEOUT * 1000}")
    driver = connection.connection.driver_connection
    if driver is not None and not driver.in_transaction:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
