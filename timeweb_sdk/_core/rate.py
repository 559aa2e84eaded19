"""A rate, which both the public limits and the machinery that keeps them know."""

from dataclasses import dataclass

from timeweb_sdk.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `requests` in any window of `seconds`, as they arrive at the server.

    Raises ConfigurationError for a rate that lets nothing through.
    """

    requests: int
    seconds: float = 1.0

    def __post_init__(self) -> None:
        if self.requests < 1 or self.seconds <= 0:
            raise ConfigurationError(
                f"Rate({self.requests}, {self.seconds}) lets nothing through: "
                "give at least one request in a positive number of seconds, or RateLimit.off()"
            )
