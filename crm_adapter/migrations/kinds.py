"""Kinds of relations that a host may call its table, and which of them cannot take the integration's columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Iterable

_POSTGRES_RELATION = sa.text(
    "SELECT c.oid, c.relkind, c.relispartition FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relname = :name AND CASE WHEN CAST(:schema AS text) IS NULL THEN pg_table_is_visible(c.oid)"
    " ELSE n.nspname = :schema END"
)
_POSTGRES_CHILD = sa.text("SELECT CAST(CAST(inhrelid AS regclass) AS text) FROM pg_inherits WHERE inhparent = :oid LIMIT 1")
_POSTGRES_PARENT = sa.text("SELECT CAST(CAST(inhparent AS regclass) AS text) FROM pg_inherits WHERE inhrelid = :oid LIMIT 1")
_MARIADB_TABLE = sa.text(
    "SELECT t.table_type, t.engine, t.create_options, e.transactions FROM information_schema.tables t"
    " LEFT JOIN information_schema.engines e ON e.engine = t.engine"
    " WHERE t.table_name = :name AND t.table_schema = COALESCE(:schema, DATABASE())"
)

_NO_UNIQUE_KEY = "is partitioned, and a unique key on timeweb_id would have to hold the partitioning columns; use a plain table"
_IS_VIEW = "is a view and takes no columns; name the table beneath it"


def refusal(bind: sa.Connection, name: str, schema: str | None, *, is_unique: bool) -> str | None:
    """Why the relation cannot take the columns, to be read after its name; None when it can.

    `is_unique` says that `timeweb_id` has a unique key already, so that none must be added.
    """
    if name in sa.inspect(bind).get_view_names(schema):
        return _IS_VIEW
    match bind.dialect.name:
        case "postgresql":
            return _postgresql(bind, name, schema, is_unique=is_unique)
        case "mysql" | "mariadb":
            return _mariadb(bind, name, schema, is_unique=is_unique)
        case _:
            kind = _sqlite_kind(bind, name, schema)
            return "is a virtual table and takes no columns; use a plain table" if kind[0] == "virtual" else None


def is_strict(bind: sa.Connection, name: str, schema: str | None) -> bool:
    """Whether it is a STRICT table of SQLite, which knows the types INTEGER, REAL, TEXT, BLOB and ANY only."""
    return bind.dialect.name == "sqlite" and _sqlite_kind(bind, name, schema)[1]


def without_transactions(bind: sa.Connection, names: Iterable[str]) -> str | None:
    """The first of these tables whose engine cannot roll back, with its engine; None elsewhere than on MariaDB."""
    if bind.dialect.name not in {"mysql", "mariadb"}:
        return None
    for name in names:
        found = bind.execute(_MARIADB_TABLE, {"name": name, "schema": None}).mappings().first()
        if found is not None and found["transactions"] != "YES":
            return f"{name} ({found['engine']})"
    return None


def _postgresql(bind: sa.Connection, name: str, schema: str | None, *, is_unique: bool) -> str | None:
    relation = bind.execute(_POSTGRES_RELATION, {"name": name, "schema": schema}).first()
    if relation is None:
        return None
    oid, kind, is_partition = relation
    kind = kind.decode() if isinstance(kind, bytes) else kind
    if kind in {"v", "m"}:
        return _IS_VIEW
    if kind == "f":
        return "is a foreign table; run the migration on the server that has the table"
    if is_partition:
        parent = bind.scalar(_POSTGRES_PARENT, {"oid": oid})
        return f"is a partition of {parent} and takes no columns of its own; use a plain table"
    if kind == "p":
        return None if is_unique else _NO_UNIQUE_KEY
    if (child := bind.scalar(_POSTGRES_CHILD, {"oid": oid})) is not None:
        return (
            f"shows the rows of other tables too ({child} inherits from it), and no unique key of timeweb_id spans them; "
            "use a table without children"
        )
    return None


def _mariadb(bind: sa.Connection, name: str, schema: str | None, *, is_unique: bool) -> str | None:
    found: Any = bind.execute(_MARIADB_TABLE, {"name": name, "schema": schema}).mappings().first()
    if found is None:
        return None
    if found["transactions"] != "YES":
        return (
            f"uses the engine {found['engine']}, which has no transactions, and a change must not be stored without its log; "
            f"run ALTER TABLE {name} ENGINE=InnoDB first"
        )
    if "partitioned" in (found["create_options"] or "") and not is_unique:
        return _NO_UNIQUE_KEY
    if found["table_type"] == "SYSTEM VERSIONED" and bind.scalar(sa.text("SELECT @@system_versioning_alter_history")) != "KEEP":
        return (
            "is system-versioned, and its history may not be altered; run "
            "SET GLOBAL system_versioning_alter_history = 'KEEP' for the migration (new columns are NULL in old versions)"
        )
    return None


def _sqlite_kind(bind: sa.Connection, name: str, schema: str | None) -> tuple[str, bool]:
    """The kind of a table (table, view, virtual, shadow) and whether it is STRICT."""
    listed = bind.exec_driver_sql("SELECT schema, name, type, strict FROM pragma_table_list")
    for where, found, kind, strict in listed:
        if found.lower() == name.lower() and where == (schema or "main"):
            return kind, bool(strict)
    return "table", False
