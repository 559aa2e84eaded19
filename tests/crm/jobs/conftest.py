"""An emulated account on a socket, an empty directory with an ``.env``, and an environment without tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_adapter import migrations
from crm_adapter.settings import load_settings
from crm_adapter.wiring import open_engine
from tests.crm.conftest import database_url, db, mariadb_database, postgres_database, real_db
from timeweb_sdk.testing import Emulator, EmulatorServer, demo_state

__all__ = ["database_url", "db", "mariadb_database", "postgres_database", "real_db"]

TOKEN = "token-of-the-studio"


@pytest.fixture
def emulator() -> Emulator:
    return Emulator(demo_state(5), token=TOKEN)


@pytest.fixture
def installation(emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory of an installation, its database migrated, its ``.env`` written."""
    for variable in (
        "TIMEWEB_API_TOKEN",
        "TIMEWEB_CLOUD_TOKEN",
        "TIMEWEB_API_TOKENS",
        "HOSTING_NOTIFY_URLS",
        "TIMEWEB_REDIS_URL",
    ):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    with EmulatorServer(emulator) as server:
        monkeypatch.setenv("TIMEWEB_BASE_URL", server.url)
        monkeypatch.setenv("HOSTING_DATABASE_URL", f"sqlite:///{tmp_path / 'crm.sqlite3'}")
        (tmp_path / ".env").write_text(f"TIMEWEB_API_TOKEN={TOKEN}\n")
        engine = open_engine(load_settings())
        migrations.upgrade(engine)
        engine.dispose()
        yield tmp_path
