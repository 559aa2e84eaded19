"""Going through the limits: first that of the endpoint, then that of all endpoints together, then that of the address."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import Self

from timeweb_sdk._core.clock import Clock
from timeweb_sdk._core.commands import AwaitGrant, RoundTrip, Sleep
from timeweb_sdk._core.limiter import Bucket, Ticket, bucket
from timeweb_sdk._core.redis_store import FRESH_FOR, RedisBucket, new_member
from timeweb_sdk.errors import DeadlineExceeded
from timeweb_sdk.limits import Rate, RateLimit

_LONGEST_BLOCK = 3600.0
"""Seconds. A `Retry-After` of years, from a clock that is wrong, shall not close an endpoint for the life of a process."""
_LOOK_EVERY = 1.0
"""Seconds. Who waits looks so often whether those before it can still go on."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One limit: its slots in this process and, if it is shared, in Redis."""

    key: tuple[str, ...]
    rate: Rate
    shared: RedisBucket | None
    group: str = ""
    """Whose turn it is: those of several groups take turns."""

    def local(self, now: float) -> Bucket:
        return bucket(self.key, self.rate, now)

    async def penalise(self, now: float, wait: float, deadline: float) -> None:
        """Make everybody at this gate wait, and go slower for a while."""
        wait = min(wait, _LONGEST_BLOCK)
        self.local(now).penalise(now, wait)
        if self.shared is not None:
            await RoundTrip(partial(self.shared.penalise, wait), deadline)


def gates_of(limit: RateLimit, account: tuple[str, str], method: str, path: str) -> tuple[Gate, ...]:
    """Return the gates that a call to this endpoint passes; the endpoint's own comes first."""
    url, name = account
    address = ("address", url.partition("://")[2].partition("/")[0])
    wanted = (
        (limit.per_endpoint, (*account, method, path), ""),
        (limit.overall, account, ""),
        (limit.per_address, address, name),
    )
    store = limit.store
    return tuple(
        Gate(key, rate, store.bucket(key, rate) if store is not None else None, group)
        for rate, key, group in wanted
        if rate is not None
    )


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

    def stand_still(self, seconds: float) -> None:
        """Take the time of something that is bounded otherwise out of the account."""
        self.started += seconds
        self.deadline += seconds

    def check(self) -> None:
        """Raise if there is no time left to send anything."""
        if self.clock.monotonic() >= self.deadline:
            raise self.used_up()

    def used_up(self) -> DeadlineExceeded:
        return DeadlineExceeded(f"the rate limit took all of total_timeout={self.total:g} s", asked=self.total)

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

    async def await_grant(self, limit: Bucket, ticket: Ticket) -> None:
        """Wait until one of the requests under way is over, or has ended by itself."""
        began = now = self.clock.monotonic()
        while ticket.ready_at is None:
            if now >= self.deadline:
                raise DeadlineExceeded(
                    f"the rate limit had no free slot within total_timeout={self.total:g} s", asked=self.total
                )
            look = min(self.deadline, now + _LOOK_EVERY, max(limit.next_end(), now))
            granted = await AwaitGrant(ticket, look - now)
            # The wait is real also where a clock of a test stands still.
            now = self.clock.monotonic() if granted else max(self.clock.monotonic(), look)
            limit.collect(now)
        self.waited += now - began


@dataclass(slots=True)
class _Lease:
    """A slot in Redis, or a request for one."""

    slots: RedisBucket
    member: str = field(default_factory=new_member)
    ready_at: float = -inf

    def end(self, now: float, sent: bool) -> None:
        if sent:
            self.slots.settle(self.member)
        else:
            self.slots.give_back(self.member, max(self.ready_at - now, 0.0))


@dataclass(slots=True)
class Permit:
    """The slots that one attempt holds, from `acquire` to the end of the `async with`."""

    gates: tuple[Gate, ...]
    pace: Pace
    is_gone: Callable[[], bool] | None = None
    """Whether whoever makes the call can never go on."""
    _held: list[tuple[Bucket, Ticket]] = field(default_factory=list[tuple[Bucket, Ticket]])
    _leases: list[_Lease] = field(default_factory=list[_Lease])
    _sent: bool = False

    async def acquire(self) -> None:
        """Take a slot at every gate and wait until all are ready."""
        for gate in self.gates:
            await self._pass(gate)
        for gate in self.gates:
            if gate.shared is not None:
                self._leases.append(_Lease(gate.shared))
                await self._obtain(self._leases[-1])
        # Leases are short, and the way through the other gates may have been long.
        while self._leases and (
            stale := [lease for lease in self._leases if self.pace.clock.monotonic() > lease.ready_at + FRESH_FOR]
        ):
            for lease in stale:
                await self._obtain(lease)

    def begin(self, now: float) -> None:
        """The request is sent now. Raises DeadlineExceeded if a slot has ended before, as its holder slept for too long."""
        for limit, ticket in self._held:
            if not limit.begin(ticket, now):
                raise self.pace.used_up()
        self._sent = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        now = self.pace.clock.monotonic()
        for limit, ticket in self._held:
            limit.release(ticket, now)
        if kind is GeneratorExit:  # nobody carries out commands any more: leases end by themselves
            return
        for lease in self._leases:
            await RoundTrip(partial(lease.end, now, self._sent), self.pace.deadline)

    async def _pass(self, gate: Gate) -> None:
        clock = self.pace.clock
        limit = gate.local(now := clock.monotonic())
        ticket = limit.reserve(now, self.pace.deadline, self.is_gone, gate.group)
        self._held.append((limit, ticket))
        if ticket.ready_at is None:
            await self.pace.await_grant(limit, ticket)
        # Again after each sleep: a neighbour may have been told to wait meanwhile.
        while (wait := limit.not_before(ticket) - clock.monotonic()) > 0:
            await self.pace.sleep(wait)

    async def _obtain(self, lease: _Lease) -> None:
        """Take a slot, or make the lease of one that is held a new one, and wait until it is ready."""
        clock, deadline = self.pace.clock, self.pace.deadline
        while True:
            left = deadline - clock.monotonic()
            ask: RoundTrip[tuple[bool, float]] = RoundTrip(
                partial(lease.slots.reserve, lease.member, left), deadline, needed=True
            )
            reserved, wait = await ask
            if reserved:
                lease.ready_at = clock.monotonic() + wait
            self.pace.check()
            await self.pace.sleep(wait)
            if reserved:
                return
