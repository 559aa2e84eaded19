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
    from timeweb_sdk._core.model import DecodeIssue as DecodeIssue
    from timeweb_sdk._core.model import Model as Model
    from timeweb_sdk._core.page import AsyncPage as AsyncPage
    from timeweb_sdk._core.page import Page as Page
    from timeweb_sdk._core.response import Response as Response
    from timeweb_sdk._core.types import NOT_GIVEN as NOT_GIVEN
    from timeweb_sdk._core.types import NotGiven as NotGiven
    from timeweb_sdk.client import AsyncTimeweb as AsyncTimeweb
    from timeweb_sdk.client import Timeweb as Timeweb
    from timeweb_sdk.errors import (
        APIError as APIError,
    )
    from timeweb_sdk.errors import (
        BadRequestError as BadRequestError,
    )
    from timeweb_sdk.errors import (
        ConfigurationError as ConfigurationError,
    )
    from timeweb_sdk.errors import (
        ConfirmationRequired as ConfirmationRequired,
    )
    from timeweb_sdk.errors import (
        ConflictError as ConflictError,
    )
    from timeweb_sdk.errors import (
        ConnectError as ConnectError,
    )
    from timeweb_sdk.errors import (
        ConnectTimeout as ConnectTimeout,
    )
    from timeweb_sdk.errors import (
        DeadlineExceeded as DeadlineExceeded,
    )
    from timeweb_sdk.errors import (
        DecodeError as DecodeError,
    )
    from timeweb_sdk.errors import (
        EdgeError as EdgeError,
    )
    from timeweb_sdk.errors import (
        ForbiddenError as ForbiddenError,
    )
    from timeweb_sdk.errors import (
        LockedError as LockedError,
    )
    from timeweb_sdk.errors import (
        NotFoundError as NotFoundError,
    )
    from timeweb_sdk.errors import (
        PoolTimeout as PoolTimeout,
    )
    from timeweb_sdk.errors import (
        ProtocolError as ProtocolError,
    )
    from timeweb_sdk.errors import (
        ProxyError as ProxyError,
    )
    from timeweb_sdk.errors import (
        RateLimitError as RateLimitError,
    )
    from timeweb_sdk.errors import (
        ReadError as ReadError,
    )
    from timeweb_sdk.errors import (
        ReadOnlyError as ReadOnlyError,
    )
    from timeweb_sdk.errors import (
        ReadTimeout as ReadTimeout,
    )
    from timeweb_sdk.errors import (
        ServerError as ServerError,
    )
    from timeweb_sdk.errors import (
        TimewebError as TimewebError,
    )
    from timeweb_sdk.errors import (
        TransportError as TransportError,
    )
    from timeweb_sdk.errors import (
        UnauthorizedError as UnauthorizedError,
    )
    from timeweb_sdk.errors import (
        WaitFailed as WaitFailed,
    )
    from timeweb_sdk.errors import (
        WaitTimeout as WaitTimeout,
    )
    from timeweb_sdk.errors import (
        WriteError as WriteError,
    )
    from timeweb_sdk.errors import (
        WriteTimeout as WriteTimeout,
    )
    from timeweb_sdk.limits import Rate as Rate
    from timeweb_sdk.limits import RateLimit as RateLimit
    from timeweb_sdk.limits import RedisStore as RedisStore

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
    "ForbiddenError",
    "LockedError",
    "Model",
    "NotFoundError",
    "NotGiven",
    "Page",
    "PoolTimeout",
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
