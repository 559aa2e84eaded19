"""Time, in one place, so that tests can move it."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol


class Clock(Protocol):
    """What pacing and retries need of time; all in seconds."""

    def monotonic(self) -> float: ...
    def time(self) -> float:
        """Seconds since the epoch: `Retry-After` may name a date."""
        ...

    def sleep(self, seconds: float, /) -> None: ...
    async def asleep(self, seconds: float, /) -> None: ...


class SystemClock:
    """Real time."""

    def monotonic(self) -> float:
        return time.monotonic()

    def time(self) -> float:
        return time.time()

    def sleep(self, seconds: float, /) -> None:
        time.sleep(seconds)

    async def asleep(self, seconds: float, /) -> None:
        import asyncio  # which a synchronous client does not need

        await asyncio.sleep(seconds)


_current: Clock = SystemClock()


def current() -> Clock:
    return _current


@contextmanager
def use(clock: Clock) -> Generator[None]:
    """Run pacing and retries of this process on another clock, with limits that start empty."""
    from timeweb_sdk._core import limiter

    global _current
    before, _current = _current, clock
    limits = limiter.swap_buckets({})
    try:
        yield
    finally:
        _current = before
        limiter.swap_buckets(limits)
