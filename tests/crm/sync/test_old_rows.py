"""Rows and databases with a past: numbers that are none, counters that are behind, replicas, lists that change."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import add_manual, import_servers, link, sync_all, sync_server
from tests.crm.database import engine_of, rows, typed
from tests.crm.fake_timeweb import FakeTimeweb, Page, client, server, world

Db = sessionmaker[Session]


@pytest.mark.parametrize("number", [0, -5])
def test_a_number_that_is_none_is_no_link(db: Db, number: int) -> None:
    crm_id = typed(db, timeweb_id=number, ip_address="203.0.113.1")
    result = sync_server(db, client(world(1)), crm_id)
    assert (result.code, result.api_calls) == ("not_linked", 0)
    report = sync_all(db, client(world(1)))
    assert (report.linked_count, report.created_count) == (1, 0)
    assert [row["timeweb_id"] for row in rows(db)] == [1001]
    other = typed(db, timeweb_id=number)
    assert link(db, other, 77).success


def test_timeweb_is_not_asked_for_a_number_that_cannot_be(db: Db) -> None:
    fake = world(1)
    assert [error.code for error in import_servers(db, client(fake), [-1, 0]).errors] == ["not_found", "not_found"]
    assert fake.calls == []


def test_a_list_that_grows_meanwhile_costs_no_empty_page(db: Db) -> None:
    fake = world(150)
    fake.faults = {"servers.list": [None, lambda: Page([server(n) for n in range(101, 152)], 151)]}
    fake.servers_.append(server(151))
    fake.faults["servers.list"][0] = lambda: Page([server(n) for n in range(1, 101)], 150)
    report = sync_all(db, client(fake))
    assert [argument for name, argument in fake.calls if name == "servers.list"] == [0, 100]
    assert (report.created_count, report.status) == (151, "success")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_sequence_that_is_behind_is_named_with_its_remedy(real_db: Db) -> None:
    for number in range(1, 10):
        typed(real_db, id=number, server_name="restored from a dump")
    report = sync_all(real_db, client(world(1)))
    (error,) = report.errors
    assert error.code == "sequence_behind"
    remedy = error.error.partition("Выполните: ")[2]
    assert remedy in str(add_manual(real_db, {"server_name": "typed"}).error)
    assert remedy in import_servers(real_db, client(world(1)), [1001]).errors[0].error
    with engine_of(real_db).begin() as connection:
        connection.exec_driver_sql(remedy)
    assert sync_all(real_db, client(world(1))).created_count == 1


def read_only(db: Db) -> Any:
    engine = engine_of(db)
    if engine.dialect.name == "sqlite":
        return sa.create_engine(f"sqlite:///file:{engine.url.database}?mode=ro&uri=true")
    if engine.dialect.name == "postgresql":
        return sa.create_engine(engine.url, connect_args={"options": "-c default_transaction_read_only=on"})
    return sa.create_engine(engine.url, connect_args={"init_command": "SET SESSION TRANSACTION READ ONLY"})


def test_a_replica_is_told_from_a_lost_database(real_db: Db, monkeypatch: pytest.MonkeyPatch) -> None:
    from crm_adapter.cli import doctor
    from crm_adapter.cli.runtime import explanation

    replica = read_only(real_db)
    try:
        with pytest.raises(DBAPIError) as caught:
            sync_all(sessionmaker(replica), client(FakeTimeweb()))
        told = explanation(caught.value)
        assert told is not None and "только для чтения" in told.message
        assert (told.code, told.exit_code) == ("database_read_only", 1)
        (check,) = doctor._writing(replica)
        assert (check.state, check.subject) == ("bad", "Запись")
        (check,) = doctor._writing(engine_of(real_db))
        assert check.state == "good"
    finally:
        replica.dispose()
