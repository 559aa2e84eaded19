"""Lists that walk their pages."""

import warnings
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, Generic, NoReturn, Self, TypeVar, overload

from timeweb_sdk._core.guards import is_object
from timeweb_sdk._core.model import DecodeIssue

T = TypeVar("T")


@dataclass(slots=True)
class Chunk(Generic[T]):
    """What one request of a list brought."""

    items: list[T]
    received: int
    """How many items the reply held, repeated ones included."""
    total: int | None = None
    response_id: str | None = None
    decode_issues: tuple[DecodeIssue, ...] = ()
    arrived: bool = True
    """Whether the reply held a list where one was promised."""


@dataclass(slots=True)
class Listing:
    """What a walk must know of the list: the key of an item, where it begins, whether there are further pages."""

    item_key: str | None = None
    offset: int = 0
    paginated: bool = False
    limit: int | None = None
    """How many items a page was asked to hold."""
    changes: str | None = None
    """The attribute of an operation that changes something and answers with a list."""


class Walk(Generic[T]):
    """The rules of walking a list, without IO: where to go on, what is new, when to stop, whether all was seen."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._seen: set[int | str] = set()
        self._seen_without_key: list[T] = []
        self._totals: set[int | None] = set()
        self._unique = 0
        self._arrived = True
        self._proving = False
        self.offset = listing.offset
        self.done = False

    def feed(self, chunk: Chunk[T]) -> Chunk[T]:
        """Take what a request brought and keep of it what was not seen before."""
        fresh = [item for item in chunk.items if self._is_new(item)]
        self._unique += len(fresh)
        if fresh or chunk.total or not self._proving:
            self._totals.add(chunk.total)
        self._arrived &= chunk.arrived
        # By what came, not by what was asked for: the server may cap the page below the limit.
        self.offset += chunk.received
        reached = chunk.total is not None and self.offset >= chunk.total
        # A total that is the count of a full page may be just that; whether there is more is known only after asking.
        self._proving = reached and chunk.received == chunk.total == self._listing.limit
        self.done = not self._listing.paginated or not fresh or (reached and not self._proving)
        return replace(chunk, items=fresh)

    @property
    def complete(self) -> bool:
        """Whether a list came each time, and its unique items equal the total that every page reported."""
        if not self._arrived:
            return False
        if self._totals == {None}:
            return not self._listing.paginated
        return self._totals == {self._unique}

    def _is_new(self, item: T) -> bool:
        key = self._key(item)
        if key is not None:
            before = len(self._seen)
            self._seen.add(key)
            return len(self._seen) > before
        if not self._listing.paginated:
            return True  # one reply holds them all, and two equal lines of a log are two
        if item in self._seen_without_key:
            return False
        self._seen_without_key.append(item)
        return True

    def _key(self, item: T) -> int | str | None:
        name = self._listing.item_key
        if name is None:
            return None
        key = item.get(name) if is_object(item) else getattr(item, name, None)
        return key if isinstance(key, (int, str)) else None


def _gone(offset: int) -> NoReturn:
    raise RuntimeError("this page came out of a pickle and has no client to ask for more: ask for the list again")


class _PageBase(Generic[T]):
    """What a page of a list is in both worlds."""

    _chunk: Chunk[T] | None
    _fetch: Callable[[int], Any]
    complete: bool | None = None
    """None until every page was walked; then whether each reply held a list and the unique items equal the total on all pages.

    Only what a complete list lacks may be taken for gone.
    """

    def __init__(self, listing: Listing, chunk: Chunk[T] | None, fetch: Callable[[int], Any]) -> None:
        self._listing = listing
        self._chunk = chunk
        self._fetch = fetch

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_fetch": _gone}

    def __copy__(self) -> Self:
        return self.__deepcopy__(None)

    def __deepcopy__(self, memo: Any) -> Self:
        page = object.__new__(type(self))
        page.__dict__.update(self.__dict__)
        if memo is not None:
            page._chunk = deepcopy(self._chunk, memo)
        return page

    def _note_end(self, walk: Walk[T]) -> None:
        if walk.done:
            self.complete = walk.complete

    def _loaded(self) -> Chunk[T]:
        if self._chunk is None:
            raise RuntimeError("this page is not loaded yet: `await` it, or walk it with `async for`")
        return self._chunk

    @property
    def items(self) -> list[T]:
        """The items of this page."""
        return self._loaded().items

    @property
    def total(self) -> int | None:
        """How many items the API says there are on all pages; None if it does not say."""
        return self._loaded().total

    @property
    def response_id(self) -> str | None:
        return self._loaded().response_id

    @property
    def decode_issues(self) -> tuple[DecodeIssue, ...]:
        """Where the reply of this page differs from the contract."""
        return self._loaded().decode_issues

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        return self.items[index]

    def __repr__(self) -> str:
        name = type(self).__name__
        if self._chunk is None:
            return f"<{name}, not loaded>"
        return f"<{name} of {len(self._chunk.items)} items, total {self._chunk.total}, complete {self.complete}>"


class Page(_PageBase[T]):
    """One page of a list, and the way to all others.

    Iterating yields the items of every page, each once, and asks for the next page when it is needed.
    `len()`, indexing and `.items` concern this page alone.
    """

    def pages(self) -> "Iterator[Page[T]]":
        """Yield this page and every later one, each with the items that no earlier page had."""
        offset = self._listing.offset
        for number, chunk in enumerate(self._walk()):
            yield self if number == 0 else Page(replace(self._listing, offset=offset), chunk, self._fetch)
            offset += chunk.received

    def __iter__(self) -> Iterator[T]:
        for chunk in self._walk():
            yield from chunk.items

    def _walk(self) -> Iterator[Chunk[T]]:
        walk: Walk[T] = Walk(self._listing)
        chunk = self._loaded()
        while True:
            fresh = walk.feed(chunk)
            self._note_end(walk)
            yield fresh
            if walk.done:
                return
            chunk = self._fetch(walk.offset)


class AsyncPage(_PageBase[T]):
    """A list that is asked for when it is awaited or walked.

    `await` loads the first page and gives this object back; `async for` yields the items of every page, each once.
    `len()`, indexing and `.items` concern the first page and need it loaded.
    """

    _is_asked = False

    def __del__(self) -> None:
        # As a coroutine does. Where nothing is changed an unloaded page is no more than a lazy list.
        if self._listing.changes is not None and not self._is_asked and self._chunk is None:
            warnings.warn(
                f"{self._listing.changes} was never awaited: nothing was sent", RuntimeWarning, stacklevel=2, source=self
            )

    def __await__(self) -> "Generator[Any, Any, AsyncPage[T]]":
        return self._load().__await__()

    async def _load(self) -> "AsyncPage[T]":
        await self._first()
        return self

    async def _first(self) -> Chunk[T]:
        chunk, self._is_asked = self._chunk, True
        if chunk is None:
            self._chunk = chunk = await self._fetch(self._listing.offset)
        return chunk

    async def pages(self) -> "AsyncIterator[AsyncPage[T]]":
        """Yield this page and every later one, each with the items that no earlier page had."""
        offset, first = self._listing.offset, True
        async for chunk in self._walk():
            yield self if first else AsyncPage(replace(self._listing, offset=offset), chunk, self._fetch)
            offset, first = offset + chunk.received, False

    async def __aiter__(self) -> AsyncIterator[T]:
        async for chunk in self._walk():
            for item in chunk.items:
                yield item

    async def _walk(self) -> AsyncIterator[Chunk[T]]:
        walk: Walk[T] = Walk(self._listing)
        chunk = await self._first()
        while True:
            fresh = walk.feed(chunk)
            self._note_end(walk)
            yield fresh
            if walk.done:
                return
            chunk = await self._fetch(walk.offset)
