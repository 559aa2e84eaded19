"""Several accounts behind one router."""

from __future__ import annotations

from fastapi import Depends, FastAPI
from sqlalchemy.orm import sessionmaker

from crm_adapter.web import create_hosting_router
from tests.crm.web.conftest import PREFIX, TOKEN, Open, Section
from tests.crm.web.worker import require_admin
from timeweb_sdk import RateLimit, Timeweb


def client(section: Section, token: str) -> Timeweb:
    return Timeweb(token, http_client=section.emulator.http_client(), rate_limit=RateLimit.off(), max_retries=0)


def test_a_bad_token_hides_no_server_of_another_account(synced: Section, open_client: Open) -> None:
    refused = {"account": "bad", "code": "unauthorized", "error": "Токен недействителен или истёк"}
    with synced.engine() as engine:
        good, bad = client(synced, TOKEN), client(synced, "expired")
        for clients, status in (({"bad": bad, "good": good}, 200), ({"bad": bad}, 502)):
            app = FastAPI()
            app.include_router(create_hosting_router(sessionmaker(engine), clients, dependencies=[Depends(require_admin)]))
            http = open_client(app)
            reply = http.get(f"{PREFIX}/api/timeweb/servers")
            body = reply.json()
            assert reply.status_code == status
            if status == 200:
                assert (body["success"], body["total"], body["imported_count"], body["errors"]) == (True, 23, 23, [refused])
                page = http.get(f"{PREFIX}/import").text
                assert "bad: Токен недействителен" in page and "gitlab" in page
            else:
                assert (body["success"], body["code"]) == (False, "unauthorized")
