"""What the engine asks of its drivers."""

from collections.abc import Callable
from dataclasses import dataclass

from timeweb_sdk._core.limiter import Ticket
from timeweb_sdk._core.request import Request
from timeweb_sdk._core.transport import Timeouts


@dataclass(slots=True)
class Sleep:
    """Wait; the answer is None."""

    seconds: float


@dataclass(slots=True)
class AwaitGrant:
    """Wait until the ticket gets a slot, at most so many seconds; the answer is whether it got one."""

    ticket: Ticket
    seconds: float


@dataclass(slots=True)
class Send:
    """Send the request; the answer is a Reply, or a TransportError is thrown."""

    request: Request
    timeouts: Timeouts


@dataclass(slots=True)
class RoundTrip:
    """Call a function that blocks on the network for a moment; the answer is what it returns."""

    function: Callable[[], object]
    deadline: float
    """Until when tasks wait for it, on the monotonic clock. Threads wait for the socket's own timeouts."""
    needed: bool = False
    """Without an answer in time the call is over; else it just goes on."""


Command = Sleep | AwaitGrant | Send | RoundTrip
