"""The base classes of generated resources: `tw.servers`, `tw.servers.disks` and so on."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from typing_extensions import TypeForm

from timeweb_sdk._core.call import Call
from timeweb_sdk._core.page import AsyncPage, Chunk, Listing, Page
from timeweb_sdk._core.response import Response
from timeweb_sdk._core.table import operation
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
        method = getattr(self._resource, name)
        if name.startswith("_") or not callable(method):
            raise AttributeError(f"{type(self._resource).__name__}.{name} is not a method of the API")
        return self._recorded(name)

    def __dir__(self) -> list[str]:
        return [name for name in dir(self._resource) if not name.startswith("_")]

    def _recorded(self, name: str) -> Callable[..., Any]:
        resource = self._resource

        def call(*args: Any, **kwargs: Any) -> Response[Any]:
            # A node of its own for each call: calls at the same time must not see each other's response.
            node = cast(Resource, resource)._recording()
            return node._recorded(getattr(node, name)(*args, **kwargs))

        async def acall(*args: Any, **kwargs: Any) -> Response[Any]:
            node = cast(AsyncResource, resource)._recording()
            return node._recorded(await getattr(node, name)(*args, **kwargs))

        return call if isinstance(resource, Resource) else acall


class _Node:
    """What resources of both worlds share: remembering the response for `with_response`."""

    _records = False
    _response: Response[Any] | None = None

    def __init__(self, client: Any) -> None:
        self._client = client

    @property
    def with_response(self) -> WithResponse:
        """The same methods, each returning a `Response` with .data, .headers, .status_code, .attempts and so on."""
        return WithResponse(cast("Resource | AsyncResource", self))

    def _recording(self) -> Self:
        node = type(self)(self._client)
        node._records = True
        return node

    def _recorded(self, data: T) -> Response[T]:
        if self._response is None:
            raise TypeError("this method makes no call of its own")
        return replace(self._response, data=data)


class Resource(_Node):
    """A node of the synchronous client."""

    def __init__(self, client: "Timeweb") -> None:
        super().__init__(client)

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
        return cast(T, self._execute(Call(operation(operation_id), returns, path, query, body, files)).data)

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
        call = _list_call(Call(operation(operation_id), _list_of(item), path, query, body, files))

        def fetch(offset: int) -> Chunk[T]:
            return _chunk(self._execute(_at(call, offset)))

        listing = _listing(call)
        return Page(listing, fetch(listing.offset), fetch)

    def _execute(self, call: Call) -> Response[Any]:
        response = self._client._execute(call)
        if self._records:
            self._response = response
        return response


class AsyncResource(_Node):
    """A node of the asynchronous client."""

    def __init__(self, client: "AsyncTimeweb") -> None:
        super().__init__(client)

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
        return cast(T, (await self._execute(Call(operation(operation_id), returns, path, query, body, files))).data)

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
        call = _list_call(Call(operation(operation_id), _list_of(item), path, query, body, files))

        async def fetch(offset: int) -> Chunk[T]:
            return _chunk(await self._execute(_at(call, offset)))

        return AsyncPage(_listing(call), None, fetch)

    async def _execute(self, call: Call) -> Response[Any]:
        response = await self._client._execute(call)
        if self._records:
            self._response = response
        return response


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
