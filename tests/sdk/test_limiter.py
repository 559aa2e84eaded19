"""The limiter by itself: on an imaginary network, no window ever sees more arrivals than are allowed."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from math import inf, nan
from typing import Any

import pytest
from hypothesis import example, given, settings, strategies as st

from timeweb_sdk import ConfigurationError, Rate, RateLimit
from timeweb_sdk._core import limiter
from timeweb_sdk._core.limiter import LINGER, MARGIN, SLOW_FOR, Bucket, Ticket, bucket, swap_buckets
from timeweb_sdk._core.pacing import gates_of
from timeweb_sdk._core.raw import RawArguments, raw_call

delays = st.floats(0.001, 3.0)


def finish(limit: Bucket, ticket: Ticket, now: float) -> None:
    """The request was sent, and its reply is here."""
    assert limit.begin(ticket, now)
    limit.release(ticket, now)


class Fate(Enum):
    """What becomes of a caller."""

    REPLY = "its reply comes"
    NO_REPLY = "it gives up at its deadline"
    CANCELLED = "an exception strikes"
    LOOP_CLOSED = "it can be seen that it cannot go on"
    FORGOTTEN = "nobody ever resumes it"


@dataclass(frozen=True)
class Caller:
    begins: float
    there: float
    """Seconds until its request arrives."""
    back: float
    fate: Fate = Fate.REPLY
    after: float = 0.0
    """Seconds after its beginning at which its fate strikes, if it does not wait for the reply."""
    patience: float = 30.0
    """Seconds until its deadline."""
    account: str = ""


@dataclass
class Network:
    """Callers that want to go, and a network that takes its time both ways, on an imaginary clock."""

    bucket: Bucket
    now: float = 0.0
    arrivals: list[float] = field(default_factory=list)
    refused: int = 0
    """Callers that did not get a slot before their deadline."""
    served: list[tuple[float, str]] = field(default_factory=list)
    """When who went; who goes at one moment goes in no order."""
    _agenda: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _number: itertools.count[int] = field(default_factory=itertools.count)

    def at(self, when: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (when, next(self._number), action))

    def call(self, caller: Caller) -> None:
        self.at(caller.begins, lambda: Visit(self, caller).begin())

    def run(self) -> None:
        while self._agenda:
            self.now, _, action = heapq.heappop(self._agenda)
            action()


class Visit:
    """One caller on its way: what pacing and drivers do, without them."""

    def __init__(self, network: Network, caller: Caller) -> None:
        self.network, self.caller = network, caller
        self.deadline = caller.begins + caller.patience
        self.is_gone = False
        self.is_over = False
        self.sent = False

    def begin(self) -> None:
        network = self.network
        self.ticket = network.bucket.reserve(network.now, self.deadline, lambda: self.is_gone, self.caller.account)
        if self.caller.fate not in (Fate.REPLY, Fate.NO_REPLY):
            network.at(network.now + min(self.caller.after, self.caller.patience), self.strike)
        self.look()

    def strike(self) -> None:
        if self.is_over:
            return
        if self.caller.fate is Fate.CANCELLED:
            self.end()
        self.is_over = True
        self.is_gone = self.caller.fate is Fate.LOOP_CLOSED

    def end(self) -> None:
        self.is_over = True
        self.network.bucket.release(self.ticket, self.network.now)

    def look(self) -> None:
        """Go if it is time, or wait as `Pace.await_grant` does: until something ends by itself, a second at most."""
        network = self.network
        if self.is_over:
            return
        network.bucket.collect(network.now)
        ready = network.bucket.not_before(self.ticket) if self.ticket.ready_at is not None else None
        if ready is not None and ready <= network.now:
            self.send()
        elif network.now >= self.deadline or (ready is not None and ready > self.deadline):
            network.refused += 1
            self.end()
        else:
            end = network.bucket.next_end() if ready is None else ready
            network.at(min(max(end, network.now + 0.001), network.now + 1.0, self.deadline), self.look)

    def send(self) -> None:
        network, caller = self.network, self.caller
        if not network.bucket.begin(self.ticket, network.now):
            network.refused += 1
            return self.end()
        network.served.append((network.now, caller.account))
        # What is not there when its connection is cut does not arrive; what nobody waits for is given a window less.
        cut = self.deadline if caller.fate in (Fate.REPLY, Fate.NO_REPLY) else self.deadline - network.bucket.window
        if caller.fate is Fate.CANCELLED:  # closes its connection at once
            cut = caller.begins + min(caller.after, caller.patience)
        if network.now + caller.there <= cut:
            network.arrivals.append(network.now + caller.there)
        replied = network.now + caller.there + caller.back
        if caller.fate is Fate.NO_REPLY or (caller.fate is Fate.REPLY and replied > self.deadline):
            network.at(self.deadline, self.end)
        elif caller.fate is Fate.REPLY:
            network.at(replied, self.end)
        return None


def most_in_a_window(arrivals: list[float], seconds: float) -> int:
    arrivals = sorted(arrivals)
    first, most = 0, 0
    for last, arrival in enumerate(arrivals):
        while arrival - arrivals[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


# Patience for all of them: who must not be refused.
callers = st.builds(Caller, st.just(0.0), delays, delays, patience=st.just(10_000.0))
mortals = st.builds(
    Caller, st.floats(0, 20), delays, delays, st.sampled_from(Fate), after=st.floats(0, 20), patience=st.floats(0.1, 40)
)
windows = st.sampled_from([0.5, 1.0, 1.5])


@given(st.lists(callers, min_size=1, max_size=120), st.integers(1, 20), windows)
@settings(max_examples=100, deadline=None)
def test_no_window_sees_more_arrivals_than_allowed(calls: list[Caller], requests: int, seconds: float) -> None:
    network = Network(Bucket(Rate(requests, seconds)))
    for caller in calls:
        network.call(caller)
    network.run()
    assert len(network.arrivals) == len(calls)
    assert most_in_a_window(network.arrivals, seconds) <= requests


@given(st.lists(mortals, min_size=1, max_size=60), st.integers(1, 5), windows)
@example([Caller(0.0, 1.25, 1.0, Fate.LOOP_CLOSED, patience=2.0), Caller(1.0, 0.125, 1.0, patience=1.0)], 1, 0.5)
@settings(max_examples=100, deadline=None)
def test_nobody_who_vanishes_takes_a_slot_along(calls: list[Caller], requests: int, seconds: float) -> None:
    network = Network(Bucket(Rate(requests, seconds)))
    for caller in calls:
        network.call(caller)
    network.run()
    assert most_in_a_window(network.arrivals, seconds) <= requests

    # When all deadlines are over, as many can go at once as the limit allows.
    over = max(caller.begins + max(caller.patience + LINGER, seconds + MARGIN) for caller in calls) + seconds + MARGIN
    tickets = [network.bucket.reserve(over) for _ in range(requests + 1)]
    assert [ticket.ready_at is not None for ticket in tickets] == [True] * requests + [False]
    assert max(network.bucket.not_before(ticket) for ticket in tickets[:-1]) <= over + 1e-6


def test_200_calls_are_nearly_as_fast_as_can_be() -> None:
    network = Network(Bucket(Rate(20)))
    for _ in range(200):
        network.call(Caller(0.0, 0.002, 0.002))
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
            if action == "settle" and ticket.ready_at is not None:
                limit.begin(ticket, 0.0)
            limit.release(ticket, 0.0)
    for ticket in held:
        limit.release(ticket, 0.0)
    assert [limit.reserve(10.0).ready_at is not None for _ in range(4)] == [True, True, True, False]


def test_the_queue_is_first_come_first_served() -> None:
    limit = Bucket(Rate(1))
    first = limit.reserve(0.0)
    second, third = limit.reserve(0.0), limit.reserve(0.0)
    limit.release(second, 0.0)
    finish(limit, first, 5.0)
    assert third.ready_at == pytest.approx(6.0, abs=0.01)


def test_after_a_429_everybody_waits_and_then_goes_at_half_the_rate_for_a_minute() -> None:
    limit = Bucket(Rate(1))
    ticket = limit.reserve(0.0)
    finish(limit, ticket, 0.0)
    limit.penalise(0.0, 7.0)
    neighbour = limit.reserve(0.0)
    assert limit.not_before(neighbour) == 7.0
    finish(limit, neighbour, 8.0)
    assert limit.reserve(8.0).ready_at == pytest.approx(10.0, abs=0.01)

    later = Bucket(Rate(1))
    later.penalise(0.0, 0.0)
    finish(later, later.reserve(0.0), SLOW_FOR + 1)
    assert later.reserve(0.0).ready_at == pytest.approx(SLOW_FOR + 2, abs=0.01)


def test_a_waiter_whose_event_loop_is_closed_hands_its_slot_on() -> None:
    limit = Bucket(Rate(1))
    held, gone, next_one = (limit.reserve(0.0) for _ in range(3))

    def closed() -> None:
        raise RuntimeError("Event loop is closed")

    gone.on_grant(closed)
    finish(limit, held, 0.0)
    assert next_one.ready_at is not None
    limit.release(gone, 0.0)
    assert limit.reserve(0.0).ready_at is None


@pytest.mark.parametrize(("sent", "next_at"), [(False, 0.5), (True, None)])
def test_a_holder_that_cannot_go_on_gives_back_what_it_has_not_used(sent: bool, next_at: float | None) -> None:
    limit = Bucket(Rate(1))
    gone = limit.reserve(0.0, is_gone=lambda: True)
    if sent:
        assert limit.begin(gone, 0.0)
    assert limit.reserve(0.5).ready_at == next_at


def test_who_begins_too_late_has_no_slot() -> None:
    limit = Bucket(Rate(1))
    late = limit.reserve(0.0, until=1.0)
    gave_up, heir, last = (limit.reserve(0.0, until=until) for until in (1.5, inf, inf))
    limit.collect(2.0)
    assert (gave_up.ready_at, heir.ready_at, last.ready_at) == (None, 2.0, None)
    assert limit.begin(late, 2.0) is False
    assert limit.begin(heir, 2.0) is True
    limit.release(late, 2.0)
    assert last.ready_at is None
    limit.release(heir, 2.0)
    assert last.ready_at == pytest.approx(3.0 + MARGIN)


def test_nothing_ends_where_nothing_is_held() -> None:
    limit = Bucket(Rate(1))
    assert limit.next_end() == inf
    limit.reserve(0.0, until=7.0)
    assert limit.next_end() == 7.0


def test_who_has_its_slot_already_is_woken_at_once() -> None:
    woken: list[int] = []
    Bucket(Rate(1)).reserve(0.0).on_grant(lambda: woken.append(1))
    assert woken == [1]


def test_a_slot_that_an_exception_lost_comes_back_a_window_later(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = Bucket(Rate(1))
    ticket = limit.reserve(0.0)

    def strike(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(heapq, "heappush", strike)
        with pytest.raises(KeyboardInterrupt):
            limit.release(ticket, 0.0)
    assert limit.reserve(5.0).ready_at == pytest.approx(5.0 + 1 + MARGIN)


def test_a_fork_leaves_neither_slots_nor_locks_behind() -> None:
    """What runs in the child; the parent's threads, which may hold a lock, are not there."""
    locked, over = threading.Event(), threading.Event()
    before = swap_buckets({})
    try:
        left = bucket(("x",), Rate(1), 0.0)

        def hold() -> None:
            with left._lock:
                locked.set()
                over.wait(10)

        thread = threading.Thread(target=hold)
        thread.start()
        locked.wait(10)
        limiter._after_fork()
        assert left.reserve(0.0).ready_at == 0.0
        assert thread.is_alive()
        assert bucket(("x",), Rate(1), 0.0) is not left
        over.set()
        thread.join()
    finally:
        swap_buckets(before)


def test_threads_do_not_lose_slots() -> None:
    limit = Bucket(Rate(5))

    def work() -> None:
        for _ in range(200):
            ticket = limit.reserve(0.0)
            if ticket.ready_at is None:
                limit.release(ticket, 0.0)
            else:
                finish(limit, ticket, -1.0)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [limit.reserve(0.0).ready_at is not None for _ in range(6)] == [True] * 5 + [False]


def test_clients_of_one_account_share_a_bucket_and_others_do_not() -> None:
    before = swap_buckets({})
    try:
        assert bucket(("a",), Rate(20), 0.0) is bucket(("a",), Rate(20), 0.0)
        assert bucket(("a",), Rate(20), 0.0) is not bucket(("b",), Rate(20), 0.0)
        documented = gates_of(RateLimit.documented(), ("url", "account"), "GET", "/x")
        assert documented[0].local(0.0) is not gates_of(RateLimit.documented(), ("url", "account"), "GET", "/y")[0].local(0.0)
        assert documented[1].local(0.0) is gates_of(RateLimit.documented(), ("url", "account"), "GET", "/y")[1].local(0.0)
        assert len(gates_of(RateLimit.gentle(), ("url", "account"), "GET", "/x")) == 1
        assert gates_of(RateLimit.off(), ("url", "account"), "GET", "/x") == ()
    finally:
        swap_buckets(before)


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/api/v1/things/17/parts/8f0c9a", "/api/v1/things/{}/parts/{}"),
        ("/api/v1/things/home.example.com", "/api/v1/things/{}"),
        ("/api/v1/things/8B7C2F3E-0000-4000-8000-000000000000", "/api/v1/things/{}"),
        ("/api/v1/things/%D0%B0", "/api/v1/things/{}"),
        ("/api/v1/things/new-parts", "/api/v1/things/new-parts"),
        ("/api/v1/k8s/things", "/api/v1/k8s/things"),
        ("/api/v1/servers/17", "/api/v1/servers/{server_id}"),
    ],
)
def test_raw_paths_share_a_limit_by_their_shape(path: str, shape: str) -> None:
    assert raw_call("GET", path, RawArguments({}, None)).operation.path == shape


def test_buckets_that_nobody_uses_are_dropped() -> None:
    buckets: dict[tuple[Any, ...], Bucket] = {}
    before = swap_buckets(buckets)
    assert before is not buckets
    try:
        blocked, held, queued = (bucket((name,), Rate(1), 0.0) for name in ("blocked", "held", "queued"))
        blocked.penalise(0.0, 3600.0)
        held.reserve(0.0)
        for _ in range(2):
            queued.reserve(0.0)
        for number in range(10_000):
            one = bucket((str(number),), Rate(20), number * 0.1)
            finish(one, one.reserve(number * 0.1), number * 0.1)
        assert len(buckets) < 2 * 60 / 0.1 + 100
        assert bucket(("blocked",), Rate(1), 1000.0) is blocked
        assert bucket(("held",), Rate(1), 1000.0) is held
        assert bucket(("queued",), Rate(1), 1000.0) is queued
    finally:
        assert swap_buckets(before) is buckets


@pytest.mark.parametrize(("unused", "left"), [(63, 64), (64, 1)])
def test_64_buckets_are_too_few_to_look_which_of_them_are_unused(
    unused: int, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limiter, "_sweep_at", limiter._FEW)
    buckets: dict[tuple[Any, ...], Bucket] = {}
    before = swap_buckets(buckets)
    try:
        for number in range(unused):
            bucket((str(number),), Rate(1), 0.0)
        bucket(("new",), Rate(1), 61.0)
        assert len(buckets) == left
    finally:
        swap_buckets(before)


@pytest.mark.parametrize(("idle", "dropped"), [(59.9, False), (60.0, True)])
def test_a_bucket_is_dropped_a_minute_after_its_last_use(idle: float, dropped: bool) -> None:
    limit = Bucket(Rate(2))
    limit.used_at = 100.0
    finish(limit, limit.reserve(100.0), 100.0)
    assert limit.is_unused(100.0 + idle) is dropped


@pytest.mark.parametrize(("requests", "seconds"), [(0, 1.0), (-3, 1.0), (5, 0.0), (1.5, 1.0), (1, nan), (1, inf), ("x", 1.0)])
def test_a_rate_that_lets_nothing_through_is_refused(requests: Any, seconds: float) -> None:
    with pytest.raises(ConfigurationError, match="at least one request"):
        Rate(requests, seconds)


@given(st.lists(st.tuples(st.sampled_from("abcde"), delays, delays), min_size=1, max_size=100), st.integers(1, 5), windows)
@settings(max_examples=100, deadline=None)
def test_many_accounts_keep_one_pace_and_take_turns(
    calls: list[tuple[str, float, float]], requests: int, seconds: float
) -> None:
    network = Network(Bucket(Rate(requests, seconds)))
    for account, there, back in calls:
        network.call(Caller(0.0, there, back, patience=100_000.0, account=account))
    network.run()
    assert len(network.arrivals) == len(calls)
    assert most_in_a_window(network.arrivals, seconds) <= requests

    # All want to go from the beginning. The first take what is free; from then on they take turns.
    left = Counter(account for account, *_ in calls[requests:])
    turn: set[str] = set()
    for _, moment in itertools.groupby(network.served[requests:], key=lambda one: one[0]):
        went = Counter(account for _, account in moment)
        while went:
            turn = turn or {account for account in left if left[account] > 0}
            now = turn & went.keys()
            assert now, f"{set(went)} went although it was the turn of {turn}"
            turn -= now
            went -= Counter(now)
            left -= Counter(now)


def test_who_gives_up_does_not_put_the_others_of_its_account_back() -> None:
    limit = Bucket(Rate(1))
    held = limit.reserve(0.0, group="a")
    gives_up, first, second = (limit.reserve(0.0, group=group) for group in ("a", "a", "b"))
    limit.release(gives_up, 0.0)
    finish(limit, held, 0.0)
    assert first.ready_at is not None
    assert second.ready_at is None


def test_accounts_share_the_gate_of_an_address_and_no_other() -> None:
    limit = RateLimit.documented().with_address(Rate(2))
    one, two, elsewhere = (
        gates_of(limit, account, "GET", "/x")
        for account in (("https://a/api", "one"), ("https://a", "two"), ("https://b", "one"))
    )
    assert [gate.key == other.key for gate, other in zip(one, two, strict=True)] == [False, False, True]
    assert [gate.group for gate in one] == ["", "", "one"]
    assert one[2].key != elsewhere[2].key
    assert len(gates_of(RateLimit.documented(), ("https://a", "one"), "GET", "/x")) == 2
