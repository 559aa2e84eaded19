"""A raw HTTP client on a real socket: what the emulator says is judged by its bytes, not by our own SDK."""

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from timeweb_sdk.testing import Emulator, EmulatorServer, FakeClock, demo_state

TOKEN = "emulator-token"


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """Requests by http.client, one connection each."""

    def __init__(self, url: str) -> None:
        self._host = urlsplit(url).netloc

    def __call__(
        self, method: str, path: str, body: Any = None, *, token: str | None = TOKEN, headers: dict[str, str] | None = None
    ) -> Reply:
        connection = http.client.HTTPConnection(self._host, timeout=10)
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        try:
            connection.request(method, path, data, sent)
            response = connection.getresponse()
            return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def emulator(clock: FakeClock) -> Emulator:
    return Emulator(demo_state(), clock=clock)


@pytest.fixture
def wire(emulator: Emulator) -> Iterator[Wire]:
    with EmulatorServer(emulator) as server:
        yield Wire(server.url)
