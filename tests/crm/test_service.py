"""``TimewebService`` under the CRM's names, and the package's front door."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import sessionmaker

import crm_adapter
from crm_adapter import TimewebService, aio, blocking
from crm_adapter.db.tables import create_all
from crm_adapter.errors import NotConfigured
from tests.crm.database import kept
from timeweb_sdk import AsyncTimeweb, EdgeError, RateLimit, Timeweb
from timeweb_sdk.testing import Emulator, demo_state


async def test_the_old_names_return_dicts_of_every_page_without_secrets() -> None:
    emulator = Emulator(demo_state(123), rate_limit=False)
    async with (
        httpx.AsyncClient(transport=emulator.async_transport()) as http,
        AsyncTimeweb("emulator-token", http_client=http, rate_limit=RateLimit.off()) as timeweb,
    ):
        service = TimewebService(client=timeweb)
        assert service.is_configured()
        servers = await service.get_servers()
        assert len(servers) == 123
        assert not {"root_pass", "vnc_pass", "cloud_init"} & set(servers[0])
        details = await service.get_server_details(servers[0]["id"])
        assert details is not None
        assert details["id"] == servers[0]["id"]
        assert service.parse_server_configuration(details) == "2 CPU / 4GB RAM / 50GB NVMe / Ubuntu 22.04"
        assert service.get_primary_ip(details) == "203.0.113.1"
        finances = await service.get_account_finances()
        assert finances["balance"] == 7378.3
        assert {"id", "price"} <= set((await service.get_presets())[0])
        assert await service.get_server_details(1) is None


@asynccontextmanager
async def service_of(emulator: Emulator) -> AsyncIterator[TimewebService]:
    async with (
        httpx.AsyncClient(transport=emulator.async_transport()) as http,
        AsyncTimeweb("emulator-token", http_client=http, rate_limit=RateLimit.off(), max_retries=0) as timeweb,
    ):
        yield TimewebService(client=timeweb)


async def test_a_404_of_an_edge_is_no_server_that_is_not_there() -> None:
    emulator = Emulator(demo_state(), rate_limit=False)
    emulator.add_fault(operation="getServer", status=404, body="<html>")
    async with service_of(emulator) as service:
        with pytest.raises(EdgeError):
            await service.get_server_details(emulator.state["servers"][0]["id"])


async def test_prices_are_those_of_a_sync(tmp_path: Path) -> None:
    """Asked one by one with the API's dicts, as the old code does, and written by a sync."""
    emulator = Emulator(demo_state(), rate_limit=False)
    engine = kept(create_engine(f"sqlite:///{tmp_path / 'crm.sqlite3'}"))
    with engine.begin() as connection:
        create_all(connection)
    with Timeweb("emulator-token", http_client=emulator.http_client(), rate_limit=RateLimit.off()) as client:
        blocking.sync_all(sessionmaker(engine), client)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT timeweb_id, cost_price FROM hosting_servers")).all()
    written: dict[int, float] = {row[0]: row[1] for row in rows}
    async with service_of(emulator) as service:
        for server in emulator.state["servers"]:
            assert await service.get_server_price(dict(server)) == float(written[server["id"]])


async def test_prices_without_a_row_in_the_list_of_costs() -> None:
    async with service_of(Emulator(demo_state(), rate_limit=False)) as service:
        preset = (await service.get_presets())[0]
        assert await service.get_preset_price(preset["id"]) == float(preset["price"])
        assert await service.get_preset_price(1) is None
        # The account of the demonstration has a discount of a tenth.
        assert await service.get_server_price({"id": 1, "preset_id": preset["id"]}) == float(preset["price"]) * 0.9
        assert await service.get_server_price({"id": 1, "preset_id": 1}) is None
        assert await service.get_server_price({"id": 1, "preset_id": None, "configurator_id": 7}) is None
        assert await service.get_configurator_price(7, {"id": 1}) is None
        assert {"id", "requirements"} <= set((await service.get_configurators())[0])


async def test_the_price_of_a_configurator_is_in_the_list_of_costs() -> None:
    emulator = Emulator(demo_state(), rate_limit=False)
    server = emulator.state["servers"][0]
    async with service_of(emulator) as service:
        assert await service.get_configurator_price(7, server) == await service.get_server_price(server)


def test_the_token_is_where_the_old_code_looks_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIMEWEB_API_TOKEN", "of-the-environment")
    assert TimewebService().api_token == "of-the-environment"
    assert TimewebService(api_token="mine").api_token == TimewebService("mine").api_token == "mine"
    assert "mine" not in repr(TimewebService("mine"))
    monkeypatch.delenv("TIMEWEB_API_TOKEN")
    assert TimewebService().api_token is None


async def test_without_a_token_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    for name in ("TIMEWEB_API_TOKEN", "TIMEWEB_CLOUD_TOKEN", "TIMEWEB_API_TOKENS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(str(tmp_path))
    assert not TimewebService().is_configured()
    with pytest.raises(NotConfigured, match="TIMEWEB_API_TOKEN"):
        await TimewebService().get_servers()
    monkeypatch.setenv("TIMEWEB_API_TOKENS", '{"main": "t0ken"}')
    assert TimewebService().is_configured() and TimewebService(account="main").is_configured()
    assert not TimewebService(account="other").is_configured()


def test_sync_and_async_functions_have_the_same_signatures() -> None:
    import inspect

    names = [name for name, home in crm_adapter._HOMES.items() if home == "blocking"]
    for name in names:
        plain, awaited = getattr(blocking, name), getattr(aio, name)
        assert not inspect.iscoroutinefunction(plain) and inspect.iscoroutinefunction(awaited)
        assert list(inspect.signature(plain).parameters) == list(inspect.signature(awaited).parameters)
        assert plain.__doc__


def test_importing_the_package_is_cheap_and_names_the_missing_extra() -> None:
    code = (
        "import sys, crm_adapter\n"
        "assert 'sqlalchemy' not in sys.modules and 'pydantic' not in sys.modules\n"
        "sys.modules['sqlalchemy'] = None\n"
        "try:\n    crm_adapter.sync_all\nexcept ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'timeweb-sdk[crm]'" in done.stdout
