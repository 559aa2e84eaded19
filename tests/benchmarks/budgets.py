"""What this library costs beside what it is built on, measured in turns in one run: the figures of the budgets."""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import httpx
import httpx2
from pydantic import BaseModel, ConfigDict, TypeAdapter, create_model

from tests.benchmarks import _wire
from timeweb_sdk import AsyncTimeweb, RateLimit, RedisStore, Timeweb
from timeweb_sdk._core.decode import decode
from timeweb_sdk._core.model import Model
from timeweb_sdk.models import Server
from timeweb_sdk.operations import OPERATIONS
from timeweb_sdk.testing import demo_state

TOKEN = {"Authorization": "Bearer token"}
CALLS = 200
TURN, TURNS = 25, 80
"""How many calls are measured at once, and how often, in turns with the baseline."""
LIMIT = 20
LIBRARIES: tuple[Any, ...] = (httpx, httpx2)
INTRODUCTION = """\
## Budgets

Medians; each ratio is to its baseline in the same run. Servers are as large as live ones (1.7 kB). Of decoding and of single
calls it is the least of many CPU times, with the garbage collector off, as `timeit` measures: nothing else that runs counts.
"""


def main() -> None:
    """Print one Markdown section."""
    print(INTRODUCTION)
    print("| what | baseline | ours | ratio | budget |\n|---|---:|---:|---:|---:|")
    measures = (starting, building, decoding, calling, flying, pacing)
    for measure in measures:
        if sys.argv[1:] and measure.__name__ not in sys.argv[1:]:
            continue
        for what, baseline, ours, ratio, budget in measure():
            print(f"| {what} | {baseline} | {ours} | {ratio} | {budget} |", flush=True)


Row = tuple[str, str, str, str, str]


def row(what: str, baseline: float, ours: float, unit: str, budget: str, digits: int = 1) -> Row:
    return what, f"{baseline:,.{digits}f} {unit}", f"{ours:,.{digits}f} {unit}", f"{ours / baseline:.2f} x", budget


def starting() -> Iterator[Row]:
    """Imports, each in a fresh interpreter."""
    bare = "import httpx, pydantic\nclass M(pydantic.BaseModel):\n    a: int"
    programs = {
        "`timeweb_sdk.Timeweb`": ("import timeweb_sdk; timeweb_sdk.Timeweb", "1.25 x"),
        "client and first resource": ("import timeweb_sdk; timeweb_sdk.Timeweb('t').servers.list", "1.35 x"),
        "the same with httpx loaded": ("import httpx, timeweb_sdk; timeweb_sdk.Timeweb('t').servers.list", "1.35 x"),
    }
    connected = f"{bare}\nhttpx.Client()"
    ours = "import timeweb_sdk; tw = timeweb_sdk.Timeweb('t'); tw._session._usable(); tw.servers.list"
    measured = [bare, connected, ours, *(program for program, _ in programs.values())]
    times = turns({program: partial(seconds_of, program) for program in measured}, 9)
    for what, (program, budget) in programs.items():
        yield row(f"import: {what}", times[bare] * 1e3, times[program] * 1e3, "ms", budget)
    what = "import: client, connection and first resource"
    yield row(what, times[connected] * 1e3, times[ours] * 1e3, "ms", "1.25 x")
    memory = imported(programs["client and first resource"][0])[1]
    yield "memory of that", "", f"{memory / 1e6:.0f} MB", "", "32 MB"


def seconds_of(program: str) -> float:
    return imported(program)[0]


def imported(program: str) -> tuple[float, int]:
    """Return the seconds and bytes that a program takes in an interpreter of its own."""
    measured = (
        "import os, time\n"
        "def used(): return int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE')\n"
        f"before, start = used(), time.perf_counter()\n{program}\n"
        "print(time.perf_counter() - start, used() - before)"
    )
    seconds, size = subprocess.run([sys.executable, "-c", measured], capture_output=True, text=True, check=True).stdout.split()
    return float(seconds), int(size)


def turns(
    measures: dict[str, Callable[[], float]], rounds: int, pick: Callable[[list[float]], float] = statistics.median
) -> dict[str, float]:
    """Measure all in turns, so that a busy moment hits all alike; return the median of each, or what `pick` takes."""
    results: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            results[name].append(measure())
    return {name: pick(values) for name, values in results.items()}


def building() -> Iterator[Row]:
    """A second client, with its connections ready to be made."""

    def build() -> float:
        start = time.perf_counter()
        client = Timeweb("t")
        client._session._usable()
        return time.perf_counter() - start

    def bare() -> float:
        start = time.perf_counter()
        httpx.Client()
        return time.perf_counter() - start

    build()
    times = turns({"bare": bare, "ours": build}, 9)
    yield row("a second client", times["bare"] * 1e3, times["ours"] * 1e3, "ms", "1 ms", 2)


def decoding() -> Iterator[Row]:
    """1,000 servers to models."""
    sample = live_server()
    servers = [{**sample, "id": number, "padding": "x" * 400} for number in range(1000)]
    plain = [{key: value for key, value in server.items() if key != "padding"} for server in servers]
    for what, rows, with_odd in (
        ("", plain, False),
        (" with an unknown field", servers, False),
        (", one item odd", plain, True),
    ):
        listing: list[dict[str, Any]] = [*rows, {**rows[0], "id": "odd"}] if with_odd else rows
        content = json.dumps({"servers": listing, "meta": {"total": len(listing)}, "response_id": None}).encode()
        adapter = list_adapter(bare_model(Server))
        payload = json.dumps(rows).encode()
        with without_collections():
            times = turns(
                {
                    "json": timed(json.loads, content),
                    "pydantic": timed(adapter.validate_json, payload),
                    "ours": timed(decode, OPERATIONS["getServers"], list[Server], content),
                },
                24,
                min,
            )
        assert bool(decode(OPERATIONS["getServers"], list[Server], content).issues) is with_odd
        size = f"1,000 servers, {len(content) / 1e6:.1f} MB{what}"
        yield row(f"{size}, over json.loads", times["json"] * 1e3, times["ours"] * 1e3, "ms", "8 x" if with_odd else "2.6 x")
        if not with_odd:
            yield row(f"{size}, over a bare model", times["pydantic"] * 1e3, times["ours"] * 1e3, "ms", "1.1 x")


def live_server() -> dict[str, Any]:
    """A server of the size that the live API sends: with a second disk, an IPv6 address, a local network and a comment."""
    server: dict[str, Any] = copy.deepcopy(demo_state()["servers"][0])
    server["disks"].append({**server["disks"][0], "id": 2, "is_system": False})
    public = server["networks"][0]
    public["ips"].append({"type": "ipv6", "ip": "2001:db8::17", "ptr": "web-1.example.com", "is_main": False})
    server["networks"].append({**public, "type": "local", "id": "network-17", "ips": public["ips"][:1]})
    server["comment"] = ""
    server["comment"] = "x" * max(0, 1700 - len(json.dumps(server)))
    return server


def list_adapter(item: Any) -> TypeAdapter[Any]:
    return TypeAdapter(list[item])


def timed(work: Callable[..., object], *arguments: Any) -> Callable[[], float]:
    def measure() -> float:
        start = time.process_time()
        work(*arguments)
        return time.process_time() - start

    return measure


@contextmanager
def without_collections() -> Generator[None]:
    """Keep the garbage collector from passing over the heap of the benchmark, which takes longer than what is measured."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def bare_model(model: type[BaseModel], known: dict[type[BaseModel], type[BaseModel]] | None = None) -> type[BaseModel]:
    """Copy a model of ours to a plain pydantic one with the same types."""
    known = {} if known is None else known
    if model not in known:
        model.model_rebuild()
        fields: dict[str, Any] = {name: (_bare(field.annotation, known), field) for name, field in model.model_fields.items()}
        known[model] = create_model(model.__name__, __config__=ConfigDict(extra="allow"), **fields)
    return known[model]


def _bare(annotation: Any, known: dict[type[BaseModel], type[BaseModel]]) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return bare_model(annotation, known)
    arguments = tuple(_bare(each, known) for each in get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        return Union[arguments]  # noqa: UP007 (a union of what is only known here)
    return get_origin(annotation)[arguments] if get_origin(annotation) in (list, dict) else annotation


def calling() -> Iterator[Row]:
    """One call after another."""
    with _serving_one() as url:
        for library in LIBRARIES:
            name = library.__name__
            sync = _sync_calls(url, library)
            yield row(f"a call, sync, {name}", sync["bare"] * 1e6, sync["ours"] * 1e6, "us", "1.20 x, +60 us", 0)
            times = asyncio.run(_async_calls(url, library))
            yield row(f"a call, async, {name}", times["bare"] * 1e6, times["ours"] * 1e6, "us", "1.15 x, +60 us", 0)


def _sync_calls(url: str, library: Any) -> dict[str, float]:
    with library.Client(headers=TOKEN) as client, _ours(url, library.__name__) as tw:

        def measure(call: Callable[[], object]) -> float:
            start = time.process_time()
            for _ in range(TURN):
                call()
            return (time.process_time() - start) / TURN

        def bare() -> object:
            return client.get(f"{url}/api/v1/servers/1").json()

        with without_collections():
            return turns({"bare": partial(measure, bare), "ours": partial(measure, partial(tw.servers.get, 1))}, TURNS, min)


def _serving_one(*, per_second: int = 0, delay: tuple[float, float] = (0, 0)) -> AbstractContextManager[str]:
    sample = {**live_server(), "id": 1}
    file = Path(tempfile.mkdtemp(), "bodies.json")
    file.write_text(json.dumps({"/api/v1/servers/1": json.dumps({"server": sample, "response_id": None})}), encoding="utf-8")
    return _wire.serving(file, per_second, delay)


def _ours(url: str, library: str) -> Timeweb:
    return Timeweb("token", base_url=url, rate_limit=RateLimit.off(), http_client=library)


async def _async_calls(url: str, library: Any) -> dict[str, float]:
    async def measure(call: Callable[[], Awaitable[object]]) -> float:
        start = time.process_time()
        for _ in range(TURN):
            await call()
        return (time.process_time() - start) / TURN

    options: dict[str, Any] = {"rate_limit": RateLimit.off(), "http_client": library.__name__}
    async with library.AsyncClient(headers=TOKEN) as client, AsyncTimeweb("token", base_url=url, **options) as tw:

        async def bare() -> object:
            return (await client.get(f"{url}/api/v1/servers/1")).json()

        results: dict[str, list[float]] = {"bare": [], "ours": []}
        with without_collections():
            for _ in range(TURNS):
                results["bare"].append(await measure(bare))
                results["ours"].append(await measure(lambda: tw.servers.get(1)))
    return {name: min(values) for name, values in results.items()}


def flying() -> Iterator[Row]:
    """Calls per second with 20 in flight."""
    with _serving_one() as url:
        for library, budget in ((httpx, "at least 1.5 x"), (httpx2, "at least 0.9 x")):
            rates = asyncio.run(_rates(url, library))
            yield row(f"20 in flight, calls a second, {library.__name__}", rates["bare"], rates["ours"], "", budget, 0)


async def _rates(url: str, library: Any) -> dict[str, float]:
    options: dict[str, Any] = {"rate_limit": RateLimit.off(), "http_client": library.__name__}
    async with library.AsyncClient(headers=TOKEN) as client, AsyncTimeweb("token", base_url=url, **options) as tw:

        async def bare() -> object:
            return (await client.get(f"{url}/api/v1/servers/1")).json()

        async def rate(call: Callable[[], Awaitable[object]]) -> float:
            async def worker() -> None:
                for _ in range(30):
                    await call()

            start = time.perf_counter()
            await asyncio.gather(*(worker() for _ in range(20)))
            return 600 / (time.perf_counter() - start)

        rates: dict[str, list[float]] = {"bare": [], "ours": []}
        for _ in range(3):
            rates["bare"].append(await rate(bare))
            rates["ours"].append(await rate(lambda: tw.servers.get(1)))
    return {name: statistics.median(values) for name, values in rates.items()}


def pacing() -> Iterator[Row]:
    """200 calls on one endpoint against a strict sliding window of 20 a second; the best possible is 9.0 s."""
    for what, low, high, budget in (("steady", 0, 0, 9.5), ("25 + 0..50 ms each way", 25, 75, 10.4), ("5..300 ms", 5, 300, 14)):
        with _serving_one(per_second=LIMIT, delay=(low, high)) as url:
            failed, seconds = _saturate(url)
            yield _paced(f"200 calls, {what}", url, failed, seconds, f"{budget} s, 0 errors, 2 x 429")
    store = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/0")
    prefix = f"bench-{uuid.uuid4().hex[:8]}"
    with _serving_one(per_second=LIMIT) as url:
        together = time.time() + 4
        command = [sys.executable, "-m", "tests.benchmarks.budgets", "worker", url, store, prefix, str(together)]
        workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
        results = [json.loads(worker.communicate()[0]) for worker in workers]
        failed, seconds = sum(lost for lost, _ in results), max(end for _, end in results) - together
        yield _paced("200 calls from 4 processes, Redis", url, failed, seconds, "10.4 s, 0 errors, 2 x 429")


def _saturate(url: str) -> tuple[int, float]:
    with Timeweb("token", base_url=url) as tw:
        start = time.perf_counter()
        return _lost(tw, CALLS, 40), time.perf_counter() - start


def _paced(what: str, url: str, failed: int, seconds: float, budget: str) -> Row:
    refused = httpx.get(f"{url}/refused").text
    return what, "9.0 s", f"{seconds:.1f} s, {failed} errors, {refused} x 429", f"{seconds / 9:.2f} x", budget


def _lost(tw: Timeweb, calls: int, threads: int) -> int:
    def lost(_: int) -> int:
        try:
            tw.request("GET", "/api/v1/servers/1")
        except Exception:
            return 1
        return 0

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(lost, range(calls)))


def worker(url: str, store: str, prefix: str, together: float) -> None:
    """Make a quarter of the calls in this process, beginning when all others do."""
    limit = RateLimit.documented(store=RedisStore(store, prefix=prefix))
    with Timeweb("token", base_url=url, rate_limit=limit) as tw:
        time.sleep(max(together - time.time(), 0))
        print(json.dumps([_lost(tw, CALLS // 4, 20), time.time()]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        worker(sys.argv[2], sys.argv[3], sys.argv[4], float(sys.argv[5]))
    else:
        main()
