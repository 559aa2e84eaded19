"""The four ways to make a call, so that one test covers them all: sync and async, on httpx and on httpx2."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any

from timeweb_sdk import AsyncTimeweb, Timeweb

TOKEN = "eyJ-test-token-0123456789"


class SkippingClock:
    """Real time, except that nobody sleeps: a sleep is written down, and the clock is that much later."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._skipped = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self._skipped

    def time(self) -> float:
        return time.time() + self._skipped

    def sleep(self, seconds: float, /) -> None:
        self.slept.append(seconds)
        self._skipped += seconds

    async def asleep(self, seconds: float, /) -> None:
        self.sleep(seconds)
        await asyncio.sleep(0)


class World:
    """A kind of client."""

    def __init__(self, asynchronous: bool, library: str) -> None:
        self.asynchronous = asynchronous
        self.library = library

    def __repr__(self) -> str:
        return f"{'async' if self.asynchronous else 'sync'}-{self.library}"

    def run(self, use: Callable[[Any], Any], **options: Any) -> Any:
        """Make a client, give it to `use` and return what that returns, awaited if need be."""
        options = {"token": TOKEN, "http_client": self.library, **options}
        if self.asynchronous:
            return asyncio.run(self._arun(use, options))
        with Timeweb(**options) as client:
            return use(client)

    async def _arun(self, use: Callable[[Any], Any], options: dict[str, Any]) -> Any:
        async with AsyncTimeweb(**options) as client:
            result = use(client)
            return await result if inspect.isawaitable(result) else result


WORLDS = [World(asynchronous, library) for library in ("httpx", "httpx2") for asynchronous in (False, True)]
