"""Rules that look at the account several times, such as waiting: coroutines without IO, carried out in a thread or a task.

They await a `Look`, a `Listed` or a `Sleep` and are resumed with the answer, or with the error thrown into them.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from timeweb_sdk._core import clock
from timeweb_sdk._core.commands import Asked, Sleep
from timeweb_sdk._core.drivers import drive
from timeweb_sdk._core.guards import is_array
from timeweb_sdk._core.model import Model

T = TypeVar("T")


def models_of(value: Any) -> list[Any]:
    """Return the objects of a list: odd data may hold anything between them, or be no list."""
    return [each for each in value if isinstance(each, Model)] if is_array(value) else []


@dataclass(slots=True)
class Look(Asked[Any]):
    """Call a method of a client; the answer is what it returns."""

    method: Callable[..., Any]
    arguments: tuple[Any, ...] = field(default=(), repr=False)


@dataclass(slots=True)
class Listed(Look):
    """Call a method that lists; the answer is its page, which tells whether all came, and the items of every page."""


def look(steps: Coroutine[Any, Any, T]) -> T:
    """Carry out the steps in this thread."""
    return drive(steps, _obey)


async def alook(steps: Coroutine[Any, Any, T]) -> T:
    """Carry out the steps in this task."""
    from timeweb_sdk._core.async_driver import adrive  # which a synchronous client does not load

    return await adrive(steps, _aobey)


def _obey(command: Look | Sleep) -> Any:
    if isinstance(command, Sleep):
        return clock.current().sleep(command.seconds)
    answer = command.method(*command.arguments)
    return (answer, [*answer]) if isinstance(command, Listed) else answer


async def _aobey(command: Look | Sleep) -> Any:
    if isinstance(command, Sleep):
        return await clock.current().asleep(command.seconds)
    answer = command.method(*command.arguments)
    return (answer, [item async for item in answer]) if isinstance(command, Listed) else await answer
