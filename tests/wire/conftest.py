"""A server on a real socket that keeps the requests as they arrived and answers what it was told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


@dataclass
class Received:
    """One request, unparsed."""

    line: str
    """``GET /api/v1/servers?limit=100``"""
    headers: dict[str, str]
    body: bytes


@dataclass
class RecordingServer:
    """What arrived, and what to answer to everything."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    status: int = 204
    answer: bytes = b""
    content_type: str = ""

    def will_answer(self, status: int, answer: Any = b"", content_type: str = "application/json") -> None:
        """Answer bytes as they are and anything else as JSON."""
        self.status = status
        self.answer = answer if isinstance(answer, bytes) else json.dumps(answer, ensure_ascii=False).encode()
        self.content_type = content_type if self.answer else ""


@pytest.fixture(scope="session")
def listening() -> Iterator[RecordingServer]:
    server = RecordingServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            server.received.append(Received(f"{self.command} {self.path}", headers, self.rfile.read(length)))
            self.send_response(server.status)
            if server.content_type:
                self.send_header("Content-Type", server.content_type)
            if server.status != 204:
                self.send_header("Content-Length", str(len(server.answer)))
            self.end_headers()
            self.wfile.write(server.answer)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        server.url = f"http://127.0.0.1:{http.server_address[1]}"
        threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield server
        http.shutdown()


@pytest.fixture
def server(listening: RecordingServer) -> RecordingServer:
    listening.received.clear()
    listening.will_answer(204)
    return listening
