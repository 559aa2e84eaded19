"""A server of the standard library's sockets that misbehaves as told and writes down what arrives."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Arrival:
    """A request as it came in; `at` is seconds on the monotonic clock."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    at: float
    connection: int


class Hangup(Exception):
    """The connection ends here."""


Behaviour = Callable[[socket.socket], None]


def answer(
    status: int = 200,
    body: Any = None,
    *,
    headers: dict[str, str] | None = None,
    kind: str = "application/json",
    delay: float = 0,
) -> Behaviour:
    """Reply properly; dicts and lists go out as JSON."""
    payload = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()

    def behave(connection: socket.socket) -> None:
        time.sleep(delay)
        lines = {"Content-Length": str(len(payload)), "Content-Type": kind, **(headers or {})}
        head = f"HTTP/1.1 {status} X\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        connection.sendall(head.encode() + b"\r\n" + payload)

    return behave


def html(status: int, headers: dict[str, str] | None = None) -> Behaviour:
    return answer(status, b"<html><body>edge</body></html>", kind="text/html", headers=headers)


def error(
    status: int,
    code: str = "some_code",
    message: Any = "what happened",
    *,
    headers: dict[str, str] | None = None,
    **more: Any,
) -> Behaviour:
    """The API's own error envelope."""
    body = {"status_code": status, "error_code": code, "message": message, "response_id": "r-1", **more}
    return answer(status, body, headers=headers)


def hang_up(connection: socket.socket) -> None:
    """Read the request, answer nothing."""
    raise Hangup


def silence(connection: socket.socket) -> None:
    """Answer nothing until the client goes away."""
    connection.recv(1)
    raise Hangup


def reset(connection: socket.socket) -> None:
    """End with RST in place of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise Hangup


def half_a_reply(connection: socket.socket) -> None:
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"server": {"id"')
    raise Hangup


def half_the_headers(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Ty")
    raise Hangup


def broken_gzip(connection: socket.socket) -> None:
    body = b"\x1f\x8b" + b"\x00" * 40
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


@dataclass
class StubServer:
    """Answers the n-th request with the n-th behaviour, and all later ones with the last."""

    script: list[Behaviour] = field(default_factory=lambda: [answer(200, {})])
    arrivals: list[Arrival] = field(default_factory=list)
    accepted: int = 0
    drop_before_reading: bool = False
    url: str = ""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def play(self, *behaviours: Behaviour) -> None:
        self.script = list(behaviours)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.close_connections()

    def close_connections(self) -> None:
        """Close every connection, as a server does with idle ones."""
        with self._lock:
            connections, self._open = self._open, []
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.accepted += 1
                number = self.accepted
                self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, suppress(OSError, Hangup):
            if self.drop_before_reading:
                return
            stream = connection.makefile("rb")
            while arrival := _read(stream, number):
                with self._lock:
                    behaviour = self.script[min(len(self.arrivals), len(self.script) - 1)]
                    self.arrivals.append(arrival)
                behaviour(connection)


def _read(stream: Any, number: int) -> Arrival | None:
    line = stream.readline()
    if not line:
        return None
    at = time.monotonic()
    method, target, _ = line.decode().split(" ", 2)
    headers: dict[str, str] = {}
    while (line := stream.readline().strip()) != b"":
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    return Arrival(method, target, headers, _read_body(stream, headers), at, number)


def _read_body(stream: Any, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return bytes(stream.read(int(headers.get("content-length", 0))))
    body = b""
    while size := int(stream.readline(), 16):
        body += stream.read(size)
        stream.readline()
    stream.readline()
    return body


@contextmanager
def stub_server(*behaviours: Behaviour) -> Iterator[StubServer]:
    server = StubServer()
    if behaviours:
        server.play(*behaviours)
    try:
        yield server
    finally:
        server.close()


def unused_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
