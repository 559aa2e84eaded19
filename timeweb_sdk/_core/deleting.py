"""Deleting a thing with what would go on costing: the plan is shown first, and nothing beyond it is deleted."""

from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from timeweb_sdk._core import clock
from timeweb_sdk._core.commands import Sleep
from timeweb_sdk._core.guards import is_array
from timeweb_sdk._core.looks import Listed, Look, models_of
from timeweb_sdk._core.resource import Arguments, AsyncResource, Resource
from timeweb_sdk.errors import ConfigurationError, NotFoundError, TimewebError

Kind: TypeAlias = Literal["floating_ip", "network_drive", "image"]
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 30.0
_THINGS: Mapping[str, tuple[str, frozenset[str]]] = {
    "BalancersResource": ("balancers", frozenset({"balancer"})),
    "DatabasesResource": ("databases", frozenset({"database", "dbaas"})),
    "RoutersResource": ("routers", frozenset({"router"})),
    "ServersResource": ("servers", frozenset({"server"})),
}
"""What can be planned: the attribute of the client, and what addresses, drives and costs call its kind."""
_TYPES: Mapping[str, frozenset[str]] = dict(_THINGS.values())
_LEFTOVERS: Mapping[Kind, str] = {"floating_ip": "floating_ips", "network_drive": "network_drives", "image": "images"}


@dataclass(frozen=True, slots=True)
class Leftover:
    """What a deletion leaves behind, and what is paid for until it is deleted too."""

    kind: Kind
    id: str
    name: str
    """The address of a floating IP, else the name."""
    monthly: Decimal | None
    """RUB per month before the account's discount; None where the API does not tell."""


@dataclass(frozen=True, slots=True)
class DeletionPlan:
    """What a deletion would end, and what would stay and go on costing."""

    resource: str
    """Where the thing is: `servers`, `balancers`, `databases` or `routers`."""
    id: int | str
    name: str
    monthly: Decimal | None
    """RUB per month that its deletion ends, before the discount: without the leftovers. None where the API does not tell."""
    leftovers: tuple[Leftover, ...]

    @property
    def remaining(self) -> Decimal:
        """RUB per month of the leftovers whose price is known: the least that goes on costing."""
        return sum((each.monthly for each in self.leftovers if each.monthly is not None), Decimal(0))


def plan_steps(
    client: Any, delete: Callable[..., Any], given: Arguments, kind: type[Resource[Any]] | type[AsyncResource[Any]]
) -> Coroutine[Any, Any, DeletionPlan]:
    """Return the steps that make a plan; raises ConfigurationError for what leaves nothing that could be found."""
    node: Any = getattr(delete, "__self__", None)
    name = type(node).__name__.removeprefix("Async")
    if not issubclass(type(node), kind) or name not in _THINGS or delete.__name__ != "delete":
        raise ConfigurationError(
            "plan_deletion takes the method delete of servers, balancers, databases or routers of this kind of client"
        )
    return _plan(client, _THINGS[name][0], next(iter(given.names_of(delete).values())))


async def _plan(client: Any, resource: str, ident: int | str) -> DeletionPlan:
    thing = _read_one(await Look(getattr(client, resource).get, (ident,)))
    costs = await _all_of(client.account.services.cost)
    kinds = _TYPES[resource]
    own = next((row for row in costs if str(row.type) in kinds and str(row.service_id) == str(ident)), None)
    addresses = [each for each in await _all_of(client.floating_ips) if _serves(each, kinds, ident)]
    leftovers = [Leftover("floating_ip", each.id, str(each.ip or each.id), _price_of_address(own, each)) for each in addresses]
    within = sum((each.monthly or Decimal(0) for each in leftovers), Decimal(0))
    if resource == "servers":
        drives = [each for each in await _all_of(client.network_drives) if _is_mounted(each, kinds, ident)]
        disks = {str(disk.id) for disk in _read(thing.disks)}
        images = [each for each in await _all_of(client.images) if str(each.disk_id) in disks]
        prices = {(str(row.type), str(row.service_id)): row.cost for row in costs}
        leftovers += [_named("network_drive", each, prices) for each in drives]
        leftovers += [_named("image", each, prices) for each in images]
    # Odd data: it could be told of, and not deleted.
    if not all(isinstance(each.id, str) for each in leftovers):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TimewebError("something that the plan needs came without a readable id: call again")
    ended = own.total_cost - within if own is not None and isinstance(own.total_cost, Decimal) else None
    return DeletionPlan(resource, ident, thing.name, ended, tuple(leftovers))


async def _all_of(node: Any) -> list[Any]:
    """Return all items; raises TimewebError where some may be missing, because a plan must not lack what costs."""
    page, items = await Listed(node.list)
    if page.complete is False:
        raise TimewebError("a list that the plan needs did not come whole: call again")
    return _read(items)


def _read(value: Any) -> list[Any]:
    found = models_of(value)
    if not is_array(value) or len(found) < len(value):
        raise TimewebError("a list that the plan needs came in a shape that cannot be read: call again")
    return found


def _read_one(value: Any) -> Any:
    return _read([value])[0]


def _named(kind: Kind, item: Any, prices: Mapping[tuple[str, str], Any]) -> Leftover:
    price = prices.get((kind, str(item.id)))
    return Leftover(kind, item.id, str(item.name), price if isinstance(price, Decimal) else None)


def _serves(address: Any, kinds: Iterable[str], ident: int | str) -> bool:
    return str(address.resource_type) in kinds and str(address.resource_id) == str(ident)


def _is_mounted(drive: Any, kinds: Iterable[str], ident: int | str) -> bool:
    return any(_serves(each, kinds, ident) for each in _read(drive.service_list))


def _price_of_address(row: Any, address: Any) -> Decimal | None:
    """Return what the row of the thing has for addresses of this sort, if that is one price."""
    kind = "floating_ip_with_ddos_guard" if address.is_ddos_guard else "floating_ip"
    parts = models_of(row.services) if row is not None else []
    costs: set[Decimal] = {part.cost for part in parts if part.type == kind and isinstance(part.cost, Decimal)}
    return costs.pop() if len(costs) == 1 else None


def deletion_steps(
    client: Any, plan: DeletionPlan, also: Iterable[Leftover], confirmation: Mapping[str, str | None]
) -> Coroutine[Any, Any, tuple[Leftover, ...]]:
    """Return the steps that carry a plan out; raises ConfigurationError for what is not in it, before anything is sent."""
    chosen = tuple(dict.fromkeys(also))
    strange = [each.name for each in chosen if each not in plan.leftovers]
    if strange:
        raise ConfigurationError(f"{', '.join(strange)}: not in the plan of {plan.name}; give some of plan.leftovers as also=")
    confirmed = {name: value for name, value in confirmation.items() if value is not None}
    return _carry_out(client, plan, chosen, Arguments((plan.id,), confirmed))


async def _carry_out(client: Any, plan: DeletionPlan, chosen: tuple[Leftover, ...], given: Arguments) -> tuple[Leftover, ...]:
    now = clock.current()
    deadline = now.monotonic() + client.total_timeout
    # What is gone was deleted by an earlier call with the same plan.
    await _unless_gone(given.pass_to, getattr(client, plan.resource).delete)
    kept: list[Leftover] = []
    for each in chosen:
        node, wait = getattr(client, _LEFTOVERS[each.kind]), _FIRST_WAIT
        while (use := await _use_of(each, node, plan)) == "planned":
            left = deadline - now.monotonic()
            if left <= 0:
                raise TimewebError(f"{each.name} still serves {plan.name}, which was deleted: call again with the same plan")
            await Sleep(min(wait, left))
            wait = min(wait * 2, _LONGEST_WAIT)
        if use == "other":
            kept.append(each)
        elif use == "none":
            await _unless_gone(node.delete, each.id)
    return tuple(kept)


async def _use_of(each: Leftover, node: Any, plan: DeletionPlan) -> Literal["gone", "none", "planned", "other"]:
    """Tell what a leftover serves now: it may have been given to something else since the plan was made."""
    if each.kind == "image":
        return "none"
    item = await _unless_gone(node.get, each.id)
    if item is None:
        return "gone"
    item = _read_one(item)
    users = _read(item.service_list) if each.kind == "network_drive" else [item] if item.resource_id is not None else []
    if not users:
        return "none"
    return "planned" if all(_serves(user, _TYPES[plan.resource], plan.id) for user in users) else "other"


async def _unless_gone(method: Callable[..., Any], argument: Any) -> Any:
    try:
        return await Look(method, (argument,))
    except NotFoundError:
        return None
