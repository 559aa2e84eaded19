"""The limiter by itself: on an imaginary network, no window ever sees more arrivals than are allowed."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings, strategies as st

from timeweb_sdk import ConfigurationError, Rate, RateLimit
from timeweb_sdk._core.limiter import SLOW_FOR, Bucket, Ticket, bucket, swap_buckets
from timeweb_sdk._core.pacing import gates_of

delays = st.floats(0.001, 3.0)


@dataclass
class Network:
    """Callers that all want to go at once, and a network that takes its time both ways, on an imaginary clock."""

    bucket: Bucket
    now: float = 0.0
    arrivals: list[float] = field(default_factory=list)
    _agenda: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _number: itertools.count[int] = field(default_factory=itertools.count)

    def at(self, when: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (when, next(self._number), action))

    def call(self, there: float, back: float) -> None:
        ticket = self.bucket.reserve(self.now)
        ticket.on_grant(lambda: self._go_when_ready(ticket, there, back))

    def _go_when_ready(self, ticket: Ticket, there: float, back: float) -> None:
        ready = self.bucket.not_before(ticket)
        if ready > self.now:
            self.at(ready, lambda: self._go_when_ready(ticket, there, back))
            return
        self.arrivals.append(self.now + there)
        self.at(self.now + there + back, lambda: self.bucket.settle(ticket, self.now))

    def run(self) -> None:
        while self._agenda:
            self.now, _, action = heapq.heappop(self._agenda)
            action()


def most_in_a_window(arrivals: list[float], seconds: float) -> int:
    arrivals = sorted(arrivals)
    first, most = 0, 0
    for last, arrival in enumerate(arrivals):
        while arrival - arrivals[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


@given(st.lists(st.tuples(delays, delays), min_size=1, max_size=120), st.integers(1, 20), st.sampled_from([0.5, 1.0, 1.5]))
@settings(max_examples=100, deadline=None)
def test_no_window_sees_more_arrivals_than_allowed(calls: list[tuple[float, float]], requests: int, seconds: float) -> None:
    network = Network(Bucket(Rate(requests, seconds)))
    for there, back in calls:
        network.call(there, back)
    network.run()
    assert len(network.arrivals) == len(calls)
    assert most_in_a_window(network.arrivals, seconds) <= requests


def test_200_calls_are_nearly_as_fast_as_can_be() -> None:
    network = Network(Bucket(Rate(20)))
    for _ in range(200):
        network.call(0.002, 0.002)
    network.run()
    assert 9.0 <= max(network.arrivals) <= 9.2


@given(st.lists(st.sampled_from(["reserve", "settle", "give back"]), max_size=200))
@settings(deadline=None)
def test_slots_are_neither_lost_nor_made(actions: list[str]) -> None:
    limit = Bucket(Rate(3))
    held: list[Ticket] = []
    for action in actions:
        if action == "reserve":
            held.append(limit.reserve(0.0))
        elif held:
            ticket = held.pop(0)
            if action == "give back" or ticket.ready_at is None:
                limit.give_back(ticket)
            else:
                limit.settle(ticket, 0.0)
    for ticket in held:
        limit.give_back(ticket)
    assert [limit.reserve(10.0).ready_at is not None for _ in range(4)] == [True, True, True, False]


def test_the_queue_is_first_come_first_served() -> None:
    limit = Bucket(Rate(1))
    first = limit.reserve(0.0)
    second, third = limit.reserve(0.0), limit.reserve(0.0)
    limit.give_back(second)
    limit.settle(first, 5.0)
    assert third.ready_at == pytest.approx(6.0, abs=0.01)


def test_after_a_429_everybody_waits_and_then_goes_at_half_the_rate_for_a_minute() -> None:
    limit = Bucket(Rate(1))
    ticket = limit.reserve(0.0)
    limit.settle(ticket, 0.0)
    limit.penalise(0.0, 7.0)
    neighbour = limit.reserve(0.0)
    assert limit.not_before(neighbour) == 7.0
    limit.settle(neighbour, 8.0)
    assert limit.reserve(8.0).ready_at == pytest.approx(10.0, abs=0.01)

    later = Bucket(Rate(1))
    later.penalise(0.0, 0.0)
    later.settle(later.reserve(0.0), SLOW_FOR + 1)
    assert later.reserve(0.0).ready_at == pytest.approx(SLOW_FOR + 2, abs=0.01)


def test_a_waiter_whose_event_loop_is_closed_hands_its_slot_on() -> None:
    limit = Bucket(Rate(1))
    held, gone, next_one = (limit.reserve(0.0) for _ in range(3))

    def closed() -> None:
        raise RuntimeError("Event loop is closed")

    gone.on_grant(closed)
    limit.settle(held, 0.0)
    assert next_one.ready_at is not None
    limit.give_back(gone)
    assert limit.reserve(0.0).ready_at is None


def test_threads_do_not_lose_slots() -> None:
    limit = Bucket(Rate(5))

    def work() -> None:
        for _ in range(200):
            ticket = limit.reserve(0.0)
            if ticket.ready_at is None:
                limit.give_back(ticket)
            else:
                limit.settle(ticket, -1.0)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [limit.reserve(0.0).ready_at is not None for _ in range(6)] == [True] * 5 + [False]


def test_clients_of_one_account_share_a_bucket_and_others_do_not() -> None:
    before = swap_buckets({})
    try:
        assert bucket(("a",), Rate(20)) is bucket(("a",), Rate(20))
        assert bucket(("a",), Rate(20)) is not bucket(("b",), Rate(20))
        documented = gates_of(RateLimit.documented(), ("url", "account"), "GET", "/x")
        assert documented[0].local is not gates_of(RateLimit.documented(), ("url", "account"), "GET", "/y")[0].local
        assert documented[1].local is gates_of(RateLimit.documented(), ("url", "account"), "GET", "/y")[1].local
        assert len(gates_of(RateLimit.gentle(), ("url", "account"), "GET", "/x")) == 1
        assert gates_of(RateLimit.off(), ("url", "account"), "GET", "/x") == ()
    finally:
        swap_buckets(before)


@pytest.mark.parametrize(("requests", "seconds"), [(0, 1.0), (-3, 1.0), (5, 0.0)])
def test_a_rate_that_lets_nothing_through_is_refused(requests: int, seconds: float) -> None:
    with pytest.raises(ConfigurationError, match="at least one request"):
        Rate(requests, seconds)
