"""A database of one's own on the servers that the tests find."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import URL, Connection, Table, bindparam, create_engine, make_url, text
from sqlalchemy.pool import NullPool


@contextmanager
def own_database(server_url: str) -> Iterator[URL]:
    """An empty database on PostgreSQL or MariaDB; afterwards it is dropped, whoever is still connected."""
    server = make_url(server_url)
    name = f"timeweb_test_{uuid.uuid4().hex[:12]}"
    admin = create_engine(server, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        yield server.set(database=name)
    finally:
        force = " WITH (FORCE)" if server.get_backend_name() == "postgresql" else ""
        with admin.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name}{force}")


def empty(connection: Connection, tables: Sequence[Table]) -> None:
    """Delete all rows and count from 1 again; making the tables anew takes MariaDB ten times as long."""
    for table in tables:
        connection.execute(table.delete())
    if connection.dialect.name == "postgresql":
        connection.execute(
            text("SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, 1, false) FROM pg_sequences")
        )
        return
    counted = text(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND auto_increment > 1 "
        "AND table_name IN :names"
    )
    names = [table.name for table in tables]
    for name in connection.scalars(counted.bindparams(bindparam("names", names, expanding=True))).all():
        connection.execute(text(f"ALTER TABLE {name} AUTO_INCREMENT = 1"))
