"""What hooks are told."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

_log = logging.getLogger("timeweb_sdk")


Kind = Literal["request", "response", "retry"]


@dataclass(frozen=True, slots=True)
class Event:
    """A moment of a call. It holds neither the token nor a body."""

    kind: Kind
    """Before an attempt is sent, after it was answered or failed, before the wait for the next one."""
    operation: str
    method: str
    path: str
    attempt: int
    """1 for the first."""
    status_code: int | None = None
    """None when no reply came."""
    error: str | None = None
    """The name of the error's class, if the attempt failed."""
    elapsed: float | None = None
    """Seconds from sending to the reply or the failure."""
    wait: float | None = None
    """Seconds until the next attempt, in a retry."""


Hook = Callable[[Event], object]
"""A function that is called at each event, in the thread or task of the call."""


def emit(hooks: Iterable[Hook], event: Event) -> None:
    """Call the hooks; one that fails is logged and does not fail the call."""
    for hook in hooks:
        try:
            hook(event)
        except Exception:
            _log.exception("a hook failed on the %s event of %s", event.kind, event.operation)
