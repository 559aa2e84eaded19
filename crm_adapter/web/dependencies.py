"""Types of what handlers get injected."""

from __future__ import annotations

__all__ = ["Actor"]

#: Who is at work, as the host names them; goes into the change log.
Actor = str | None
