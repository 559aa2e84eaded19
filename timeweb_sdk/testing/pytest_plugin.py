"""Fixtures for pytest, by `pytest_plugins = ["timeweb_sdk.testing.pytest_plugin"]` in the top `conftest.py`.

`timeweb_state` is what the account holds at first; define a fixture of that name to hold something else.
`@pytest.mark.timeweb_scenario("out_of_money")` puts a test into another of the `SCENARIOS`.
`timeweb_clock` stands still until it is advanced or slept on; pacing, retries and waiters of the SDK run on it too.
`timeweb_emulator` is the account. `timeweb_client` and `timeweb_async_client` talk to it without a socket.
`timeweb_server` is its address on a real socket, with real time, for code in other processes; `TIMEWEB_BASE_URL` and
`TIMEWEB_API_TOKEN` lead there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from timeweb_sdk import AsyncTimeweb, Timeweb
from timeweb_sdk.testing import SCENARIOS, Emulator, EmulatorServer, FakeClock, Scenario, State, use_clock


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "timeweb_scenario(name): the emulated account is in this scenario, e.g. 'half_gone'")


def _scenario(request: pytest.FixtureRequest) -> Scenario:
    marker = request.node.get_closest_marker("timeweb_scenario")
    name = marker.args[0] if marker else "demo"
    if name not in SCENARIOS:
        raise pytest.UsageError(f"unknown scenario {name!r}; there are: {', '.join(SCENARIOS)}")
    return SCENARIOS[name]


@pytest.fixture
def timeweb_state(request: pytest.FixtureRequest) -> State:
    """The document that the emulated account starts with: 23 servers, and one of everything else."""
    return _scenario(request).state()


@pytest.fixture
def timeweb_clock() -> Iterator[FakeClock]:
    """The time of the emulator and of the SDK; `timeweb_emulator.advance(seconds)` moves it."""
    clock = FakeClock()
    with use_clock(clock):
        yield clock


@pytest.fixture
def timeweb_emulator(request: pytest.FixtureRequest, timeweb_state: State, timeweb_clock: FakeClock) -> Emulator:
    """An emulated account of its own for each test."""
    return replace(_scenario(request), state=lambda: timeweb_state).emulator(clock=timeweb_clock)


@pytest.fixture
def timeweb_client(timeweb_emulator: Emulator) -> Iterator[Timeweb]:
    """A client of the emulated account."""
    with timeweb_emulator.client() as client:
        yield client


@pytest.fixture
def timeweb_async_client(timeweb_emulator: Emulator) -> AsyncTimeweb:
    """An asynchronous client of the emulated account; it holds no connection that needs closing."""
    return timeweb_emulator.async_client()


@pytest.fixture
def timeweb_server(request: pytest.FixtureRequest, timeweb_state: State, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an account on a socket, without rate limit; the environment leads there."""
    emulator = replace(_scenario(request), state=lambda: timeweb_state).emulator(rate_limit=False)
    with EmulatorServer(emulator) as server:
        monkeypatch.setenv("TIMEWEB_BASE_URL", server.url)
        monkeypatch.setenv("TIMEWEB_API_TOKEN", str(emulator.token))
        yield server.url
