"""The base classes of generated resources: `tw.servers`, `tw.servers.disks` and so on."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from inspect import signature
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Self, TypeVar, cast

from typing_extensions import TypedDict, TypeForm, Unpack

from timeweb_sdk._core import deprecation
from timeweb_sdk._core.call import Call
from timeweb_sdk._core.guards import is_array
from timeweb_sdk._core.model import DecodeIssue
from timeweb_sdk._core.operation import Operation, table
from timeweb_sdk._core.page import AsyncPage, Chunk, Listing, Page
from timeweb_sdk._core.response import Response
from timeweb_sdk._core.types import NOT_GIVEN
from timeweb_sdk._core.waiters import AsyncWaits, Waits

__all__ = ["Arguments", "AsyncResource", "AsyncWaits", "Resource", "Waits", "WithResponse"]
T = TypeVar("T")
P = ParamSpec("P")
View = TypeVar("View")
_PAGE_SIZE = 100


class _Given(TypedDict, total=False):
    """The arguments of a call, which may hold passwords."""

    path: Mapping[str, Any]
    query: Mapping[str, Any]
    body: Any
    files: Any
    to: Any


@dataclass(slots=True)
class Arguments:
    """Arguments that may hold passwords and therefore do not show in a traceback with locals."""

    args: tuple[Any, ...] = field(repr=False)
    kwargs: dict[str, Any] = field(repr=False)

    def pass_to(self, method: Callable[..., Any]) -> Any:
        return method(*self.args, **self.kwargs)

    def names_of(self, method: Callable[..., Any]) -> dict[str, Any]:
        """Return the arguments by the names that the method gives them; raises TypeError as calling it would."""
        return signature(method).bind(*self.args, **self.kwargs).arguments


class WithResponse:
    """The methods of a resource, each returning a `Response` instead of its data.

    Type checkers see a generated subclass for each resource, which names the methods.
    """

    def __init__(self, methods: list[str], wrap: Callable[[str], Callable[..., Any]]) -> None:
        self._methods = methods
        self._wrap = wrap

    if not TYPE_CHECKING:  # a type checker would take it to have any method

        def __getattr__(self, name: str) -> Callable[..., Any]:
            if name not in self._methods:
                raise AttributeError(f"{name!r} is not a method here; there are {', '.join(self._methods)}")
            return self._wrap(name)

    def __dir__(self) -> list[str]:
        return self._methods


if TYPE_CHECKING:
    # The types of the methods under `with_response`, from those of the methods themselves.

    def responding(method: Callable[Concatenate[Any, P], T]) -> Callable[Concatenate[Any, P], Response[T]]: ...

    def aresponding(
        method: Callable[Concatenate[Any, P], Awaitable[T]],
    ) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, Response[T]]]: ...


class _Node(Generic[View]):
    """What resources of both worlds share: remembering the response for `with_response`."""

    _records = False
    _response: Response[Any] | None = None
    _operation: str | None = None
    """The operation of the last call that was recorded."""
    _written: str | None = None
    """That call, as it is written."""
    _sent = 0
    """How many requests the recorded calls took."""

    def __init__(self, client: Any) -> None:
        self._client = client

    @property
    def with_response(self) -> View:
        """The same methods, each returning a `Response` with .data, .headers, .status_code, .attempts and so on."""
        names = (name for name in dir(type(self)) if not name.startswith("_"))
        methods = [name for name in names if callable(getattr(type(self), name))]
        return cast(View, WithResponse(methods, self._wrapped))

    def _wrapped(self, name: str) -> Callable[..., Any]:
        raise NotImplementedError

    def _recording(self) -> Self:
        """Return a node of its own for one call: calls at the same time must not see each other's response."""
        node = type(self)(self._client)
        node._records = True
        return node

    def _record(self, call: Call, response: Response[Any]) -> None:
        self._response = response
        self._operation, self._written = call.operation.id, call.written()
        self._sent += response.attempts

    def _recorded(self, data: T) -> Response[T]:
        if self._response is None:
            raise TypeError("this method makes no call of its own")
        return replace(self._response, data=data)


class Resource(_Node[View]):
    """A node of the synchronous client."""

    def _wrapped(self, name: str) -> Callable[..., Response[Any]]:
        def call(*args: Any, **kwargs: Any) -> Response[Any]:
            given = Arguments(args, kwargs)
            del args, kwargs
            node = self._recording()
            return node._recorded(given.pass_to(getattr(node, name)))

        return call

    def _call(self, operation_id: str, returns: TypeForm[T], **given: Unpack[_Given]) -> T:
        call = Call(_operation(operation_id), returns, **given)
        del given  # a traceback with locals would show it
        return cast(T, self._execute(call).data)

    def _list(self, operation_id: str, item: TypeForm[T], **given: Unpack[_Given]) -> Page[T]:
        call = _list_call(Call(_operation(operation_id), _list_of(item), **given))
        del given

        def fetch(offset: int) -> Chunk[T]:
            return _chunk(call.operation, self._execute(_at(call, offset)))

        listing = _listing(call)
        return Page(listing, fetch(listing.offset), fetch)

    def _execute(self, call: Call) -> Response[Any]:
        response: Response[Any] = self._client._execute(call)
        if self._records:
            self._record(call, response)
        return response


class AsyncResource(_Node[View]):
    """A node of the asynchronous client."""

    def _wrapped(self, name: str) -> Callable[..., Awaitable[Response[Any]]]:
        async def call(*args: Any, **kwargs: Any) -> Response[Any]:
            given = Arguments(args, kwargs)
            del args, kwargs
            node = self._recording()
            return node._recorded(await given.pass_to(getattr(node, name)))

        return call

    async def _call(self, operation_id: str, returns: TypeForm[T], **given: Unpack[_Given]) -> T:
        call = Call(_operation(operation_id), returns, **given)
        del given  # a traceback with locals would show it
        return cast(T, (await self._execute(call)).data)

    def _list(self, operation_id: str, item: TypeForm[T], **given: Unpack[_Given]) -> AsyncPage[T]:
        call = _list_call(Call(_operation(operation_id), _list_of(item), **given))
        del given

        async def fetch(offset: int) -> Chunk[T]:
            return _chunk(call.operation, await self._execute(_at(call, offset)))

        return AsyncPage(_listing(call), None, fetch)

    async def _execute(self, call: Call) -> Response[Any]:
        response: Response[Any] = await self._client._execute(call)
        if self._records:
            self._record(call, response)
        return response


def _operation(operation_id: str) -> Operation:
    found = table()[operation_id]
    if found.deprecated:
        deprecation.warn(found)
    return found


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
    operation, offset, limit = call.operation, call.query.get("offset"), call.query.get("limit")
    return Listing(
        operation.item_key,
        offset if isinstance(offset, int) else 0,
        operation.paginated,
        limit if isinstance(limit, int) else None,
        None if operation.method == "GET" else operation.attribute,
    )


def _chunk(operation: Operation, response: Response[Any]) -> Chunk[Any]:
    issues = response.decode_issues
    items: list[Any] = response.data if is_array(response.data) else []
    if items is not response.data and not issues:
        issues = (DecodeIssue("", "missing"),)
    # A list that was looked for elsewhere, or made of something else, proves nothing about what it lacks.
    arrived = not any(issue.path == "" or issue == (operation.data_key, "missing") for issue in issues)
    return Chunk(items, len(items), response.total, response.response_id, issues, arrived)
