"""Carries out what the engine asks, in a task. A synchronous client does not load it, nor asyncio."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from timeweb_sdk._core.clock import Clock
from timeweb_sdk._core.commands import AwaitGrant, Command, RoundTrip, Send, Sleep
from timeweb_sdk._core.limiter import Ticket
from timeweb_sdk._core.secrets import forget_frames
from timeweb_sdk._core.transport import AsyncSession, overdue
from timeweb_sdk.errors import DeadlineExceeded

T = TypeVar("T")


async def adrive(steps: Coroutine[Any, Any, T], obey: Callable[[Any], Awaitable[Any]]) -> T:
    """Carry out the steps in this task: `obey` is given what they ask and returns the answer."""
    try:
        command = steps.send(None)
        while True:
            try:
                result = await obey(command)
            except BaseException as error:
                command = steps.throw(error)
            else:
                command = steps.send(result)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


async def aobey(session: AsyncSession, clock: Clock, command: Command) -> Any:
    """Do what the engine asks."""
    if isinstance(command, Send):
        try:
            timeouts = command.timeouts
            async with asyncio.timeout(timeouts.deadline - clock.monotonic()) as limit:
                if command.request.transfer.is_streamed:
                    loop = asyncio.get_running_loop()
                    timeouts.put_off = lambda: limit.reschedule(loop.time() + timeouts.read)
                return await session.send(command.request, timeouts, clock)
        except TimeoutError as error:
            raise overdue(error, command.timeouts) from forget_frames(error)
    if isinstance(command, Sleep):
        return await clock.asleep(command.seconds)
    if isinstance(command, AwaitGrant):
        return await _agranted(command.ticket, command.seconds)
    return await _around(command, clock)


async def _around(trip: RoundTrip[Any], clock: Clock) -> Any:
    try:
        async with asyncio.timeout(trip.deadline - clock.monotonic()):
            return await asyncio.to_thread(trip.function)
    except (TimeoutError, RuntimeError):  # the second where the interpreter shuts down and starts no threads
        if trip.needed:
            raise DeadlineExceeded("the store of the rate limit did not answer before the deadline") from None
        return None


async def _agranted(ticket: Ticket, seconds: float) -> bool:
    granted = asyncio.Event()
    loop = asyncio.get_running_loop()
    ticket.on_grant(lambda: loop.call_soon_threadsafe(granted.set))
    try:
        async with asyncio.timeout(seconds):
            await granted.wait()
    except TimeoutError:
        return False
    return True
