"""Waiting for objects of the API to reach a status."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

from timeweb_sdk._core import clock
from timeweb_sdk.errors import (
    ConfigurationError,
    DeadlineExceeded,
    NotFoundError,
    RateLimitError,
    ServerError,
    TimewebError,
    TransportError,
    WaitFailed,
    WaitTimeout,
)

T = TypeVar("T")
Id = int | str

_BROKEN = frozenset({"error", "failed", "fail", "failure", "blocked", "permanent_blocked"})
# What may be over when one looks again.
_PASSING = (TransportError, ServerError, RateLimitError, DeadlineExceeded)
_GOING = frozenset({"removing", "deleting"})
_GONE = frozenset({"removed", "deleted"})
_UNPAID = frozenset({"no_paid"})
_UNPAID_GRACE = 60.0
"""A server that has just been made may be unpaid for a while, until its paid address is there."""


@dataclass(slots=True)
class Wait(Generic[T]):
    """The rules of waiting, without IO: which objects have arrived, which never will, whether it has been too long."""

    wished: frozenset[str]
    timeout: float
    interval: float
    started: float
    pending: list[Id]
    arrived: dict[Id, T] = field(default_factory=dict[Id, T])
    operation: str | None = None
    attempts: int = 0
    _seen: dict[Id, T] = field(default_factory=dict[Id, T])
    _fault: TimewebError | None = None
    """Why the last look failed."""
    _statuses: dict[Id, str | None] = field(default_factory=dict[Id, str | None])
    _unpaid_since: dict[Id, float] = field(default_factory=dict[Id, float])

    def left(self) -> float:
        """Return the seconds until the wait is over."""
        return self.timeout - (clock.current().monotonic() - self.started)

    def count(self, node: Any, fault: TimewebError | None) -> None:
        """Take in what a look cost, and why it failed."""
        self.attempts += node._sent + (fault.attempts if fault else 0)
        self.operation = fault.operation if fault else node._operation
        self._fault = fault

    def see(self, ident: Id, item: T, now: float) -> None:
        """Take in the state of one object; raises WaitFailed when the wished status cannot come any more."""
        status = getattr(item, "status", None)
        status = status if isinstance(status, str) else None
        self._statuses[ident] = status
        self._seen[ident] = item
        if status in self.wished:
            self._arrive(ident, item)
        elif status in self._hopeless() or self._is_unpaid(ident, status, now):
            raise self.failure(ident, f"has the status {status!r}, from which {self._wish()} cannot come")

    def miss(self, ident: Id) -> bool:
        """Take in that an object is gone; tells whether that was wished, which it takes to have seen the object."""
        if self.wished & _GONE and ident in self._seen:
            self._arrive(ident, self._seen[ident])
            return True
        return False

    def _arrive(self, ident: Id, item: T) -> None:
        self.arrived[ident] = item
        self.pending.remove(ident)

    def failure(self, ident: Id, why: str) -> WaitFailed:
        error = WaitFailed(f"{ident} {why}", delivery="answered", failed_id=ident, last_status=self._statuses.get(ident))
        error.operation, error.attempts = self.operation, self.attempts
        return error

    def pause(self) -> float:
        """Return the seconds until the next look; raises WaitTimeout when that would be too late."""
        # The last look needs some time as well.
        spare, left = min(self.interval, 1.0), self.left()
        if left > spare:
            return min(self.interval, left - spare)
        last = self._statuses.get(self.pending[0])
        shown = ", ".join(str(ident) for ident in self.pending[:5])
        failed = f"; the last look failed: {self._fault.message}" if self._fault else ""
        raise WaitTimeout(
            f"{shown} did not reach {self._wish()} within {self.timeout:g} s; the last status was {last!r}{failed}",
            operation=self.operation,
            attempts=self.attempts,
            delivery=self._fault.delivery if self._fault else "answered",
            last_status=last,
            pending=tuple(self.pending),
        ) from self._fault

    def _hopeless(self) -> frozenset[str]:
        return _BROKEN if self.wished & _GONE else _BROKEN | _GOING | _GONE

    def _is_unpaid(self, ident: Id, status: str | None, now: float) -> bool:
        if status not in _UNPAID:
            self._unpaid_since.pop(ident, None)
            return False
        return now - self._unpaid_since.setdefault(ident, now) > _UNPAID_GRACE

    def _wish(self) -> str:
        return " or ".join(repr(status) for status in sorted(self.wished))


def _begin(idents: Iterable[Id], status: str | Collection[str], timeout: float, interval: float) -> "Wait[Any]":
    if timeout <= 0 or interval <= 0:
        raise ConfigurationError(f"timeout={timeout}, interval={interval}: give positive numbers of seconds")
    wished = frozenset({status} if isinstance(status, str) else status)
    return Wait(wished, timeout, interval, clock.current().monotonic(), list(dict.fromkeys(idents)))


def _begin_one(path: tuple[Any, ...], status: str | Collection[str], timeout: float, interval: float) -> "Wait[Any]":
    if not path or not isinstance(path[-1], (int, str)):
        raise TypeError("wait_for takes what get takes, the id of one object at the end; for several there is wait_for_many")
    return _begin([path[-1]], status, timeout, interval)


def _begin_many(ids: Any, status: str | Collection[str], timeout: float, interval: float) -> "Wait[Any]":
    if isinstance(ids, (int, str)):
        raise TypeError(f"wait_for_many takes several ids, not {ids!r}; for one object there is wait_for")
    return _begin(ids, status, timeout, interval)


def _take_one(wait: "Wait[Any]", ident: Id, node: Any, item: Any, fault: TimewebError | None) -> None:
    wait.count(node, fault)
    if fault is None:
        wait.see(ident, item, clock.current().monotonic())
    elif isinstance(fault, NotFoundError) and not wait.miss(ident):
        if wait.wished & _GONE:
            raise fault
        raise wait.failure(ident, "does not exist any more") from fault


def _take_all(wait: "Wait[Any]", node: Any, page: Any, items: Iterable[Any], fault: TimewebError | None) -> None:
    wait.count(node, fault)
    if fault is not None:
        return
    # As texts: an id that was read from a file or a form is one, and `get` takes it too.
    found = {str(getattr(item, "id", None)): item for item in items}
    for ident in list(wait.pending):
        if str(ident) in found:
            wait.see(ident, found[str(ident)], clock.current().monotonic())
        elif page.complete:
            # Objects that were just made may not be in the list yet: only the timeout ends the wait for them.
            wait.miss(ident)


def _node(owner: Any, wait: "Wait[Any]") -> Any:
    """Return the resource for one look, with calls that do not outlast the wait."""
    left = max(wait.left(), 0.001)
    node = type(owner)(owner._client.with_options(total_timeout=min(owner._client._options.total_timeout, left)))
    node._records = True
    return node


class Waits(Generic[T]):
    """Adds `wait_for` and `wait_for_many` to a resource that has `get` and `list`."""

    def wait_for(self, *path: Id, status: str | Collection[str], timeout: float = 600, interval: float = 5) -> T:
        """Ask for one object, every `interval` seconds, until it has the status, or one of several.

        `path` is what `get` takes. Raises WaitTimeout after `timeout` seconds, and WaitFailed as soon as the object has
        a status from which the wished one cannot come, or is gone. Looks that fail for a reason that may pass (no reply,
        5xx, 429) do not end the wait; the last one is the cause of WaitTimeout.

        Where "removed" or "deleted" is wished, an object that is gone has arrived: it is returned as it was last seen.
        If it was gone at the first look there is nothing to return, and NotFoundError is raised.
        """
        wait = _begin_one(path, status, timeout, interval)
        while True:
            node, item, fault = _node(self, wait), None, None
            try:
                item = node.get(*path)
            except (*_PASSING, NotFoundError) as error:
                fault = error
            _take_one(wait, path[-1], node, item, fault)
            if not wait.pending:
                cast(Any, self)._response = node._response
                return cast(T, wait.arrived[path[-1]])
            clock.current().sleep(wait.pause())

    def wait_for_many(
        self, ids: Iterable[Id], *path: Id, status: str | Collection[str], timeout: float = 600, interval: float = 5
    ) -> list[T]:
        """Wait for several objects at once by asking for the list; returns them in the order of `ids`.

        `path` is what `list` takes. Raises WaitTimeout, whose `pending` names those that have not arrived, and WaitFailed.
        Where "removed" or "deleted" is wished, an object that was seen has arrived when a complete list lacks it.
        """
        wanted = ids if isinstance(ids, (int, str)) else list(ids)
        wait = _begin_many(wanted, status, timeout, interval)
        while wait.pending:
            node, page, items, fault = _node(self, wait), None, list[Any](), None
            try:
                page = node.list(*path)
                items = [*page]
            except _PASSING as error:
                fault = error
            _take_all(wait, node, page, items, fault)
            cast(Any, self)._response = node._response
            if wait.pending:
                clock.current().sleep(wait.pause())
        return [cast(T, wait.arrived[ident]) for ident in cast(list[Id], wanted)]


class AsyncWaits(Generic[T]):
    """Adds `wait_for` and `wait_for_many` to a resource that has `get` and `list`."""

    async def wait_for(self, *path: Id, status: str | Collection[str], timeout: float = 600, interval: float = 5) -> T:
        """As `Waits.wait_for`."""
        wait = _begin_one(path, status, timeout, interval)
        while True:
            node, item, fault = _node(self, wait), None, None
            try:
                item = await node.get(*path)
            except (*_PASSING, NotFoundError) as error:
                fault = error
            _take_one(wait, path[-1], node, item, fault)
            if not wait.pending:
                cast(Any, self)._response = node._response
                return cast(T, wait.arrived[path[-1]])
            await clock.current().asleep(wait.pause())

    async def wait_for_many(
        self, ids: Iterable[Id], *path: Id, status: str | Collection[str], timeout: float = 600, interval: float = 5
    ) -> list[T]:
        """As `Waits.wait_for_many`."""
        wanted = ids if isinstance(ids, (int, str)) else list(ids)
        wait = _begin_many(wanted, status, timeout, interval)
        while wait.pending:
            node, page, items, fault = _node(self, wait), None, list[Any](), None
            try:
                page = node.list(*path)
                items = [item async for item in page]
            except _PASSING as error:
                fault = error
            _take_all(wait, node, page, items, fault)
            cast(Any, self)._response = node._response
            if wait.pending:
                await clock.current().asleep(wait.pause())
        return [cast(T, wait.arrived[ident]) for ident in cast(list[Id], wanted)]
