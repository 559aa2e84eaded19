"""Waiting for what another process or thread does."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(condition: Callable[[], object], seconds: float = 30, tell: Callable[[], str] = lambda: "") -> None:
    """Look every 20 ms; fails after ``seconds`` with what ``tell`` says."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"did not happen within {seconds} s\n{tell()}"
        time.sleep(0.02)
