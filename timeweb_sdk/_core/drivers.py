"""Carries out what the engine asks, in a thread; `async_driver` does it in a task."""

import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from timeweb_sdk._core.clock import Clock
from timeweb_sdk._core.commands import AwaitGrant, Command, Send, Sleep
from timeweb_sdk._core.transport import SyncSession

T = TypeVar("T")


def drive(steps: Coroutine[Any, Any, T], obey: Callable[[Any], Any]) -> T:
    """Carry out the steps in this thread: `obey` is given what they ask and returns the answer."""
    try:
        command = steps.send(None)
        while True:
            try:
                result = obey(command)
            except BaseException as error:
                command = steps.throw(error)
            else:
                command = steps.send(result)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


def obey(session: SyncSession, clock: Clock, command: Command) -> Any:
    """Do what the engine asks."""
    if isinstance(command, Send):
        return session.send(command.request, command.timeouts, clock)
    if isinstance(command, Sleep):
        return clock.sleep(command.seconds)
    if isinstance(command, AwaitGrant):
        granted = threading.Event()
        command.ticket.on_grant(granted.set)
        return granted.wait(command.seconds)
    return command.function()
