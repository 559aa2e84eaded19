"""Other processes and threads: what they do is waited for, and none outlives its test."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import AnyStr


def until(condition: Callable[[], object], seconds: float = 30, tell: Callable[[], str] = lambda: "") -> None:
    """Look every 20 ms; fails after ``seconds`` with what ``tell`` says."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"did not happen within {seconds} s\n{tell()}"
        time.sleep(0.02)


@contextmanager
def ending(process: subprocess.Popen[AnyStr]) -> Iterator[subprocess.Popen[AnyStr]]:
    """The process; killed if it still runs when the block is left, as it does where the test fails."""
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
