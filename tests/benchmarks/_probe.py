"""Measures one client in its own interpreter: `python _probe.py CLIENT MEASURE URL`; prints one JSON value.

It imports nothing of the project but the client under test, since other clients need other versions of everything.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

SERVER = 123456
ODD_CASES = 17


class Httpx:
    """The bare HTTP client and `json.loads`: what any typed client adds to."""

    name = "httpx"
    typed = False

    def __init__(self, url: str) -> None:
        self.http: Any = __import__(self.name)
        self.headers = {"Authorization": "Bearer token"}
        self.url = url
        self.client = self.http.Client(base_url=url, headers=self.headers)

    def get(self) -> Any:
        return self.client.get(f"/api/v1/servers/{SERVER}").raise_for_status().json()["server"]

    def list(self) -> Any:
        return self.client.get("/api/v1/servers").raise_for_status().json()["servers"]

    def asynchronous(self) -> Any:
        client = self.http.AsyncClient(base_url=self.url, headers=self.headers)

        async def get() -> Any:
            return (await client.get(f"/api/v1/servers/{SERVER}")).raise_for_status().json()["server"]

        return get


class Httpx2(Httpx):
    name = "httpx2"


class Ours:
    typed = True

    def __init__(self, url: str) -> None:
        from timeweb_sdk import RateLimit, Timeweb

        self.url = url
        self.pace = RateLimit.off()
        self.client = Timeweb("token", base_url=url, rate_limit=self.pace)

    def documented(self) -> None:
        from timeweb_sdk import Timeweb

        self.client = Timeweb("token", base_url=self.url)

    def get(self) -> Any:
        return self.client.servers.get(SERVER)

    def list(self) -> Any:
        return list(self.client.servers.list())

    def asynchronous(self) -> Any:
        from timeweb_sdk import AsyncTimeweb

        client = AsyncTimeweb("token", base_url=self.url, rate_limit=self.pace)
        return lambda: client.servers.get(SERVER)


class OursOnHttpx2(Ours):
    def asynchronous(self) -> Any:
        import httpx2

        from timeweb_sdk import AsyncTimeweb

        client = AsyncTimeweb("token", base_url=self.url, rate_limit=self.pace, http_client=httpx2.AsyncClient())
        return lambda: client.servers.get(SERVER)


class Community:
    """`timeweb-cloud`; its base URL is a constant of the class."""

    typed = True

    def __init__(self, url: str) -> None:
        import timeweb
        from timeweb.async_api.base import BaseAsyncClient
        from timeweb.sync_api.base import BaseClient

        BaseClient.BASE_URL = BaseAsyncClient.BASE_URL = f"{url}/api/v1/"
        self.module = timeweb
        self.client = timeweb.Timeweb("token")

    def get(self) -> Any:
        return self.client.servers.cloud.get(SERVER).server

    def list(self) -> Any:
        return self.client.servers.cloud.get_all().servers

    def asynchronous(self) -> Any:
        client = self.module.AsyncTimeweb("token")
        return lambda: client.servers.cloud.get(SERVER)


class Twc:
    """The client inside the vendor's `twc-cli`: synchronous, returns raw responses."""

    typed = False

    def __init__(self, url: str) -> None:
        from twc.api.client import TimewebCloud

        self.client = TimewebCloud("token", api_base_url=url)

    def get(self) -> Any:
        return self.client.get_server(SERVER).json()["server"]

    def list(self) -> Any:
        return self.client.get_servers().json()["servers"]


class Official:
    """The vendor's `timeweb_cloud_api`, from a local path on PYTHONPATH."""

    typed = True

    def __init__(self, url: str) -> None:
        import timeweb_cloud_api as api

        self.client = api.ServersApi(api.ApiClient(api.Configuration(host=url, access_token="token")))

    def get(self) -> Any:
        return self.client.get_server(SERVER).server

    def list(self) -> Any:
        return self.client.get_servers().servers


CLIENTS: dict[str, Callable[[str], Any]] = {
    "httpx": Httpx, "httpx2": Httpx2, "ours": Ours, "ours on httpx2": OursOnHttpx2,
    "timeweb-cloud": Community, "twc-cli": Twc, "official": Official,
}  # fmt: skip


def resident() -> int:
    """Bytes of memory in use; the peak that getrusage tells would include what a parent process had."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def startup(make: Callable[[str], Any], url: str) -> dict[str, float]:
    """Import and build (ms, MB over the bare interpreter), then the first call from the very start (ms)."""
    before = resident()
    start = time.perf_counter()
    client = make(url)
    built = time.perf_counter()
    memory = resident() - before
    client.get()
    called = time.perf_counter()
    return {"import": (built - start) * 1e3, "memory": memory / 1e6, "first": (called - start) * 1e3}


def calls(make: Callable[[str], Any], url: str) -> float:
    """One call after another: median, in microseconds."""
    client = make(url)
    taken = []
    for _ in range(400):
        start = time.perf_counter()
        client.get()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[50:]) * 1e6


def lists(make: Callable[[str], Any], url: str) -> float:
    """Fetching and decoding a list of 1,000 servers: median, in milliseconds."""
    client = make(url)
    taken = []
    for _ in range(9):
        start = time.perf_counter()
        assert len(client.list()) == 1000
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[2:]) * 1e3


def flight(make: Callable[[str], Any], url: str, width: int) -> float | None:
    """Asynchronous calls with `width` in flight: calls per second."""
    client = make(url)
    if not hasattr(client, "asynchronous"):
        return None

    async def run() -> float:
        get = client.asynchronous()

        async def worker(count: int) -> None:
            for _ in range(count):
                await get()

        await asyncio.gather(*(worker(2) for _ in range(width)))
        start = time.perf_counter()
        await asyncio.gather(*(worker(600 // width) for _ in range(width)))
        return 600 // width * width / (time.perf_counter() - start)

    return asyncio.run(run())


def saturation(make: Callable[[str], Any], url: str) -> dict[str, float]:
    """200 calls from 20 threads on an endpoint that allows 20 in any second: lost calls and seconds."""
    client = make(url)
    if hasattr(client, "documented"):
        client.documented()

    def lost(_: int) -> int:
        try:
            client.get()
        except Exception:
            return 1
        return 0

    start = time.perf_counter()
    with ThreadPoolExecutor(20) as pool:
        failures = sum(pool.map(lost, range(200)))
    return {"lost": failures, "seconds": time.perf_counter() - start}


def odd(make: Callable[[str], Any], url: str) -> int:
    """How many of the lists with one odd server arrive with all three servers."""
    delivered = 0
    for case in range(ODD_CASES):
        try:
            delivered += len(make(f"{url}/odd/{case}").list()) == 3
        except Exception:
            continue
    return delivered


MEASURES: dict[str, Callable[[Callable[[str], Any], str], Any]] = {
    "startup": startup, "calls": calls, "lists": lists, "saturation": saturation, "odd": odd,
    "alone": lambda make, url: flight(make, url, 1), "together": lambda make, url: flight(make, url, 20),
}  # fmt: skip

if __name__ == "__main__":
    _, chosen, measure, address = sys.argv
    print(json.dumps(MEASURES[measure](CLIENTS[chosen], address)))
