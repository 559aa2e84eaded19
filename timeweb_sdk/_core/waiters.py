"""Waiting for objects of the API to reach a status."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

from timeweb_sdk._core import clock
from timeweb_sdk.errors import ConfigurationError, NotFoundError, WaitFailed, WaitTimeout

T = TypeVar("T")
Id = int | str

_BROKEN = frozenset({"error", "failed", "fail", "failure", "blocked", "permanent_blocked"})
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
    _statuses: dict[Id, str | None] = field(default_factory=dict[Id, str | None])
    _unpaid_since: dict[Id, float] = field(default_factory=dict[Id, float])

    def see(self, ident: Id, item: T, now: float) -> None:
        """Take in the state of one object; raises WaitFailed when the wished status cannot come any more."""
        status = cast("str | None", getattr(item, "status", None))
        self._statuses[ident] = status
        if status in self.wished:
            self.arrived[ident] = item
            self.pending.remove(ident)
        elif status in self._hopeless() or self._is_unpaid(ident, status, now):
            raise self.failure(ident, f"has the status {status!r}, from which {self._wish()} cannot come")

    def failure(self, ident: Id, why: str) -> WaitFailed:
        return WaitFailed(f"{ident} {why}", delivery="answered", failed_id=ident, last_status=self._statuses.get(ident))

    def pause(self, now: float) -> float:
        """Return the seconds until the next look; raises WaitTimeout when that would be too late."""
        if now + self.interval - self.started > self.timeout:
            last = self._statuses.get(self.pending[0])
            shown = ", ".join(str(ident) for ident in self.pending[:5])
            raise WaitTimeout(
                f"{shown} did not reach {self._wish()} within {self.timeout:g} s; the last status was {last!r}",
                delivery="answered",
                last_status=last,
                pending=tuple(self.pending),
            )
        return self.interval

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


def _look_at_all(wait: "Wait[Any]", items: Iterable[Any], key: str) -> None:
    found = {getattr(item, key, None): item for item in items}
    for ident in list(wait.pending):
        # Objects that were just made may not be in the list yet: only the timeout ends the wait for them.
        if ident in found:
            wait.see(ident, found[ident], clock.current().monotonic())


class Waits(Generic[T]):
    """Adds `wait_for` and `wait_for_many` to a resource that has `get` and `list`."""

    def wait_for(self, *path: Id, status: str | Collection[str], timeout: float = 600, interval: float = 5) -> T:
        """Ask for one object, every `interval` seconds, until it has the status, or one of several.

        `path` is what `get` takes. Raises WaitTimeout after `timeout` seconds, and WaitFailed as soon as the object has
        a status from which the wished one cannot come, or is gone.
        """
        wait = _begin([path[-1]], status, timeout, interval)
        get = cast(Any, self).get
        while True:
            try:
                wait.see(path[-1], get(*path), clock.current().monotonic())
            except NotFoundError as error:
                raise wait.failure(path[-1], "does not exist any more") from error
            if not wait.pending:
                return cast(T, wait.arrived[path[-1]])
            clock.current().sleep(wait.pause(clock.current().monotonic()))

    def wait_for_many(
        self, ids: Iterable[Id], *path: Id, status: str | Collection[str], timeout: float = 600, interval: float = 5
    ) -> list[T]:
        """Wait for several objects at once by asking for the list; returns them in the order of `ids`.

        `path` is what `list` takes. Raises WaitTimeout, whose `pending` names those that have not arrived, and WaitFailed.
        """
        wanted = list(ids)
        wait = _begin(wanted, status, timeout, interval)
        while wait.pending:
            _look_at_all(wait, cast(Any, self).list(*path), "id")
            if wait.pending:
                clock.current().sleep(wait.pause(clock.current().monotonic()))
        return [cast(T, wait.arrived[ident]) for ident in wanted]


class AsyncWaits(Generic[T]):
    """Adds `wait_for` and `wait_for_many` to a resource that has `get` and `list`."""

    async def wait_for(self, *path: Id, status: str | Collection[str], timeout: float = 600, interval: float = 5) -> T:
        """As `Waits.wait_for`."""
        wait = _begin([path[-1]], status, timeout, interval)
        get = cast(Any, self).get
        while True:
            try:
                wait.see(path[-1], await get(*path), clock.current().monotonic())
            except NotFoundError as error:
                raise wait.failure(path[-1], "does not exist any more") from error
            if not wait.pending:
                return cast(T, wait.arrived[path[-1]])
            await clock.current().asleep(wait.pause(clock.current().monotonic()))

    async def wait_for_many(
        self, ids: Iterable[Id], *path: Id, status: str | Collection[str], timeout: float = 600, interval: float = 5
    ) -> list[T]:
        """As `Waits.wait_for_many`."""
        wanted = list(ids)
        wait = _begin(wanted, status, timeout, interval)
        while wait.pending:
            _look_at_all(wait, [item async for item in cast(Any, self).list(*path)], "id")
            if wait.pending:
                await clock.current().asleep(wait.pause(clock.current().monotonic()))
        return [cast(T, wait.arrived[ident]) for ident in wanted]
