"""One row, several accounts that may have its server."""

from __future__ import annotations

from datetime import datetime

import pytest
from sqlalchemy import delete, update
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import link, sync_all, sync_server
from crm_adapter.db.tables import AccountState, HostingServer
from tests.crm.database import typed
from tests.crm.fake_timeweb import FakeTimeweb, client, server, world
from timeweb_sdk.errors import NotFoundError, UnauthorizedError


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
