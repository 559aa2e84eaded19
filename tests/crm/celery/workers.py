"""Worker processes that can be killed, and several accounts behind one address for them to work on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from crm_adapter.settings import Settings
from tests.crm.celery import started
from tests.forked import Forked
from tests.waiting import until
from timeweb_sdk import RateLimit
from timeweb_sdk.testing import Emulator, Request, Response

ROOT = Path(__file__).parents[3]


class Accounts(Emulator):
    """Many accounts at one address, as Timeweb is: the token tells which."""

    def __init__(self, by_token: Mapping[str, Emulator]) -> None:
        super().__init__(token="nobody has this one")
        self.by_token = dict(by_token)

    def handle(self, request: Request) -> Response:
        emulator = self.by_token.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        return emulator.handle(request) if emulator else super().handle(request)


class Worker:
    """``celery worker`` with one child."""

    def __init__(self, name: str, directory: Path, environment: Mapping[str, str], queue: str, *options: str) -> None:
        arguments = [
            "worker", "--concurrency=1", "--loglevel=INFO", f"--hostname={name}@{queue}", f"--queues={queue}",
            "--without-gossip", "--without-mingle", "--without-heartbeat", *options,
        ]  # fmt: skip
        self._process = Forked(started.run, arguments, directory=directory, environment=environment)

    @property
    def log(self) -> str:
        return self._process.out + self._process.log

    def wait_ready(self) -> None:
        until(lambda: " ready." in self.log or self._process.returncode is not None, 60, lambda: self.log)
        assert self._process.returncode is None, self.log

    def kill(self) -> None:
        self._process.kill()

    def stop(self) -> None:
        self._process.__exit__()


def unpaced(settings: Settings, *, gentle: bool = True) -> RateLimit:
    """Instead of ``configured.rate_limit``: the pace has tests of its own, elsewhere it would only cost time."""
    return RateLimit.off()
