"""One body for sync and async: a flow is a generator that asks for work, a driver does it.

A flow yields what it needs (:class:`Api`, :class:`Db`, :class:`Cpu`) and gets the result sent, or the exception thrown,
back.  A ``Db`` step is one whole transaction, so none can be open while an ``Api`` step waits for Timeweb.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy.exc import DBAPIError

from crm_adapter.db.dialects import is_transient
from crm_adapter.narrow import is_mapping

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
    from sqlalchemy.orm import Session, sessionmaker

T = TypeVar("T")

#: The account that a single client (not a mapping) stands for.
DEFAULT_ACCOUNT = "default"

_TRANSIENT_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class Api:
    """One call to Timeweb as ``account``; async clients return an awaitable."""

    account: str
    call: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Db:
    """One transaction: committed when ``work`` returns, rolled back when it raises."""

    work: Callable[[Session], Any]


@dataclass(frozen=True, slots=True)
class Cpu:
    """Pure work that may take long; the async driver keeps it off the event loop."""

    work: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Effect:
    """A call to code of the host that may block or be async: a sink of notifications."""

    work: Callable[..., Any]
    arguments: tuple[Any, ...] = ()


Step = Api | Db | Cpu | Effect
Flow = Generator[Step, Any, T]


def api(account: str, call: Callable[[Any], T]) -> Flow[T]:
    """Call Timeweb; raises the SDK's errors."""
    result: T = yield Api(account, call)
    return result


def db(work: Callable[[Session], T]) -> Flow[T]:
    """Run ``work`` in a transaction of its own."""
    result: T = yield Db(work)
    return result


def transaction(work: Callable[[Session], T]) -> Flow[T]:
    """One transaction, tried again after a deadlock or a lock that took too long."""
    for attempt in range(1, _TRANSIENT_TRIES + 1):
        try:
            return (yield from db(work))
        except DBAPIError as error:
            if attempt == _TRANSIENT_TRIES or not is_transient(error):
                raise
    raise AssertionError("unreachable")


def cpu(work: Callable[[], T]) -> Flow[T]:
    """Compute without IO."""
    result: T = yield Cpu(work)
    return result


def effect(work: Callable[..., Any], *arguments: Any) -> Flow[Any]:
    """Call the host's code."""
    return (yield Effect(work, arguments))


def clients_of(timeweb: object) -> dict[str, Any]:
    """Normalise the ``timeweb`` argument: a client, a mapping account -> client, or None."""
    if timeweb is None:
        return {}
    if is_mapping(timeweb):
        return {str(name): client for name, client in timeweb.items()}
    return {DEFAULT_ACCOUNT: timeweb}


async def _finish(awaitable: Awaitable[T]) -> T:
    return await awaitable


def drive(
    flow: Flow[T], database: sessionmaker[Session], clients: Mapping[str, Any], *, stop: threading.Event | None = None
) -> T:
    """Run a flow with blocking IO.  ``stop`` cancels it between two steps, as a task of asyncio is cancelled."""
    told = False

    def perform(step: Step) -> Any:
        nonlocal told
        if stop is not None and stop.is_set() and not told:
            told = True
            raise asyncio.CancelledError
        if isinstance(step, Api):
            return step.call(clients[step.account])
        if isinstance(step, Db):
            with database() as session, session.begin():
                return step.work(session)
        if isinstance(step, Effect):
            result = step.work(*step.arguments)
            return asyncio.run(_finish(result)) if inspect.isawaitable(result) else result
        return step.work()

    try:
        step = next(flow)
        while True:
            try:
                result = perform(step)
            except BaseException as error:
                step = flow.throw(error)
            else:
                step = flow.send(result)
    except StopIteration as ended:
        return ended.value  # type: ignore[no-any-return]


async def drive_async(flow: Flow[T], database: async_sessionmaker[AsyncSession], clients: Mapping[str, Any]) -> T:
    """Run a flow on the event loop; the DB half is the same code through ``AsyncSession.run_sync``.

    A transaction that has begun ends before a cancellation is heard: torn out of the middle of a statement, a connection
    is lost to its pool, and SQLite keeps the lock that it held.  Cancelled twice, it does not wait.
    """
    cancelled: asyncio.CancelledError | None = None

    async def perform(step: Step) -> Any:
        if isinstance(step, Api):
            result = step.call(clients[step.account])
            return await result if inspect.isawaitable(result) else result
        if isinstance(step, Db):
            async with database() as session, session.begin():
                return await session.run_sync(step.work)
        if isinstance(step, Effect):
            # A plain callable may block (SMTP, HTTP), so it does not run on the loop.
            work = step.work
            is_async = inspect.iscoroutinefunction(work) or inspect.iscoroutinefunction(type(work).__call__)
            result = work(*step.arguments) if is_async else await asyncio.to_thread(work, *step.arguments)
            return await result if inspect.isawaitable(result) else result
        return await asyncio.to_thread(step.work)

    try:
        step = next(flow)
        while True:
            try:
                if cancelled is not None:
                    heard = cancelled
                    cancelled = None
                    raise heard
                if isinstance(step, Db):
                    done, cancelled = await _whole(perform(step))
                    result = done.result()
                else:
                    result = await perform(step)
            except BaseException as error:
                step = flow.throw(error)
            else:
                step = flow.send(result)
    except StopIteration as ended:
        if cancelled is not None:
            raise cancelled from None
        return ended.value  # type: ignore[no-any-return]


async def _whole(work: Coroutine[Any, Any, T]) -> tuple[asyncio.Task[T], asyncio.CancelledError | None]:
    """Wait until ``work`` is done; returns it with the cancellation that arrived meanwhile."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError as error:
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            raise
        return task, error
    return task, None
