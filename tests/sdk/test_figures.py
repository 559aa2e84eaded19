"""Both sides of each figure that the docs name for pace, time and retries."""

from __future__ import annotations

import inspect
from contextlib import nullcontext
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from pydantic import SecretStr

from tests.sdk.stub_server import StubServer, answer
from tests.sdk.worlds import SkippingClock, World
from timeweb_sdk import Rate, RateLimit, RedisStore, Timeweb, errors
from timeweb_sdk._core import clock as clocks, doctor, redis_store
from timeweb_sdk._core.commands import AwaitGrant
from timeweb_sdk._core.limiter import LINGER, MARGIN, SLOW_FOR, Bucket, Ticket
from timeweb_sdk._core.pacing import Pace
from timeweb_sdk._core.retry import Again, TooLate, decide
from timeweb_sdk._core.secrets import scrub_reply
from timeweb_sdk._core.waiters import Wait


def timeouts_of(asynchronous: bool, **options: Any) -> dict[str, float]:
    """The seconds that the HTTP library is given for one attempt."""
    seen: list[dict[str, float]] = []

    def see(request: httpx.Request) -> httpx.Response:
        seen.append(request.extensions["timeout"])
        return httpx.Response(200, json={})

    kind = httpx.AsyncClient if asynchronous else httpx.Client
    client = kind(transport=httpx.MockTransport(see))
    World(asynchronous, "httpx").run(
        lambda tw: tw.request("GET", "/x"), http_client=client, rate_limit=RateLimit.off(), **options
    )
    return seen[0]


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    ("options", "connect", "read"),
    [
        ({}, 10, 60),
        ({"timeout": 10.5}, 10, 10.5),
        ({"timeout": 9.5}, 9.5, 9.5),
        ({"timeout": 300, "total_timeout": 250}, 10, 250),
        ({"total_timeout": 5}, 5, 5),
        ({"timeout": 3, "total_timeout": 5}, 3, 3),
    ],
)
def test_connecting_takes_ten_seconds_at_most(options: dict[str, Any], connect: float, read: float, asynchronous: bool) -> None:
    given = timeouts_of(asynchronous, **options)
    assert given["connect"] == pytest.approx(connect, abs=0.3)
    assert given["read"] == pytest.approx(read, abs=0.3)


@pytest.mark.parametrize(("options", "attempts"), [({}, 5), ({"max_retries": 0}, 1), ({"max_retries": 1}, 2)])
def test_a_call_is_repeated_four_times(
    options: dict[str, Any], attempts: int, world: World, server: StubServer, clock: SkippingClock
) -> None:
    server.play(answer(429))
    with pytest.raises(errors.RateLimitError) as caught:
        world.run(lambda tw: tw.request("GET", "/x"), base_url=server.url, rate_limit=RateLimit.off(), **options)
    assert caught.value.attempts == len(server.arrivals) == attempts


def wait(attempt: int, *, elapsed: float = 0.0, asked: float | None = None) -> Again | TooLate | None:
    error = errors.RateLimitError("429", delivery="answered")
    error.status_code, error.retry_after = 429, asked
    return decide("safe", error, attempt=attempt, elapsed=elapsed, max_retries=99, total_timeout=180)


@pytest.mark.parametrize(("attempt", "most"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 30), (20, 30)])
def test_waits_double_up_to_thirty_seconds(attempt: int, most: float) -> None:
    waits = [decision.wait for _ in range(300) if isinstance(decision := wait(attempt), Again)]
    assert len(waits) == 300
    assert most * 0.8 < max(waits) <= most
    assert min(waits) < most * 0.2


@pytest.mark.parametrize(("asked", "kind"), [(79.9, Again), (80.1, TooLate)])
def test_what_is_asked_for_must_fit_before_the_deadline(asked: float, kind: type[object]) -> None:
    assert isinstance(wait(1, elapsed=100, asked=asked), kind)


def sent(limit: Bucket, at: float, until: float = 1e9) -> Ticket:
    ticket = limit.reserve(at, until)
    assert limit.begin(ticket, at)
    return ticket


def is_free(limit: Bucket, now: float) -> bool:
    ticket = limit.reserve(now, now + 1)
    free = ticket.ready_at is not None and limit.not_before(ticket) <= now
    limit.release(ticket, now)
    return free


@pytest.mark.parametrize(("after", "free"), [(0.999, False), (1.001, False), (1.003, True)])
def test_a_slot_is_free_a_second_and_a_margin_after_the_reply(after: float, free: bool) -> None:
    limit = Bucket(Rate(1))
    limit.release(sent(limit, 0.0), 5.0)
    assert is_free(limit, 5.0 + after) is free


@pytest.mark.parametrize(("since", "window"), [(SLOW_FOR - 0.1, 2 * (1 + MARGIN)), (SLOW_FOR, 1 + MARGIN)])
def test_for_a_minute_after_a_429_an_endpoint_goes_at_half_its_rate(since: float, window: float) -> None:
    limit = Bucket(Rate(1))
    limit.penalise(0.0, 0.0)
    limit.release(sent(limit, since), since)
    assert not is_free(limit, since + window - 0.01)
    assert is_free(limit, since + window + 0.01)


@pytest.mark.parametrize(
    ("until", "after", "free"),
    [(10.0, 10.0, False), (10.0, 10.0 + LINGER, True), (1e9, 15.9, False), (0.5, 0.99, False), (0.5, 1.01, True)],
)
def test_a_slot_ends_with_its_deadline(until: float, after: float, free: bool) -> None:
    limit = Bucket(Rate(1))
    sent(limit, 0.0, until)
    assert is_free(limit, after) is free


@pytest.mark.parametrize(("after", "free"), [(-0.01, False), (0.01, True)])
def test_a_slot_comes_back_when_its_request_has_surely_arrived(after: float, free: bool) -> None:
    limit = Bucket(Rate(1))
    sent(limit, 0.0)
    assert is_free(limit, 15 + 1 + MARGIN + after) is free


@pytest.mark.parametrize(("asked", "blocked"), [("3599", 3599), ("3601", 3600)])
def test_no_reply_blocks_an_endpoint_for_more_than_an_hour(
    asked: str, blocked: float, server: StubServer, clock: SkippingClock
) -> None:
    server.play(answer(429, headers={"Retry-After": asked}), answer(200, {}))

    def use(tw: Any) -> None:
        with pytest.raises(errors.RateLimitError):
            tw.with_options(max_retries=0).request("GET", "/x")
        tw.request("GET", "/x")

    World(False, "httpx").run(use, base_url=server.url, total_timeout=10_000)
    assert sum(clock.slept) == pytest.approx(blocked, abs=1.5)


@pytest.mark.parametrize(
    ("limit", "burst", "seconds"),
    [(RateLimit.documented(), 20, 1.0), (RateLimit.gentle(), 3, 1.5)],
    ids=["documented", "gentle"],
)
def test_the_paces_that_the_docs_name(
    limit: RateLimit, burst: int, seconds: float, server: StubServer, clock: SkippingClock
) -> None:
    def use(tw: Any) -> None:
        for _ in range(burst):
            tw.request("GET", "/x")
        assert sum(clock.slept) == 0
        tw.request("GET", "/x")
        assert 0 < sum(clock.slept) <= seconds + MARGIN

    World(False, "httpx").run(use, base_url=server.url, rate_limit=limit)


def test_what_a_client_is_unless_it_is_told() -> None:
    parameters = inspect.signature(Timeweb.__init__).parameters
    named = ("max_retries", "timeout", "total_timeout", "max_response_bytes")
    assert [parameters[name].default for name in named] == [4, 60, 180, 256_000_000]


def test_a_waiter_asks_every_five_seconds_for_ten_minutes() -> None:
    with Timeweb("token") as tw:
        for method in (tw.servers.wait_for, tw.servers.wait_for_many):
            parameters = inspect.signature(method).parameters
            assert (parameters["interval"].default, parameters["timeout"].default) == (5, 600)


@pytest.mark.parametrize(("total", "looks"), [(180.0, 1.0), (0.4, 0.4)])
def test_who_waits_for_a_slot_looks_each_second_who_can_still_go_on(total: float, looks: float, clock: SkippingClock) -> None:
    limit = Bucket(Rate(1))
    now = clock.monotonic()
    sent(limit, now)
    steps = Pace(clock, total).await_grant(limit, limit.reserve(now, now + total))
    command = steps.send(None)
    assert isinstance(command, AwaitGrant)
    assert command.seconds == pytest.approx(looks, abs=0.05)
    steps.close()


def begun(clock: SkippingClock, ago: float) -> Wait[Any]:
    return Wait(frozenset({"on"}), timeout=10.0, interval=5.0, started=clock.monotonic() - ago, pending=[1])


@pytest.mark.parametrize(("after", "is_over"), [(60.0, False), (60.1, True)])
def test_a_server_may_be_unpaid_for_a_minute(after: float, is_over: bool, clock: SkippingClock) -> None:
    waiting, unpaid = begun(clock, 0), SimpleNamespace(status="no_paid")
    waiting.see(1, unpaid, 1000.0)
    with pytest.raises(errors.WaitFailed) if is_over else nullcontext():
        waiting.see(1, unpaid, 1000.0 + after)


def test_the_last_look_of_a_wait_has_a_second(clock: SkippingClock) -> None:
    assert begun(clock, 3.0).pause() == 5.0
    assert begun(clock, 8.5).pause() == pytest.approx(0.5, abs=0.1)
    with pytest.raises(errors.WaitTimeout):
        begun(clock, 9.05).pause()


@pytest.mark.parametrize(("skew", "state"), [(60, "good"), (61, "warn"), (-60, "good"), (-61, "warn")])
def test_a_clock_may_be_a_minute_off(skew: int, state: str) -> None:
    still = SimpleNamespace(time=lambda: 1_800_000_000.0)
    with clocks.use(cast(clocks.Clock, still)):
        (finding,) = doctor._clock(formatdate(1_800_000_000 - skew, usegmt=True))
    assert finding.state == state


@pytest.mark.parametrize(("word", "is_hidden"), [("pw4!", True), ("pw3", False)])
def test_a_word_of_four_characters_may_be_a_secret(word: str, is_hidden: bool) -> None:
    assert (word not in scrub_reply(f"refused {word} there", SecretStr("token-of-the-account"), [word])) is is_hidden


def test_redis_that_is_away_is_left_alone_for_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    clock = iter([1000.0, 1000.0, 1004.9, 1005.0, 1005.0])  # each time that it is asked or goes away

    def script(**_: Any) -> float:
        asked.append(1)
        raise OSError

    store = RedisStore("redis://127.0.0.1:1/0")
    assert store._redis.connection_pool.connection_kwargs["socket_timeout"] == 0.5
    assert store._redis.connection_pool.connection_kwargs["socket_connect_timeout"] == 0.5
    monkeypatch.setattr(redis_store, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(store, "_script", script)
    counts = []
    for _ in range(3):
        assert store.run([], []) is None
        counts.append(len(asked))
    assert counts == [1, 1, 2]
