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
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from timeweb_sdk.limits import Rate

SLOW_FOR = 60.0
"""Seconds during which an endpoint goes at half its rate after a 429."""
_SLOWDOWN = 2.0
MARGIN = 0.002
"""Seconds. Timers and scheduling are not exact; two requests a hair less than a window apart would be one too many."""


class Ticket:
    """A place in a bucket: `ready_at` says from when on the request may go; None while every slot is in use."""

    __slots__ = ("_wake", "ready_at")

    def __init__(self, ready_at: float | None, wake: Callable[[], object] | None = None) -> None:
        self.ready_at = ready_at
        self._wake = wake

    def grant(self, ready_at: float) -> None:
        self.ready_at = ready_at
        if self._wake is not None:
            self._wake()

    def on_grant(self, wake: Callable[[], object]) -> None:
        """Call `wake` when a slot is found. It may run in any thread, and runs at once if there is a slot already."""
        self._wake = wake
        if self.ready_at is not None:
            wake()


class Bucket:
    """The slots of one limit. Knows no clock: every method is told the time."""

    def __init__(self, rate: "Rate") -> None:
        self.window = rate.seconds + MARGIN
        self._lock = threading.Lock()
        self._free: list[float] = [float("-inf")] * rate.requests
        self._queue: deque[Ticket] = deque()
        self._blocked_until = float("-inf")
        self._slow_until = float("-inf")

    def reserve(self, now: float) -> Ticket:
        """Take the slot that is free first, or a place in the queue for one."""
        with self._lock:
            if self._free:
                return Ticket(max(heapq.heappop(self._free), now))
            ticket = Ticket(None)
            self._queue.append(ticket)
            return ticket

    def not_before(self, ticket: Ticket) -> float:
        """From when on the holder of a granted ticket may send, with what neighbours have learnt meanwhile."""
        ready_at = ticket.ready_at
        assert ready_at is not None
        return max(ready_at, self._blocked_until)

    def settle(self, ticket: Ticket, now: float) -> None:
        """The request was replied to, failed or was cancelled after it may have been sent."""
        window = self.window * _SLOWDOWN if now < self._slow_until else self.window
        self._put_back(ticket, now + window)

    def give_back(self, ticket: Ticket) -> None:
        """The request was not sent: the slot is as it was."""
        with self._lock:
            if ticket.ready_at is None:
                if ticket in self._queue:
                    self._queue.remove(ticket)
                return
        self._put_back(ticket, ticket.ready_at)

    def _put_back(self, ticket: Ticket, free_at: float) -> None:
        with self._lock:
            while self._queue:
                heir = self._queue.popleft()
                try:
                    heir.grant(free_at)
                except RuntimeError:  # the event loop of that task is closed: it cannot go any more
                    heir.ready_at = None
                    continue
                return
            heapq.heappush(self._free, free_at)

    def penalise(self, now: float, wait: float) -> None:
        """The server said 429: nobody goes for `wait` seconds, and everybody slower for a minute."""
        self._blocked_until = max(self._blocked_until, now + wait)
        self._slow_until = now + SLOW_FOR


_Buckets = dict[tuple[Any, ...], Bucket]
_buckets: _Buckets = {}
_buckets_lock = threading.Lock()


def bucket(key: tuple[str, ...], rate: "Rate") -> Bucket:
    """Return the bucket that everybody in this process shares under `key`."""
    found = _buckets.get((key, rate))
    if found is None:
        with _buckets_lock:
            found = _buckets.setdefault((key, rate), Bucket(rate))
    return found


def swap_buckets(buckets: _Buckets) -> _Buckets:
    global _buckets
    before, _buckets = _buckets, buckets
    return before


def _after_fork() -> None:
    # Locks may have been held and slots be in use by threads that do not exist here.
    global _buckets_lock
    _buckets_lock = threading.Lock()
    _buckets.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
