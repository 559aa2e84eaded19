"""Reads that end with the deadline of a synchronous call.

The HTTP library bounds each single read, and a reply that trickles takes any number of them. Its documented `trace`
extension hands over every connection that is made, also by a client that was passed in, so that each read of it can be
given no more time than the call has left. Tasks need none of this: they are cancelled.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from timeweb_sdk._core.clock import Clock
from timeweb_sdk.errors import ReadTimeout

_MADE = ("connect_tcp.complete", "connect_unix_socket.complete", "start_tls.complete")
_LEAST = 0.001
"""Seconds; a timeout of 0 would mean not to wait at all."""


class _Current(threading.local):
    """Until when this thread may read; None outside a call of ours."""

    left: Callable[[], float] | None = None


_current = _Current()


@contextmanager
def reading_until(deadline: float, clock: Clock) -> Iterator[None]:
    """Let this thread read until the deadline, on the monotonic clock."""
    _current.left = lambda: deadline - clock.monotonic()
    try:
        yield
    finally:
        _current.left = None


def trace(event: str, info: dict[str, Any]) -> None:
    """Bound the reads of a connection that was just made; for the extension `trace` of a request."""
    if event.endswith(_MADE):
        stream = info["return_value"]
        with suppress(AttributeError):  # a stream of somebody's own may not allow it
            stream.read = partial(_read, stream.read)


def _read(read: Callable[[int, float | None], bytes], max_bytes: int, timeout: float | None = None) -> bytes:
    left = _current.left() if _current.left is not None else None
    if left is None:
        return read(max_bytes, timeout)
    if left <= 0:
        raise ReadTimeout("the reply was still coming when the deadline passed", delivery="unknown")
    return read(max_bytes, max(left if timeout is None else min(left, timeout), _LEAST))
