"""Limits as a server sees them that stamps what arrives."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from importlib import import_module
from typing import Any

import pytest

from tests.sdk.stub_server import Behaviour, StubServer, answer, error
from tests.sdk.test_limiter import most_in_a_window
from tests.sdk.worlds import TOKEN, SkippingClock, World
from timeweb_sdk import AsyncTimeweb, DeadlineExceeded, Rate, RateLimit, RateLimitError, Timeweb, WriteTimeout
from timeweb_sdk._core import clock as clocks

FAST = RateLimit(Rate(5, 0.2), Rate(5, 0.2))
"""The documented limit in a hurry: 25 calls take a second, not five."""


def test_threads_tasks_and_clients_share_one_limit(server: StubServer) -> None:
    with clocks.use(clocks.SystemClock()):
        one, two = (Timeweb(TOKEN, base_url=server.url, rate_limit=FAST) for _ in range(2))

        async def tasks() -> None:
            async with AsyncTimeweb(TOKEN, base_url=server.url, rate_limit=FAST) as tw:
                await asyncio.gather(*(tw.request("GET", "/x") for _ in range(10)))

        with ThreadPoolExecutor(12) as pool:
            futures = [pool.submit(client.request, "GET", "/x") for client in (one, two) for _ in range(5)]
            futures.append(pool.submit(asyncio.run, tasks()))
            for future in futures:
                future.result()
        one.close()
        two.close()
    assert len(server.arrivals) == 20
    assert most_in_a_window([arrival.at for arrival in server.arrivals], 0.2) <= 5


def test_all_accounts_keep_the_pace_of_the_address(server: StubServer) -> None:
    """Five accounts with two clients each, of threads and of tasks."""
    limit = FAST.with_address(Rate(5, 0.2))

    async def tasks(token: str) -> None:
        async with AsyncTimeweb(token, base_url=server.url, rate_limit=limit) as tw:
            await asyncio.gather(*(tw.request("GET", f"/{number}") for number in range(3)))

    def thread(token: str) -> None:
        with Timeweb(token, base_url=server.url, rate_limit=limit) as tw:
            for _ in range(3):
                tw.request("GET", "/x")

    with clocks.use(clocks.SystemClock()), ThreadPoolExecutor(10) as pool:
        tokens = [f"{TOKEN}-{number}" for number in range(5)]
        futures = [pool.submit(thread, token) for token in tokens]
        futures += [pool.submit(asyncio.run, tasks(token)) for token in tokens]
        for future in futures:
            future.result()
    assert len(server.arrivals) == 30
    assert len({arrival.headers["authorization"] for arrival in server.arrivals}) == 5
    assert most_in_a_window([arrival.at for arrival in server.arrivals], 0.2) <= 5


def test_the_slot_is_free_a_window_after_the_reply(server: StubServer) -> None:
    server.play(answer(200, {}, delay=0.15))
    with clocks.use(clocks.SystemClock()), Timeweb(TOKEN, base_url=server.url, rate_limit=RateLimit(Rate(1, 0.1))) as tw:
        tw.request("GET", "/x")
        tw.request("GET", "/x")
    first, second = (arrival.at for arrival in server.arrivals)
    assert second - first >= 0.25


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
async def test_cancelled_calls_leave_no_slot_behind(server: StubServer, library: str) -> None:
    server.play(answer(200, {}, delay=0.1))
    with clocks.use(clocks.SystemClock()):
        limit = RateLimit(Rate(2, 0.05))
        async with AsyncTimeweb(TOKEN, base_url=server.url, rate_limit=limit, http_client=library) as tw:
            tasks = [asyncio.create_task(tw.request("GET", "/x")) for _ in range(8)]
            await asyncio.sleep(0.05)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            async with asyncio.timeout(5):
                await asyncio.gather(*(tw.request("GET", "/x") for _ in range(4)))


def test_neighbours_wait_after_a_429(world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(answer(429, headers={"Retry-After": "9"}), answer(200, {}))

    def use(tw: object) -> object:
        request = tw.with_options(max_retries=0).request  # type: ignore[attr-defined]
        if not world.asynchronous:
            with pytest.raises(RateLimitError):
                request("GET", "/x")
            return request("GET", "/x")

        async def both() -> object:
            with pytest.raises(RateLimitError):
                await request("GET", "/x")
            return await request("GET", "/x")

        return both()

    world.run(use, base_url=server.url)
    assert clock.slept == [pytest.approx(9, abs=0.2)]


def test_retry_after_may_be_a_date(world: World, server: StubServer, clock: SkippingClock) -> None:
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 30))
    server.play(answer(429, headers={"Retry-After": date}), answer(200, {}))
    world.run(lambda tw: tw.request("GET", "/x"), base_url=server.url)
    assert 27 <= sum(clock.slept) <= 31


def test_a_wait_that_passes_the_deadline_ends_the_call_at_once(world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(error(429, headers={"Retry-After": "3600"}))
    with pytest.raises(DeadlineExceeded, match=r"3600\.0 s") as caught:
        world.run(lambda tw: tw.request("POST", "/x"), base_url=server.url)
    assert caught.value.asked == 3600
    assert isinstance(caught.value.__cause__, RateLimitError)
    assert clock.slept == []


def test_pacing_that_passes_the_deadline_ends_the_call_at_once(world: World, server: StubServer, clock: SkippingClock) -> None:
    def use(tw: object) -> object:
        request = tw.request  # type: ignore[attr-defined]
        if not world.asynchronous:
            request("GET", "/x")
            return request("GET", "/x")

        async def both() -> object:
            await request("GET", "/x")
            return await request("GET", "/x")

        return both()

    with pytest.raises(DeadlineExceeded, match="rate limit") as caught:
        world.run(use, base_url=server.url, rate_limit=RateLimit(Rate(1, 60)), total_timeout=5)
    assert caught.value.delivery == "not_sent"
    assert caught.value.asked == pytest.approx(60, abs=0.5)


def test_total_timeout_is_exact_in_async(server: StubServer) -> None:
    server.play(answer(200, {}, delay=60))
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        World(True, "httpx").run(lambda tw: tw.request("GET", "/x"), base_url=server.url, total_timeout=0.2)
    assert time.monotonic() - began < 30  # here and below: a busy machine, and a server that takes a minute or for ever


def test_a_trickling_body_ends_with_the_deadline(world: World, server: StubServer, clock: SkippingClock) -> None:
    server.play(trickling(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", clock))
    assert end_at_the_deadline(world, clock, base_url=server.url).delivery == "unknown"


@pytest.mark.parametrize("reused", [False, True])
@pytest.mark.parametrize("passed_in", [False, True])
def test_a_trickling_head_ends_with_the_deadline(
    passed_in: bool, reused: bool, world: World, server: StubServer, clock: SkippingClock
) -> None:
    server.play(*[answer(200, {})] * reused, trickling(b"HTTP/1.1 200 OK\r\nX: ", clock))
    library = import_module(world.library)
    given = (library.AsyncClient if world.asynchronous else library.Client)() if passed_in else world.library
    assert end_at_the_deadline(world, clock, base_url=server.url, http_client=given).delivery == "unknown"
    assert len(server.arrivals) == reused + 1
    assert len({arrival.connection for arrival in server.arrivals}) == 1


def end_at_the_deadline(world: World, clock: SkippingClock, **options: Any) -> DeadlineExceeded:
    """Call until the deadline ends a call, by a clock that only the server moves."""

    async def asynchronously(tw: Any) -> Any:
        vars(asyncio.get_running_loop())["time"] = clock.monotonic
        while True:
            await tw.request("POST", "/x")

    def one_by_one(tw: Any) -> Any:
        while True:
            tw.request("POST", "/x")

    with pytest.raises(DeadlineExceeded) as caught:
        world.run(asynchronously if world.asynchronous else one_by_one, **options)
    return caught.value


def trickling(beginning: bytes, clock: SkippingClock) -> Behaviour:
    """Begin, let the deadline pass, and go on byte by byte, for ever."""

    def behave(connection: socket.socket) -> None:
        connection.sendall(beginning)
        clock.sleep(1000)
        while True:
            connection.sendall(b"x")
            time.sleep(0.05)

    return behave


def test_a_documented_429_envelope_is_told(server: StubServer, clock: SkippingClock) -> None:
    server.play(error(429, "rate_limit_exceeded", "slow down"))
    with pytest.raises(RateLimitError, match="slow down") as caught:
        World(False, "httpx").run(lambda tw: tw.request("GET", "/x"), base_url=server.url, max_retries=0)
    assert caught.value.error_code == "rate_limit_exceeded"


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_an_upload_ends_with_the_deadline(library: str, clock: SkippingClock) -> None:
    """However willingly the server goes on reading."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=read_when_it_is_late, args=(listener, clock), daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(DeadlineExceeded) as caught:
            World(False, library).run(lambda tw: tw.request("POST", "/x", json="x" * 30_000_000), base_url=url)
    assert isinstance(caught.value.__cause__, WriteTimeout)
    assert caught.value.delivery == "unknown"


def read_when_it_is_late(listener: socket.socket, clock: SkippingClock) -> None:
    connection, _ = listener.accept()
    with connection, suppress(OSError):
        connection.recv(1)
        clock.sleep(1000)
        while connection.recv(1_000_000):
            pass


def test_no_reply_closes_an_endpoint_for_ever(server: StubServer, clock: SkippingClock) -> None:
    server.play(answer(429, headers={"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}), answer(200, {}))

    def use(tw: Timeweb) -> None:
        with pytest.raises(DeadlineExceeded):
            tw.request("GET", "/x")
        with pytest.raises(DeadlineExceeded):
            tw.request("GET", "/x")
        clock.sleep(3600)
        assert tw.request("GET", "/x") == {}

    World(False, "httpx").run(use, base_url=server.url)


@pytest.fixture
def unreachable() -> Iterator[str]:
    """A server whose queue is full: it drops what asks for a connection, as a ban does."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("passed_in", [False, True])
def test_a_deadline_that_passes_while_connecting_proves_that_nothing_left(
    passed_in: bool, world: World, unreachable: str
) -> None:
    library = import_module(world.library)
    given = (library.AsyncClient if world.asynchronous else library.Client)() if passed_in else world.library
    with pytest.raises(DeadlineExceeded, match="banned") as caught:
        world.run(lambda tw: tw.request("POST", "/x"), base_url=unreachable, total_timeout=0.3, http_client=given)
    assert (caught.value.delivery, caught.value.may_be_done) == ("not_sent", False)
