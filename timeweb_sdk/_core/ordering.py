"""Making one thing once: after doubt, look for what was made instead of asking again.

The API has no idempotency key and names need not be unique, so what was there before is written down first.
"""

import inspect
import re
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from timeweb_sdk._core import clock
from timeweb_sdk._core.commands import Sleep
from timeweb_sdk._core.looks import Listed, Look, models_of
from timeweb_sdk._core.resource import Arguments, AsyncResource, Resource
from timeweb_sdk.errors import AmbiguousOrder, ConfigurationError, TimewebError

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 30.0
_LAST_LOOK = 5.0
"""Seconds that a look has which begins at the end of the time: what came by then shall be found."""
_LABELS = ("name", "fqdn")
"""What tells one thing from another, if it has one; else all that was asked for is compared."""
_PREFIX = re.compile(r"[0-9a-z]*[0-9][0-9a-z]*-")
"""What the API puts before some names, those of buckets for one: the account's id."""


@dataclass(slots=True)
class Order:
    """What is to be made, and where it would be found."""

    node: Any
    path: tuple[Any, ...]
    """What `list` and `get` of the resource take."""
    asked: Mapping[str, Any] = field(repr=False)
    """It may hold passwords."""
    has_get: bool
    before: frozenset[Any] = frozenset()

    def remember(self, page: Any, items: list[Any]) -> None:
        """Write down what is there; raises TimewebError where that cannot be known, before anything is ordered."""
        if page.complete is False or len(models_of(items)) < len(items):
            raise TimewebError("the list of what is there did not come whole, so nothing was ordered: call again")
        self.before = frozenset(str(item.id) for item in items)

    def found(self, items: list[Any], doubt: TimewebError) -> Any:
        """Return what was not there before and is what was asked for, or None; raises AmbiguousOrder for several."""
        new = [item for item in models_of(items) if str(item.id) not in self.before and self._is_asked_for(item)]
        if len({str(item.id) for item in new}) > 1:
            ids = tuple(item.id for item in new)
            raise _ambiguous(doubt, ids) from doubt
        return new[0] if new else None

    def _is_asked_for(self, item: Any) -> bool:
        labels = [name for name in _LABELS if name in self.asked]
        if labels:
            return all(_is_name(self.asked[name], getattr(item, name, None)) for name in labels)
        shown = {name: getattr(item, name, None) for name, value in self.asked.items() if isinstance(value, (str, int))}
        compared = {name: value for name, value in shown.items() if value is not None}
        return bool(compared) and all(value == self.asked[name] for name, value in compared.items())


def _is_name(asked: Any, found: Any) -> bool:
    """Tell whether something has the name that was asked for, as it is or behind the account's prefix."""
    if found == asked:
        return True
    prefix = str(found).removesuffix(str(asked))
    return str(found).endswith(str(asked)) and _PREFIX.fullmatch(prefix) is not None


def _ambiguous(doubt: TimewebError, ids: tuple[Any, ...]) -> AmbiguousOrder:
    shown = ", ".join(map(str, ids))
    error = AmbiguousOrder(
        f"{doubt.message}; then {shown} were new and each may be what was ordered: look which is yours, and do not repeat",
        operation=doubt.operation,
        attempts=doubt.attempts,
        delivery=doubt.delivery,
        candidates=ids,
    )
    error.call, error.may_be_done = doubt.call, True
    return error


def make_steps(
    create: Callable[..., Any], given: Arguments, kind: type[Resource[Any]] | type[AsyncResource[Any]]
) -> Coroutine[Any, Any, Any]:
    """Return the steps that make the thing once; raises ConfigurationError where nothing could find it again."""
    return _once(order_of(create, given, kind), create, given)


def _untold(node: Any) -> TimewebError:
    """The doubt after a success whose body lacks what was made."""
    error = TimewebError(
        "the API said that it is done and not what was made, and no list shows it yet: look before you repeat it",
        operation=node._operation,
        attempts=1,
        delivery="answered",
    )
    error.call, error.may_be_done = node._written, True
    return error


def order_of(create: Any, given: Arguments, kind: type[Resource[Any]] | type[AsyncResource[Any]]) -> Order:
    """Return what a call of `create` would make."""
    node: Any = getattr(create, "__self__", None)
    if not issubclass(type(node), kind):
        raise ConfigurationError("create_once takes a method of this kind of client that makes something: tw.servers.create")
    name, listing, get = create.__name__, getattr(node, "list", None), getattr(node, "get", None)
    returns = create.__annotations__.get("return")
    model: Any = vars(import_module(type(node).__module__)).get(returns)
    if listing is None or "id" not in getattr(model, "model_fields", ()):
        raise ConfigurationError(f"{name} makes what no list shows by an id: give a method such as tw.servers.create")
    has_get = get is not None and get.__annotations__.get("return") == returns
    if not has_get and listing.__annotations__.get("return") not in (f"Page[{returns}]", f"AsyncPage[{returns}]"):
        raise ConfigurationError(f"{name} returns what no list shows: give a method such as tw.servers.create")
    bound = given.names_of(create)
    needed = [found.name for found in inspect.signature(listing).parameters.values() if found.default is found.empty]
    asked = {name: value for name, value in bound.items() if name not in needed}
    if not any(isinstance(value, (str, int)) for value in asked.values()):
        raise ConfigurationError(f"{name} was given nothing by which to know what it makes: call it by itself")
    return Order(node, tuple(bound[name] for name in needed), asked, has_get)


async def _once(order: Order, create: Callable[..., Any], given: Arguments) -> Any:
    """Make the thing once: the rules, without IO."""
    order.remember(*(await Listed(order.node.list, order.path)))
    node = order.node._recording()  # it knows the call by name
    try:
        made = await Look(given.pass_to, (getattr(node, create.__name__),))
    except TimewebError as error:
        if not error.may_be_done:
            raise
        doubt = error
    else:
        if getattr(made, "id", None) is not None:
            return made
        doubt = _untold(node)
    now = clock.current()
    options = order.node._client._options
    deadline, wait = now.monotonic() + options.total_timeout, _FIRST_WAIT
    while True:
        left = max(deadline - now.monotonic(), min(_LAST_LOOK, options.total_timeout))
        node = type(order.node)(order.node._client.with_options(total_timeout=left))
        try:
            _, items = await Listed(node.list, order.path)
            item = order.found(items, doubt)
            if item is not None:
                return (await Look(node.get, (*order.path, item.id))) if order.has_get else item
        except AmbiguousOrder:
            raise
        except TimewebError:
            pass  # what failed is a look, and the next one may not
        left = deadline - now.monotonic()
        if left <= 0:
            break
        await Sleep(min(wait, left))
        wait = min(wait * 2, _LONGEST_WAIT)
    raise doubt
