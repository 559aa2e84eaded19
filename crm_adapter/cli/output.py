"""What a command prints: words and tables for people, or one JSON document for programs."""

from __future__ import annotations

import codecs
import io
import json
import logging
import sys
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console

from crm_adapter.text.help import ROUBLES

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from rich.console import RenderableType

DONE, FAILED, USAGE, BUSY = 0, 1, 2, 3

_UNBOUNDED = 240
_PLAIN: Final = {
    "₽": ROUBLES,
    "\u00a0": " ",
    "\u202f": " ",
    "\u2212": "-",
    "—": "-",
    "–": "-",
    "…": "...",
    "→": "->",
    "«": '"',
    "»": '"',
    "“": '"',
    "”": '"',
    "≈": "~",
    "●": "*",
    "▲": "!",
    "■": "#",
    "○": "o",
    "◌": ".",
    "✕": "x",
    "✓": "+",
    "⚠": "!",
}
"""What stands for a sign that an encoding lacks."""


def tolerate_encodings() -> None:
    """Let no character end a command: a redirect on a Russian Windows is cp1251, a bare container is ASCII."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            name = f"hosting_plain_{stream.encoding}"
            codecs.register_error(name, partial(_plainly, stream.encoding))
            stream.reconfigure(errors=name)


def _plainly(encoding: str, error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    plain = "".join(_PLAIN.get(sign, "?") for sign in error.object[error.start : error.end])
    # The substitute may be unknown as well: ASCII has no Cyrillic.
    return plain.encode(encoding, "replace").decode(encoding), error.end


class CommandError(Exception):
    """Ends a command with a message instead of a traceback. `hint` tells what to do next."""

    def __init__(self, code: str, message: str, *, hint: str = "", exit_code: int = USAGE) -> None:
        self.code = code
        self.message = message
        self.hint = hint
        self.exit_code = exit_code
        super().__init__(message)


class Output:
    """Writes the result of one command: to stdout only the result, to stderr all else."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.out = Console(highlight=False)
        if not self.out.is_terminal:
            # A file or a pipe has no edge to wrap at, and whoever searches it wants each value in one piece.
            self.out.width = _UNBOUNDED
        self.err = Console(stderr=True, highlight=False)

    def result(self, document: Mapping[str, Any], *lines: RenderableType) -> None:
        """Print `document` with `--json`, else `lines`; texts in them are data, not markup."""
        if self.as_json:
            # JSON has a spelling of its own for what the encoding lacks, so programs lose nothing.
            escaped = not (sys.stdout.encoding or "").lower().startswith("utf")
            sys.stdout.write(json.dumps(document, ensure_ascii=escaped, indent=2, default=str) + "\n")
            sys.stdout.flush()
            return
        for line in lines:
            self.out.print(line, markup=False, soft_wrap=isinstance(line, str))

    def error(self, error: CommandError) -> None:
        """Print an error as people or programs expect it."""
        if self.as_json:
            document = {"success": False, "code": error.code, "error": error.message}
            self.result(document | ({"hint": error.hint} if error.hint else {}))
            return
        self.err.print(error.message, style="bold red", markup=False, soft_wrap=True)
        if error.hint:
            self.err.print(error.hint, markup=False, soft_wrap=True)

    @contextmanager
    def progress(self, title: str) -> Generator[Callable[[int, int | None], None]]:
        """Show a bar while the block runs, when a person is watching; the block reports (done, total)."""
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TimeElapsedColumn(),
            console=self.err,
            transient=True,
            disable=self.as_json or not self.err.is_terminal,
        )
        with bar:
            task = bar.add_task(title, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)

    def logs(self, *, verbose: bool) -> None:
        """Send the log to stderr."""
        from rich.logging import RichHandler

        root = logging.getLogger()
        if any(isinstance(handler, RichHandler) for handler in root.handlers):
            return
        handler = RichHandler(console=self.err, show_path=False, markup=False, rich_tracebacks=False)
        root.addHandler(handler)
        root.setLevel(logging.DEBUG if verbose else logging.WARNING)
