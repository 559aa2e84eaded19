"""The state document on disk, read at start and after edits from outside, written after changes."""

from __future__ import annotations

import json
import logging
import os
import tempfile
import time
from pathlib import Path

from timeweb_sdk.testing._account import State, check_state
from timeweb_sdk.testing.emulator import Emulator

_log = logging.getLogger("timeweb_sdk.testing")
_QUICK = 0.05
"""Writes that take longer than this many seconds are spaced out: 10,000 servers must not be rewritten on every request."""
_SPACING = 20


class StateFile:
    """Keeps one file and one emulator's state equal."""

    def __init__(self, path: Path, emulator: Emulator) -> None:
        self._path = path
        self._emulator = emulator
        self._stamp: tuple[int, int] | None = self._look()
        # A file that is there is written when something changes, not to add defaults to what somebody wrote by hand.
        self._written: int = -1 if self._stamp is None else emulator.account.version
        self._not_before = 0.0

    @staticmethod
    def read(path: Path) -> State | None:
        """The document, None when there is no file; raises ValueError naming the file when it is not a state."""
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            check_state(state)
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: {error}") from None
        return dict(state)

    def reload(self) -> None:
        """Take over an edit made from outside; half-written text is left for the next look."""
        stamp = self._look()
        if stamp is None or stamp == self._stamp:
            return
        try:
            state = self.read(self._path)
        except ValueError:
            return
        if state is not None:
            self._emulator.load(state)
            self._stamp = stamp
            self._written = self._emulator.account.version

    def save(self, *, now: bool = False) -> None:
        """Write if anything changed and the last write is long enough ago, or at once."""
        version = self._emulator.account.version
        started = time.monotonic()
        if version == self._written or (started < self._not_before and not now):
            return
        text = self._emulator.dump()
        # It holds passwords: as mkstemp makes it, its owner alone can read it, whatever the file was before.
        handle, temporary = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(temporary).replace(self._path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise
        self._written, self._stamp = version, self._look()
        took = time.monotonic() - started
        self._not_before = 0.0 if took < _QUICK else time.monotonic() + took * _SPACING

    def keep(self, *, now: bool = False) -> None:
        """As `save`, but where it cannot be written the account goes on in memory, and a warning is logged now and then."""
        try:
            self.save(now=now)
        except OSError as error:
            self._not_before = time.monotonic() + _SPACING
            _log.warning("cannot write %s: %s", self._path, error.strerror or error)

    def _look(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_size
