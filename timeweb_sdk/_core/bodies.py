"""The bodies of requests and replies, as the HTTP library takes and gives them: piece by piece, with a bound in memory."""

import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from timeweb_sdk._core.clock import Clock
from timeweb_sdk._core.secrets import Content
from timeweb_sdk._core.streams import PIECE, Target, Transfer
from timeweb_sdk.errors import ReadTimeout, ResponseTooLarge


@dataclass(slots=True)
class Timeouts:
    """Seconds for one attempt."""

    connect: float
    read: float
    deadline: float
    """When the call must be over, on the monotonic clock. A file on its way puts it off, as long as it moves."""
    put_off: Callable[[], None] | None = None
    """Tells the task that carries out the call that its deadline was put off."""

    def moved(self, clock: Clock) -> None:
        self.deadline = clock.monotonic() + self.read
        if self.put_off is not None:
            self.put_off()


@dataclass(slots=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: Content = field(repr=False)
    readable: bool = True
    """False when the body could not be decompressed."""
    is_saved: bool = False
    """The body went into a file."""


class Body:
    """A reply as it comes: decompressed in pieces of bounded size, so that little cannot become much unnoticed."""

    def __init__(self, response: Any, transfer: Transfer) -> None:
        self._response = response
        self._transfer = transfer
        # A transport without a network, or a hook, has read and decompressed it already.
        encoding: str = "" if response.is_stream_consumed else response.headers.get("Content-Encoding", "").strip().lower()
        self._inflate: Any = None
        self._came: bool = False
        self._is_bare = encoding == "deflate"
        """Some servers take "deflate" to be without a header."""
        self._readable = encoding in ("", "identity", "gzip", "x-gzip", "deflate")
        """False when the body is not compressed as was asked for, or breaks off."""
        if self._readable and encoding not in ("", "identity"):
            self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)
        self._held = bytearray()
        self._done = 0
        self._total: int | None = None
        self.target: Target | None = None
        """The file that it goes into; what tells of an error does not."""
        if transfer.target is not None and response.is_success and "html" not in response.headers.get("Content-Type", ""):
            self.target = transfer.target
            length = response.headers.get("Content-Length", "")
            self._total = int(length) if length.isascii() and length.isdigit() else None

    def pieces(self, raw: bytes) -> Iterator[bytes]:
        """Decompress what came."""
        if self._inflate is None and self._readable:
            yield raw
        while raw and self._inflate is not None:
            try:
                piece = self._inflate.decompress(raw, PIECE)
            except zlib.error:
                again = self._is_bare and not self._came
                self._inflate = zlib.decompressobj(-zlib.MAX_WBITS) if again else None
                self._readable = self._came = again
                continue
            self._came = True
            raw = self._inflate.unconsumed_tail
            yield piece

    def take(self, piece: bytes) -> None:
        if self.target is not None:
            self.target.write(piece)
            return
        limit = self._transfer.max_bytes
        if len(self._held) + len(piece) > limit:
            raise ResponseTooLarge(
                f"the reply has more than {limit:,} bytes (decompressed): raise max_response_bytes, "
                "ask for less at once, or write it to a file with to=…",
                delivery="answered",
                limit=limit,
            )
        self._held += piece

    def moved(self, raw: bytes) -> None:
        """Tell whoever watches the file that so much of it has come."""
        if self.target is not None:
            self._done += len(raw)
            self._transfer.moved("download", self._done, self._total)

    def whole(self, content: bytes) -> Reply:
        """Return what was there from the beginning."""
        self._total = len(content)
        self.take(content)
        self.moved(content)
        return self.reply()

    def reply(self) -> Reply:
        """Return what came, with what was still inside at the end."""
        if self._inflate is not None and self._came:
            self.take(self._inflate.flush())
            self._readable = self._inflate.eof
        content = Content(self._held if self._readable else b"")
        is_saved = self.target is not None and self._readable
        return Reply(self._response.status_code, self._response.headers, content, self._readable, is_saved)


def in_pieces(form: Iterable[bytes]) -> Iterator[bytes]:
    """Join what an encoder yields in crumbs: in a task each piece takes a thread."""
    held = bytearray()
    for crumb in form:
        held += crumb
        if len(held) >= PIECE:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


def sending(transfer: Transfer, body: Iterable[bytes], total: int | None) -> Iterator[bytes]:
    done = 0
    for piece in body:
        yield piece
        done += len(piece)
        transfer.moved("upload", done, total)


async def asending(transfer: Transfer, body: Iterable[bytes], total: int | None) -> AsyncIterator[bytes]:
    import asyncio  # which a synchronous client does not need

    done, pieces = 0, iter(body)
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece
        done += len(piece)
        transfer.moved("upload", done, total)


def read(response: Any, transfer: Transfer, timeouts: Timeouts, clock: Clock) -> Reply:
    """Read the body, into a file if it shall go there. A body that trickles ends with the deadline."""
    body = Body(response, transfer)
    if response.is_stream_consumed:
        return body.whole(response.read())
    for raw in response.iter_raw():
        for piece in body.pieces(raw):
            body.take(piece)
        if clock.monotonic() > timeouts.deadline:
            raise ReadTimeout("the reply was still coming when the deadline passed", delivery="unknown")
        body.moved(raw)
    return body.reply()


async def aread(response: Any, transfer: Transfer) -> Reply:
    """As `read`; the file is written by threads, and other tasks get their turn while much is decompressed."""
    import asyncio  # which a synchronous client does not need

    body = Body(response, transfer)
    if response.is_stream_consumed:
        return body.whole(await response.aread())
    async for raw in response.aiter_raw():
        for number, piece in enumerate(body.pieces(raw)):
            if body.target is not None:
                await asyncio.to_thread(body.take, piece)
                continue
            if number:
                await asyncio.sleep(0)
            body.take(piece)
        body.moved(raw)
    return body.reply()
