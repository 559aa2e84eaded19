"""The command line against an emulated account."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_adapter.settings import Settings
from timeweb_sdk.testing import Emulator, EmulatorServer, demo_state

TOKEN = "token-of-the-studio"


@pytest.fixture(scope="module")
def account() -> Iterator[EmulatorServer]:
    with EmulatorServer(Emulator(demo_state(), token=TOKEN, rate_limit=False)) as server:
        yield server


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder of its own, no setting but the database."""
    for name in [*Settings.model_fields, "timeweb_cloud_token"]:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOSTING_DATABASE_URL", f"sqlite:///{tmp_path / 'crm.sqlite3'}")


@pytest.fixture
def configured(environment: None, monkeypatch: pytest.MonkeyPatch, account: EmulatorServer) -> None:
    monkeypatch.setenv("TIMEWEB_BASE_URL", account.url)
    monkeypatch.setenv("TIMEWEB_API_TOKEN", TOKEN)
