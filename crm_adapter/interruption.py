"""SIGTERM and Ctrl+C as one thing: heard between two steps or during a call to Timeweb, never inside a transaction.

An exception that a signal raises just anywhere may fall between a commit and the line that remembers it. So the command
line lets `drive` say where it may be raised; the flow then frees what it holds. A second signal does not wait.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """The process was asked to end. `exit_code` is what a shell calls it: 130 for Ctrl+C, 143 for SIGTERM."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


class _State:
    """Of the main thread alone: signals arrive nowhere else."""

    shields = 0
    pending: Interrupted | None = None
    heard: Interrupted | None = None


_stop: ContextVar[threading.Event | None] = ContextVar("timeweb_crm_stop", default=None)


@contextmanager
def signals() -> Generator[None]:
    """Raise `Interrupted` for SIGTERM and SIGINT while the block runs; elsewhere than in the main thread do nothing."""
    if not _is_main():
        yield
        return
    _State.pending = _State.heard = None
    before = {number: signal.signal(number, _arrived) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        _State.pending = None
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def shielded() -> Generator[None]:
    """Keep a signal that arrives in the block until its end."""
    if not _is_main():
        yield
        return
    _State.shields += 1
    try:
        yield
    finally:
        _State.shields -= 1
        if not _State.shields:
            hear()


@contextmanager
def listening() -> Generator[None]:
    """A part of a shielded block in which a signal is heard at once."""
    if not _is_main():
        yield
        return
    shields, _State.shields = _State.shields, 0
    before = _State.heard
    try:
        hear()
        yield
    except Exception:
        if _State.heard is before:
            raise
    finally:
        _State.shields = shields
    # Where Python ran a finaliser or a callback as the signal came, it drops what was raised there.
    if _State.heard is not None and _State.heard is not before:
        raise _State.heard


def hear() -> None:
    """Raise what has arrived meanwhile."""
    if _State.pending is not None and _is_main():
        _State.heard, _State.pending = _State.pending, None
        raise _State.heard


def exit_code() -> int | None:
    """That of the signal which `signals` heard, None if there was none."""
    return None if _State.heard is None else _State.heard.exit_code


@contextmanager
def ended_by(stop: threading.Event) -> Generator[None]:
    """For a thread, which hears no signals: flows that may end early end when `stop` is set."""
    token = _stop.set(stop)
    try:
        yield
    finally:
        _stop.reset(token)


def stop_event() -> threading.Event | None:
    """What `ended_by` set for this thread."""
    return _stop.get()


def _arrived(number: int, _frame: FrameType | None) -> None:
    is_second = _State.pending is not None
    _State.pending = Interrupted(number)
    if is_second or not _State.shields:
        hear()


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()
