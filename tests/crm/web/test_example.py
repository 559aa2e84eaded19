"""The example application of the docs: its login guards the section, and its frame holds it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from timeweb_sdk.testing import Emulator, EmulatorServer, demo_state

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "crm"


def test_the_example_runs_behind_its_own_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with EmulatorServer(Emulator(demo_state(), token="demo", rate_limit=False)) as account:
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
        for name, value in {
            "TIMEWEB_API_TOKEN": "demo", "TIMEWEB_BASE_URL": account.url, "CRM_PASSWORD": "secret", "TIMEWEB_REDIS_URL": "",
            "HOSTING_DATABASE_URL": f"sqlite:///{tmp_path / 'crm.sqlite3'}", "TIMEWEB_API_TOKENS": "",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        spec = importlib.util.spec_from_file_location("example_crm", EXAMPLE / "app.py")
        assert spec is not None
        assert spec.loader is not None
        module: Any = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "example_crm", module)
        spec.loader.exec_module(module)
        with TestClient(module.app, base_url="https://crm.example.com") as client:
            reply = client.get("/admin/hosting", follow_redirects=False)
            assert (reply.status_code, reply.headers["location"]) == (303, "/login")
            assert client.post("/login", data={"name": "Анна", "password": "guess"}).status_code == 401
            login = client.post("/login", data={"name": "Анна", "password": "secret"}, follow_redirects=False)
            assert login.status_code == 303
            assert client.post("/admin/hosting/api/timeweb/sync-all").json()["success"] is True
            page = client.get("/admin/hosting").text
            assert "CRM студии" in page
            assert "gitlab" in page
            added = client.post("/admin/hosting/api/server", json={"server_name": "by-hand"}).json()["server"]["id"]
            assert "Анна" in client.get(f"/admin/hosting/servers/{added}/history").text
