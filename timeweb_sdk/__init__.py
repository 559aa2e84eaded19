"""A typed client for the Timeweb Cloud API.

from timeweb_sdk import Timeweb

with Timeweb() as tw:
    for server in tw.servers.list():
        print(server.id, server.name, server.status)
"""

from typing import TYPE_CHECKING, Any

from timeweb_sdk._core.version import VERSION

if TYPE_CHECKING:
    from timeweb_sdk._core.deleting import DeletionPlan as DeletionPlan, Leftover as Leftover
    from timeweb_sdk._core.events import Event as Event
    from timeweb_sdk._core.model import DecodeIssue as DecodeIssue, Model as Model
    from timeweb_sdk._core.page import AsyncPage as AsyncPage, Page as Page
    from timeweb_sdk._core.quoting import Quote as Quote, QuotePart as QuotePart
    from timeweb_sdk._core.response import Response as Response
    from timeweb_sdk._core.streams import Progress as Progress
    from timeweb_sdk._core.types import NOT_GIVEN as NOT_GIVEN, NotGiven as NotGiven
    from timeweb_sdk.client import AsyncTimeweb as AsyncTimeweb, Timeweb as Timeweb
    from timeweb_sdk.errors import (
        AmbiguousOrder as AmbiguousOrder,
        APIError as APIError,
        BadRequestError as BadRequestError,
        ConfigurationError as ConfigurationError,
        ConfirmationRequired as ConfirmationRequired,
        ConflictError as ConflictError,
        ConnectError as ConnectError,
        ConnectTimeout as ConnectTimeout,
        DeadlineExceeded as DeadlineExceeded,
        DecodeError as DecodeError,
        EdgeError as EdgeError,
        FileError as FileError,
        ForbiddenError as ForbiddenError,
        LockedError as LockedError,
        NotFoundError as NotFoundError,
        PoolTimeout as PoolTimeout,
        ProtocolError as ProtocolError,
        ProxyError as ProxyError,
        RateLimitError as RateLimitError,
        ReadError as ReadError,
        ReadOnlyError as ReadOnlyError,
        ReadTimeout as ReadTimeout,
        ResponseTooLarge as ResponseTooLarge,
        ServerError as ServerError,
        TimewebError as TimewebError,
        TransportError as TransportError,
        UnauthorizedError as UnauthorizedError,
        WaitFailed as WaitFailed,
        WaitTimeout as WaitTimeout,
        WriteError as WriteError,
        WriteTimeout as WriteTimeout,
    )
    from timeweb_sdk.limits import Rate as Rate, RateLimit as RateLimit, RedisStore as RedisStore

_NAMES = {
    "timeweb_sdk._core.deleting": "DeletionPlan Leftover",
    "timeweb_sdk._core.events": "Event",
    "timeweb_sdk._core.model": "DecodeIssue Model",
    "timeweb_sdk._core.page": "AsyncPage Page",
    "timeweb_sdk._core.quoting": "Quote QuotePart",
    "timeweb_sdk._core.response": "Response",
    "timeweb_sdk._core.streams": "Progress",
    "timeweb_sdk._core.types": "NOT_GIVEN NotGiven",
    "timeweb_sdk.client": "AsyncTimeweb Timeweb",
    "timeweb_sdk.errors": (
        "AmbiguousOrder APIError BadRequestError ConfigurationError ConfirmationRequired ConflictError ConnectError "
        "ConnectTimeout DeadlineExceeded DecodeError EdgeError FileError ForbiddenError LockedError NotFoundError "
        "PoolTimeout ProtocolError ProxyError RateLimitError ReadError ReadOnlyError ReadTimeout ResponseTooLarge ServerError "
        "TimewebError TransportError UnauthorizedError WaitFailed WaitTimeout WriteError WriteTimeout"
    ),
    "timeweb_sdk.limits": "Rate RateLimit RedisStore",
}
_HOME = {name: module for module, names in _NAMES.items() for name in names.split()}

__version__ = VERSION
__all__ = sorted({*_HOME, "__version__"})  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    # Names are loaded when they are first used: importing the package costs next to nothing.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
