"""The base classes of generated resources: `tw.servers`, `tw.servers.disks` and so on."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from typing_extensions import Self, TypeForm

from timeweb_sdk._core.call import Call
from timeweb_sdk._core.page import AsyncPage, Chunk, Listing, Page
from timeweb_sdk._core.response import Response
from timeweb_sdk._core.types import NOT_GIVEN
from timeweb_sdk._core.waiters import AsyncWaits, Waits

if TYPE_CHECKING:
    from timeweb_sdk.client import AsyncTimeweb, Timeweb

__all__ = ["AsyncResource", "AsyncWaits", "Resource", "Waits"]

T = TypeVar("T")
_NOTHING: Mapping[str, Any] = {}
_PAGE_SIZE = 100


class WithResponse:
    """The methods of a resource, each returning a `Response` instead of its data."""

    def __init__(self, resource: "Resource | AsyncResource") -> None:
        self._resource = resource

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        return cast(Callable[..., Any], getattr(self._resource, name))

    def __dir__(self) -> list[str]:
        return [name for name in dir(self._resource) if not name.startswith("_")]


class Resource:
    """A node of the synchronous client."""

    _raw = False

    def __init__(self, client: "Timeweb") -> None:
        self._client = client

    @property
    def with_response(self) -> WithResponse:
        """The same methods, each returning a `Response` with .data, .headers, .status_code, .attempts and so on."""
        return WithResponse(self._raw_copy())

    def _raw_copy(self) -> Self:
        copy = type(self)(self._client)
        copy._raw = True
        return copy

    def _call(
        self,
        operation_id: str,
        returns: TypeForm[T],
        *,
        path: Mapping[str, Any] = _NOTHING,
        query: Mapping[str, Any] = _NOTHING,
        body: Any = NOT_GIVEN,
        files: Any = NOT_GIVEN,
    ) -> T:
        call = Call(self._client._operation(operation_id), returns, path, query, body, files)
        response = self._client._execute(call)
        return cast(T, response if self._raw else response.data)

    def _list(
        self,
        operation_id: str,
        item: TypeForm[T],
        *,
        path: Mapping[str, Any] = _NOTHING,
        query: Mapping[str, Any] = _NOTHING,
        body: Any = NOT_GIVEN,
        files: Any = NOT_GIVEN,
    ) -> Page[T]:
        call = _list_call(Call(self._client._operation(operation_id), _list_of(item), path, query, body, files))

        def fetch(offset: int) -> Chunk[T]:
            return _chunk(self._client._execute(_at(call, offset)))

        response = self._client._execute(call)
        page: Page[T] = Page(_listing(call), _chunk(response), fetch)
        return cast(Page[T], replace(response, data=page)) if self._raw else page


class AsyncResource:
    """A node of the asynchronous client."""

    _raw = False

    def __init__(self, client: "AsyncTimeweb") -> None:
        self._client = client

    @property
    def with_response(self) -> WithResponse:
        """The same methods, each returning a `Response` with .data, .headers, .status_code, .attempts and so on."""
        return WithResponse(self._raw_copy())

    def _raw_copy(self) -> Self:
        copy = type(self)(self._client)
        copy._raw = True
        return copy

    async def _call(
        self,
        operation_id: str,
        returns: TypeForm[T],
        *,
        path: Mapping[str, Any] = _NOTHING,
        query: Mapping[str, Any] = _NOTHING,
        body: Any = NOT_GIVEN,
        files: Any = NOT_GIVEN,
    ) -> T:
        call = Call(self._client._operation(operation_id), returns, path, query, body, files)
        response = await self._client._execute(call)
        return cast(T, response if self._raw else response.data)

    def _list(
        self,
        operation_id: str,
        item: TypeForm[T],
        *,
        path: Mapping[str, Any] = _NOTHING,
        query: Mapping[str, Any] = _NOTHING,
        body: Any = NOT_GIVEN,
        files: Any = NOT_GIVEN,
    ) -> AsyncPage[T]:
        call = _list_call(Call(self._client._operation(operation_id), _list_of(item), path, query, body, files))

        async def fetch(offset: int) -> Chunk[T]:
            return _chunk(await self._client._execute(_at(call, offset)))

        async def respond() -> Response[AsyncPage[T]]:
            response = await self._client._execute(call)
            return replace(response, data=AsyncPage(_listing(call), _chunk(response), fetch))

        return cast(AsyncPage[T], respond()) if self._raw else AsyncPage(_listing(call), None, fetch)


def _list_of(item: Any) -> Any:
    return list[item]


def _list_call(call: Call) -> Call:
    """Ask for whole pages unless the caller said how large: some endpoints give ten items by default."""
    if not call.operation.paginated or call.query.get("limit", NOT_GIVEN) is not NOT_GIVEN:
        return call
    return replace(call, query={**call.query, "limit": _PAGE_SIZE})


def _at(call: Call, offset: int) -> Call:
    return replace(call, query={**call.query, "offset": offset}) if offset else call


def _listing(call: Call) -> Listing:
    offset = call.query.get("offset", NOT_GIVEN)
    return Listing(call.operation.item_key, offset if isinstance(offset, int) else 0, call.operation.paginated)


def _chunk(response: Response[Any]) -> Chunk[Any]:
    items: list[Any] = response.data or []
    return Chunk(items, len(items), response.total, response.response_id, response.decode_issues)
