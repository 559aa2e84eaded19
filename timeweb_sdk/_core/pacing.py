"""Going through the limits: first that of the endpoint, then that of all endpoints together."""

from dataclasses import dataclass, field
from functools import partial

from timeweb_sdk._core.clock import Clock
from timeweb_sdk._core.commands import AwaitGrant, RoundTrip, Sleep
from timeweb_sdk._core.limiter import Bucket, Ticket, bucket
from timeweb_sdk._core.redis_store import RedisBucket, new_member
from timeweb_sdk.errors import DeadlineExceeded
from timeweb_sdk.limits import Rate, RateLimit

_LONGEST_BLOCK = 3600.0
"""Seconds. A `Retry-After` of years, from a clock that is wrong, shall not close an endpoint for the life of a process."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One limit: its slots in this process and, if it is shared, in Redis."""

    local: Bucket
    shared: RedisBucket | None

    async def penalise(self, now: float, wait: float, deadline: float) -> None:
        """Make everybody at this gate wait, and go slower for a while."""
        wait = min(wait, _LONGEST_BLOCK)
        self.local.penalise(now, wait)
        if self.shared is not None:
            await RoundTrip(partial(self.shared.penalise, wait), deadline)


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

    async def sleep(self, seconds: float) -> None:
        """Wait, unless that would pass the deadline."""
        if seconds <= 0:
            return
        if self.clock.monotonic() + seconds > self.deadline:
            raise DeadlineExceeded(
                f"the rate limit asks to wait {seconds:.1f} s, which passes total_timeout={self.total:g} s", asked=seconds
            )
        self.waited += seconds
        await Sleep(seconds)

    async def await_grant(self, ticket: Ticket) -> None:
        """Wait until one of the requests under way is over."""
        before = self.clock.monotonic()
        granted = await AwaitGrant(ticket, self.deadline - before)
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

    async def acquire(self) -> None:
        """Take a slot at every gate and wait until all are ready. Nothing stays taken when that fails."""
        try:
            for gate in self.gates:
                await self._pass_local(gate.local)
                if gate.shared is not None:
                    await self._pass_shared(gate.shared)
        except BaseException:
            await self._give_back()
            raise

    async def _pass_local(self, limit: Bucket) -> None:
        clock = self.pace.clock
        ticket = limit.reserve(clock.monotonic())
        self._local.append((limit, ticket))
        if ticket.ready_at is None:
            await self.pace.await_grant(ticket)
        # Again after each sleep: a neighbour may have been told to wait meanwhile.
        while (wait := limit.not_before(ticket) - clock.monotonic()) > 0:
            await self.pace.sleep(wait)

    async def _pass_shared(self, limit: RedisBucket) -> None:
        member = new_member()
        reserve = RoundTrip(partial(limit.reserve, member), self.pace.deadline, needed=True)
        while True:
            reserved, wait = await reserve
            if reserved:
                self._shared.append((limit, member, self.pace.clock.monotonic() + wait))
            self.pace.check()
            await self.pace.sleep(wait)
            if reserved:
                return

    async def settle(self) -> None:
        """The request is over: each slot is free again one window from now."""
        now = self.pace.clock.monotonic()
        for limit, ticket in self._local:
            limit.settle(ticket, now)
        for shared, member, _ in self._shared:
            await RoundTrip(partial(shared.settle, member), self.pace.deadline)

    async def _give_back(self) -> None:
        for limit, ticket in self._local:
            limit.give_back(ticket)
        now = self.pace.clock.monotonic()
        for shared, member, ready_at in self._shared:
            await RoundTrip(partial(shared.give_back, member, max(ready_at - now, 0.0)), self.pace.deadline)
