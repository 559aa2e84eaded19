"""Files on their way out and in, and replies that are too large, against a server of the standard library."""

from __future__ import annotations

import asyncio
import gzip
import io
import os
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from email.message import Message
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from timeweb_sdk import (
    AsyncTimeweb,
    ConfigurationError,
    EdgeError,
    FileError,
    Progress,
    RateLimit,
    RateLimitError,
    ResponseTooLarge,
    Timeweb,
    TimewebError,
    TransportError,
)

CONTENT = os.urandom(700_000)
DONE = b'{"upload_successful": {"id": "i", "filename": "f", "md5": "m", "size": 1}}'
REFUSED = b'{"status_code": 429, "error_code": "too_many_requests", "message": "slow down"}'


class Server(ThreadingHTTPServer):
    """Notes what arrives; answers from a list, the last answer for ever."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.arrived: list[tuple[Message, bytes]] = []
        self.answers: list[tuple[int, dict[str, str], bytes]] = [(200, {}, DONE)]
        self.breaks = 0
        """How many replies break off in their middle."""
        self.pause = 0.0
        """Seconds between the pieces that are read."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what is tested."""


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = b""
        if "Content-Length" in self.headers:
            left = int(self.headers["Content-Length"])
            while left:
                piece = self.rfile.read(min(left, 100_000))
                if not piece:
                    break
                body, left = body + piece, left - len(piece)
                time.sleep(self.server.pause)
        elif self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        self.server.arrived.append((self.headers, body))
        answers = self.server.answers
        status, headers, content = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.server.breaks:
            self.server.breaks -= 1
            content = content[: len(content) // 2]
            self.close_connection = True
        self.wfile.write(content)

    do_GET = do_PUT = do_POST


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


Run = Callable[..., Any]


@pytest.fixture(params=["sync httpx", "async httpx", "sync httpx2"])
def run(request: pytest.FixtureRequest, server: Server) -> Run:
    """Make one call with a client that is closed afterwards; options are those of the client or of `with_options`."""
    flavour, library = request.param.split()
    pytest.importorskip(library)

    def run(call: Callable[[Any], Any], *, progress: Any = None, **options: Any) -> Any:
        settings: dict[str, Any] = {"base_url": server.url, "rate_limit": RateLimit.off(), "http_client": library, **options}
        if flavour == "sync":
            with Timeweb("token", **settings) as tw:
                return call(tw.with_options(progress=progress))

        async def work() -> Any:
            async with AsyncTimeweb("token", **settings) as tw:
                return await call(tw.with_options(progress=progress))

        return asyncio.run(work())

    return run


def upload(body: Any) -> Callable[[Any], Any]:
    return lambda tw: tw.images.upload("i", body=body)


def download(to: Any) -> Callable[[Any], Any]:
    return lambda tw: tw.cloud_ai.knowledge_bases.documents.download(1, 2, to=to)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(CONTENT)
    return path


@pytest.mark.parametrize("kind", ["path", "file", "from the middle", "bytes"])
def test_an_upload_arrives_whole(run: Run, server: Server, file: Path, kind: str) -> None:
    with file.open("rb") as opened:
        opened.seek(1000 if kind == "from the middle" else 0)
        body: Any = {"path": file, "bytes": CONTENT}.get(kind, opened)
        assert run(upload(body)).id == "i"
        assert not opened.closed
    ((headers, arrived),) = server.arrived
    assert arrived == CONTENT[1000 if kind == "from the middle" else 0 :]
    assert headers["Content-Length"] == str(len(arrived))
    assert headers["Transfer-Encoding"] is None


def test_a_repetition_begins_where_the_upload_began(run: Run, server: Server) -> None:
    server.answers = [(429, {"Retry-After": "0"}, REFUSED), (200, {}, DONE)]
    body = io.BytesIO(b"skipped" + CONTENT)
    body.seek(7)
    run(upload(body))
    assert [arrived for _, arrived in server.arrived] == [CONTENT, CONTENT]


def test_what_cannot_be_rewound_is_sent_in_chunks_and_once(run: Run, server: Server) -> None:
    server.answers = [(429, {"Retry-After": "0"}, REFUSED)]
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as body:
        os.write(writer, b"through a pipe")
        os.close(writer)
        with pytest.raises(RateLimitError) as raised:
            run(upload(body))
    assert raised.value.attempts == 1
    ((headers, arrived),) = server.arrived
    assert arrived == b"through a pipe"
    assert headers["Transfer-Encoding"] == "chunked"


def test_a_form_sends_its_files_from_disk_and_again(run: Run, server: Server, file: Path) -> None:
    server.answers = [(429, {"Retry-After": "0"}, REFUSED), (200, {}, b'{"uploaded_files": ["a"]}')]
    second = io.BytesIO(b"not this, but this")
    second.seek(10)
    page = run(lambda tw: tw.cloud_ai.knowledge_bases.upload(1, files=[file, ("notes.txt", second), ("b.txt", b"bytes")]))
    assert page.items == ["a"]
    assert len(server.arrived) == 2
    for headers, body in server.arrived:
        assert headers["Content-Length"] == str(len(body))
        form = BytesParser().parsebytes(b"Content-Type: " + headers["Content-Type"].encode() + b"\r\n\r\n" + body)
        parts: Any = form.get_payload()
        assert [(part.get_filename(), part.get_payload(decode=True)) for part in parts] == [
            ("disk.img", CONTENT),
            ("notes.txt", b"but this"),
            ("b.txt", b"bytes"),
        ]


def test_a_raw_request_takes_files_too(run: Run, server: Server, file: Path, tmp_path: Path) -> None:
    server.answers = [(200, {"Content-Type": "application/octet-stream"}, CONTENT)]
    copy = tmp_path / "copy"
    assert run(lambda tw: tw.request("PUT", "/api/v1/unknown", content=file, to=copy)) == b""
    assert server.arrived[0][1] == copy.read_bytes() == CONTENT


def test_a_raw_request_has_one_body(run: Run, server: Server) -> None:
    with pytest.raises(ConfigurationError, match="json and content"):
        run(lambda tw: tw.request("POST", "/api/v1/x", content=b"", json={}))
    assert server.arrived == []


@pytest.mark.parametrize("compressed", [False, True])
def test_a_download_appears_when_it_is_whole(run: Run, server: Server, tmp_path: Path, compressed: bool) -> None:
    headers = {"Content-Type": "application/pdf"} | ({"Content-Encoding": "gzip"} if compressed else {})
    server.answers = [(200, headers, gzip.compress(CONTENT) if compressed else CONTENT)]
    server.breaks = 1
    target = tmp_path / "document.pdf"
    assert run(download(target), max_response_bytes=10) == b""
    assert target.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [target]
    assert len(server.arrived) == 2


def test_a_download_that_fails_leaves_what_was_there(run: Run, server: Server, tmp_path: Path) -> None:
    server.answers = [(200, {"Content-Type": "application/pdf"}, CONTENT)]
    server.breaks = 9
    target = tmp_path / "document.pdf"
    target.write_bytes(b"of yesterday")
    with pytest.raises(TransportError):
        run(download(target), max_retries=0)
    assert target.read_bytes() == b"of yesterday"
    assert list(tmp_path.iterdir()) == [target]


def test_a_download_goes_where_the_file_stands(run: Run, server: Server) -> None:
    server.answers = [(200, {"Content-Type": "application/pdf"}, CONTENT)]
    server.breaks = 1
    target = io.BytesIO()
    target.write(b"before:")
    run(download(target))
    assert target.getvalue() == b"before:" + CONTENT


def test_what_was_piped_on_is_not_asked_for_again(run: Run, server: Server) -> None:
    class Pipe:
        def __init__(self) -> None:
            self.got = 0

        def write(self, piece: bytes) -> None:
            self.got += len(piece)

    server.answers = [(200, {"Content-Type": "application/pdf"}, CONTENT)]
    server.breaks = 1
    pipe = Pipe()
    with pytest.raises(TransportError) as raised:
        run(download(pipe))
    assert raised.value.attempts == 1
    assert pipe.got


def test_an_error_is_told_and_not_written(run: Run, server: Server, tmp_path: Path) -> None:
    server.answers = [(404, {}, b'{"status_code": 404, "error_code": "not_found", "message": "no document"}')]
    with pytest.raises(TimewebError, match="no document"):
        run(download(tmp_path / "document.pdf"))
    assert list(tmp_path.iterdir()) == []


def test_progress_is_told(run: Run, server: Server, file: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    run(upload(file), progress=told.append)
    assert {(each.kind, each.operation, each.total) for each in told} == {("upload", "uploadImage", len(CONTENT))}
    assert [each.done for each in told] == sorted(each.done for each in told)
    assert told[-1].done == len(CONTENT)
    assert len(told) > 3
    told.clear()
    server.answers = [(200, {"Content-Type": "application/pdf"}, CONTENT)]
    run(download(tmp_path / "copy"), progress=told.append)
    assert told[-1] == Progress("download", "downloadDocument", len(CONTENT), len(CONTENT))


def test_a_progress_callback_that_fails_does_not_fail_the_call(run: Run, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    run(upload(file), progress=lambda progress: 1 / 0)
    assert [record.getMessage() for record in caplog.records if record.exc_info] == [
        "the progress callback failed in uploadImage and is not called again"
    ]


def test_a_file_that_moves_may_take_longer_than_the_call(run: Run, server: Server, tmp_path: Path) -> None:
    """What bounds it is the time without progress."""
    file = tmp_path / "large"
    file.write_bytes(bytes(12_000_000))
    server.pause = 0.01
    began = time.monotonic()
    run(upload(file), total_timeout=0.5, timeout=10)
    assert time.monotonic() - began > 0.5, "the server was too quick for this test to say anything"


def test_a_file_that_stands_still_ends_the_call(run: Run, server: Server, tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(bytes(30_000_000))
    server.pause = 3
    with pytest.raises(TransportError) as raised:
        run(upload(file), timeout=0.3)
    assert raised.value.delivery == "unknown"
    assert raised.value.attempts == 1
    server.pause = 0


@pytest.mark.parametrize("what", ["missing", "directory", "text", "closed", "number"])
def test_what_is_no_file_is_told_before_anything_is_sent(
    run: Run, server: Server, file: Path, tmp_path: Path, what: str
) -> None:
    closed = file.open("rb")
    closed.close()
    body: Any = {"missing": tmp_path / "none", "directory": tmp_path, "text": io.StringIO("x"), "closed": closed, "number": 5}
    with pytest.raises(ConfigurationError, match="body"):
        run(upload(body[what]))
    assert server.arrived == []


def test_a_place_that_cannot_be_written_is_told_before_anything_is_sent(run: Run, server: Server, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="none"):
        run(download(tmp_path / "none" / "file"))
    with pytest.raises(ConfigurationError, match="StringIO"):
        run(download(io.StringIO()))
    assert server.arrived == []


def test_a_file_that_becomes_shorter_is_told(run: Run, file: Path) -> None:
    with file.open("r+b") as writer:

        def shorten(progress: Progress) -> None:
            writer.truncate(1000)

        with pytest.raises(FileError, match="shorter") as raised:
            run(upload(file), progress=shorten)
    assert raised.value.delivery == "unknown"
    assert raised.value.may_be_done


def test_a_disk_that_is_full_is_told(run: Run, server: Server) -> None:
    class Full(io.BytesIO):
        def write(self, piece: Any) -> int:
            raise OSError(28, "No space left on device")

    server.answers = [(200, {"Content-Type": "application/pdf"}, CONTENT)]
    with pytest.raises(FileError, match="No space left") as raised:
        run(download(Full()))
    assert raised.value.attempts == 1


LIST = b'{"servers": [], "meta": {"total": 0}, "padding": "' + b" " * 5_000_000 + b'"}'


@pytest.mark.parametrize("encoding", ["", "gzip", "deflate", "raw deflate"])
@pytest.mark.parametrize("status", [200, 500])
def test_a_reply_has_a_bound(run: Run, server: Server, encoding: str, status: int) -> None:
    raw = zlib.compressobj(wbits=-15)
    content = {
        "": LIST,
        "gzip": gzip.compress(LIST),
        "deflate": zlib.compress(LIST),
        "raw deflate": raw.compress(LIST) + raw.flush(),
    }
    server.answers = [(status, {"Content-Encoding": encoding.split()[-1]} if encoding else {}, content[encoding])]
    with pytest.raises(ResponseTooLarge, match="max_response_bytes") as raised:
        run(lambda tw: tw.request("GET", "/api/v1/servers"), max_response_bytes=len(LIST) - 1)
    assert (raised.value.limit, raised.value.delivery, raised.value.attempts) == (len(LIST) - 1, "answered", 1)
    if status == 200:
        assert run(lambda tw: tw.request("GET", "/api/v1/servers"), max_response_bytes=len(LIST))["servers"] == []


@pytest.mark.parametrize(
    ("encoding", "content"), [("gzip", gzip.compress(LIST)[:-20]), ("gzip", LIST), ("br", LIST), ("deflate", b"\xff" * 50)]
)
def test_a_body_that_cannot_be_decompressed_is_not_the_api(run: Run, server: Server, encoding: str, content: bytes) -> None:
    server.answers = [(200, {"Content-Encoding": encoding}, content)]
    with pytest.raises(EdgeError, match="decompressed"):
        run(lambda tw: tw.servers.get(1), max_retries=0)


def test_only_what_can_be_bounded_is_asked_for(run: Run, server: Server) -> None:
    run(lambda tw: tw.request("GET", "/api/v1/servers"))
    assert server.arrived[0][0]["Accept-Encoding"] == "gzip, deflate"


@pytest.mark.parametrize("given", [0, -1, 1.5, "256 MB"])
def test_a_bound_is_a_number_of_bytes(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="max_response_bytes"):
        Timeweb("token", max_response_bytes=given)


async def test_a_file_that_is_slow_to_read_does_not_hold_up_the_loop(server: Server) -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if size:
                time.sleep(0.3)
            return super().read(size)

    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    async with AsyncTimeweb("token", base_url=server.url, rate_limit=RateLimit.off()) as tw:
        ticking = asyncio.create_task(tick())
        await tw.images.upload("i", body=Slow(b"x"))
        ticking.cancel()
    assert ticks > 5


def test_a_task_that_is_cancelled_leaves_no_file(server: Server, tmp_path: Path) -> None:
    server.answers = [(200, {"Content-Type": "application/pdf", "Content-Length": str(2 * len(CONTENT))}, CONTENT)]

    async def work() -> None:
        async with AsyncTimeweb("token", base_url=server.url, rate_limit=RateLimit.off()) as tw:
            view = tw.with_options(progress=lambda progress: task.cancel())
            task = asyncio.create_task(view.cloud_ai.knowledge_bases.documents.download(1, 2, to=tmp_path / "document"))
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(work())
    assert list(tmp_path.iterdir()) == []
