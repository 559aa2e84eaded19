"""What can be set for a client, and changed for a view of it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from threading import TIMEOUT_MAX
from typing import Any

from timeweb_sdk._core.events import Hook
from timeweb_sdk._core.streams import Progress
from timeweb_sdk.errors import ConfigurationError
from timeweb_sdk.limits import RateLimit


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a call; times are seconds."""

    rate_limit: RateLimit
    max_retries: int = 4
    timeout: float = 60.0
    total_timeout: float = 180.0
    read_only: bool = False
    strict: bool = False
    hooks: Iterable[Hook] = ()
    """Kept as a tuple."""
    max_response_bytes: int = 256_000_000
    progress: Callable[[Progress], object] | None = None

    def __post_init__(self) -> None:
        given: Any = self.max_retries
        if not isinstance(given, int) or given < 0:
            raise ConfigurationError(f"max_retries={given!r}: give 0 to never repeat a call, or more")
        given = self.max_response_bytes
        if not isinstance(given, int) or given <= 0:
            raise ConfigurationError(f"max_response_bytes={given!r}: give how many bytes of a reply may be held in memory")
        for name in ("timeout", "total_timeout"):
            given = getattr(self, name)
            if not isinstance(given, (int, float)) or not 0 < given <= TIMEOUT_MAX:
                raise ConfigurationError(f"{name}={given!r}: give a positive number of seconds, at most {TIMEOUT_MAX:.0f}")
        hooks = tuple(self.hooks) if hasattr(self.hooks, "__iter__") else (None,)
        if not all(map(callable, hooks)):
            raise ConfigurationError(f"hooks={self.hooks!r}: give a list of functions, each of which takes an Event")
        object.__setattr__(self, "hooks", hooks)
        given = self.rate_limit
        if not isinstance(given, RateLimit):
            raise ConfigurationError(f"rate_limit={given!r}: give a RateLimit; RateLimit.off() is none")

    def changed(self, changes: dict[str, Any]) -> "Options":
        unknown = changes.keys() - {field.name for field in fields(self)}
        if unknown:
            names = ", ".join(field.name for field in fields(self))
            raise ConfigurationError(f"with_options does not know {', '.join(sorted(unknown))}; it takes {names}")
        return replace(self, **changes)
