"""The API behind a proxy, played by a socket: it counts what arrives, has its effect, then fails as told."""

from __future__ import annotations

import socket
import struct
import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import BinaryIO

PAGE = b"<html>busy</html>"
EARLY = b"HTTP/1.1 503 Busy\r\nContent-Type: text/html\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"


class Backend:
    """One connection, one request. A request counts as arrived, and as carried out, when its head is here."""

    def __init__(self) -> None:
        self.arrived: Counter[str] = Counter()
        self.manner = "slow"
        """`slow`, `reset` or `early`; a path that ends in `/hold` is kept waiting whatever the manner."""
        self.held = threading.Event()
        self.release = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @contextmanager
    def playing(self, manner: str) -> Generator[None]:
        """Count anew, and behave like this until the end of the block."""
        self.manner = manner
        self.release.clear()
        self.arrived.clear()
        try:
            yield
        finally:
            self.release.set()

    def close(self) -> None:
        self.release.set()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream, suppress(OSError):
            method, path, length = _head_of(stream)
            if path.endswith("/hold"):
                self.held.set()
                self.release.wait(30)
                return
            self.arrived[method] += 1
            if self.manner == "early":
                connection.sendall(EARLY % len(PAGE) + PAGE)
                return
            stream.read(length)
            if self.manner == "slow":
                self.release.wait(30)
            else:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _head_of(stream: BinaryIO) -> tuple[str, str, int]:
    method, path, _ = stream.readline().decode().split(" ", 2)
    length = 0
    while line := stream.readline().strip():
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return method, path, length


@contextmanager
def running_backend() -> Generator[Backend]:
    backend = Backend()
    try:
        yield backend
    finally:
        backend.close()
