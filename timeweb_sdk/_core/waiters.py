"""Waiting for objects of the API to reach a status."""

import warnings
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar, cast, get_args, get_origin

from timeweb_sdk._core import clock, deprecation
from timeweb_sdk._core.commands import Sleep
from timeweb_sdk._core.looks import Listed, Look, alook, look
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
    call: str | None = None
    """The last look, as it is written."""
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
        self.operation, self.call = (fault.operation, fault.call) if fault else (node._operation, node._written)
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
        error.operation, error.call, error.attempts = self.operation, self.call, self.attempts
        error.arrived, error.pending = self.arrived, tuple(self.pending)
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
            call=self.call,
            attempts=self.attempts,
            delivery=self._fault.delivery if self._fault else "answered",
            last_status=last,
            pending=tuple(self.pending),
            arrived=self.arrived,
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


def _begin(owner: Any, idents: Iterable[Id], status: str | Collection[str], timeout: float, interval: float) -> "Wait[Any]":
    if timeout <= 0 or interval <= 0:
        raise ConfigurationError(f"timeout={timeout}, interval={interval}: give positive numbers of seconds")
    wished = frozenset({status} if isinstance(status, str) else status)
    _warn_of_unknown(owner, wished)
    return Wait(wished, timeout, interval, clock.current().monotonic(), list(dict.fromkeys(idents)))


def _warn_of_unknown(owner: Any, wished: frozenset[str]) -> None:
    """Tell of a status that the contract does not know: most are typing errors, some are newer than the contract."""
    bases = [base for kind in type(owner).__mro__ for base in getattr(kind, "__orig_bases__", ())]
    model: Any = next((get_args(base)[0] for base in bases if get_origin(base) in (Waits, AsyncWaits)), None)
    known = _literals(model.model_fields["status"].annotation) if "status" in getattr(model, "model_fields", ()) else []
    unknown = wished - {*known, *_GONE}
    if known and unknown:
        warnings.warn(
            f"status {', '.join(map(repr, sorted(unknown)))} is not one that a {model.__name__} is known to have "
            f"({', '.join(known)}): the wait may never end before its timeout",
            stacklevel=deprecation.depth() + 1,
        )


def _literals(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [literal for arm in get_args(annotation) for literal in _literals(arm)]


async def _wait_for_one(owner: Any, wait: "Wait[Any]", path: tuple[Id, ...]) -> None:
    while True:
        await _look_at(owner, wait, path)
        if not wait.pending:
            return
        await Sleep(wait.pause())


async def _wait_for_many(owner: Any, wait: "Wait[Any]", path: tuple[Id, ...]) -> None:
    while wait.pending:
        node, missing = _node(owner, wait), list[Id]()
        try:
            page, items = await Listed(node.list, path)
        except _PASSING as fault:
            wait.count(node, fault)
        else:
            wait.count(node, None)
            missing = _take(wait, page, items)
        owner._response = node._response
        # What was just made may not be in the list yet: only the object itself tells that it is gone.
        for ident in missing:
            await _look_at(owner, wait, (*path, ident))
        if wait.pending:
            await Sleep(wait.pause())


def _take(wait: "Wait[Any]", page: Any, items: list[Any]) -> list[Id]:
    """Take in what a list held; return the ids that it would have held if their objects were in it."""
    # As texts: an id that was read from a file or a form is one, and `get` takes it too.
    found = {str(getattr(item, "id", None)): item for item in items}
    absent = [ident for ident in wait.pending if str(ident) not in found]
    for ident in [ident for ident in wait.pending if str(ident) in found]:
        wait.see(ident, found[str(ident)], clock.current().monotonic())
    return [ident for ident in absent if not wait.miss(ident)] if page.complete else []


async def _look_at(owner: Any, wait: "Wait[Any]", path: tuple[Id, ...]) -> None:
    node, ident = _node(owner, wait), path[-1]
    try:
        item = await Look(node.get, path)
    except NotFoundError as fault:
        wait.count(node, fault)
        if not wait.miss(ident):
            if wait.wished & _GONE:
                raise
            raise wait.failure(ident, "does not exist any more") from fault
    except _PASSING as fault:
        wait.count(node, fault)
    else:
        wait.count(node, None)
        wait.see(ident, item, clock.current().monotonic())
    owner._response = node._response


def _node(owner: Any, wait: "Wait[Any]") -> Any:
    """Return the resource for one look, with calls that do not outlast the wait."""
    left = max(wait.left(), 0.001)
    node = type(owner)(owner._client.with_options(total_timeout=min(owner._client._options.total_timeout, left)))
    node._records = True
    return node


def _one(path: tuple[Any, ...]) -> list[Id]:
    if not path or not isinstance(path[-1], (int, str)):
        raise TypeError("wait_for takes what get takes, the id of one object at the end; for several there is wait_for_many")
    return [path[-1]]


def _several(ids: Any) -> list[Id]:
    if isinstance(ids, (int, str)):
        raise TypeError(f"wait_for_many takes several ids, not {ids!r}; for one object there is wait_for")
    return list(ids)


class Waits(Generic[T]):
    """Adds `wait_for` and `wait_for_many` to a resource that has `get` and `list`."""

    def wait_for(self, *path: Id, status: str | Collection[str], timeout: float = 600, interval: float = 5) -> T:
        """Ask for one object, every `interval` seconds, until it has the status, or one of several.

        `path` is what `get` takes. Raises WaitTimeout after `timeout` seconds, and WaitFailed as soon as the object has
        a status from which the wished one cannot come, or is gone. Looks that fail for a reason that may pass (no reply,
        5xx, 429) do not end the wait; the last one is the cause of WaitTimeout.

        A status that the contract does not know is waited for, with a warning: its lists are open.

        Where "removed" or "deleted" is wished, an object that is gone has arrived: it is returned as it was last seen.
        If it was gone at the first look there is nothing to return, and NotFoundError is raised.
        """
        wait = _begin(self, _one(path), status, timeout, interval)
        look(_wait_for_one(self, wait, path))
        return cast(T, wait.arrived[path[-1]])

    def wait_for_many(
        self, ids: Iterable[Id], *path: Id, status: str | Collection[str], timeout: float = 600, interval: float = 5
    ) -> list[T]:
        """Wait for several objects at once by asking for the list; returns them in the order of `ids`.

        `path` is what `list` takes. Raises WaitTimeout, and WaitFailed as soon as one of them cannot arrive
        any more; `arrived` and `pending` of both tell how far the others came. An object that a complete list lacks is
        asked for by itself.
        Where "removed" or "deleted" is wished, an object that was seen has arrived when a complete list lacks it.
        """
        wanted = _several(ids)
        wait = _begin(self, wanted, status, timeout, interval)
        look(_wait_for_many(self, wait, path))
        return [cast(T, wait.arrived[ident]) for ident in wanted]


class AsyncWaits(Generic[T]):
    """Adds `wait_for` and `wait_for_many` to a resource that has `get` and `list`."""

    async def wait_for(self, *path: Id, status: str | Collection[str], timeout: float = 600, interval: float = 5) -> T:
        """As `Waits.wait_for`."""
        wait = _begin(self, _one(path), status, timeout, interval)
        await alook(_wait_for_one(self, wait, path))
        return cast(T, wait.arrived[path[-1]])

    async def wait_for_many(
        self, ids: Iterable[Id], *path: Id, status: str | Collection[str], timeout: float = 600, interval: float = 5
    ) -> list[T]:
        """As `Waits.wait_for_many`."""
        wanted = _several(ids)
        wait = _begin(self, wanted, status, timeout, interval)
        await alook(_wait_for_many(self, wait, path))
        return [cast(T, wait.arrived[ident]) for ident in wanted]
