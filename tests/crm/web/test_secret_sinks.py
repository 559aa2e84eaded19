"""Every secret that a server may hold, towards everything that the CRM writes: database, page, CSV, notifications."""

from __future__ import annotations

import logging
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from sqlalchemy.orm import sessionmaker

from crm_adapter import dispatch_events
from crm_adapter.db.tables import utcnow
from tests.crm.notify.outbox import Inbox
from tests.crm.web.conftest import PREFIX, TOKEN, Section
from tests.sdk.test_secret_sinks import MARK, SECRETS
from timeweb_sdk.testing import Emulator, demo_state

SINKS = ("database", "HTML", "CSV", "API", "notification", "log")
API = f"{PREFIX}/api"
ADDRESS = f"mysql://root:{MARK}@203.0.113.5/crm"


@pytest.fixture(scope="module", params=SECRETS)
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, _templates: Path) -> dict[str, str]:
    """One account whose servers hold one secret wherever a server can; a name and a comment are shown to people."""
    secret = SECRETS[request.param]
    # What is secret only by its field stands in addresses where people write.
    written = secret.text if secret.text != MARK else ADDRESS
    path = shutil.copy(_templates / "empty.sqlite3", tmp_path_factory.mktemp("secrets"))
    section = Section(sa.make_url(f"sqlite+aiosqlite:///{path}"), Emulator(demo_state(), token=TOKEN, rate_limit=False))
    for server in section.emulator.state["servers"]:
        deep: Any = {secret.field: secret.text, "list": [{"note": written}]}
        server |= {secret.field: secret.text, "deep": deep, "name": f"{server['name']} {written}"[:255]}
        server["comment"] = written
    handler = _Recorder()
    logging.getLogger().addHandler(handler)
    try:
        section.sync()
        section.emulator.state["servers"].pop()
        section.emulator.state["servers"][0]["status"] = "no_paid"
        section.sync()
        inbox = Inbox()
        with section.engine() as engine:
            dispatch_events(sessionmaker(engine), inbox, now=utcnow() + timedelta(hours=1))
            raw = engine.raw_connection()
            dump = "\n".join(raw.driver_connection.iterdump())  # type: ignore[union-attr]
            raw.close()
        with TestClient(section.app(), base_url="https://crm.example.com", headers={"Authorization": "Bearer admin"}) as client:
            texts = {
                "HTML": client.get(PREFIX).text + client.get(f"{PREFIX}/import").text,
                "CSV": client.get(f"{PREFIX}/export.csv").text,
                "API": client.get(f"{API}/servers").text + client.get(f"{API}/timeweb/servers").text,
            }
    finally:
        logging.getLogger().removeHandler(handler)
    return texts | {"database": dump, "notification": repr(inbox.messages), "log": handler.text} | {"mark": secret.mark}


class _Recorder(logging.Handler):
    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += f"{record.getMessage()} {record.exc_info}\n"


@pytest.mark.parametrize("sink", SINKS)
def test_no_secret_is_written(sink: str, seen: dict[str, str]) -> None:
    assert sink == "log" or "web" in seen[sink] or "db" in seen[sink]
    assert seen["mark"] not in seen[sink]
    assert MARK not in seen[sink]
