"""One row, several accounts that may have its server."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import link, sync_server
from tests.crm.support import FakeTimeweb, client, typed, world
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
