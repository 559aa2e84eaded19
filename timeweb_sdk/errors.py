"""Everything that a call can raise.

All errors pickle and copy. None holds the token or a request body.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from timeweb_sdk._core.types import Delivery

__all__ = [
    "APIError",
    "AmbiguousOrder",
    "BadRequestError",
    "ConfigurationError",
    "ConfirmationRequired",
    "ConflictError",
    "ConnectError",
    "ConnectTimeout",
    "DeadlineExceeded",
    "DecodeError",
    "EdgeError",
    "FileError",
    "ForbiddenError",
    "LockedError",
    "NotFoundError",
    "PoolTimeout",
    "ProtocolError",
    "ProxyError",
    "RateLimitError",
    "ReadError",
    "ReadOnlyError",
    "ReadTimeout",
    "ResponseTooLarge",
    "ServerError",
    "TimewebError",
    "TransportError",
    "UnauthorizedError",
    "WaitFailed",
    "WaitTimeout",
    "WriteError",
    "WriteTimeout",
]


class TimewebError(Exception):
    """The root of all errors of this library."""

    def __init__(
        self,
        message: str = "",
        *,
        operation: str | None = None,
        attempts: int = 0,
        delivery: Delivery = "not_sent",
        **details: Any,
    ) -> None:
        super().__init__(message)
        self.operation = operation
        """The id of the operation (`getServers`), or method and path of a raw request; None outside a call."""
        self.call: str | None = None
        """The call as it is written, with its path arguments: `domains.dns_records.list('home.example.com')`."""
        self.attempts = attempts
        """How many requests were sent, or begun."""
        self.delivery: Delivery = delivery
        """What is known about the requests of this call: "not_sent", "answered" (all by the API itself) or "unknown".

        The strongest doubt of all attempts wins. The word of an edge proves nothing: it leaves "unknown".
        """
        self.may_be_done = False
        """Whether the call may have had its effect all the same: look before you repeat it. Never for a GET."""
        # In __dict__, where the default pickling and copying of exceptions finds them.
        self.__dict__.update(details)

    @property
    def message(self) -> str:
        """What happened, without the frame that `str()` puts around it."""
        return str(self.args[0]) if self.args else ""

    def __str__(self) -> str:
        name = self.call or self.operation
        where = f"{name}: " if name else ""
        tries = f" (after {self.attempts} attempts)" if self.attempts > 1 else ""
        return f"{where}{self.message}{tries}"


class ConfigurationError(TimewebError, ValueError):
    """The client, or the arguments of a call, cannot work; nothing was sent."""


class ReadOnlyError(TimewebError):
    """The client is read-only and the method was not GET; nothing was sent."""


class DeadlineExceeded(TimewebError, TimeoutError):
    """The call did not fit into `total_timeout`, or the wait asked for would have passed it."""

    asked: float | None = None
    """Seconds of the wait that would have passed the deadline, if that is why."""


class _Wait(TimewebError):
    arrived: Mapping[Any, Any] = MappingProxyType({})
    """The objects that have arrived, by id. They may hold passwords: neither a pickle nor a copy has them."""
    pending: tuple[Any, ...] = ()
    """The ids that have not arrived."""

    def __reduce__(self) -> Any:
        return (type(self), self.args, {name: value for name, value in self.__dict__.items() if name != "arrived"})


class WaitTimeout(_Wait, TimeoutError):
    """The object did not reach the status in time."""

    last_status: str | None = None
    """The status at the last look that succeeded, of the first id that has not arrived."""


class WaitFailed(_Wait):
    """The object reached a status from which the wished one cannot come."""

    last_status: str | None = None
    """The status from which the wished one cannot come; of an object that is gone, its last one."""
    failed_id: Any = None
    """The id of the object; for `wait_for_many` the first that failed."""


class AmbiguousOrder(TimewebError):
    """After an order in doubt several new things were there that may be what `create_once` ordered."""

    candidates: tuple[Any, ...] = ()
    """Their ids."""


class ResponseTooLarge(TimewebError):
    """A reply has more bytes than `max_response_bytes` allows to hold in memory. The request was carried out."""

    limit: int = 0
    """That many bytes were allowed, counted after decompression."""


class FileError(TimewebError):
    """A file to send could not be read to its end, or a reply could not be written to its file."""


class ConfirmationRequired(TimewebError):
    """A deletion needs the code that the API has sent to the owner: call delete again with `hash` and `code`."""

    hash: str = ""
    """What the second call to delete takes as `hash`."""
    response_id: str | None = None
    """The API's id of the reply."""


class DecodeError(TimewebError):
    """`strict=True` and the reply differs from the contract; `issues` says where, without values."""

    issues: tuple[tuple[str, str], ...] = ()
    """Pairs of where (`server.networks.0.ips`) and what (`missing`)."""
    response_id: str | None = None
    """The API's id of the reply."""


class TransportError(TimewebError):
    """No usable reply came. `delivery` tells whether the request may have been carried out."""


class ConnectError(TransportError):
    """No connection came about; the request never left."""


class ConnectTimeout(ConnectError):
    """The server did not accept the connection in time; the request never left."""


class PoolTimeout(TransportError):
    """No connection of the pool became free in time; the request never left."""


class ProxyError(TransportError):
    """The proxy refused; the request never reached the API."""


class ReadError(TransportError):
    """The connection broke while the reply was awaited or read."""


class ReadTimeout(TransportError):
    """The reply did not come in time."""


class WriteError(TransportError):
    """The connection broke while the request was written."""


class WriteTimeout(TransportError):
    """The request could not be written in time."""


class ProtocolError(TransportError):
    """The server closed the connection without a whole reply, or broke HTTP."""


class APIError(TimewebError):
    """A reply with an error status."""

    status_code: int = 0
    """The HTTP status."""
    error_code: str | None = None
    """The API's own code, e.g. `not_found`."""
    messages: list[str]
    """The API's texts; empty when it gave none."""
    response_id: str | None = None
    """The API's id of the reply, which its support asks for."""
    from_edge: bool = False
    """The reply is not in the API's own form: it may come from something before it, a proxy or a protection service."""
    retry_after: float | None = None
    """Seconds that the reply asked to wait."""
    details: Any = None
    """What the API adds to some errors, as it came; stars in place of secrets."""

    def __init__(self, message: str = "", **details: Any) -> None:
        self.messages = []
        super().__init__(message, **details)


class BadRequestError(APIError):
    """400 or 422: the API rejects the arguments; `messages` says which."""


class UnauthorizedError(APIError):
    """401: the token is wrong, expired or revoked."""


class ForbiddenError(APIError):
    """403: the token may not do this, or not from this address."""


class NotFoundError(APIError):
    """404 with the API's own error code: the object does not exist. A 404 from the edge is an `EdgeError`."""


class ConflictError(APIError):
    """409: the state of the object does not allow it."""


class LockedError(APIError):
    """423: another action on the object is still running."""


class RateLimitError(APIError):
    """429: too many requests."""


class ServerError(APIError):
    """5xx."""


class EdgeError(APIError):
    """A reply that proves nothing about the API: a 404 without an error code, a redirect, a page in place of JSON."""
