"""Play one situation behind one proxy: what the client is told, and what arrived at the backend."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.proxies.backend import Backend, running_backend
from tests.proxies.programs import running
from tests.sdk.worlds import TOKEN, SkippingClock
from timeweb_sdk import APIError, Timeweb, TimewebError
from timeweb_sdk._core import clock as clocks

METHODS = ("POST", "PATCH", "PUT", "DELETE")
SITUATIONS = ("slow backend", "dead backend", "full queue", "reset", "early answer")
MAX_RETRIES = 1


class Observed(NamedTuple):
    """What became of one call."""

    status: int | None
    attempts: int
    arrived: int
    delivery: str
    may_be_done: bool
    retry_after: float | None


@dataclass
class Stage:
    """A proxy with the API behind it."""

    backend: Backend
    url: str

    def play(self, situation: str, method: str) -> Observed:
        manner = {"reset": "reset", "early answer": "early"}.get(situation, "slow")
        way = {"dead backend": "/dead", "full queue": "/full"}.get(situation, "")
        with self.backend.playing(manner), self._full_queue() if situation == "full queue" else nullcontext():
            # Early, the body is larger than what the sockets on the way take unread.
            error = _fail(self.url + way, method, 900_000 if situation == "early answer" else 10)
        told = (error.status_code, error.retry_after) if isinstance(error, APIError) else (None, None)
        arrived = self.backend.arrived[method]
        return Observed(told[0], error.attempts, arrived, error.delivery, error.may_be_done, told[1])

    @contextmanager
    def _full_queue(self) -> Generator[None]:
        """Somebody else's request takes the only place."""
        self.backend.held.clear()
        occupier = threading.Thread(target=self._occupy, daemon=True)
        occupier.start()
        assert self.backend.held.wait(20)
        try:
            yield
        finally:
            self.backend.release.set()
            occupier.join(20)

    def _occupy(self) -> None:
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=20)
        with suppress(OSError):
            connection.request("GET", "/full/hold")
            connection.getresponse().read()
        connection.close()


def _fail(url: str, method: str, size: int) -> TimewebError:
    with clocks.use(SkippingClock()), Timeweb(TOKEN, base_url=url, max_retries=MAX_RETRIES) as tw:
        try:
            tw.request(method, "/api/v1/servers", json={"name": "x" * size})
        except TimewebError as error:
            return error
    raise AssertionError("the call should have failed")


@contextmanager
def stage(name: str) -> Generator[Stage]:
    with tempfile.TemporaryDirectory() as folder, running_backend() as backend:
        Path(folder).chmod(0o755)  # nginx, started by root, works as somebody else
        with running(name, backend.port, Path(folder)) as url:
            yield Stage(backend, url)
