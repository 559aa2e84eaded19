"""One row, several accounts that may have its server."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import delete, update
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import link, sync_all, sync_server
from crm_adapter.db.tables import AccountState, HostingServer
from tests.crm.database import typed
from tests.crm.fake_timeweb import FakeTimeweb, client, cost, server, world
from timeweb_sdk.errors import ConfigurationError, NotFoundError, UnauthorizedError


@pytest.mark.parametrize("order", [("refused", "empty"), ("empty", "refused")])
def test_a_404_does_not_speak_for_an_account_that_could_not_be_asked(db: sessionmaker[Session], order: tuple[str, str]) -> None:
    crm_id = typed(db)
    assert link(db, crm_id, 1001).success

    def fakes() -> dict[str, FakeTimeweb]:
        refused, empty = FakeTimeweb(), FakeTimeweb()
        refused.faults = {"servers.get": [UnauthorizedError("no", status_code=401)]}
        empty.faults = {"servers.get": [NotFoundError("x", status_code=404, error_code="not_found")]}
        return {"refused": refused, "empty": empty}

    result = sync_server(db, {name: client(fakes()[name]) for name in order}, crm_id)
    assert (result.success, result.code, result.api_calls) == (False, "unauthorized", 2)
    assert sync_server(db, {"empty": client(fakes()["empty"])}, crm_id).code == "server_missing"
    assert sync_server(db, {"refused": client(fakes()["refused"]), "full": client(world(1))}, crm_id).success


def test_rows_deleted_by_hand_tie_an_account_to_no_token(db: sessionmaker[Session]) -> None:
    """Given an account whose rows people deleted from the CRM's table; then a token of another account may take its name."""
    sync_all(db, client(world(2)))
    with db() as session, session.begin():
        session.execute(delete(HostingServer))
        session.execute(update(AccountState).values(identity_checked_at=datetime(2026, 1, 1)))
    report = sync_all(db, client(FakeTimeweb([server(9)], [], account_id="cp00002")))
    assert (report.status, report.created_count) == ("success", 1)


@pytest.mark.parametrize("names", [("Семён", "Семен"), ("Main", "main"), ("Straße", "Strasse")])
def test_names_that_a_collation_holds_equal_are_two_accounts(real_db: sessionmaker[Session], names: tuple[str, str]) -> None:
    first, second = world(2), FakeTimeweb([server(7)], [cost(7)], account_id="cp00002")
    clients: Any = dict(zip(names, (first, second), strict=True))
    for created in (3, 0):
        report = sync_all(real_db, clients)
        assert (report.status, report.created_count, len(report.accounts)) == ("success", created, 2)


@pytest.mark.parametrize("name", ["", " main", "main ", "a\nb", "a" * 101])
def test_a_name_that_no_column_could_tell_from_another_is_refused(db: sessionmaker[Session], name: str) -> None:
    with pytest.raises(ConfigurationError, match="account name"):
        sync_all(db, {name: client(world(1))})
