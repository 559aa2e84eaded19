"""Connecting, reads and writes that end with the deadline of a synchronous call.

The HTTP library bounds each single read, and a reply that trickles takes any number of them. So each read of a
connection is given no more time than the call has left, and each write. In the same way it bounds the way to each single
address of a host, and the resolution of its name not at all. Tasks need none of this: they are cancelled.

Connections of our own pool are bounded as they are made. Those of other clients are handed over by the documented
`trace` extension, which costs some 15 microseconds a call.
"""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from typing import Any

from timeweb_sdk.errors import ConnectError, ConnectTimeout, ReadTimeout, WriteTimeout

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

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, **options: Any) -> Any:
        """Connect to the first address that answers; they share the time."""
        if timeout is None:
            return _bound(self._inner.connect_tcp(host, port, timeout, **options))
        end = time.monotonic() + timeout
        addresses = _resolve(host, port, timeout)
        for number, address in enumerate(addresses):
            share = max((end - time.monotonic()) / (len(addresses) - number), _LEAST)
            try:
                return _bound(self._inner.connect_tcp(address, port, share, **options))
            except Exception:  # the library's own, of which each library has others
                if number == len(addresses) - 1:
                    raise
        return None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _resolve(host: str, port: int, seconds: float) -> list[str]:
    """Return the addresses of a host. The system's resolver knows no timeout, so it runs in a thread of its own."""
    found: list[str] = []
    failure: list[OSError] = []

    def look_up() -> None:
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            failure.append(OSError(str(error)))
        else:
            found.extend(dict.fromkeys(str(answer[4][0]) for answer in answers))

    if _is_address(host):
        return [host]
    thread = threading.Thread(target=look_up, name="timeweb_sdk resolver", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the interpreter shuts down and starts no threads
        look_up()
    else:
        thread.join(seconds)
    if failure:
        raise ConnectError(f"the name {host} cannot be resolved: {failure[0]}", delivery="not_sent")
    if not found:
        raise ConnectTimeout(f"the name {host} was not resolved within {seconds:.3g} s", delivery="not_sent")
    return found


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


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
