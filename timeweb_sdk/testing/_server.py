"""The emulator on a socket: the standard library's threading HTTP server, so that the base install is enough."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread
from urllib.parse import parse_qsl, urlsplit

from timeweb_sdk.testing._http import Request, Response
from timeweb_sdk.testing._statefile import StateFile
from timeweb_sdk.testing.emulator import Emulator

_LARGEST = 2**30
"""Bytes of a body."""


class EmulatorServer:
    """Serves an emulator at `url`; a context manager that starts a thread and stops it.

    port 0 takes a free port. With `state_file` the state is kept in that file. Raises OSError where it cannot listen.
    """

    def __init__(self, emulator: Emulator, host: str = "127.0.0.1", port: int = 0, *, state_file: Path | None = None) -> None:
        self.emulator = emulator
        emulator.host = host.lower()
        try:
            self._http = _HTTPServer((host, port), emulator, StateFile(state_file, emulator) if state_file else None)
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            raise OSError(f"cannot listen on {host} port {port}: {reason or error}") from None
        try:
            self._http.save_state()
        except OSError as error:
            self._http.server_close()
            raise OSError(f"cannot write {state_file}: {error.strerror or error}") from None
        self._thread: Thread | None = None
        bound = self._http.server_address[1]
        self.url: str = f"http://{f'[{host}]' if ':' in host else host}:{bound}"

    def serve_forever(self) -> None:
        """Serve in this thread until interrupted."""
        try:
            self._http.serve_forever(poll_interval=0.2)
        finally:
            self.close()

    def close(self) -> None:
        """Stop listening, let hanging replies go, write the state."""
        self._http.closing.set()
        self._http.server_close()
        self._http.keep_state(now=True)

    def __enter__(self) -> EmulatorServer:
        serve = self._http.serve_forever
        self._thread = Thread(target=serve, kwargs={"poll_interval": 0.02}, name="timeweb-emulator", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        if self._thread is not None:
            self._thread.join()
        self.close()


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], emulator: Emulator, state_file: StateFile | None) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.emulator = emulator
        self.closing = Event()
        self._state_file = state_file
        self._file_lock = Lock()
        super().__init__(address, _Handler)

    def answer(self, request: Request) -> Response:
        if self._state_file is None:
            return self.emulator.handle(request)
        with self._file_lock:
            self._state_file.reload()
            response = self.emulator.handle(request)
            self._state_file.keep()
        return response

    def save_state(self) -> None:
        if self._state_file is not None:
            with self._file_lock:
                self._state_file.save(now=True)

    def keep_state(self, *, now: bool = False) -> None:
        if self._state_file is not None:
            with self._file_lock:
                self._state_file.keep(now=now)

    def service_actions(self) -> None:
        self.keep_state()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no event; anything else is printed as usual."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "timeweb-emulator"
    sys_version = ""
    disable_nagle_algorithm = True

    @property
    def _ours(self) -> _HTTPServer:
        assert isinstance(self.server, _HTTPServer)
        return self.server

    def _serve(self) -> None:
        body = self._read_body()
        if body is None:
            return
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        request = Request(self.command, parts.path, query, dict(self.headers.items()), body)
        response = self._ours.answer(request)
        if response.delay:
            self._ours.closing.wait(response.delay)
        self._deliver(response)

    def __getattr__(self, name: str) -> Callable[[], None]:
        # The base class looks for do_GET and the like; which methods there are is the contract's business.
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _read_body(self) -> bytes | None:
        try:
            if "chunked" in self.headers.get("transfer-encoding", "").lower():
                return self._read_chunks()
            length = int(self.headers.get("content-length", 0))
            if 0 <= length <= _LARGEST:
                return self.rfile.read(length)
        except ValueError:
            pass
        self.send_error(400)
        return None

    def _read_chunks(self) -> bytes:
        chunks: list[bytes] = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            if not 0 < size <= _LARGEST:
                raise ValueError("no size of a chunk")
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline() not in (b"\r\n", b"\n", b""):
            pass
        return b"".join(chunks)

    def _deliver(self, response: Response) -> None:
        if response.delivery in ("never", "unreachable"):
            self._ours.closing.wait()
        if response.delivery in ("never", "unreachable", "dropped"):
            self._hang_up()
            return
        headers = {"date": self.date_time_string(), **response.headers}
        if response.status != 204:
            headers["content-length"] = str(len(response.body))
        reason = self.responses.get(response.status, ("",))[0]
        head = f"HTTP/1.1 {response.status} {reason}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        shown = b"" if self.command == "HEAD" else response.body
        if response.delivery == "truncated":
            shown = shown[: len(shown) // 2]
        # One write for head and body: two small ones would cost a delayed acknowledgement.
        self.wfile.write(head.encode("latin-1") + b"\r\n" + shown)
        if response.delivery == "truncated":
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: what was asked stands at /_emulator/requests."""
