"""The limit between processes, on a real Redis."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import socket
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sdk.stub_server import StubServer, unused_port
from tests.sdk.test_limiter import most_in_a_window
from tests.sdk.worlds import TOKEN, World
from timeweb_sdk import AsyncTimeweb, ConfigurationError, DeadlineExceeded, Rate, RateLimit, RedisStore, Timeweb
from timeweb_sdk._core import clock as clocks, redis_store

LIMIT = Rate(5, 0.3)


@pytest.fixture
def prefix(redis_url: str) -> Iterator[str]:
    """A prefix of our own, whose keys are gone afterwards."""
    import redis

    name = f"test-{uuid.uuid4().hex[:12]}"
    yield name
    with redis.Redis.from_url(redis_url) as connection:
        for key in connection.scan_iter(f"{name}:*"):
            connection.delete(key)


@pytest.fixture(autouse=True)
def real_time() -> Iterator[None]:
    with clocks.use(clocks.SystemClock()):
        yield


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine under load answers late; that Redis counts as away then is what only some tests are about."""
    monkeypatch.setattr(redis_store, "TIMEOUT", 30.0)


def _calls(url: str, redis_url: str, prefix: str, count: int, token: str = TOKEN, limit: RateLimit | None = None) -> None:
    redis_store.TIMEOUT = 30.0  # a process of its own
    limit = (limit or RateLimit(LIMIT)).with_store(RedisStore(redis_url, prefix=prefix))
    with Timeweb(token, base_url=url, rate_limit=limit) as tw:
        for _ in range(count):
            tw.request("GET", "/x")


def test_processes_share_a_limit(server: StubServer, redis_url: str, prefix: str) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_calls, args=(server.url, redis_url, prefix, 6)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert len(server.arrivals) == 12
    assert most_in_a_window([arrival.at for arrival in server.arrivals], LIMIT.seconds) <= LIMIT.requests


def test_processes_of_many_accounts_share_the_pace_of_the_address(server: StubServer, redis_url: str, prefix: str) -> None:
    limit = RateLimit.off().with_address(LIMIT)
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=_calls, args=(server.url, redis_url, prefix, 6, f"{TOKEN}-{number}", limit))
        for number in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert len(server.arrivals) == 12
    assert most_in_a_window([arrival.at for arrival in server.arrivals], LIMIT.seconds) <= LIMIT.requests


async def test_tasks_share_it_too(server: StubServer, redis_url: str, prefix: str) -> None:
    limit = RateLimit(LIMIT, store=RedisStore(redis_url, prefix=prefix))
    async with AsyncTimeweb(TOKEN, base_url=server.url, rate_limit=limit) as tw:
        await asyncio.gather(*(tw.request("GET", "/x") for _ in range(12)))
    assert most_in_a_window([arrival.at for arrival in server.arrivals], LIMIT.seconds) <= LIMIT.requests


def test_what_a_dead_process_held_comes_back(redis_url: str, prefix: str) -> None:
    import redis

    limit = RedisStore(redis_url, prefix=prefix).bucket(("account",), Rate(1, 0.1))
    assert limit.reserve("of one that dies", 60) == (True, 0.0)
    assert limit.reserve("of another", 60)[0] is False
    with redis.Redis.from_url(redis_url) as connection:
        keys = list(connection.scan_iter(f"{prefix}:*"))
        assert keys
        assert all(connection.pttl(key) > 0 for key in keys)
        # The lease ends by itself; the test does not wait for it.
        (busy,) = [key for key in keys if key.endswith(b"busy")]
        connection.zadd(busy, {b"of one that dies": 1})
    assert limit.reserve("of another", 60) == (True, 0.0)


def test_a_slot_is_free_a_window_after_it_was_settled(redis_url: str, prefix: str) -> None:
    limit = RedisStore(redis_url, prefix=prefix).bucket(("account",), Rate(1, 30))
    limit.reserve("first", 60)
    limit.settle("first")
    reserved, wait = limit.reserve("second", 60)
    assert reserved
    assert 29 < wait <= 30.1
    limit.give_back("second", wait)
    assert 29 < limit.reserve("third", 60)[1] <= 30.1


def test_a_block_holds_for_everybody(redis_url: str, prefix: str) -> None:
    one, two = (RedisStore(redis_url, prefix=prefix).bucket(("account",), Rate(5)) for _ in range(2))
    one.penalise(20)
    assert 19 < two.reserve("neighbour", 60)[1] <= 20
    two.settle("neighbour")
    for number in range(4):
        two.reserve(str(number), 60)
    assert 19 < two.reserve("after", 60)[1] <= 20


def test_without_redis_there_is_one_warning_and_the_local_limit(
    server: StubServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RedisStore(f"redis://:hidden-password@127.0.0.1:{unused_port()}/0")
    limit = RateLimit(LIMIT, store=store)
    with caplog.at_level(logging.WARNING), Timeweb(TOKEN, base_url=server.url, rate_limit=limit) as tw:
        for _ in range(7):
            tw.request("GET", "/x")
        monkeypatch.setattr(store, "_away_until", 0.0)
        tw.request("GET", "/x")
    assert [record.message.partition(" (")[0] for record in caplog.records] == ["Redis is away"]
    assert most_in_a_window([arrival.at for arrival in server.arrivals], LIMIT.seconds) <= LIMIT.requests
    assert "hidden-password" not in repr(store) + repr(limit) + caplog.text


def test_a_url_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="URL"):
        RedisStore("not a url")


def test_a_missing_extra_names_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    modules: dict[str, Any] = {"redis": None}
    monkeypatch.setitem(__import__("sys").modules, *next(iter(modules.items())))
    with pytest.raises(ConfigurationError, match=r"timeweb-sdk\[redis\]"):
        RedisStore("redis://127.0.0.1")


def test_waiting_ends_at_the_deadline(server: StubServer, redis_url: str, prefix: str) -> None:
    store = RedisStore(redis_url, prefix=prefix)
    limit = RateLimit(Rate(1, 60), store=store)
    began = time.monotonic()
    with Timeweb(TOKEN, base_url=server.url, rate_limit=limit, total_timeout=1) as tw:
        tw.request("GET", "/x")
        with pytest.raises(TimeoutError, match="rate limit"):
            tw.request("GET", "/x")
    assert time.monotonic() - began < 30  # the slot is free in a minute


def test_a_redis_that_hangs_does_not_outlast_the_deadline(
    server: StubServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_store, "TIMEOUT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"redis://127.0.0.1:{mute.getsockname()[1]}"
        for world in (World(False, "httpx"), World(True, "httpx")):
            limit = RateLimit(LIMIT, store=RedisStore(url, prefix=uuid.uuid4().hex))
            began = time.monotonic()
            with pytest.raises(DeadlineExceeded):
                world.run(lambda tw: tw.request("GET", "/x"), base_url=server.url, rate_limit=limit, total_timeout=0.2)
            assert time.monotonic() - began < 20
    assert server.arrivals == []


def test_limits_take_a_store_afterwards() -> None:
    store = RedisStore("redis://127.0.0.1:1/0")
    assert RateLimit.gentle().with_store(store) == RateLimit.gentle(store=store)


def test_a_lease_ends_at_the_deadline_of_its_call(redis_url: str, prefix: str) -> None:
    import redis

    limit = RedisStore(redis_url, prefix=prefix).bucket(("account",), Rate(3, 0.1))
    with redis.Redis.from_url(redis_url) as connection:

        def lease(member: str, left: float) -> float:
            """Seconds that Redis holds the slot for."""
            assert limit.reserve(member, left)[0]
            (key,) = connection.scan_iter(f"{prefix}:*busy")
            seconds, microseconds = connection.time()
            score: float = connection.zscore(key, member)
            return float(score / 1000 - seconds - microseconds / 1e6)

        assert 5 < lease("short", 10) <= 10
        assert 10 < lease("long", 3600) <= 15 + 0.102 + 2
        assert lease("none", 0) <= 0.102


def test_a_lease_is_made_a_new_one(redis_url: str, prefix: str) -> None:
    limit = RedisStore(redis_url, prefix=prefix).bucket(("account",), Rate(1, 0.1))
    assert limit.reserve("member", 60) == limit.reserve("member", 60) == (True, 0.0)
    assert limit.reserve("other", 60)[0] is False


def test_after_a_block_no_more_go_at_once_than_may(redis_url: str, prefix: str) -> None:
    limit = RedisStore(redis_url, prefix=prefix).bucket(("account",), Rate(2, 0.1))
    limit.penalise(40)
    answers = [limit.reserve(str(number), 3600) for number in range(3)]
    assert [reserved for reserved, _ in answers] == [True, True, False]
    assert all(30 < wait <= 40 for _, wait in answers[:2])


def test_what_is_settled_twice_or_late_takes_no_slot(redis_url: str, prefix: str) -> None:
    limit = RedisStore(redis_url, prefix=prefix).bucket(("account",), Rate(1, 30))
    limit.settle("nobody's")
    assert limit.reserve("first", 60) == (True, 0.0)
