"""What the engine asks of its drivers.

A coroutine of the engine awaits a command; that suspends all of it, and its driver gets the command, carries it out and
resumes the coroutine with the answer.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from timeweb_sdk._core.bodies import Reply, Timeouts
from timeweb_sdk._core.limiter import Ticket
from timeweb_sdk._core.request import Request

Answer = TypeVar("Answer")


class Asked(Generic[Answer]):
    """What a coroutine without IO asks of its driver, which gives the answer."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, Answer, Answer]:
        return (yield self)


@dataclass(slots=True)
class Sleep(Asked[None]):
    """Wait; the answer is None."""

    seconds: float


@dataclass(slots=True)
class AwaitGrant(Asked[bool]):
    """Wait until the ticket gets a slot, at most so many seconds; the answer is whether it got one."""

    ticket: Ticket
    seconds: float


@dataclass(slots=True)
class Send(Asked[Reply]):
    """Send the request; the answer is a Reply, or a TransportError is thrown."""

    request: Request
    timeouts: Timeouts


@dataclass(slots=True)
class RoundTrip(Asked[Answer]):
    """Call a function that blocks on the network for a moment; the answer is what it returns."""

    function: Callable[[], Answer]
    deadline: float
    """Until when tasks wait for it, on the monotonic clock. Threads wait for the socket's own timeouts."""
    needed: bool = False
    """Without an answer in time the call is over; else it just goes on."""


Command = Sleep | AwaitGrant | Send | RoundTrip[Any]
