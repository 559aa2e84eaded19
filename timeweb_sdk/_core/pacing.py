"""Going through the limits: first that of the endpoint, then that of all endpoints together."""

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

from timeweb_sdk._core.clock import Clock
from timeweb_sdk._core.commands import AwaitGrant, Command, RoundTrip, Sleep
from timeweb_sdk._core.limiter import Bucket, Ticket, bucket
from timeweb_sdk._core.redis_store import RedisBucket, new_member
from timeweb_sdk.errors import DeadlineExceeded
from timeweb_sdk.limits import Rate, RateLimit

Steps = Generator[Command, Any, None]

_LONGEST_BLOCK = 3600.0
"""Seconds. A `Retry-After` of years, from a clock that is wrong, shall not close an endpoint for the life of a process."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One limit: its slots in this process and, if it is shared, in Redis."""

    local: Bucket
    shared: RedisBucket | None

    def penalise(self, now: float, wait: float, deadline: float) -> Steps:
        """Make everybody at this gate wait, and go slower for a while."""
        wait = min(wait, _LONGEST_BLOCK)
        self.local.penalise(now, wait)
        if self.shared is not None:
            shared = self.shared
            yield RoundTrip(lambda: shared.penalise(wait), deadline)


def gates_of(limit: RateLimit, account: tuple[str, ...], method: str, path: str) -> tuple[Gate, ...]:
    """Return the gates that a call to this endpoint passes; the endpoint's own comes first."""
    wanted = ((limit.per_endpoint, (*account, method, path)), (limit.overall, account))
    return tuple(_gate(limit, key, rate) for rate, key in wanted if rate is not None)


def _gate(limit: RateLimit, key: tuple[str, ...], rate: Rate) -> Gate:
    return Gate(bucket(key, rate), limit.store.bucket(key, rate) if limit.store is not None else None)


@dataclass(slots=True)
class Pace:
    """The time of one call."""

    clock: Clock
    total: float
    started: float = 0.0
    deadline: float = 0.0
    waited: float = 0.0

    def __post_init__(self) -> None:
        self.started = self.clock.monotonic()
        self.deadline = self.started + self.total

    def check(self) -> None:
        """Raise if there is no time left to send anything."""
        if self.clock.monotonic() >= self.deadline:
            raise DeadlineExceeded(f"the rate limit took all of total_timeout={self.total:g} s", asked=self.total)

    def sleep(self, seconds: float) -> Steps:
        """Wait, unless that would pass the deadline."""
        if seconds <= 0:
            return
        if self.clock.monotonic() + seconds > self.deadline:
            raise DeadlineExceeded(
                f"the rate limit asks to wait {seconds:.1f} s, which passes total_timeout={self.total:g} s", asked=seconds
            )
        self.waited += seconds
        yield Sleep(seconds)

    def await_grant(self, ticket: Ticket) -> Steps:
        """Wait until one of the requests under way is over."""
        before = self.clock.monotonic()
        granted = yield AwaitGrant(ticket, self.deadline - before)
        self.waited += self.clock.monotonic() - before
        if not granted:
            raise DeadlineExceeded(f"the rate limit had no free slot within total_timeout={self.total:g} s", asked=self.total)


@dataclass(slots=True)
class Permit:
    """The slots that one request holds."""

    gates: tuple[Gate, ...]
    pace: Pace
    _local: list[tuple[Bucket, Ticket]] = field(default_factory=list[tuple[Bucket, Ticket]])
    _shared: list[tuple[RedisBucket, str, float]] = field(default_factory=list[tuple[RedisBucket, str, float]])

    def acquire(self) -> Steps:
        """Take a slot at every gate and wait until all are ready. Nothing stays taken when that fails."""
        try:
            for gate in self.gates:
                yield from self._pass_local(gate.local)
                if gate.shared is not None:
                    yield from self._pass_shared(gate.shared)
        except BaseException:
            yield from self._give_back()
            raise

    def _pass_local(self, limit: Bucket) -> Steps:
        clock = self.pace.clock
        ticket = limit.reserve(clock.monotonic())
        self._local.append((limit, ticket))
        if ticket.ready_at is None:
            yield from self.pace.await_grant(ticket)
        # Again after each sleep: a neighbour may have been told to wait meanwhile.
        while (wait := limit.not_before(ticket) - clock.monotonic()) > 0:
            yield from self.pace.sleep(wait)

    def _pass_shared(self, limit: RedisBucket) -> Steps:
        member = new_member()
        while True:
            reserved, wait = yield RoundTrip(lambda: limit.reserve(member), self.pace.deadline, needed=True)
            if reserved:
                self._shared.append((limit, member, self.pace.clock.monotonic() + wait))
            self.pace.check()
            yield from self.pace.sleep(wait)
            if reserved:
                return

    def settle(self) -> Steps:
        """The request is over: each slot is free again one window from now."""
        now = self.pace.clock.monotonic()
        for limit, ticket in self._local:
            limit.settle(ticket, now)
        for shared, member, _ in self._shared:
            yield RoundTrip(lambda shared=shared, member=member: shared.settle(member), self.pace.deadline)  # type: ignore[misc]

    def _give_back(self) -> Steps:
        for limit, ticket in self._local:
            limit.give_back(ticket)
        now = self.pace.clock.monotonic()
        for shared, member, ready_at in self._shared:
            yield RoundTrip(lambda s=shared, m=member, r=ready_at: s.give_back(m, max(r - now, 0.0)), self.pace.deadline)  # type: ignore[misc]
