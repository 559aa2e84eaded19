"""A reply whose list may be very long, read item by item.

A parser that reads it whole does so in one call, during which no other thread of the process gets its turn: the event loop
would stand for half a second at 100,000 rows, and all of them would be held at once.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

_PIECE: Final = 2**18
"""Characters that are decoded at a time."""
_BLANK: Final = re.compile(r"[ \t\r\n]*")
_ENDS: Final = (",", "]", "}", ":", " ", "\t", "\r", "\n")
"""What stands after a value."""
_LONGEST: Final = 40
"""Digits of a whole number that can mean anything; Python refuses to read thousands of them, and the list with them."""


def _whole(digits: str) -> int | None:
    return int(digits) if len(digits) <= _LONGEST else None


_decoder: Final = json.JSONDecoder(strict=False, parse_int=_whole)


class LongList:
    """The items under `key` of a JSON object; to be gone through once.

    Raises `ValueError` or `RecursionError` on the way where the file holds no such list, or no JSON from there on. Bytes
    that are no text are replaced: one bad character does not cost the list.
    """

    def __init__(self, file: BinaryIO, key: str) -> None:
        encoding = json.detect_encoding(file.read(4))
        file.seek(0)
        self._text = io.TextIOWrapper(file, encoding, errors="replace", newline="")
        self._window, self._at = "", 0
        self._key = key
        self.rest: dict[str, Any] = {}
        """What stands beside the list, whole once all items have come."""

    def __iter__(self) -> Iterator[Any]:
        lists = 0
        for key in self._members():
            if key == self._key and self._next() == "[":
                lists += 1
                for _ in self._parts("[", "]"):
                    yield self._value()
            else:
                self.rest[key] = self._value()
        if lists != 1 or self._next():
            raise ValueError(f"no list of {self._key}, or more than one, or something after the object")

    def _members(self) -> Iterator[str]:
        for _ in self._parts("{", "}"):
            key = self._value()
            self._take(":")
            yield str(key)

    def _parts(self, opening: str, closing: str) -> Iterator[None]:
        """One turn for each part of an object or a list."""
        self._take(opening)
        if self._next() != closing:
            yield
            while self._next() == ",":
                self._at += 1
                yield
        self._take(closing)

    def _take(self, character: str) -> None:
        if self._next() != character:
            raise ValueError(f"{character} expected")
        self._at += 1

    def _next(self) -> str:
        """The next character that is no blank, empty at the end."""
        while True:
            match = _BLANK.match(self._window, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._window):
                return self._window[self._at]
            if not self._read_on():
                return ""

    def _value(self) -> Any:
        self._next()
        while True:
            value, end = None, -1
            try:
                value, end = _decoder.raw_decode(self._window, self._at)
            except ValueError:
                if not self._read_on():
                    raise
                continue
            # A number may go on after the window: of "1.5" it may hold "1" or "1.".
            if self._window[end : end + 1] in _ENDS or not self._read_on():
                self._at = end
                return value

    def _read_on(self) -> bool:
        # Twice as much each time, so that a value without an end is not looked at once per piece.
        more = self._text.read(max(_PIECE, len(self._window) - self._at))
        self._window = self._window[self._at :] + more
        self._at = 0
        return bool(more)
