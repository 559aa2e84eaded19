"""Both sides of figures of the page that need no browser."""

from __future__ import annotations

import asyncio
import selectors
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from crm_adapter.web.candidates import Listing
from crm_adapter.web.context import Hosting
from crm_adapter.web.errors import HostingError


@pytest.mark.parametrize(
    ("ago", "failures", "old"),
    [(None, {}, False), (59, {}, False), (61, {}, True), (0, {}, False), (0, {"main": HostingError(502, "x", "x")}, True)],
)
def test_a_list_serves_the_dialogs_for_a_minute_unless_an_account_is_missing(
    ago: float | None, failures: dict[str, HostingError], old: bool
) -> None:
    listing = Listing(cast("Any", None))
    listing.ended = None if ago is None else time.monotonic() - ago
    listing.failures = failures
    assert listing.is_old is old


class Leaping(asyncio.SelectorEventLoop):
    """A loop whose clock leaps to whatever is waited for."""

    def __init__(self) -> None:
        super().__init__(_Selector(self))
        self.leapt = 0.0

    def time(self) -> float:
        return self.leapt


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: Leaping) -> None:
        super().__init__()
        self.loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.loop.leapt += timeout or 0
        return super().select(0)


@pytest.mark.parametrize(("seconds", "told"), [(24.9, "the report"), (25.1, None)])
def test_a_click_waits_25_s_for_its_sync(seconds: float, told: str | None) -> None:
    """Given a sync of so long; when somebody starts it; then the reply holds its report, or comes after 25 s without."""

    def start(_: str | None) -> asyncio.Task[str]:
        return asyncio.create_task(asyncio.sleep(seconds, "the report"))

    async def click() -> object:
        hosting = SimpleNamespace(require_timeweb=lambda: None, start=start)
        return await Hosting.sync_all(cast("Any", hosting), None)

    with asyncio.Runner(loop_factory=Leaping) as runner:
        assert runner.run(click()) == told
