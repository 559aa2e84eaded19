"""The run beside the requests: one thread or task, one run for all workers, and a shutdown that leaves nothing behind."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from sqlalchemy.orm import sessionmaker

from crm_adapter.web import create_hosting_router
from tests.crm.database import kept
from tests.crm.web.conftest import PREFIX, TOKEN, Open, Section, filled_database
from tests.crm.web.worker import require_admin, work
from tests.forked import CONTEXT, start_server
from tests.waiting import until
from timeweb_sdk import RateLimit, Timeweb
from timeweb_sdk.testing import Emulator, EmulatorServer, demo_state

ADMIN = {"Authorization": "Bearer admin"}
STALE = "UPDATE timeweb_account_state SET last_success_at = '2026-01-01 00:00:00'"


def synchronous(section: Section, engine: sa.Engine) -> FastAPI:
    app = FastAPI()
    timeweb = Timeweb(TOKEN, http_client=section.emulator.http_client(), rate_limit=RateLimit.off(), max_retries=0)
    app.include_router(create_hosting_router(sessionmaker(engine), timeweb, dependencies=[Depends(require_admin)]))
    return app


def sync_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "timeweb-sync"]


def held(section: Section) -> int:
    return int(section.query("SELECT COUNT(*) FROM timeweb_sync_lease WHERE owner IS NOT NULL")[0][0])


def test_synchronous_sessions_sync_in_one_named_thread(synced: Section, open_client: Open) -> None:
    synced.execute(STALE)
    gate = threading.Event()
    seen: list[str] = []
    with synced.engine() as engine:

        @sa.event.listens_for(engine, "checkout")
        def _wait(*_: Any) -> None:
            if threading.current_thread().name == "timeweb-sync":
                gate.wait(20)

        client = open_client(synchronous(synced, engine))
        for _ in range(3):
            assert client.get(PREFIX).status_code == 200
        seen += [thread.name for thread in sync_threads()]
        gate.set()
        for thread in sync_threads():
            thread.join(20)
    assert seen == ["timeweb-sync"]
    runs = synced.query("SELECT status, actor FROM timeweb_sync_run ORDER BY id")
    assert runs[1:] == [("success", "auto")]


def test_shutdown_ends_the_thread_between_two_steps_and_frees_the_lease(synced: Section) -> None:
    synced.execute(STALE)
    with synced.engine() as engine:
        app = synchronous(synced, engine)
        synced.emulator.add_fault({"operation": "getServers", "times": 1, "delay_ms": 300})
        with TestClient(app, base_url="https://crm.example.com", headers=ADMIN) as client:
            assert client.get(PREFIX).status_code == 200
            assert held(synced) == 1
        assert sync_threads() == []
    assert held(synced) == 0
    assert synced.query("SELECT status FROM timeweb_sync_run ORDER BY id DESC LIMIT 1") == [("interrupted",)]


async def test_shutdown_never_tears_a_connection_out_of_a_transaction(synced: Section) -> None:
    """Whatever the moment: no thread of a driver is left, no lock in the database, no lease, no error unseen."""
    unseen: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(str(context)))
    for pause in (*range(6), 8, 11, 16, 24, 36):
        synced.execute(STALE)
        synced.execute("UPDATE timeweb_account_state SET retry_at = NULL, last_status = 'success'")
        app = synced.app()
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://crm.example.com", headers=ADMIN) as client:
                assert (await client.get(PREFIX)).status_code == 200
            for _ in range(pause):
                await asyncio.sleep(0)
        for thread in threading.enumerate():
            if "_connection_worker_thread" in thread.name:
                thread.join(10)
                assert not thread.is_alive(), f"after {pause} turns of the loop"
        assert held(synced) == 0, f"after {pause} turns of the loop"
    assert unseen == []


@contextmanager
def workers(url: sa.URL, timeweb: str, count: int) -> Iterator[list[str]]:
    """Real processes that know nothing of each other; yields their addresses."""
    listening = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    start_server()
    processes = [CONTEXT.Process(target=work, args=(url, timeweb, TOKEN, each), daemon=True) for each in listening]
    for process in processes:
        process.start()
    try:
        yield [f"http://127.0.0.1:{each.getsockname()[1]}" for each in listening]
    finally:
        for process, each in zip(processes, listening, strict=True):
            process.terminate()
            process.join(20)
            each.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest) -> Iterator[tuple[sa.URL, sa.URL]]:
    """A database that several processes open: its address for them (asyncio) and for the test."""
    if request.param == "sqlite":
        section: Section = request.getfixturevalue("synced")
        yield section.url, section.url.set(drivername="sqlite")
    else:
        with filled_database(request.getfixturevalue("postgres_url")) as url:
            yield url, url


def test_many_tabs_of_many_workers_start_one_run(shared: tuple[sa.URL, sa.URL]) -> None:
    emulator = Emulator(demo_state(), token=TOKEN, rate_limit=False)
    emulator.add_fault({"operation": "getServers", "times": 99, "delay_ms": 1000})
    engine = kept(sa.create_engine(shared[1]))
    with engine.begin() as connection:
        connection.exec_driver_sql(STALE)

    async def open_all(addresses: list[str]) -> list[int]:
        async with httpx.AsyncClient(headers=ADMIN, timeout=60) as client:
            ready = [client.get(f"{address}{PREFIX}/static/hosting.css") for address in addresses]
            assert [reply.status_code for reply in await asyncio.gather(*ready)] == [200] * len(addresses)
            tabs = [client.get(f"{address}{PREFIX}") for address in addresses for _ in range(8)]
            return [reply.status_code for reply in await asyncio.gather(*tabs)]

    def runs() -> list[str]:
        with engine.connect() as connection:
            return list(connection.scalars(sa.text("SELECT status FROM timeweb_sync_run ORDER BY id")))

    with EmulatorServer(emulator) as account, workers(shared[0], account.url, 3) as addresses:
        assert asyncio.run(open_all(addresses)) == [200] * 24
        until(lambda: runs()[-1] != "running", 60)
        assert runs() == ["success", "success"], "the one that filled the database, and one for all tabs"
        listings = [request for request in emulator.requests if request["operation"] == "getServers"]
        assert len(listings) == 1
