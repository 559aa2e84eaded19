"""A typed client for the Timeweb Cloud API.

from timeweb_sdk import Timeweb

with Timeweb() as tw:
    for server in tw.servers.list():
        print(server.id, server.name, server.status)
"""

from typing import TYPE_CHECKING, Any

from timeweb_sdk._core.version import VERSION as __version__

if TYPE_CHECKING:
    from timeweb_sdk._core.events import Event as Event
    from timeweb_sdk._core.model import DecodeIssue as DecodeIssue, Model as Model
    from timeweb_sdk._core.page import AsyncPage as AsyncPage, Page as Page
    from timeweb_sdk._core.response import Response as Response
    from timeweb_sdk._core.streams import Progress as Progress
    from timeweb_sdk._core.types import NOT_GIVEN as NOT_GIVEN, NotGiven as NotGiven
    from timeweb_sdk.client import AsyncTimeweb as AsyncTimeweb, Timeweb as Timeweb
    from timeweb_sdk.errors import (
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

__all__ = [
    "NOT_GIVEN",
    "APIError",
    "AsyncPage",
    "AsyncTimeweb",
    "BadRequestError",
    "ConfigurationError",
    "ConfirmationRequired",
    "ConflictError",
    "ConnectError",
    "ConnectTimeout",
    "DeadlineExceeded",
    "DecodeError",
    "DecodeIssue",
    "EdgeError",
    "Event",
    "FileError",
    "ForbiddenError",
    "LockedError",
    "Model",
    "NotFoundError",
    "NotGiven",
    "Page",
    "PoolTimeout",
    "Progress",
    "ProtocolError",
    "ProxyError",
    "Rate",
    "RateLimit",
    "RateLimitError",
    "ReadError",
    "ReadOnlyError",
    "ReadTimeout",
    "RedisStore",
    "Response",
    "ResponseTooLarge",
    "ServerError",
    "Timeweb",
    "TimewebError",
    "TransportError",
    "UnauthorizedError",
    "WaitFailed",
    "WaitTimeout",
    "WriteError",
    "WriteTimeout",
    "__version__",
]

_HOME = {
    "Event": "timeweb_sdk._core.events",
    "DecodeIssue": "timeweb_sdk._core.model",
    "Model": "timeweb_sdk._core.model",
    "AsyncPage": "timeweb_sdk._core.page",
    "Page": "timeweb_sdk._core.page",
    "Response": "timeweb_sdk._core.response",
    "Progress": "timeweb_sdk._core.streams",
    "NOT_GIVEN": "timeweb_sdk._core.types",
    "NotGiven": "timeweb_sdk._core.types",
    "AsyncTimeweb": "timeweb_sdk.client",
    "Timeweb": "timeweb_sdk.client",
    "APIError": "timeweb_sdk.errors",
    "BadRequestError": "timeweb_sdk.errors",
    "ConfigurationError": "timeweb_sdk.errors",
    "ConfirmationRequired": "timeweb_sdk.errors",
    "ConflictError": "timeweb_sdk.errors",
    "ConnectError": "timeweb_sdk.errors",
    "ConnectTimeout": "timeweb_sdk.errors",
    "DeadlineExceeded": "timeweb_sdk.errors",
    "DecodeError": "timeweb_sdk.errors",
    "EdgeError": "timeweb_sdk.errors",
    "FileError": "timeweb_sdk.errors",
    "ForbiddenError": "timeweb_sdk.errors",
    "LockedError": "timeweb_sdk.errors",
    "NotFoundError": "timeweb_sdk.errors",
    "PoolTimeout": "timeweb_sdk.errors",
    "ProtocolError": "timeweb_sdk.errors",
    "ProxyError": "timeweb_sdk.errors",
    "RateLimitError": "timeweb_sdk.errors",
    "ReadError": "timeweb_sdk.errors",
    "ReadOnlyError": "timeweb_sdk.errors",
    "ReadTimeout": "timeweb_sdk.errors",
    "ResponseTooLarge": "timeweb_sdk.errors",
    "ServerError": "timeweb_sdk.errors",
    "TimewebError": "timeweb_sdk.errors",
    "TransportError": "timeweb_sdk.errors",
    "UnauthorizedError": "timeweb_sdk.errors",
    "WaitFailed": "timeweb_sdk.errors",
    "WaitTimeout": "timeweb_sdk.errors",
    "WriteError": "timeweb_sdk.errors",
    "WriteTimeout": "timeweb_sdk.errors",
    "Rate": "timeweb_sdk.limits",
    "RateLimit": "timeweb_sdk.limits",
    "RedisStore": "timeweb_sdk.limits",
}


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
