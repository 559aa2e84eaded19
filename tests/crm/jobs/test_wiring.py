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
from crm_adapter.wiring import AccountClients, address_rate, build_clients, open_engine
from tests.crm.celery.workers import Accounts
from tests.crm.jobs.conftest import TOKEN
from tests.waiting import ending
from timeweb_sdk import Rate, Timeweb
from timeweb_sdk.errors import ConfigurationError, ReadOnlyError
from timeweb_sdk.testing import Emulator, EmulatorServer

OTHER = "token-of-a-client"


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
import sys
from crm_adapter.wiring import AccountClients
from timeweb_sdk import Timeweb
clients = AccountClients(Timeweb)
for account in sys.argv[1:]:
    clients[account].account.finances.get()
"""


def _keeps_the_pace(arrivals: list[float]) -> bool:
    return all(arrivals[place + 3] - arrivals[place] >= 1.5 for place in range(len(arrivals) - 3))


def test_processes_keep_one_pace_for_all_accounts_through_redis(redis_url: str) -> None:
    """Two processes at once: in any window of 1.5 s the address sees 3 requests, as with one process and one account."""
    emulator = _of_two()
    with EmulatorServer(emulator) as server:
        environment: dict[str, Any] = {
            **os.environ,
            "TIMEWEB_API_TOKENS": json.dumps({"main": TOKEN, "second": OTHER}),
            "TIMEWEB_BASE_URL": server.url,
            "TIMEWEB_REDIS_URL": redis_url,
        }
        calls = [sys.executable, "-c", _CALLS]
        orders = (["main", "second", "main"], ["second", "main", "second"])
        processes = [subprocess.Popen([*calls, *order], env=environment) for order in orders]
        with ending(processes[0]) as first, ending(processes[1]) as second:
            assert [first.wait(60), second.wait(60)] == [0, 0]
    arrivals = _arrivals(emulator)
    assert len(arrivals) == 6
    assert _keeps_the_pace(arrivals)


@pytest.mark.usefixtures("installation")
@pytest.mark.parametrize("gentle", [True, False])
def test_accounts_of_one_process_keep_one_pace_without_redis(gentle: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator = _of_two()
    with EmulatorServer(emulator) as server:
        monkeypatch.setenv("TIMEWEB_BASE_URL", server.url)
        monkeypatch.setenv("TIMEWEB_API_TOKENS", json.dumps({"main": TOKEN, "second": OTHER}))
        clients = build_clients(load_settings(), Timeweb, gentle=gentle)
        with clients["main"] as main, clients["second"] as second:
            for client in (main, second, main, second):
                client.account.finances.get()
    arrivals = _arrivals(emulator)
    assert len(arrivals) == 4
    assert _keeps_the_pace(arrivals)


def test_the_pace_of_an_address_is_a_setting() -> None:
    def rate(**values: object) -> Rate:
        return address_rate(load_settings(values, env_file=None))

    assert rate() == Rate(3, 1.5)
    assert rate(timeweb_address_rate="0.5") == Rate(3, 6)
    assert rate(timeweb_address_rate=10) == Rate(15, 1.5)
    assert rate(timeweb_address_rate="0.1") == Rate(3, 30)
    assert rate(timeweb_address_rate=20) == Rate(30, 1.5)
    for wrong in (0, 0.09, 20.01):
        with pytest.raises(SettingsError, match="TIMEWEB_ADDRESS_RATE"):
            rate(timeweb_address_rate=wrong)


@pytest.mark.usefixtures("installation")
def test_a_new_pace_is_kept_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clients = AccountClients(Timeweb)
    before = clients["default"]
    monkeypatch.setenv("TIMEWEB_ADDRESS_RATE", "1")
    assert clients["default"] is not before
    for client in clients.drain():
        client.close()


def _of_two() -> Accounts:
    return Accounts({token: Emulator(token=token) for token in (TOKEN, OTHER)})


def _arrivals(accounts: Accounts) -> list[float]:
    return sorted(request["at"] for emulator in accounts.by_token.values() for request in emulator.requests)
