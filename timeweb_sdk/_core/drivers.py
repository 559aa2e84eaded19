"""Carries out what the engine asks, in a thread; `async_driver` does it in a task."""

import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from timeweb_sdk._core.clock import Clock
from timeweb_sdk._core.commands import AwaitGrant, Command, Send, Sleep
from timeweb_sdk._core.transport import SyncSession

T = TypeVar("T")
Steps = Coroutine[Command, Any, T]


def drive(steps: Steps[T], session: SyncSession, clock: Clock) -> T:
    """Carry out the steps in this thread."""
    try:
        command = steps.send(None)
        while True:
            try:
                result = _obey(command, session, clock)
            except BaseException as error:
                command = steps.throw(error)
            else:
                command = steps.send(result)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


def _obey(command: Command, session: SyncSession, clock: Clock) -> Any:
    if isinstance(command, Send):
        return session.send(command.request, command.timeouts, clock)
    if isinstance(command, Sleep):
        return clock.sleep(command.seconds)
    if isinstance(command, AwaitGrant):
        granted = threading.Event()
        command.ticket.on_grant(granted.set)
        return granted.wait(command.seconds)
    return command.function()
