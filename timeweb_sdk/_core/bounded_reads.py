"""Reads and writes that end with the deadline of a synchronous call.

The HTTP library bounds each single read, and a reply that trickles takes any number of them. So each read of a
connection is given no more time than the call has left, and each write. Tasks need none of this: they are cancelled.

Connections of our own pool are bounded as they are made. Those of other clients are handed over by the documented
`trace` extension, which costs some 15 microseconds a call.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from timeweb_sdk.errors import ReadTimeout, WriteTimeout

_LEAST = 0.001
"""Seconds; a timeout of 0 would mean not to wait at all."""
_PIECE = 64 * 1024
"""Bytes."""


class _Current(threading.local):
    """Tells the seconds that this thread may still read; None outside a call of ours."""

    left: Callable[[], float] | None = None


current = _Current()


def bound_pool(transport: Any) -> bool:
    """Bound every connection that this transport of httpx will make; False if it does not let us."""
    try:
        pool = transport._pool
        pool._network_backend = _Backend(pool._network_backend)
    except AttributeError:
        return False
    return True


def trace(event: str, info: dict[str, Any]) -> None:
    """Bound a connection that was just made; for the extension `trace` of a request."""
    if event.endswith(("connect_tcp.complete", "connect_unix_socket.complete")):
        _bound(info["return_value"])


class _Backend:
    """A network backend whose connections are bounded."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def connect_tcp(self, *args: Any, **kwargs: Any) -> Any:
        return _bound(self._inner.connect_tcp(*args, **kwargs))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _bound(stream: Any) -> Any:
    with suppress(AttributeError):  # a stream of somebody's own may not allow it
        stream.read = partial(_read, stream.read)
        stream.write = partial(_write, stream.write)
        stream.start_tls = partial(_start_tls, stream.start_tls)
    return stream


def _start_tls(start_tls: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return _bound(start_tls(*args, **kwargs))


def _read(read: Callable[[int, float | None], bytes], max_bytes: int, timeout: float | None = None) -> bytes:
    left = current.left() if current.left is not None else None
    if left is None:
        return read(max_bytes, timeout)
    if left <= 0:
        raise ReadTimeout("the reply was still coming when the deadline passed", delivery="unknown")
    return read(max_bytes, max(left if timeout is None else min(left, timeout), _LEAST))


def _write(write: Callable[[bytes, float | None], None], buffer: bytes, timeout: float | None = None) -> None:
    """Write piece by piece: the HTTP library bounds each piece that the network takes, not all of them."""
    if current.left is None:
        return write(buffer, timeout)
    for begin in range(0, len(buffer), _PIECE):
        left = current.left()
        if left <= 0:
            raise WriteTimeout("the request was still being written when the deadline passed", delivery="unknown")
        write(buffer[begin : begin + _PIECE], max(left if timeout is None else min(left, timeout), _LEAST))
    return None
