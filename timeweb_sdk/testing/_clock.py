"""Clocks that tests can move."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What the emulator asks of a clock: the account's UTC time, a monotonic one, and a way to wait."""

    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...
    def advance(self, seconds: float) -> None: ...
    def sleep(self, seconds: float) -> None: ...
    async def asleep(self, seconds: float) -> None: ...


class RealClock:
    """Real time; `advance` moves the account's calendar ahead and leaves the monotonic clock (the rate limit) alone."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def monotonic(self) -> float:
        return time.monotonic()

    def advance(self, seconds: float) -> None:
        self._ahead += timedelta(seconds=seconds)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    async def asleep(self, seconds: float) -> None:
        import asyncio  # which a synchronous test does not need

        await asyncio.sleep(seconds)


class FakeClock:
    """A clock that stands still until somebody sleeps on it or advances it.

    >>> clock = FakeClock()
    >>> clock.sleep(90)
    >>> clock.monotonic(), clock.now().isoformat()
    (90.0, '2026-06-01T12:01:30+00:00')
    """

    def __init__(self, start: datetime = datetime(2026, 6, 1, 12, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed = 0.0
        self.slept: list[float] = []
        """Every wait asked for, in seconds, in order."""

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    def time(self) -> float:
        """Seconds since the epoch, like `time.time`."""
        return self.now().timestamp()

    def advance(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError(f"a clock cannot go back: advance({seconds!r}) needs a non-negative number of seconds")
        self._elapsed += seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(max(seconds, 0.0))

    async def asleep(self, seconds: float) -> None:
        import asyncio

        self.sleep(seconds)
        await asyncio.sleep(0)


def iso(moment: datetime) -> str:
    """UTC with milliseconds and a `Z`, as the API writes most of its dates."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
