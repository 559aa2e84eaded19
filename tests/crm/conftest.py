"""Databases for the tests of the CRM adapter: SQLite in memory, and SQLite, PostgreSQL and MariaDB over real connections."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import NullPool

from crm_adapter.models import AdapterBase, HostBase, create_all
from tests.crm.support import dispose_memory, memory_database

DATABASES = ("sqlite", "postgresql", "mariadb")


@pytest.fixture(autouse=True)
def closed_databases() -> Iterator[None]:
    yield
    dispose_memory()


@pytest.fixture
def db() -> sessionmaker[Session]:
    """SQLite in memory."""
    return memory_database()


@pytest.fixture(scope="session")
def postgres_database(postgres_url: str) -> Iterator[str]:
    yield from _own_database(postgres_url, "DROP DATABASE {} WITH (FORCE)")


@pytest.fixture(scope="session")
def mariadb_database(mariadb_url: str) -> Iterator[str]:
    yield from _own_database(mariadb_url, "DROP DATABASE {}")


def _own_database(server_url: str, drop: str) -> Iterator[str]:
    name = f"crm_test_{os.getpid()}_{uuid.uuid4().hex[:8]}"
    engine = create_engine(server_url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(text(drop.format(name)))


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind, with all tables."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'crm.sqlite3'}"
    else:
        url = request.getfixturevalue({"postgresql": "postgres_database", "mariadb": "mariadb_database"}[request.param])
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        create_all(connection)
    yield url
    with engine.begin() as connection:
        HostBase.metadata.drop_all(connection)
        AdapterBase.metadata.drop_all(connection)
    engine.dispose()


@pytest.fixture
def real_db(database_url: str) -> Iterator[sessionmaker[Session]]:
    """The same as a sessionmaker."""
    engine = create_engine(database_url)
    yield sessionmaker(engine)
    engine.dispose()
