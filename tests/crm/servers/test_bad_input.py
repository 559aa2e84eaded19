"""What no column can take is refused in words, before the database refuses it in its own."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import add_manual, link, mark_paid, sync_server, update_manual
from crm_adapter.db.mapper import validate_mapping
from crm_adapter.db.rows import read_row
from crm_adapter.db.tables import HostingServer
from crm_adapter.results import EditResult
from crm_adapter.text.problems import explain
from tests.crm.database import rows, typed
from tests.crm.fake_timeweb import FakeTimeweb, client

Db = sessionmaker[Session]


def refusal(result: EditResult) -> tuple[bool, str | None]:
    return result.success, result.code


def test_each_database_gets_only_what_it_takes(real_db: Db) -> None:
    crm_id = typed(real_db, next_payment_date=datetime(9999, 12, 31))
    before = rows(real_db)
    values: list[dict[str, Any]] = [
        {"project_id": 2**40}, {"client_id": -(2**31) - 1}, {"client_telegram_id": 2**63}, {"notes": "a\ud800"},
        {"server_name": "\udfff"}, {"balance_last_updated": "yesterday"},
    ]  # fmt: skip
    for value in values:
        for result in (update_manual(real_db, crm_id, value), add_manual(real_db, {"server_name": "x", **value})):
            assert refusal(result) == (False, "validation")
            assert next(iter(value)) in str(result.error)
    for timeweb_id in (2**70, 2**63, 0, -1):
        assert refusal(link(real_db, crm_id, timeweb_id)) == (False, "validation")
    paid = mark_paid(real_db, crm_id)
    assert (*refusal(paid), "31.12.9999" in str(paid.error)) == (False, "validation", True)
    for unknown in (2**40, 2**70, -(2**70)):
        assert update_manual(real_db, unknown, {"notes": "x"}).code == "not_found"
        assert sync_server(real_db, client(FakeTimeweb()), unknown).code == "not_found"
        with real_db() as session:
            assert read_row(session, validate_mapping(HostingServer), unknown) is None
    assert rows(real_db) == before
    largest = {"project_id": 2**31 - 1, "client_telegram_id": 2**63 - 1, "notes": "😀"}
    assert update_manual(real_db, crm_id, largest).success


@pytest.mark.parametrize("moment", ["2026-01-01T03:00:00+03:00", "2026-01-01", "2026-01-01 00:00:00"])
def test_the_moment_of_a_balance_is_read_as_utc(db: Db, moment: str) -> None:
    crm_id = typed(db)
    assert update_manual(db, crm_id, {"balance_last_updated": moment}).success
    assert rows(db)[0]["balance_last_updated"] == datetime(2026, 1, 1)


def test_a_constraint_of_the_host_is_no_outage(db: Db) -> None:
    with db() as session, session.begin():
        session.execute(text("CREATE UNIQUE INDEX one_name ON hosting_servers (server_name)"))
    assert add_manual(db, {"server_name": "web"}).success
    result = add_manual(db, {"server_name": "web"})
    assert (*refusal(result), result.error) == (False, "validation", "База данных не приняла данные сервера")
    assert len(rows(db)) == 1


def test_an_explanation_can_always_be_sent() -> None:
    assert explain([{"type": "extra_forbidden", "loc": ("body", "\ud800"), "msg": ""}]).encode()
