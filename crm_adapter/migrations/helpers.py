"""The schema changes of the adapter as operations, for hosts that keep their own Alembic history.

Call them from a migration of the host::

    from alembic import op
    from crm_adapter.migrations import helpers

    def upgrade() -> None:
        helpers.upgrade(op)

    def downgrade() -> None:
        helpers.downgrade(op)

Each step looks at the database first and does only what is missing, so a run that was cut short (MariaDB and SQLite
have no transactional DDL) is simply repeated. The host's table gets plain `ADD COLUMN` and `CREATE UNIQUE INDEX`:
it is never rebuilt, and its triggers, foreign keys and views stay.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateColumn

from crm_adapter.errors import DuplicateTimewebIds, MigrationError
from crm_adapter.migrations import additions, baseline, kinds, services

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from types import ModuleType, TracebackType

    from alembic.operations import Operations

__all__ = ["HOSTING_TABLE", "DuplicateTimewebIds", "MigrationError", "check", "downgrade", "upgrade"]

HOSTING_TABLE = "hosting_servers"

_LEDGER = sa.Table(
    "timeweb_migration_ledger",
    sa.MetaData(),
    sa.Column("object_name", sa.String(191), primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),
    mysql_engine="InnoDB",
    mariadb_engine="InnoDB",
)
"""What the adapter created in a database that was there before it, so that a downgrade takes away that and no more."""

_FIRST: Final = "0001"
_SECOND: Final = "0002"
_COMMITS_EACH_CHANGE: Final = frozenset({"mysql", "mariadb"})
"""Dialects whose schema changes are in no transaction."""
_ACCEPTED: dict[str, Any] = {
    "timeweb_id": sa.Integer,
    "timeweb_status": sa.String,
    "timeweb_preset_id": sa.Integer,
    "timeweb_data": (sa.String, sa.JSON),
    "auto_sync": (sa.Boolean, sa.Integer),
    "last_sync_at": sa.DateTime,
}


def upgrade(op: Operations | ModuleType, *, table: str = HOSTING_TABLE, revision: str = "head") -> None:
    """Add the six columns and the unique index to `table` and create the adapter's own tables.

    A later version of the package may need more: call it again from a new migration of the host, it adds what is missing.
    `revision` "0001" or "0002" stops at that one of the adapter's own revisions.
    `table` may name a schema (`crm.hosting_servers`); the adapter's own tables are in the default one.
    Creates `table` too where there is none. Raises `MigrationError` with nothing changed: before the first change where
    the kind of the table says so, else after taking back what was begun.
    """
    bind = _bind(op)
    check(bind, table=table)
    name, schema = split(table)
    begun = _Begun(bind)
    with explained(table), begun:
        begun.create(_LEDGER)
        for own in baseline.own_tables():
            begun.create(own)
        if revision != _FIRST:
            begun.create(additions.month_table())
            additions.upgrade(op, bind)
        if revision not in {_FIRST, _SECOND}:
            for own in services.tables():
                begun.create(own)
            services.upgrade(op, bind)
        if sa.inspect(bind).has_table(name, schema):
            _alter(op, bind, table)
        else:
            _record(bind, table, "table")
            hosting = baseline.hosting_table(name, schema)
            for column in baseline.integration_columns():
                hosting.append_column(column)
            begun.create(hosting)
            op.create_index(baseline.unique_index_name(name), name, ["timeweb_id"], unique=True, schema=schema)


def downgrade(op: Operations | ModuleType, *, table: str = HOSTING_TABLE, revision: str = "base") -> None:
    """Drop the adapter's tables and what `upgrade` added to `table`: its column list is as it was.

    `revision` "0001" or "0002" takes away what came after it only.
    A table that `upgrade` created goes only when it is empty; a row that people filled in is never dropped.
    """
    bind = _bind(op)
    if revision in {_FIRST, _SECOND}:
        with explained(table):
            services.downgrade(op, bind)
            if revision == _FIRST:
                additions.downgrade(op, bind)
        return
    added = _recorded(bind)
    inspector = sa.inspect(bind)
    name, schema = split(table)
    with explained(table):
        # The host's table first: where it refuses, what we know of its rows must still be there.
        if inspector.has_table(name, schema):
            if added.get(table) == "table" and _is_empty(bind, table):
                op.drop_table(name, schema=schema)
            else:
                _drop_added(op, bind, table, added)
        for own in reversed(_own_tables()):
            if inspector.has_table(own.name):
                op.drop_table(own.name)
        if inspector.has_table(_LEDGER.name):
            op.drop_table(_LEDGER.name)


@contextmanager
def explained(table: str) -> Generator[None]:
    """What the database itself refuses (rights, a replica, a row that is full) as a `MigrationError`."""
    try:
        yield
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        reason = str(error.orig).strip().partition("\n")[0]
        raise MigrationError(f"{table}: the database refuses the change ({reason}); nothing was changed.") from error


class _Begun:
    """Takes back what an upgrade began on MariaDB, which commits each change at once; the others roll back."""

    def __init__(self, bind: sa.Connection) -> None:
        self.bind = bind
        self.created: list[sa.Table] = []
        self.recorded = set(_recorded(bind))

    def create(self, table: sa.Table) -> None:
        if sa.inspect(self.bind).has_table(table.name, table.schema):
            return
        table.create(self.bind)
        self.created.append(table)

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        lost = isinstance(error, DBAPIError) and error.connection_invalidated
        if error is None or lost or self.bind.dialect.name not in _COMMITS_EACH_CHANGE:
            return
        for table in reversed(self.created):
            table.drop(self.bind)
        if _LEDGER not in self.created:
            self.bind.execute(_LEDGER.delete().where(_LEDGER.c.object_name.not_in(self.recorded)))


def split(table: str) -> tuple[str, str | None]:
    """`crm.hosting_servers` as name and schema; without a dot the connection's default schema."""
    schema, _, name = table.rpartition(".")
    return name, schema or None


def check(bind: sa.Connection, *, table: str = HOSTING_TABLE) -> None:
    """Refuse an existing `table` that cannot take the columns: its kind, duplicates, wrong types, no primary key."""
    inspector = sa.inspect(bind)
    name, schema = split(table)
    if schema is not None and schema not in inspector.get_schema_names():
        raise MigrationError(f"{table}: there is no schema {schema!r}; create it first; nothing was changed.")
    if (own := kinds.without_transactions(bind, _own_names())) is not None:
        raise MigrationError(
            f"{own} must be of the engine InnoDB; convert it (ALTER TABLE ... ENGINE=InnoDB); nothing was changed."
        )
    if not inspector.has_table(name, schema):
        return
    reason = kinds.refusal(bind, name, schema, is_unique=_has_unique_key(inspector, table))
    if reason is not None:
        raise MigrationError(f"{table} {reason}; nothing was changed.")
    if not inspector.get_pk_constraint(name, schema)["constrained_columns"]:
        raise MigrationError(f"{table} has no primary key; add one, since every row needs an address; nothing was changed.")
    strict = kinds.is_strict(bind, name, schema)
    for column in inspector.get_columns(name, schema):
        accepted = _ACCEPTED.get(column["name"])
        if strict and accepted is sa.DateTime:
            accepted = sa.Text
        if accepted is not None and not isinstance(column["type"], accepted):
            raise MigrationError(
                f"{table}.{column['name']} exists as {column['type']}, which cannot hold the integration's values; "
                "rename or convert that column and run the migration again; nothing was changed."
            )
    if duplicates := _duplicates(bind, inspector, table):
        raise DuplicateTimewebIds(table, duplicates)


def _own_tables() -> list[sa.Table]:
    """All that the adapter keeps, of every revision."""
    return [*baseline.own_tables(), additions.month_table(), *services.tables()]


@cache
def _own_names() -> tuple[str, ...]:
    return tuple(table.name for table in _own_tables())


def _duplicates(bind: sa.Connection, inspector: sa.Inspector, table: str) -> dict[int, list[object]]:
    if "timeweb_id" not in _column_names(inspector, table):
        return {}
    name, schema = split(table)
    keys = inspector.get_pk_constraint(name, schema)["constrained_columns"]
    own: list[Any] = [sa.column(key) for key in keys]
    rows = sa.table(name, sa.column("timeweb_id"), *own, schema=schema)
    repeated = (
        sa.select(rows.c.timeweb_id)
        .where(rows.c.timeweb_id.is_not(None))
        .group_by(rows.c.timeweb_id)
        .having(sa.func.count() > 1)
    )
    query = sa.select(rows.c.timeweb_id, *(rows.c[key] for key in keys)).where(rows.c.timeweb_id.in_(repeated))
    found: dict[int, list[object]] = {}
    for timeweb_id, *key in bind.execute(query.order_by(rows.c.timeweb_id, *(rows.c[key] for key in keys))):
        found.setdefault(timeweb_id, []).append(key[0] if len(key) == 1 else tuple(key))
    return found


def _alter(op: Operations | ModuleType, bind: sa.Connection, table: str) -> None:
    """Add what is missing of the columns and the unique index."""
    inspector = sa.inspect(bind)
    name, schema = split(table)
    present = _column_names(inspector, table)
    strict = kinds.is_strict(bind, name, schema)
    missing = [column for column in baseline.integration_columns(strict=strict) if column.name not in present]
    index = None if _has_unique_key(inspector, table) else baseline.unique_index_name(name)
    for column in missing:
        _record(bind, f"{table}.{column.name}", "column")
    if index is not None:
        _record(bind, f"{table}.{index}", "index")
    if bind.dialect.name in _COMMITS_EACH_CHANGE:
        parts = [f"ADD COLUMN {CreateColumn(column).compile(dialect=bind.dialect)}" for column in missing]
        _alter_at_once(op, bind, table, parts + ([f"ADD UNIQUE INDEX {_quoted(bind, index)} (timeweb_id)"] if index else []))
        return
    for column in missing:
        op.add_column(name, column, schema=schema)
    if index is not None:
        op.create_index(index, name, ["timeweb_id"], unique=True, schema=schema)


def _has_unique_key(inspector: sa.Inspector, table: str) -> bool:
    """Whether a unique key on `timeweb_id` alone is there already, of ours or of the host."""
    name, schema = split(table)
    keys: list[Any] = [list(index["column_names"]) for index in inspector.get_indexes(name, schema) if index["unique"]]
    keys += [list(constraint["column_names"]) for constraint in inspector.get_unique_constraints(name, schema)]
    return ["timeweb_id"] in keys


def _drop_added(op: Operations | ModuleType, bind: sa.Connection, table: str, added: Mapping[str, str]) -> None:
    inspector = sa.inspect(bind)
    whole = added.get(table) == "table"
    name, schema = split(table)
    unique = baseline.unique_index_name(name)
    has_index = unique in {index["name"] for index in inspector.get_indexes(name, schema)}
    drops_index = has_index and (whole or f"{table}.{unique}" in added)
    present = _column_names(inspector, table)
    names = [column.name for column in baseline.integration_columns()]
    drops = [column for column in reversed(names) if column in present and (whole or f"{table}.{column}" in added)]
    if bind.dialect.name in _COMMITS_EACH_CHANGE:
        parts = [f"DROP INDEX {_quoted(bind, unique)}"] if drops_index else []
        _alter_at_once(op, bind, table, parts + [f"DROP COLUMN {_quoted(bind, column)}" for column in drops])
        return
    if drops_index:
        op.drop_index(unique, table_name=name, schema=schema)
    for column in drops:
        op.drop_column(name, column, schema=schema)


def _alter_at_once(op: Operations | ModuleType, bind: sa.Connection, table: str, parts: Sequence[str]) -> None:
    """One ALTER TABLE: MariaDB does all of it or nothing."""
    if parts:
        name, schema = split(table)
        where = ".".join(_quoted(bind, part) for part in (schema, name) if part)
        op.execute(f"ALTER TABLE {where} {', '.join(parts)}".replace(":", "\\:"))


def _quoted(bind: sa.Connection, name: str) -> str:
    return bind.dialect.identifier_preparer.quote(name)


def _bind(op: Operations | ModuleType) -> sa.Connection:
    if op.get_context().as_sql:
        raise MigrationError(
            "offline mode (--sql) cannot see what the table already has; run the migration against the database"
        )
    bind: sa.Connection = op.get_bind()
    return bind


def _column_names(inspector: sa.Inspector, table: str) -> set[str]:
    return {column["name"] for column in inspector.get_columns(*split(table))}


def _is_empty(bind: sa.Connection, table: str) -> bool:
    name, schema = split(table)
    return bind.execute(sa.select(sa.literal(1)).select_from(sa.table(name, schema=schema)).limit(1)).first() is None


def _record(bind: sa.Connection, name: str, kind: str) -> None:
    # Written before the change itself: where DDL is not transactional, a crash in between must not orphan a column.
    # Deleting first makes a repeated run harmless without a dialect's own upsert.
    bind.execute(_LEDGER.delete().where(_LEDGER.c.object_name == name))
    bind.execute(_LEDGER.insert().values(object_name=name, kind=kind))


def _recorded(bind: sa.Connection) -> dict[str, str]:
    if not sa.inspect(bind).has_table(_LEDGER.name):
        return {}
    return {row.object_name: row.kind for row in bind.execute(sa.select(_LEDGER))}
