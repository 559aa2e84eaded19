"""How long the event loop stands while many rows are shown, sent and synchronised."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, MutableMapping
from typing import Any, NamedTuple

import httpx
import sqlalchemy as sa
from fastapi import FastAPI, Request
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import sessionmaker

from crm_adapter import aio
from crm_adapter.web import create_hosting_router

_TICK = 0.002
#: Driver of asyncio for each kind of database.
_ASYNC = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg", "mariadb": "mariadb+asyncmy"}
_PATHS = (
    "/hosting",
    "/hosting/api/stats?by=client",
    "/hosting/api/servers?limit=0",
    "/hosting/api/services?limit=0",
    "/hosting/api/clients",
    "/hosting/export.csv",
    "/hosting/dynamics",
    "/hosting/groups",
    "/hosting/payments",
    "/hosting/clients",
    "/hosting/services",
    "/hosting/services.csv",
    "/hosting/services-months.csv",
)


class Later:
    """A blocking client whose calls are awaited: what it answers is ready at once."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not callable(found) or hasattr(found, "list") or hasattr(found, "get"):
            return Later(found)

        async def call(*args: Any, **kwargs: Any) -> Any:
            # As long as a call takes, the loop is free; what the imaginary account does would not be done here.
            return await asyncio.to_thread(found, *args, **kwargs)

        return call


class Pause(NamedTuple):
    """The longest work of the loop without a pause."""

    longest: float
    """Milliseconds, without those of `collector`."""
    collector: float
    """Milliseconds of Python's garbage collector, which looks through all that the process holds, in its longest pass."""
    whole: float
    """Seconds that the work takes."""


class _Collector:
    """What the garbage collector takes: whichever thread it works in, it lets no other go on."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.taken = 0.0
        """Of the loop's own thread."""
        self._loop = threading.get_ident()
        self._began = 0.0

    def __call__(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.thread_time()
            return
        passed = time.thread_time() - self._began
        self.longest = max(self.longest, passed)
        if threading.get_ident() == self._loop:
            self.taken += passed


async def _ticking(gaps: list[float], collector: _Collector) -> None:
    last, collected = time.thread_time(), collector.taken
    while True:
        await asyncio.sleep(_TICK)
        now = time.thread_time()
        gaps.append(now - last - (collector.taken - collected))
        last, collected = now, collector.taken


async def stands(work: Callable[[], Awaitable[object]]) -> Pause:
    """How long the loop works without a pause.

    Of the loop's own thread: what else the machine does would make every pause longer.
    """
    gaps: list[float] = []
    gc.collect()
    gc.freeze()  # the imaginary account would be looked through again and again
    collector = _Collector()
    gc.callbacks.append(collector)
    ticker = asyncio.create_task(_ticking(gaps, collector))
    await asyncio.sleep(0.01)
    gaps.clear()
    collector.longest = 0.0
    started = time.perf_counter()
    await work()
    taken = time.perf_counter() - started
    await asyncio.sleep(0.01)
    gc.callbacks.remove(collector)
    ticker.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await ticker
    return Pause(max(gaps) * 1000, collector.longest * 1000, taken)


def _allowed(_: Request) -> None:
    """Everybody may."""


def _app(db: sessionmaker[Any] | async_sessionmaker[AsyncSession]) -> FastAPI:
    app = FastAPI()
    app.include_router(create_hosting_router(db, None, dependencies=[_allowed], prefix="/hosting"))
    return app


async def _read(app: FastAPI, path: str) -> None:
    """Ask as a server does, and drop each piece as it comes: httpx's ASGITransport keeps all and joins it on the loop."""
    url = httpx.URL(f"https://crm.example.com{path}")
    statuses: list[int] = []
    asked = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        return asked.pop() if asked else await asyncio.Future()  # nobody hangs up

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": url.scheme,
        "path": url.path,
        "raw_path": url.path.encode(),
        "query_string": url.query,
        "root_path": "",
        "headers": [(b"host", url.netloc)],
        "client": ("127.0.0.1", 1),
        "server": (url.host, 443),
    }
    await app(scope, receive, send)
    assert statuses == [200]


@contextlib.asynccontextmanager
async def _async_database(url: sa.URL) -> AsyncIterator[async_sessionmaker[AsyncSession]]:
    engine = create_async_engine(url.set(drivername=_ASYNC[url.get_backend_name()]))
    try:
        yield async_sessionmaker(engine, expire_on_commit=False)
    finally:
        await engine.dispose()


def pages(url: sa.URL) -> Generator[tuple[str, Pause]]:
    """What is read, and how long the loop works for it; by sessions of threads and by those of asyncio."""

    async def twice(app: FastAPI, path: str) -> Pause:
        await stands(lambda: _read(app, path))  # what is done once is not counted
        return await stands(lambda: _read(app, path))

    async def by_asyncio(path: str) -> Pause:
        async with _async_database(url) as db:
            return await twice(_app(db), path)

    engine = sa.create_engine(url)
    for path in _PATHS:
        yield (f"{path}, threads", asyncio.run(twice(_app(sessionmaker(engine)), path)))
        yield (f"{path}, asyncio", asyncio.run(by_asyncio(path)))
    engine.dispose()


def syncs(url: sa.URL, client: Any) -> Generator[tuple[str, Pause]]:
    """The same of a run and of a rehearsal by asyncio."""

    async def run(name: str) -> Pause:
        async with _async_database(url) as db:
            return await stands(lambda: getattr(aio, name)(db, Later(client)))

    for name, caption in (("sync_all", "`aio.sync_all`, no-op"), ("plan", "`aio.plan`")):
        yield (caption, asyncio.run(run(name)))
