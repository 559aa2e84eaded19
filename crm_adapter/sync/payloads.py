"""What Timeweb tells of each server, kept small until it is written.

A listing is held whole while an account is planned, and `timeweb_data` is most of it. Servers are alike, so each is packed by
the words of the first: a sixth remains.
"""

from __future__ import annotations

import zlib
from dataclasses import replace
from sys import intern
from typing import Final

from crm_adapter.results import HostingValues

_LEVEL: Final = 1
_WINDOW: Final = -15
"""Without header and checksum, which the fingerprint is."""


class Payloads:
    """`timeweb_data` by its fingerprint."""

    def __init__(self) -> None:
        self._like: bytes | None = None
        self._packed: dict[str, bytes] = {}

    def pack(self, values: HostingValues) -> HostingValues:
        """Keep the payload of a server; returns its values without, and with what many servers share held once."""
        text = values.timeweb_data.encode()
        if self._like is None:
            self._like = text
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW, zdict=self._like)
        self._packed[values.fingerprint] = packer.compress(text) + packer.flush()
        return replace(
            values,
            timeweb_data="",
            configuration=intern(values.configuration),
            timeweb_status=_shared(values.timeweb_status),
            location=_shared(values.location),
        )

    def text(self, values: HostingValues) -> str:
        """The payload of a server."""
        packed = self._packed.get(values.fingerprint)
        if packed is None or self._like is None:
            return values.timeweb_data
        return zlib.decompressobj(_WINDOW, zdict=self._like).decompress(packed).decode()

    def clear(self) -> None:
        """Let all go, one by one, so that other threads have their turn in between."""
        while self._packed:
            self._packed.popitem()

    def whole(self, values: HostingValues) -> HostingValues:
        """The values with their payload again."""
        return replace(values, timeweb_data=self.text(values))


def _shared(text: str | None) -> str | None:
    return None if text is None else intern(text)
