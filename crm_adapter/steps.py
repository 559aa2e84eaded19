"""One body for sync and async: a flow is a coroutine that awaits steps, a driver carries them out.

    async def ask(timeweb_id: int) -> None:
        server = await Api("default", lambda timeweb: timeweb.servers.get(timeweb_id))
        await transaction(lambda session: session.execute(...))

    drive(ask(1), sessionmaker, clients)          # with threads
    await adrive(ask(1), async_sessionmaker, clients) # with tasks of asyncio

`await` on a step hands that step to the driver and suspends the whole flow, however deep the `await` is. The driver does
the work and resumes the flow with the result, or throws the exception into it at the same place. A flow so knows nothing
of threads or of asyncio, and awaits steps and other flows only: an awaitable of asyncio would reach a driver that cannot
know it. A flow that is called and not awaited never begins; Python warns that it "was never awaited".

A `Db` step is one whole transaction, so none can be open while an `Api` step waits for Timeweb.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from sqlalchemy.exc import DBAPIError

from crm_adapter import interruption
from crm_adapter.db.dialects import is_lock_timeout, is_transient, wait_at_most
from crm_adapter.narrow import is_mapping
from timeweb_sdk.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
    from sqlalchemy.orm import Session, sessionmaker

T = TypeVar("T")
Found = TypeVar("Found")

DEFAULT_ACCOUNT = "default"
"""The account that a single client (not a mapping) stands for."""

ACCOUNT_LENGTH: Final = 100
"""Characters that the columns for the name of an account hold."""

_TRANSIENT_TRIES: Final = 5
PATIENCE: Final = 10.0
"""Seconds that a transaction waits for a lock: ours are short, but a host's program may hold a row for as long as it likes."""
HASTE: Final = 1.0
"""The same for what somebody waits for who opens the page, and for what is tried again soon."""


class _Step(Generic[T]):
    def __await__(self) -> Generator[Any, Any, T]:
        result: T = yield self
        return result


@dataclass(frozen=True)
class Api(_Step[T]):
    """One call to Timeweb as `account`; async clients return an awaitable. Raises the SDK's errors."""

    account: str
    call: Callable[[Any], T]


@dataclass(frozen=True)
class Db(_Step[T]):
    """One transaction: committed when `work` returns, rolled back when it raises."""

    work: Callable[[Session], T]


@dataclass(frozen=True)
class Cpu(_Step[T]):
    """Pure work that may take long; the async driver keeps it off the event loop."""

    work: Callable[[], T]


@dataclass(frozen=True)
class Effect(_Step[Any]):
    """A call to code of the host that may block or be async: a sink of notifications."""

    work: Callable[..., Any]
    arguments: tuple[Any, ...] = ()


Step = Api[Any] | Db[Any] | Cpu[Any] | Effect
Flow = Coroutine[Step, Any, T]


async def transaction(work: Callable[[Session], T], *, patience: float = PATIENCE) -> T:
    """One transaction, tried again after a deadlock.

    It waits at most `patience` seconds for a lock that somebody holds, then raises what `is_lock_timeout` recognises.
    """

    def within(session: Session) -> T:
        with wait_at_most(session, patience):
            return work(session)

    for attempt in range(1, _TRANSIENT_TRIES + 1):
        try:
            return await Db(within)
        except DBAPIError as error:
            if attempt == _TRANSIENT_TRIES or is_lock_timeout(error) or not is_transient(error):
                raise
    raise AssertionError("unreachable")


async def work_out(read: Callable[[Session], Found], then: Callable[[Found], T]) -> T:
    """`then` of what `read` finds in a transaction, off the event loop; of very many rows even letting go takes long."""
    found = [await transaction(read)]
    return await Cpu(lambda: then(found.pop()))


def clients_of(timeweb: object) -> dict[str, Any]:
    """Normalise the `timeweb` argument: a client, a mapping account -> client, or None.

    Raises `ConfigurationError` for a name that no column of ours could tell from another.
    """
    if timeweb is None:
        return {}
    if not is_mapping(timeweb):
        return {DEFAULT_ACCOUNT: timeweb}
    clients = {str(name): client for name, client in timeweb.items()}
    for name in clients:
        if (problem := account_problem(name)) is not None:
            raise ConfigurationError(f"the account name {name!r} {problem}")
    return clients


def account_problem(name: str) -> str | None:
    """What is wrong with the name of an account, None when it will do."""
    if not name or name != name.strip():
        return "is empty or has spaces around it, which databases do not compare"
    if len(name) > ACCOUNT_LENGTH or not name.isprintable():
        return f"has more than {ACCOUNT_LENGTH} characters or unprintable ones"
    return None


async def _finish(awaitable: Awaitable[T]) -> T:
    return await awaitable


def drive(
    flow: Flow[T],
    database: sessionmaker[Session],
    clients: Mapping[str, Any],
    *,
    stop: threading.Event | None = None,
    ends_early: bool = False,
) -> T:
    """Run a flow with blocking IO. `stop` cancels it between two steps, as a task of asyncio is cancelled.

    `ends_early` says that a signal may end the flow between two steps too, and during a call to Timeweb: it frees what it
    holds. Other flows are carried to their end; a message that was sent must be marked so.
    """
    told = False
    if ends_early and stop is None:
        stop = interruption.stop_event()

    def perform(step: Step) -> Any:
        nonlocal told
        if ends_early:
            interruption.hear()
        if stop is not None and stop.is_set() and not told:
            told = True
            raise asyncio.CancelledError
        if isinstance(step, Api):
            with interruption.listening():
                return step.call(clients[step.account])
        if isinstance(step, Db):
            with database() as session, session.begin():
                return step.work(session)
        if isinstance(step, Effect):
            result = step.work(*step.arguments)
            return asyncio.run(_finish(result)) if inspect.isawaitable(result) else result
        return step.work()

    result: Any = None
    error: BaseException | None = None
    with interruption.shielded():
        while True:
            try:
                sent, thrown, result, error = result, error, None, None
                result = perform(flow.send(sent) if thrown is None else flow.throw(thrown))
            except BaseException as raised:
                # Also what Ctrl+C raised between two steps: the flow hears of it wherever it waits.
                if inspect.getcoroutinestate(flow) == inspect.CORO_CLOSED:
                    if isinstance(raised, StopIteration):
                        return raised.value  # type: ignore[no-any-return]
                    raise
                error = raised


async def adrive(flow: Flow[T], database: async_sessionmaker[AsyncSession], clients: Mapping[str, Any]) -> T:
    """Run a flow on the event loop; the DB half is the same code through `AsyncSession.run_sync`.

    A transaction that has begun ends before a cancellation is heard: torn out of the middle of a statement, a connection
    is lost to its pool, and SQLite keeps the lock that it held. Cancelled twice, it does not wait.
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
        step = flow.send(None)
        while True:
            try:
                if cancelled is not None:
                    heard = cancelled
                    cancelled = None
                    raise heard
                if isinstance(step, Db):
                    done, cancelled = await _whole(perform(step))
                    result = done.result()
                    del done
                    if cancelled is not None:
                        # Where it waits for this very step: what was committed is for the flow to know or to undo.
                        heard, cancelled = cancelled, None
                        raise heard
                else:
                    result = await perform(step)
            except BaseException as error:
                step = flow.throw(error)
            else:
                step = flow.send(result)
                result = None  # the flow's alone from here on, which may let go of it in a thread
    except StopIteration as ended:
        if cancelled is not None:
            raise cancelled from None
        return ended.value  # type: ignore[no-any-return]


async def _whole(work: Coroutine[Any, Any, T]) -> tuple[asyncio.Task[T], asyncio.CancelledError | None]:
    """Wait until `work` is done; returns it with the cancellation that arrived meanwhile."""
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
