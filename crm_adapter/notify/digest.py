"""The text of a digest, in Russian: what is broken first, at most 20 lines and 4,096 UTF-16 units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from crm_adapter.results import OutboxEvent
from crm_adapter.text import events as events_text
from crm_adapter.text.events import LINES

MAXLINES: Final = 20
MAX_CHARACTERS: Final = 4096
"""Telegram's limit for one message, in UTF-16 units."""
_MAX_LINE: Final = 300

ORDER: Final = {kind: position for position, kind in enumerate(LINES)}


def line(event: OutboxEvent) -> str:
    """One event in one line without control characters."""
    write = LINES.get(event.kind)
    text = write(event.payload) if write else f"{event.payload.get('name') or event.kind}"
    text = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return text if len(text) <= _MAX_LINE else f"{text[: _MAX_LINE - 1]}…"


def digest(events: Sequence[OutboxEvent], total: int | None = None) -> tuple[str, str]:
    """Title and text; what does not fit is counted: «и ещё 3». `total` counts those too that are not among `events`."""
    total = len(events) if total is None else total
    ordered = sorted(events, key=lambda event: (ORDER.get(event.kind, len(ORDER)), event.id))
    title = events_text.title(total)
    lines = [line(event) for event in ordered[:MAXLINES]]
    # Telegram counts UTF-16 units, and the title stands above the text. One line always fits.
    while _length(title, lines, total) > MAX_CHARACTERS:
        lines.pop()
    return title, _text(lines, total)


def _text(lines: Sequence[str], total: int) -> str:
    rest = total - len(lines)
    return "\n".join([*lines, events_text.more(rest)] if rest else lines)


def _length(title: str, lines: Sequence[str], total: int) -> int:
    return len(f"{title}\n\n{_text(lines, total)}".encode("utf-16-le")) // 2
