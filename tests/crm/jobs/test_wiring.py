"""Clients and engines from the settings, in processes that outlive a token."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from crm_adapter.settings import SettingsError, load_settings
from crm_adapter.steps import clients_of
from crm_adapter.wiring import AccountClients, build_clients, open_engine
from tests.crm.jobs.conftest import TOKEN
from timeweb_sdk import Timeweb
from timeweb_sdk.errors import ConfigurationError, ReadOnlyError
from timeweb_sdk.testing import Emulator, EmulatorServer


def write(directory: Path, **tokens: str) -> None:
    (directory / ".env").write_text(f"TIMEWEB_API_TOKENS='{json.dumps(tokens)}'\n")


def test_a_token_is_replaced_without_a_restart(installation: Path) -> None:
    write(installation, main="old", second="kept")
    clients = AccountClients(Timeweb)
    before = clients_of(clients)
    write(installation, main=TOKEN, second="kept", third="new")
    after = clients_of(clients)

    assert list(after) == ["main", "second", "third"]
    assert after["second"] is before["second"]
    assert after["main"] is not before["main"]
    assert len(after["main"].servers.list().items) == 5
    write(installation, second="kept")
    assert list(clients) == ["second"]
    with pytest.raises(KeyError):
        clients["main"]
    drained = clients.drain()
    assert {id(client) for client in drained} == {id(client) for client in [*before.values(), *after.values()]}
    for client in drained:
        client.close()


def test_unusable_settings_leave_the_last_good_ones_in_force(installation: Path, caplog: pytest.LogCaptureFixture) -> None:
    clients = AccountClients(Timeweb)
    assert list(clients) == ["default"]
    (installation / ".env").write_text('TIMEWEB_API_TOKENS={"main": "SECRET"\n')
    with caplog.at_level(logging.WARNING):
        assert list(clients) == ["default"]
    assert "TIMEWEB_API_TOKENS" in caplog.text
    assert "SECRET" not in caplog.text
    with pytest.raises(SettingsError):
        list(AccountClients(Timeweb))


def test_a_forked_process_makes_clients_of_its_own(installation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clients = AccountClients(Timeweb)
    parent = clients["default"]
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert clients["default"] is not parent


def test_clients_change_nothing_at_timeweb(installation: Path) -> None:
    client = build_clients(load_settings(), Timeweb)["default"]
    with client, pytest.raises(ReadOnlyError):
        client.servers.reboot(1)


def test_a_missing_driver_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    settings = load_settings({"hosting_database_url": "postgresql://user@127.0.0.1/crm"}, env_file=None)
    with pytest.raises(ConfigurationError, match=r"\[postgres\]"):
        open_engine(settings)


_CALLS = """
from crm_adapter.wiring import AccountClients
from timeweb_sdk import Timeweb
client = AccountClients(Timeweb)["main"]
for _ in range(3):
    client.account.finances.get()
"""


def test_processes_keep_one_pace_through_redis(redis_url: str) -> None:
    """Two processes at once: in any window of 1.5 s the account sees 3 requests, as with one process."""
    emulator = Emulator(token=TOKEN)
    with EmulatorServer(emulator) as server:
        environment: dict[str, Any] = {
            **os.environ,
            "TIMEWEB_API_TOKENS": json.dumps({"main": TOKEN}),
            "TIMEWEB_BASE_URL": server.url,
            "TIMEWEB_REDIS_URL": redis_url,
        }
        processes = [subprocess.Popen([sys.executable, "-c", _CALLS], env=environment) for _ in range(2)]
        assert [process.wait(60) for process in processes] == [0, 0]
    arrivals = [request["at"] for request in emulator.requests]
    assert len(arrivals) == 6
    assert all(arrivals[place + 3] - arrivals[place] >= 1.5 for place in range(len(arrivals) - 3))
