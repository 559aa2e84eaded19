"""The limit within a process: slots that are free again a window after the reply.

The server counts arrivals. When a request arrives is unknown here, but not later than its reply does. A slot that is
used again one window after the reply therefore never lets more arrive in any window than there are slots, however
slow or uneven the network is.
"""

import heapq
import os
import threading
from collections import deque
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from timeweb_sdk.limits import Rate

SLOW_FOR = 60.0
"""Seconds during which an endpoint goes at half its rate after a 429."""
_SLOWDOWN = 2.0
MARGIN = 0.002
"""Seconds. Timers and scheduling are not exact; two requests a hair less than a window apart would be one too many."""
ARRIVES_WITHIN = 15.0
"""Seconds. A request that has not arrived so long after it was sent (ten of them to connect) never does."""
LINGER = 0.1
"""Seconds after its deadline in which a call that still lives gives its slot back itself, which is more exact."""
_UNUSED_FOR = 60.0
"""Seconds after which a bucket that remembers nothing is dropped."""
_FEW = 64
"""Buckets that nobody minds."""


class Ticket:
    """A place in a bucket: `ready_at` says from when on the request may go; None while every slot is in use.

    It ends by itself whatever became of its holder: at `until`, or as soon as `is_gone` says that the holder, which has
    sent nothing yet, never will.
    """

    __slots__ = ("_wake", "group", "is_gone", "ready_at", "sent_at", "until")

    def __init__(self, until: float, is_gone: Callable[[], bool] | None, group: str) -> None:
        self.ready_at: float | None = None
        self.sent_at: float | None = None
        self.until = until
        self.is_gone = is_gone
        self.group = group
        self._wake: Callable[[], object] | None = None

    def grant(self, ready_at: float) -> None:
        self.ready_at = ready_at
        if self._wake is not None:
            self._wake()

    def on_grant(self, wake: Callable[[], object]) -> None:
        """Call `wake` when a slot is found. It may run in any thread, and runs at once if there is a slot already."""
        self._wake = wake
        if self.ready_at is not None:
            wake()

    def ends_at(self, window: float) -> float:
        """When the slot comes back although nobody releases it."""
        if self.sent_at is None:
            return self.until
        return min(max(self.until + LINGER, self.sent_at + window), self.sent_at + ARRIVES_WITHIN + window)

    def is_over(self, now: float, window: float) -> bool:
        # What was sent arrives in its own time, although nobody waits for the reply any more.
        return now >= self.ends_at(window) or (self.sent_at is None and self.is_gone is not None and self.is_gone())


class _Queue:
    """Who waits for a slot: the groups take turns; within a group it is first come, first served."""

    def __init__(self) -> None:
        self._groups: dict[str, deque[Ticket]] = {}

    def __bool__(self) -> bool:
        return bool(self._groups)

    def append(self, ticket: Ticket) -> None:
        self._groups.setdefault(ticket.group, deque()).append(ticket)

    def first(self) -> Ticket:
        return next(iter(self._groups.values()))[0]

    def discard(self, ticket: Ticket) -> None:
        tickets = self._groups.get(ticket.group)
        if tickets is not None and ticket in tickets:
            tickets.remove(ticket)
            if not tickets:
                del self._groups[ticket.group]

    def end_turn(self, ticket: Ticket) -> None:
        """Drop a ticket; the others of its group come after all other groups."""
        self.discard(ticket)
        if ticket.group in self._groups:
            self._groups[ticket.group] = self._groups.pop(ticket.group)


class Bucket:
    """The slots of one limit. Knows no clock: every method is told the time.

    A slot is free or held. One that is neither, because an exception struck in between, comes back a window later.
    """

    def __init__(self, rate: "Rate") -> None:
        self.window = rate.seconds + MARGIN
        # Reentrant: the garbage collector closes calls that were dropped, at any moment and in any thread.
        self._lock = threading.RLock()
        self._slots = rate.requests
        self._free: list[float] = [-inf] * rate.requests
        self._held: set[Ticket] = set()
        self._queue = _Queue()
        self._blocked_until = -inf
        self._slow_until = -inf
        self.used_at = -inf

    def reserve(self, now: float, until: float = inf, is_gone: Callable[[], bool] | None = None, group: str = "") -> Ticket:
        """Take the slot that is free first, or a place in the queue for one; neither outlasts `until`."""
        ticket = Ticket(until, is_gone, group)
        with self._lock:
            if not self._free:
                self.collect(now)
            if self._free:
                self._hold(ticket, now)
            else:
                self._queue.append(ticket)
        return ticket

    def not_before(self, ticket: Ticket) -> float:
        """From when on the holder of a granted ticket may send, with what neighbours have learnt meanwhile."""
        ready_at = ticket.ready_at
        assert ready_at is not None
        return max(ready_at, self._blocked_until)

    def begin(self, ticket: Ticket, now: float) -> bool:
        """The request is sent now; False if the slot has ended before that."""
        with self._lock:
            if ticket not in self._held:
                return False
            ticket.sent_at = now
            return True

    def release(self, ticket: Ticket, now: float) -> None:
        """The attempt is over, however it ended: a slot that served is free a window from now, else it is as it was."""
        with self._lock:
            if ticket in self._held:
                window = self.window * _SLOWDOWN if now < self._slow_until else self.window
                self._put_back(ticket, now + window)
                self._serve(now)
            else:
                self._queue.discard(ticket)

    def collect(self, now: float) -> None:
        """Take back what has ended by itself, for those who wait."""
        with self._lock:
            for ticket in [ticket for ticket in self._held if ticket.is_over(now, self.window)]:
                self._put_back(ticket, ticket.ends_at(self.window))
            for _ in range(self._slots - len(self._free) - len(self._held)):
                heapq.heappush(self._free, now + self.window)
            self._serve(now)

    def next_end(self) -> float:
        """When the first of the slots in use ends by itself."""
        with self._lock:
            return min((ticket.ends_at(self.window) for ticket in self._held), default=inf)

    def penalise(self, now: float, wait: float) -> None:
        """The server said 429: nobody goes for `wait` seconds, and everybody slower for a minute."""
        self._blocked_until = max(self._blocked_until, now + wait)
        self._slow_until = now + SLOW_FOR

    def is_unused(self, now: float) -> bool:
        """Whether nobody would miss it: a new bucket would do the same."""
        with self._lock:
            until = max(self.used_at + _UNUSED_FOR, self._blocked_until, self._slow_until, *self._free)
            return now >= until and len(self._free) == self._slots and not self._queue

    def recover_after_fork(self) -> None:
        """The lock may have been held by a thread that does not exist in this process."""
        self._lock = threading.RLock()

    # Whatever strikes between two lines: a slot is rather lost for a window than given out twice.

    def _hold(self, ticket: Ticket, now: float) -> None:
        ready_at = max(heapq.heappop(self._free), now)
        self._held.add(ticket)
        ticket.grant(ready_at)

    def _put_back(self, ticket: Ticket, free_at: float) -> None:
        self._held.discard(ticket)
        if len(self._free) + len(self._held) < self._slots:
            as_it_was = ticket.ready_at if ticket.sent_at is None else None
            heapq.heappush(self._free, free_at if as_it_was is None else as_it_was)

    def _serve(self, now: float) -> None:
        while self._free and self._queue:
            heir = self._queue.first()
            if heir.ready_at is None and not heir.is_over(now, self.window):
                try:
                    self._hold(heir, now)
                except RuntimeError:  # its event loop was closed just now
                    self._put_back(heir, now)
            self._queue.end_turn(heir)


_Buckets = dict[tuple[Any, ...], Bucket]
_buckets: _Buckets = {}
_buckets_lock = threading.RLock()
_sweep_at = _FEW
"""How many buckets there are when it is time to look for those that nobody uses."""


def bucket(key: tuple[str, ...], rate: "Rate", now: float) -> Bucket:
    """Return the bucket that everybody in this process shares under `key`, for use at once."""
    with _buckets_lock:
        found = _buckets.get((key, rate))
        if found is None:
            _drop_unused(now)
            found = _buckets[key, rate] = Bucket(rate)
        found.used_at = now
        return found


def _drop_unused(now: float) -> None:
    global _sweep_at
    if len(_buckets) >= _sweep_at:
        for key in [key for key, found in _buckets.items() if found.is_unused(now)]:
            del _buckets[key]
        _sweep_at = max(_FEW, 2 * len(_buckets))


def swap_buckets(buckets: _Buckets) -> _Buckets:
    global _buckets
    before, _buckets = _buckets, buckets
    return before


def _after_fork() -> None:
    # Slots are held by threads that do not exist here.
    global _buckets_lock
    _buckets_lock = threading.RLock()
    for left in _buckets.values():  # a call may be going on in this very thread
        left.recover_after_fork()
    _buckets.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
