from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sdk.stub_server import StubServer, stub_server
from tests.sdk.worlds import WORLDS, SkippingClock, World
from timeweb_sdk._core import clock as clocks


@pytest.fixture
def server() -> Iterator[StubServer]:
    with stub_server() as running:
        yield running


@pytest.fixture
def clock() -> Iterator[SkippingClock]:
    """Waits take no time in the test, and limits start empty."""
    skipping = SkippingClock()
    with clocks.use(skipping):
        yield skipping


@pytest.fixture(params=WORLDS, ids=repr)
def world(request: pytest.FixtureRequest) -> World:
    chosen: World = request.param
    return chosen


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of whoever runs the tests decides nothing."""
    for name in (
        "TIMEWEB_API_TOKEN",
        "TIMEWEB_CLOUD_TOKEN",
        "TWC_TOKEN",
        "TIMEWEB_BASE_URL",
        "TIMEWEB_ALLOW_HTTP",
        "TIMEWEB_HTTP_CLIENT",
        "TIMEWEB_LOG",
    ):
        monkeypatch.delenv(name, raising=False)
