"""Deleting a thing with what would go on costing: the plan is shown first, and nothing beyond it is deleted."""

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from operator import attrgetter
from typing import Any, Literal, TypeAlias, TypeVar

from timeweb_sdk._core import clock
from timeweb_sdk._core.resource import Arguments, AsyncResource, Resource
from timeweb_sdk.errors import ConfigurationError, NotFoundError, TimewebError

T = TypeVar("T")
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


@dataclass(slots=True)
class Ask:
    """A call of the client, by the attribute of its method."""

    method: str
    args: tuple[Any, ...] = ()
    confirmation: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    @property
    def is_list(self) -> bool:
        return self.method.endswith(".list")

    def of(self, client: Any) -> Any:
        return attrgetter(self.method)(client)(*self.args, **self.confirmation)


Steps = Generator[Ask | float, Any, T]
"""Asks for calls and pauses in seconds; is sent the answer (of a list all items) or has the error thrown into it."""


def plan_steps(
    delete: Callable[..., Any], given: Arguments, kind: type[Resource[Any]] | type[AsyncResource[Any]]
) -> Steps[DeletionPlan]:
    """Return the steps that make a plan; raises ConfigurationError for what leaves nothing that could be found."""
    node: Any = getattr(delete, "__self__", None)
    name = type(node).__name__.removeprefix("Async")
    if not issubclass(type(node), kind) or name not in _THINGS or delete.__name__ != "delete":
        raise ConfigurationError(
            "plan_deletion takes the method delete of servers, balancers, databases or routers of this kind of client"
        )
    return _plan(_THINGS[name][0], next(iter(given.names_of(delete).values())))


def _plan(resource: str, ident: int | str) -> Steps[DeletionPlan]:
    thing: Any = yield Ask(f"{resource}.get", (ident,))
    costs: list[Any] = yield Ask("account.services.cost.list")
    kinds = _TYPES[resource]
    own = next((row for row in costs if row.type in kinds and str(row.service_id) == str(ident)), None)
    listed: list[Any] = yield Ask("floating_ips.list")
    addresses = [each for each in listed if _serves(each, kinds, ident)]
    leftovers = [Leftover("floating_ip", each.id, each.ip or each.id, _price_of_address(own, each)) for each in addresses]
    within = sum((each.monthly or Decimal(0) for each in leftovers), Decimal(0))
    if resource == "servers":
        drives: list[Any] = yield Ask("network_drives.list")
        images: list[Any] = yield Ask("images.list")
        disks = {disk.id for disk in thing.disks}
        drives = [each for each in drives if _is_mounted(each, kinds, ident)]
        images = [each for each in images if each.disk_id in disks]
        prices = {(row.type, str(row.service_id)): row.cost for row in costs}
        leftovers += [_named("network_drive", each, prices) for each in drives]
        leftovers += [_named("image", each, prices) for each in images]
    ended = own.total_cost - within if own is not None else None
    return DeletionPlan(resource, ident, thing.name, ended, tuple(leftovers))


def _named(kind: Kind, item: Any, prices: Mapping[tuple[str, str], Decimal]) -> Leftover:
    return Leftover(kind, item.id, item.name, prices.get((kind, item.id)))


def _serves(address: Any, kinds: Iterable[str], ident: int | str) -> bool:
    return address.resource_type in kinds and str(address.resource_id) == str(ident)


def _is_mounted(drive: Any, kinds: Iterable[str], ident: int | str) -> bool:
    return any(_serves(each, kinds, ident) for each in drive.service_list)


def _price_of_address(row: Any, address: Any) -> Decimal | None:
    """Return what the row of the thing has for addresses of this sort, if that is one price."""
    kind = "floating_ip_with_ddos_guard" if address.is_ddos_guard else "floating_ip"
    parts: list[Any] = (row.services or []) if row is not None else []
    costs: set[Decimal | None] = {part.cost for part in parts if part.type == kind}
    return costs.pop() if len(costs) == 1 else None


def deletion_steps(
    plan: DeletionPlan, also: Iterable[Leftover], confirmation: Mapping[str, str | None], patience: float
) -> Steps[tuple[Leftover, ...]]:
    """Return the steps that carry a plan out; raises ConfigurationError for what is not in it, before anything is sent."""
    chosen = tuple(dict.fromkeys(also))
    strange = [each.name for each in chosen if each not in plan.leftovers]
    if strange:
        raise ConfigurationError(f"{', '.join(strange)}: not in the plan of {plan.name}; give some of plan.leftovers as also=")
    return _carry_out(plan, chosen, {name: value for name, value in confirmation.items() if value is not None}, patience)


def _carry_out(
    plan: DeletionPlan, chosen: tuple[Leftover, ...], confirmation: Mapping[str, str], patience: float
) -> Steps[tuple[Leftover, ...]]:
    now = clock.current()
    deadline = now.monotonic() + patience
    # What is gone was deleted by an earlier call with the same plan.
    yield from _unless_gone(Ask(f"{plan.resource}.delete", (plan.id,), confirmation))
    kept: list[Leftover] = []
    for each in chosen:
        wait = _FIRST_WAIT
        while (use := (yield from _use_of(each, plan))) == "planned":
            left = deadline - now.monotonic()
            if left <= 0:
                raise TimewebError(f"{each.name} still serves {plan.name}, which was deleted: call again with the same plan")
            yield min(wait, left)
            wait = min(wait * 2, _LONGEST_WAIT)
        if use == "other":
            kept.append(each)
        elif use == "none":
            yield from _unless_gone(Ask(f"{_LEFTOVERS[each.kind]}.delete", (each.id,)))
    return tuple(kept)


def _use_of(each: Leftover, plan: DeletionPlan) -> Steps[Literal["gone", "none", "planned", "other"]]:
    """Tell what a leftover serves now: it may have been given to something else since the plan was made."""
    if each.kind == "image":
        return "none"
    item = yield from _unless_gone(Ask(f"{_LEFTOVERS[each.kind]}.get", (each.id,)))
    if item is None:
        return "gone"
    users: list[Any] = item.service_list if each.kind == "network_drive" else [item] if item.resource_id is not None else []
    if not users:
        return "none"
    return "planned" if all(_serves(user, _TYPES[plan.resource], plan.id) for user in users) else "other"


def _unless_gone(ask: Ask) -> Steps[Any]:
    try:
        return (yield ask)
    except NotFoundError:
        return None


def run(client: Any, steps: Steps[T]) -> T:
    """Drive the steps with the synchronous client."""
    step, result = _next(steps)
    while step is not None:
        answer: Any = None
        try:
            if isinstance(step, Ask):
                answer = step.of(client)
                answer = _whole(answer, [*answer]) if step.is_list else answer
            else:
                clock.current().sleep(step)
        except TimewebError as error:
            answer = error
        step, result = _next(steps, answer)
    done: T = result
    return done


async def arun(client: Any, steps: Steps[T]) -> T:
    """Drive the steps with the asynchronous client."""
    step, result = _next(steps)
    while step is not None:
        answer: Any = None
        try:
            if not isinstance(step, Ask):
                await clock.current().asleep(step)
            elif step.is_list:
                page: Any = step.of(client)
                answer = _whole(page, [item async for item in page])
            else:
                answer = await step.of(client)
        except TimewebError as error:
            answer = error
        step, result = _next(steps, answer)
    done: T = result
    return done


def _whole(page: Any, items: list[Any]) -> list[Any]:
    """Return the items; raises TimewebError where some may be missing, because a plan must not lack what costs."""
    if page.complete is False:
        raise TimewebError("a list that the plan needs did not come whole: call again")
    return items


def _next(steps: Steps[T], answer: Any = None) -> tuple[Ask | float | None, Any]:
    """Go on; return what is asked for, or None and the result."""
    try:
        return (steps.throw(answer) if isinstance(answer, TimewebError) else steps.send(answer)), None
    except StopIteration as stop:
        return None, stop.value
