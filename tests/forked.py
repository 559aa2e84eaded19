"""Processes that begin with everything imported, for tests of what a process does and not of how it starts."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from multiprocessing import forkserver
from pathlib import Path
from types import MappingProxyType
from typing import Any

ROOT = Path(__file__).parents[1]
CONTEXT = multiprocessing.get_context("forkserver")
# pytest, because a child imports the main module of its parent; what is absent is passed over.
CONTEXT.set_forkserver_preload(
    [
        "pytest",
        "psycopg",
        "pymysql",
        "redis",
        "tests.crm.workers",
        "tests.crm.cli.ending",
        "tests.crm.celery.started",
        "tests.crm.web.worker",
    ]
)


def start_server() -> None:
    """Start the server that forks; it looks for what it imports in the path of its first moment only."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(ROOT)
    try:
        forkserver.ensure_running()
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before


class Forked:
    """`function(*arguments)` in a process group of its own; to the test it is a `subprocess.Popen`.

    It has this process's folder and environment, but for what is given.
    """

    def __init__(
        self,
        function: Callable[..., int],
        *arguments: Any,
        directory: Path | None = None,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        start_server()
        self._out, self._err = (tempfile.NamedTemporaryFile() for _ in range(2))  # noqa: SIM115
        where = (self._out.name, self._err.name, str(directory or Path.cwd()), os.environ | environment)
        self._process = CONTEXT.Process(target=_become, args=(*where, function, arguments))
        self._process.start()

    def __enter__(self) -> Forked:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._out.close()
        self._err.close()

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """As the kernel does when memory runs out: the process and its children, at once."""
        assert self._process.pid is not None
        with contextlib.suppress(ProcessLookupError):  # it is over, or has not come so far as to have a group
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.join()

    def wait(self, timeout: float) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("a forked process", timeout)
        return self._process.exitcode

    def communicate(self, timeout: float) -> tuple[str, str]:
        """What it has written to stdout and to stderr, when it is over."""
        self.wait(timeout)
        return self.out, self.log

    @property
    def out(self) -> str:
        """What it has written to stdout so far."""
        return Path(self._out.name).read_text(encoding="utf-8", errors="replace")

    @property
    def log(self) -> str:
        """What it has written to stderr so far."""
        return Path(self._err.name).read_text(encoding="utf-8", errors="replace")


def _become(
    out: str, err: str, directory: str, environment: dict[str, str], function: Callable[..., int], arguments: tuple[Any, ...]
) -> None:
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    for name, number in ((out, 1), (err, 2)):
        with Path(name).open("wb") as file:
            os.dup2(file.fileno(), number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, encoding="utf-8", closefd=False) for number in (1, 2))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(function(*arguments))
