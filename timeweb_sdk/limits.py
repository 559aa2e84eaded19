"""How fast the client may call: `RateLimit`, and the store that shares a limit between processes."""

from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, Self

from timeweb_sdk._core.redis_store import RedisStore
from timeweb_sdk.errors import ConfigurationError

__all__ = ["Rate", "RateLimit", "RedisStore"]


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `requests` in any window of `seconds`, as they arrive at the server.

    Raises ConfigurationError for a rate that lets nothing through.
    """

    requests: int
    seconds: float = 1.0

    def __post_init__(self) -> None:
        given: tuple[Any, Any] = (self.requests, self.seconds)
        are_numbers = isinstance(given[0], int) and isinstance(given[1], (int, float))
        if not are_numbers or self.requests < 1 or not 0 < self.seconds < inf:
            raise ConfigurationError(
                f"Rate({self.requests!r}, {self.seconds!r}) lets nothing through: "
                "give at least one request, and no half ones, in a positive number of seconds, or RateLimit.off()"
            )


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The limits that one account keeps: on each endpoint, and on all of them together; None means no limit.

    Threads, tasks and clients of one process share the limit of an account; processes do with a `store`.
    """

    per_endpoint: Rate | None = None
    overall: Rate | None = None
    store: RedisStore | None = field(default=None, repr=False)
    per_address: Rate | None = None
    """What all accounts keep together on the way to one host: its protection bans addresses, not accounts."""

    def __post_init__(self) -> None:
        for name in ("per_endpoint", "overall", "per_address"):
            given: Any = getattr(self, name)
            if given is not None and not isinstance(given, Rate):
                raise ConfigurationError(f"{name}={given!r}: give a Rate, such as Rate(20), or None")

    @classmethod
    def documented(cls, *, store: RedisStore | None = None) -> Self:
        """20 a second on each endpoint and 20 a second overall: the limit that Timeweb documents."""
        return cls(Rate(20), Rate(20), store)

    @classmethod
    def gentle(cls, *, store: RedisStore | None = None) -> Self:
        """2 a second overall with a burst of 3.

        For addresses that the protection in front of the API has banned: it bans silently (connections time out)
        and far below the documented limit.
        """
        return cls(None, Rate(3, 1.5), store)

    @classmethod
    def off(cls) -> Self:
        """No limit on our side. The API answers 429 above 20 requests a second, and its protection may ban the address."""
        return cls()

    def with_address(self, rate: Rate | None = Rate(3, 1.5)) -> Self:
        """Return the same limits, and one for all accounts together: by default 2 requests a second with a burst of 3.

        It counts for all clients of the process that have one of the same rate, whatever their tokens, and for all
        processes with the same `store`. Accounts take turns, so that none waits for all that another has to do.
        """
        return replace(self, per_address=rate)

    def with_store(self, store: RedisStore | None) -> Self:
        """Return the same limits, shared through `store`."""
        return replace(self, store=store)
