"""Files on their way out and in: read and written piece by piece, rewound for a repetition, watched."""

import io
import logging
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from timeweb_sdk._core.types import Delivery
from timeweb_sdk.errors import ConfigurationError, FileError, TimewebError

PIECE = 128 * 1024
"""Bytes: enough for the network, and little enough for an event loop to pass on."""
_log = logging.getLogger("timeweb_sdk")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a file has come."""

    kind: Literal["upload", "download"]
    operation: str
    done: int
    """Bytes that went over the network in this attempt: a repetition begins at 0 again."""
    total: int | None
    """Bytes of the whole; None when that is not known. A form has some more than its files."""


@contextmanager
def _faults(kind: type[TimewebError], what: str, delivery: Delivery = "not_sent") -> Generator[None]:
    try:
        yield
    except TimewebError:
        raise
    except Exception as error:  # a file may be an object of the caller's
        raise kind(f"{what}: {error}", delivery=delivery) from None


def _path_of(file: Any) -> Path | None:
    return Path(cast("os.PathLike[str]", file)) if isinstance(file, os.PathLike) else None


class Source:
    """A file to send, from where it stands to its end; `begin` goes back there."""

    def __init__(self, file: Any, where: str) -> None:
        self._where = where
        self._path = _path_of(file)
        self._file = file
        self._start: int | None = None
        self._begun = False
        self.size: int | None = None
        """Bytes; None for what cannot tell, like a pipe."""
        self.name = Path(str(getattr(file, "name", "upload"))).name
        with _faults(ConfigurationError, f"{where} cannot be read"):
            if self._path is not None:
                self.begin()
            self._measure()
            self.end()

    def _measure(self) -> None:
        if not isinstance(self._file.read(0), bytes):
            raise ConfigurationError(f"{self._where} is a file opened as text: open it in binary mode")
        with suppress(AttributeError, OSError):
            start = self._file.tell()
            self.size = self._file.seek(0, io.SEEK_END) - start
            self._start = self._file.seek(start)

    @property
    def is_spent(self) -> bool:
        """Whether it was read and cannot be read again."""
        return self._begun and self._start is None

    def begin(self) -> None:
        with _faults(ConfigurationError, f"{self._where} cannot be read"):
            if self._path is not None:
                self._file = self._path.open("rb")
            elif self._start is not None:
                self._file.seek(self._start)
        self._left = self.size

    def end(self) -> None:
        if self._path is not None:
            self._file.close()

    def read(self, size: int = PIECE) -> bytes:
        """Return the next piece, empty at the end; never more than was promised when the file was measured."""
        self._begun = True
        left = self._left
        with _faults(FileError, f"{self._where} could not be read to its end", "unknown"):
            piece: bytes = self._file.read(size if left is None else min(size, left))
        if left is not None:
            if left and not piece:
                raise FileError(f"{self._where} became {left} bytes shorter while it was sent", delivery="unknown")
            self._left = left - len(piece)
        return piece

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.read():
            yield piece

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Answer the encoder of forms, which asks for the size so; it stays where `begin` has put it."""
        if self.size is None:
            raise io.UnsupportedOperation
        return self.size if whence == io.SEEK_END else offset

    def tell(self) -> int:
        return self.seek(0)


class Target:
    """A file to write a reply to. At a path it appears when it is whole."""

    def __init__(self, file: Any) -> None:
        self._path = _path_of(file)
        self._part: Path | None = None
        if self._path is not None:
            with _faults(ConfigurationError, f"{self._path} cannot be written"):
                self._part = self._path.with_name(f"{self._path.name}.part")
        self._file = file
        self._start: int | None = None
        self._written = False
        if self._path is None:
            if not hasattr(file, "write") or isinstance(file, io.TextIOBase):
                raise ConfigurationError(f"to is a {type(file).__name__}: give a path or a file opened in binary mode")
            with suppress(AttributeError, OSError, ValueError):
                self._start = file.tell()

    @property
    def is_spent(self) -> bool:
        """Whether something was written that cannot be taken back."""
        return self._written and self._path is None and self._start is None

    def begin(self) -> None:
        """Take back what an earlier attempt has written."""
        with _faults(ConfigurationError, f"{self._path or 'to'} cannot be written"):
            if self._part is not None:
                self._file = self._part.open("wb")
            elif self._written:
                self._file.seek(self._start or 0)
                self._file.truncate()

    def write(self, piece: bytes) -> None:
        self._written = True
        with _faults(FileError, f"{self._path or 'the file'} could not be written", "answered"):
            self._file.write(piece)

    def end(self, *, whole: bool) -> None:
        with _faults(FileError, f"{self._path or 'the file'} could not be written", "answered"):
            if self._path is None or self._part is None:
                if whole and hasattr(self._file, "flush"):
                    self._file.flush()
                return
            self._file.close()
            if whole:
                self._part.replace(self._path)
            else:
                self._part.unlink(missing_ok=True)


@dataclass(slots=True)
class Transfer:
    """What a call sends from files and writes to one, how much it may hold in memory, and who watches."""

    operation: str = ""
    sources: list[Source] = field(default_factory=list[Source])
    target: Target | None = None
    max_bytes: int = 256_000_000
    progress: Callable[[Progress], object] | None = None
    on_move: Callable[[], None] = field(default=lambda: None)
    """Puts off the deadline of the attempt."""

    @property
    def is_streamed(self) -> bool:
        return bool(self.sources) or self.target is not None

    @property
    def is_spent(self) -> bool:
        """Whether a repetition could not begin where this attempt began."""
        return any(source.is_spent for source in self.sources) or (self.target is not None and self.target.is_spent)

    def begin(self, on_move: Callable[[], None]) -> None:
        """Go to where an attempt begins; `on_move` is told whenever something has moved."""
        self.on_move = on_move
        for source in self.sources:
            source.begin()
        if self.target is not None:
            self.target.begin()

    def end(self, *, whole: bool) -> None:
        for source in self.sources:
            source.end()
        if self.target is not None:
            self.target.end(whole=whole)

    def moved(self, kind: Literal["upload", "download"], done: int, total: int | None) -> None:
        self.on_move()
        if self.progress is not None:
            try:
                self.progress(Progress(kind, self.operation, done, total))
            except Exception:
                _log.exception("the progress callback failed in %s and is not called again", self.operation)
                self.progress = None
