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

    def __init__(self, encoding: str, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._encoding = encoding.strip().lower()
        self._inflate: Any = None
        self._came = False
        self._held = bytearray()
        self.readable = self._encoding in ("", "identity", "gzip", "x-gzip", "deflate")
        """False when the body is not compressed as was asked for, or breaks off."""
        if self.readable and self._encoding not in ("", "identity"):
            self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def pieces(self, raw: bytes) -> Iterator[bytes]:
        """Decompress what came."""
        if self._inflate is None and self.readable:
            yield raw
        while raw and self._inflate is not None:
            try:
                piece = self._inflate.decompress(raw, PIECE)
            except zlib.error:
                # Some servers take "deflate" to be without a header.
                is_bare = self._encoding == "deflate" and not self._came
                self._inflate = zlib.decompressobj(-zlib.MAX_WBITS) if is_bare else None
                self.readable = self._came = is_bare
                continue
            self._came = True
            raw = self._inflate.unconsumed_tail
            yield piece

    def rest(self) -> bytes:
        """Return what was still inside at the end."""
        if self._inflate is None or not self._came:
            return b""
        rest: bytes = self._inflate.flush()
        self.readable = self._inflate.eof
        return rest

    def hold(self, piece: bytes) -> None:
        if len(self._held) + len(piece) > self._max_bytes:
            raise ResponseTooLarge(
                f"the reply has more than {self._max_bytes:,} bytes (decompressed): raise max_response_bytes, "
                "ask for less at once, or write it to a file with to=…",
                delivery="answered",
                limit=self._max_bytes,
            )
        self._held += piece

    @property
    def content(self) -> bytearray:
        return self._held if self.readable else bytearray()


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
    if response.is_stream_consumed:  # by a transport without a network, or a hook
        return _whole(response, transfer, response.read())
    body, target = _body(response, transfer), _target(response, transfer)
    done, total = 0, _length(response)

    def take(piece: bytes) -> None:
        if target is None:
            body.hold(piece)
        else:
            target.write(piece)

    for raw in response.iter_raw():
        for piece in body.pieces(raw):
            take(piece)
        if clock.monotonic() > timeouts.deadline:
            raise ReadTimeout("the reply was still coming when the deadline passed", delivery="unknown")
        if target is not None:
            done += len(raw)
            transfer.moved("download", done, total)
    take(body.rest())
    return _reply(response, body, target)


async def aread(response: Any, transfer: Transfer) -> Reply:
    """As `read`; the file is written by threads, and other tasks get their turn while much is decompressed."""
    import asyncio  # which a synchronous client does not need

    if response.is_stream_consumed:
        return _whole(response, transfer, await response.aread())
    body, target = _body(response, transfer), _target(response, transfer)
    done, total = 0, _length(response)
    async for raw in response.aiter_raw():
        for number, piece in enumerate(body.pieces(raw)):
            if target is not None:
                await asyncio.to_thread(target.write, piece)
                continue
            if number:
                await asyncio.sleep(0)
            body.hold(piece)
        if target is not None:
            done += len(raw)
            transfer.moved("download", done, total)
    rest = body.rest()
    body.hold(rest) if target is None else target.write(rest)
    return _reply(response, body, target)


def _body(response: Any, transfer: Transfer) -> Body:
    return Body(response.headers.get("Content-Encoding", ""), transfer.max_bytes)


def _target(response: Any, transfer: Transfer) -> Target | None:
    """Return the file that this reply goes into; what tells of an error does not."""
    is_page = "html" in response.headers.get("Content-Type", "")
    return transfer.target if 200 <= response.status_code < 300 and not is_page else None


def _length(response: Any) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdigit() else None


def _whole(response: Any, transfer: Transfer, content: bytes) -> Reply:
    body, target = Body("", transfer.max_bytes), _target(response, transfer)
    if target is None:
        body.hold(content)
    else:
        target.write(content)
        transfer.moved("download", len(content), len(content))
    return _reply(response, body, target)


def _reply(response: Any, body: Body, target: Target | None) -> Reply:
    is_saved = target is not None and body.readable
    return Reply(response.status_code, response.headers, Content(body.content), body.readable, is_saved)
