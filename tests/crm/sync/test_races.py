"""Every pair of entry points at once on one row, and rows and leases that somebody holds for longer than one may wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import NullPool

from crm_adapter import ensure_fresh, sync_all, sync_server, update_manual
from crm_adapter.db.tables import create_all
from crm_adapter.steps import transaction
from crm_adapter.sync import apply
from tests.crm.database import rows, statements
from tests.crm.fake_timeweb import client, world
from tests.crm.races import PAIRS, Figures, race_pair
from tests.databases import own_database

#: SQLite holds whole files, not rows, and its bound is the adapter's own from the first write on.
ROWS_LOCKED = pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)


@pytest.fixture(scope="module", params=["postgresql", "mariadb"])
def contested(request: pytest.FixtureRequest) -> Iterator[sessionmaker[Session]]:
    """One database for all pairs; what was raced is printed at its end (`pytest -rP`, or `python -m tests.crm.races`)."""
    server = request.getfixturevalue({"postgresql": "postgres_url", "mariadb": "mariadb_url"}[request.param])
    with own_database(server) as url:
        engine = create_engine(url)
        with engine.begin() as connection:
            create_all(connection)
        yield sessionmaker(engine)
        engine.dispose()


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_two_at_once_freeze_and_double_nothing(contested: sessionmaker[Session], first: str, second: str) -> None:
    """Without a human's edit of it no value becomes a human's, and one change has one change row."""
    held, free = race_pair(contested, first, second, rounds=1)
    figures: Figures = held + free
    print(figures)
    assert (figures.frozen, figures.doubled) == ([], [])


@contextmanager
def holding(url: str, statement: str) -> Iterator[Connection]:
    """Somebody's transaction that stays open; on SQLite it has the whole file."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN EXCLUSIVE")
        else:
            connection.execute(text(statement))
        yield connection
        connection.rollback()
    engine.dispose()


@pytest.mark.parametrize("table", ["timeweb_sync_lease", "timeweb_account_state"])
def test_a_claim_waits_a_second_whatever_somebody_holds(database_url: str, real_db: sessionmaker[Session], table: str) -> None:
    """Given that somebody holds what a claim needs for as long as it likes; then a run is told to be under way."""
    assert sync_all(real_db, client(world(2))).status == "success"
    with holding(database_url, f"SELECT * FROM {table} FOR UPDATE"), statements(real_db) as seen:
        fresh = ensure_fresh(real_db, client(world(2)), max_age=0)
        report = sync_all(real_db, client(world(2)))
    assert (fresh.status, report.status, report.error_code, report.api_calls) == ("running", "running", "already_running", 0)
    bounds = ("lock_timeout = 1000", "innodb_lock_wait_timeout = 1,", "busy_timeout = 1000")
    assert any(bound in statement for statement in seen for bound in bounds)
    assert sync_all(real_db, client(world(2))).status == "success"


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_person_and_a_chunk_wait_for_ten_seconds(real_db: sessionmaker[Session]) -> None:
    def bounds(work: Callable[[], object]) -> set[str]:
        with statements(real_db) as seen:
            work()
        return {statement.rpartition(" ")[2] for statement in seen if "lock_timeout" in statement}

    assert bounds(lambda: sync_all(real_db, client(world(1)))) == {"1000", "10000"}
    assert bounds(lambda: update_manual(real_db, 1, {"client_name": "Anna"})) == {"10000"}


@ROWS_LOCKED
def test_a_run_leaves_out_the_row_that_somebody_holds(
    database_url: str, real_db: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply, "PATIENCE", 1.0)
    monkeypatch.setattr(transaction, "__kwdefaults__", {"patience": 1.0})
    fake = world(5)
    sync_all(real_db, client(fake))
    for number, item in enumerate(fake.servers_):
        item["name"] = f"renamed {number}"
    with holding(database_url, "SELECT 1 FROM hosting_servers WHERE timeweb_id = 1003 FOR UPDATE"):
        report = sync_all(real_db, client(fake))
        alone = sync_server(real_db, client(fake), 3)
        edited = update_manual(real_db, 3, {"client_name": "Иванов"})
    assert (report.status, report.error_code, report.updated_count) == ("partial", "row_busy", 4)
    assert [(error.server_id, error.code) for error in report.errors] == [(1003, "row_busy")]
    assert (alone.success, alone.code, edited.success, edited.code) == (False, "row_busy", False, "row_busy")
    assert [item["server_name"] for item in rows(real_db)] == ["renamed 0", "renamed 1", "web-3", "renamed 3", "renamed 4"]
    assert sync_all(real_db, client(fake)).updated_count == 1


@ROWS_LOCKED
def test_what_a_wait_was_bound_by_is_set_back(real_db: sessionmaker[Session]) -> None:
    """The connection goes back to the host's pool as it came."""
    names = {"postgresql": "SHOW lock_timeout", "mariadb": "SELECT @@SESSION.innodb_lock_wait_timeout"}
    with real_db() as session:
        question = names[session.get_bind().dialect.name]
        before = session.scalar(text(question))
    ensure_fresh(real_db, client(world(1)), runner=lambda leases: None)
    with real_db() as session:
        assert session.scalar(text(question)) == before
