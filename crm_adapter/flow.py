"""One body for sync and async: a flow is a generator that asks for work, a driver does it.

A flow yields what it needs (:class:`Api`, :class:`Db`, :class:`Cpu`) and gets the result sent, or the exception thrown,
back.  A ``Db`` step is one whole transaction, so none can be open while an ``Api`` step waits for Timeweb.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
    from sqlalchemy.orm import Session, sessionmaker

__all__ = ["Api", "Cpu", "Db", "Flow", "Step", "api", "clients_of", "cpu", "db", "drive", "drive_async"]

T = TypeVar("T")

#: The account that a single client (not a mapping) stands for.
DEFAULT_ACCOUNT = "default"


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


Step = Api | Db | Cpu
Flow = Generator[Step, Any, T]


def api(account: str, call: Callable[[Any], T]) -> Flow[T]:
    """Call Timeweb; raises the SDK's errors."""
    return (yield Api(account, call))


def db(work: Callable[[Session], T]) -> Flow[T]:
    """Run ``work`` in a transaction of its own."""
    return (yield Db(work))


def cpu(work: Callable[[], T]) -> Flow[T]:
    """Compute without IO."""
    return (yield Cpu(work))


def clients_of(timeweb: object) -> dict[str, Any]:
    """Normalise the ``timeweb`` argument: a client, a mapping account -> client, or None."""
    if timeweb is None:
        return {}
    if isinstance(timeweb, Mapping):
        return {str(name): client for name, client in timeweb.items()}
    return {DEFAULT_ACCOUNT: timeweb}


def drive(flow: Flow[T], database: sessionmaker[Session], clients: Mapping[str, Any]) -> T:
    """Run a flow with blocking IO."""

    def perform(step: Step) -> Any:
        if isinstance(step, Api):
            return step.call(clients[step.account])
        if isinstance(step, Db):
            with database() as session, session.begin():
                return step.work(session)
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
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


async def drive_async(flow: Flow[T], database: async_sessionmaker[AsyncSession], clients: Mapping[str, Any]) -> T:
    """Run a flow on the event loop; the DB half is the same code through ``AsyncSession.run_sync``."""

    async def perform(step: Step) -> Any:
        if isinstance(step, Api):
            result = step.call(clients[step.account])
            return await result if inspect.isawaitable(result) else result
        if isinstance(step, Db):
            async with database() as session, session.begin():
                return await session.run_sync(step.work)
        return await asyncio.to_thread(step.work)

    try:
        step = next(flow)
        while True:
            try:
                result = await perform(step)
            except BaseException as error:
                step = flow.throw(error)
            else:
                step = flow.send(result)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
