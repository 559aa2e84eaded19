"""Worker processes that can be killed, and several accounts behind one address for them to work on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from crm_adapter.settings import Settings
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
    """``celery worker`` in a process group of its own, with one child."""

    def __init__(self, name: str, directory: Path, environment: Mapping[str, str], queue: str, *options: str) -> None:
        self.log_path = directory / f"{name}.log"
        command = [
            sys.executable, "-m", "celery", "-A", "tests.crm.celery.worker_app", "worker", "--concurrency=1", "--loglevel=INFO",
            f"--hostname={name}@{queue}", f"--queues={queue}", "--without-gossip", "--without-mingle", "--without-heartbeat",
            *options,
        ]  # fmt: skip
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=directory, env={**os.environ, **environment}, stdout=log, stderr=log, start_new_session=True
            )

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def wait_ready(self) -> None:
        until(lambda: " ready." in self.log or self.process.poll() is not None, 60, lambda: self.log)
        assert self.process.poll() is None, self.log

    def kill(self) -> None:
        """As the kernel does when memory runs out: parent and child, at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.kill()


def unpaced(settings: Settings, *, gentle: bool = True) -> RateLimit:
    """Instead of ``configured.rate_limit``: the pace has tests of its own, elsewhere it would only cost time."""
    return RateLimit.off()
