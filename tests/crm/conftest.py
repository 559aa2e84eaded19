"""Databases for the tests of the CRM adapter: SQLite in memory, and SQLite, PostgreSQL and MariaDB over real connections."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import NullPool

from crm_adapter.db.tables import AdapterBase, HostBase, create_all
from tests.crm.database import close_kept, memory_database, share_compiled, sqlite_image
from tests.databases import empty, own_database

DATABASES = ("sqlite", "postgresql", "mariadb")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown() -> None:
    """A sync that the test began in the background ends before its database does."""
    for thread in threading.enumerate():
        if thread.name == "timeweb-sync":
            thread.join(20)
            assert not thread.is_alive()


@pytest.fixture(autouse=True)
def nothing_left_open() -> Iterator[None]:
    yield
    close_kept()


@pytest.fixture
def db() -> sessionmaker[Session]:
    """SQLite in memory."""
    return memory_database()


@pytest.fixture(scope="session")
def postgres_database(postgres_url: str) -> Iterator[str]:
    with own_database(postgres_url) as url:
        yield _prepared(url)


@pytest.fixture(scope="session")
def mariadb_database(mariadb_url: str) -> Iterator[str]:
    with own_database(mariadb_url) as url:
        yield _prepared(url)


def _prepared(url: URL) -> str:
    """With all tables."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        create_all(connection)
    engine.dispose()
    return engine.url.render_as_string(hide_password=False)


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of each kind with all tables and no rows; a test that alters the tables sets them back."""
    if request.param == "sqlite":
        path = tmp_path / "crm.sqlite3"
        path.write_bytes(sqlite_image())
        yield f"sqlite:///{path}"
        return
    url = request.getfixturevalue({"postgresql": "postgres_database", "mariadb": "mariadb_database"}[request.param])
    yield url
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        empty(connection, [*AdapterBase.metadata.sorted_tables[::-1], *HostBase.metadata.sorted_tables[::-1]])
    engine.dispose()


@pytest.fixture
def real_db(database_url: str) -> Iterator[sessionmaker[Session]]:
    """The same as a sessionmaker."""
    engine = create_engine(database_url)
    engine.connect().close()
    share_compiled(engine)
    yield sessionmaker(engine)
    engine.dispose()
