"""The emulator in process: transports of httpx and httpx2, an ASGI application, ready clients."""

import asyncio
import importlib
import subprocess
import sys
from typing import Any

import httpx
import pytest

from tests.emulator.conftest import TOKEN
from timeweb_sdk import ConnectTimeout, NotFoundError, RateLimitError, ReadTimeout, Timeweb
from timeweb_sdk.testing import Emulator, FakeClock, _call, demo_state, use_clock

HEADERS = {"Authorization": f"Bearer {TOKEN}"}
LIBRARIES = ["httpx", "httpx2"]


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_sync_client_of_either_library(emulator: Emulator, library: Any) -> None:
    with emulator.http_client(library) as client:
        response = client.get("/api/v1/servers", params={"limit": 2}, headers=HEADERS)
    assert isinstance(response, importlib.import_module(library).Response)
    assert len(response.json()["servers"]) == 2


@pytest.mark.parametrize("library", LIBRARIES)
async def test_an_async_client_of_either_library(emulator: Emulator, library: Any) -> None:
    async with emulator.async_http_client(library) as client:
        response = await client.post("/api/v1/projects", json={"name": "x"}, headers=HEADERS)
    assert (response.status_code, response.json()["project"]["name"]) == (201, "x")


@pytest.mark.parametrize("library", LIBRARIES)
def test_broken_deliveries_are_the_library_s_own_exceptions(emulator: Emulator, library: Any) -> None:
    errors = importlib.import_module(library)
    with emulator.http_client(library) as client:
        emulator.add_fault(operation="getServers", times=1, drop="before")
        with pytest.raises(errors.RemoteProtocolError):
            client.get("/api/v1/servers", headers=HEADERS)
        emulator.add_fault(operation="getServers", times=1, kind="truncate")
        with pytest.raises(errors.RemoteProtocolError):
            client.get("/api/v1/servers", headers=HEADERS)
        emulator.add_fault(operation="getServers", times=1, kind="hang")
        with pytest.raises(errors.ReadTimeout):
            client.get("/api/v1/servers", headers=HEADERS, timeout=30)


async def test_async_broken_deliveries(emulator: Emulator) -> None:
    async with emulator.async_http_client() as client:
        emulator.add_fault(operation="getServers", times=1, kind="truncate")
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/api/v1/servers", headers=HEADERS)
        emulator.add_fault(operation="getServers", times=1, delay_ms=60_000)
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/api/v1/servers", headers=HEADERS, timeout=30)


def test_waiting_happens_on_the_emulators_clock(emulator: Emulator, clock: FakeClock) -> None:
    emulator.add_fault(operation="getServers", times=1, delay_ms=20_000)
    with emulator.http_client() as client:
        assert client.get("/api/v1/servers", headers=HEADERS, timeout=30).status_code == 200
    assert clock.slept == [20.0]


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_ready_client_lists_buys_and_deletes(emulator: Emulator, clock: FakeClock, library: Any) -> None:
    with use_clock(clock), emulator.client(library=library) as tw:
        assert len(list(tw.servers.list(limit=10))) == 23
        bought = tw.servers.create(name="x", preset_id=2453, os_id=99)
        assert bought.status == "installing"
        emulator.advance(10)
        assert tw.servers.get(bought.id).status == "on"
        tw.servers.delete(bought.id)
        with pytest.raises(NotFoundError):
            tw.servers.get(bought.id)


async def test_a_ready_async_client(emulator: Emulator, clock: FakeClock) -> None:
    with use_clock(clock):
        async with emulator.async_client() as tw:
            assert len([server async for server in tw.servers.list(limit=10)]) == 23


def test_retries_of_the_sdk_run_on_the_fake_clock(emulator: Emulator, clock: FakeClock) -> None:
    emulator.add_fault(operation="getProjects", times=1, status=429, headers={"Retry-After": "7"})
    with use_clock(clock), emulator.client() as tw:
        assert tw.projects.list().total == 3
    assert sum(clock.slept) >= 7


def test_without_retries_a_fault_is_an_error(emulator: Emulator, clock: FakeClock) -> None:
    with use_clock(clock), emulator.client(max_retries=0) as tw:
        emulator.add_fault(operation="getProjects", times=1, status=429)
        with pytest.raises(RateLimitError):
            tw.projects.list().items  # noqa: B018
        emulator.add_fault(operation="getProjects", times=1, kind="hang")
        with pytest.raises(ReadTimeout):
            tw.projects.list().items  # noqa: B018


def test_two_emulators_do_not_share_a_limit(clock: FakeClock) -> None:
    with use_clock(clock):
        for _ in range(3):
            with Emulator(demo_state(3), clock=clock).client() as tw:
                for _ in range(15):
                    tw.account.finances.get()
    assert clock.slept == []


async def test_an_asgi_application(emulator: Emulator) -> None:
    transport = httpx.ASGITransport(app=emulator.asgi())
    async with httpx.AsyncClient(transport=transport, base_url="http://emulator.example", headers=HEADERS) as client:
        page = (await client.get("/api/v1/servers", params={"limit": 3})).json()
        assert (len(page["servers"]), page["meta"]["total"]) == (3, 23)
        assert (await client.delete("/api/v1/servers/4100001")).status_code == 204
        assert (await client.get("/_emulator/state")).json()["servers"][0]["id"] == 4100008
        emulator.add_fault(operation="getServers", times=1, drop="before")
        with pytest.raises(ConnectionAbortedError):
            await client.get("/api/v1/servers")


async def test_an_asgi_application_starts_and_stops(emulator: Emulator) -> None:
    sent: list[Any] = []
    incoming = asyncio.Queue[Any]()
    for kind in ("lifespan.startup", "lifespan.shutdown"):
        incoming.put_nowait({"type": kind})

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await emulator.asgi()({"type": "lifespan"}, incoming.get, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_the_sdk_can_confirm_a_deletion() -> None:
    from timeweb_sdk import ConfirmationRequired

    emulator = Emulator(demo_state(2), confirm_delete=True)
    with emulator.client() as tw:
        number = emulator.state["servers"][0]["id"]
        with pytest.raises(ConfirmationRequired) as caught:
            tw.servers.delete(number)
        tw.servers.delete(number, hash=caught.value.hash, code="123456")
        assert [server.id for server in tw.servers.list()] == [emulator.state["servers"][0]["id"]]


def test_any_token_will_do_where_none_is_set() -> None:
    emulator = Emulator({}, token=None)
    with Timeweb("whatever-token", http_client=emulator.http_client()) as tw:
        assert tw.servers.list().total == 0


def test_a_ban_is_a_connection_that_does_not_come_about(emulator: Emulator, clock: FakeClock) -> None:
    emulator.add_fault(operation="getProjects", times=1, kind="ban")
    with use_clock(clock), emulator.client(max_retries=0) as tw, pytest.raises(ConnectTimeout, match="gentle"):
        tw.projects.list().items  # noqa: B018
    assert clock.slept == [10.0], "the SDK waits ten seconds to connect"


def test_another_token_is_another_account() -> None:
    def account(token: str) -> object:
        with Emulator({}, token=token).client() as tw:
            return tw.projects.list().items[0].account_id

    assert account("one") == account("one") != account("two")


@pytest.fixture
def no_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_call, "HANDLERS", {})
    monkeypatch.setattr(_call, "UNCHECKED", [])


@pytest.mark.usefixtures("no_handlers")
def test_a_handler_of_an_operation_that_is_not_there_is_an_error_of_every_emulator() -> None:
    _call.handlers("server_id")("getServerz")(lambda call: None)
    for _ in range(2):
        with pytest.raises(LookupError, match="handles getServerz, an operation that the contract does not have"):
            Emulator()


@pytest.mark.usefixtures("no_handlers")
def test_a_handler_that_does_not_know_a_path_parameter_is_an_error() -> None:
    _call.handlers("server_id")("getServerDisk")(lambda call: None)
    with pytest.raises(LookupError, match=r"getServerDisk, whose path is .*\{disk_id\}; of path parameters it knows server_id"):
        Emulator()


def test_an_import_does_not_read_the_contract() -> None:
    script = "import timeweb_sdk.testing._contract as c, timeweb_sdk.testing; print(c.contract.cache_info().currsize)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "0\n"
