"""Databases for the tests of the CRM adapter: SQLite in memory, and SQLite, PostgreSQL and MariaDB over real connections."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import NullPool

from crm_adapter.db.tables import AdapterBase, HostBase, create_all
from tests.crm.database import dispose_memory, memory_database
from tests.databases import own_database

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
    with own_database(postgres_url) as url:
        yield url.render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def mariadb_database(mariadb_url: str) -> Iterator[str]:
    with own_database(mariadb_url) as url:
        yield url.render_as_string(hide_password=False)


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
