"""``TimewebService`` under the CRM's names, and the package's front door."""

from __future__ import annotations

import subprocess
import sys

import httpx
import pytest

import crm_adapter
from crm_adapter import TimewebService, aio, blocking
from crm_adapter.errors import NotConfigured
from timeweb_sdk import AsyncTimeweb, NotFoundError, RateLimit
from timeweb_sdk.testing import Emulator, demo_state


async def test_the_old_names_return_dicts_of_every_page_without_secrets() -> None:
    emulator = Emulator(demo_state(123))
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
        assert details["id"] == servers[0]["id"]
        assert service.parse_server_configuration(details) == "2 CPU / 4GB RAM / 50GB NVMe / Ubuntu 22.04"
        assert service.get_primary_ip(details) == "203.0.113.1"
        finances = await service.get_account_finances()
        assert finances["balance"] == 7378.3
        assert {"id", "price"} <= set((await service.get_presets())[0])
        with pytest.raises(NotFoundError):
            await service.get_server_details(1)


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
    assert len(names) == 16
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
