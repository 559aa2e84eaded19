"""Several accounts behind one address, notifications over HTTP, and worker processes that can be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from crm_adapter.settings import Settings
from timeweb_sdk import RateLimit
from timeweb_sdk.testing import Emulator, Request, Response

ROOT = Path(__file__).parents[2]


class Accounts(Emulator):
    """Many accounts at one address, as Timeweb is: the token tells which."""

    def __init__(self, by_token: Mapping[str, Emulator]) -> None:
        super().__init__(token="nobody has this one")
        self.by_token = dict(by_token)

    def handle(self, request: Request) -> Response:
        emulator = self.by_token.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        return emulator.handle(request) if emulator else super().handle(request)


class Post:
    """A notification service: what was posted to it; ``down`` makes it refuse."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.refused = 0
        self.down = False
        post = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if post.down:
                    post.refused += 1
                else:
                    post.messages.append({"title": body["title"], "text": body["message"]})
                self.send_response(503 if post.down else 200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://user:hunter2@127.0.0.1:{self.http.server_address[1]}/hook"

    @contextmanager
    def serving(self) -> Iterator[Post]:
        thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            self.http.shutdown()
            thread.join()
            self.http.server_close()


class Worker:
    """``celery worker`` in a process group of its own, with one child."""

    def __init__(self, name: str, directory: Path, environment: Mapping[str, str], queue: str, *options: str) -> None:
        self.log_path = directory / f"{name}.log"
        command = [
            sys.executable, "-m", "celery", "-A", "tests.celery.worker_app", "worker", "--concurrency=1", "--loglevel=INFO",
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


def until(condition: Callable[[], object], seconds: float = 30, tell: Callable[[], str] = lambda: "") -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"did not happen within {seconds} s\n{tell()}"
        time.sleep(0.02)


def unpaced(settings: Settings, *, gentle: bool = True) -> RateLimit:
    """Instead of ``configured.rate_limit``: the pace has tests of its own, elsewhere it would only cost time."""
    return RateLimit.off()
