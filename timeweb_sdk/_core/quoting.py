"""What an order would cost, from the lists of presets and from what the account pays already."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from timeweb_sdk._core.guards import is_array, is_mapping
from timeweb_sdk._core.resource import Arguments, AsyncResource, Resource
from timeweb_sdk.errors import ConfigurationError

_PRESETS = {
    "BalancersResource": "presets.balancers",
    "ContainerRegistryResource": "container_registry.presets",
    "DatabasesResource": "presets.databases",
    "DedicatedServersResource": "presets.dedicated_servers",
    "K8sClustersResource": "presets.k8s",
    "K8sClustersGroupsResource": "presets.k8s",
    "NetworkDrivesResource": "presets.network_drives",
    "RoutersResource": "presets.routers",
    "ServersResource": "presets.servers",
    "StoragesBucketsResource": "presets.storages",
}
_ADDRESSES = "FloatingIpsResource"
_COSTS = "account.services.cost"


@dataclass(frozen=True, slots=True)
class QuotePart:
    """A part of an order whose price is known."""

    what: str
    """Such as `preset 2453` or `public IPv4`."""
    monthly: Decimal
    """RUB per month for all of `count`."""
    count: int = 1


@dataclass(frozen=True, slots=True)
class Quote:
    """What an order would cost before the account's discount, as far as the API tells."""

    parts: tuple[QuotePart, ...]
    unknown: tuple[str, ...]
    """What the order also asks for, at a price that the API does not tell."""

    @property
    def monthly(self) -> Decimal:
        """RUB per month for all whose price is known: the least that the order costs."""
        return sum((part.monthly for part in self.parts), Decimal(0))

    @property
    def complete(self) -> bool:
        """Whether all that costs has a price here."""
        return not self.unknown


Steps = Generator[str, list[Any], Quote]
"""Asks for the lists that hold prices, by their attributes; returns what they add up to."""


def _steps(kind: str, asked: Mapping[str, Any]) -> Steps:
    parts: list[QuotePart] = []
    unknown: list[str] = []
    presets = _presets_of(kind, asked)
    if presets:
        offered = {item.id: item for item in (yield _PRESETS[kind])}
        for ident, count in presets:
            price = _price(offered.get(ident))
            if price is None:
                unknown.append(f"preset {ident}: the list of presets has no price for it")
            else:
                parts.append(QuotePart(f"preset {ident}", price * count, count))
    if asked.get("configuration") or asked.get("configurator_id"):
        unknown.append("a size of one's own: the API tells no price before it runs")
    if kind == _ADDRESSES or _asks_for_address(asked):
        known = _price_of_address((yield _COSTS))
        if known is None:
            unknown.append("public IPv4: the account has none, whose price could be read")
        else:
            parts.append(QuotePart("public IPv4", known))
    unknown += [f"{name}: the API tells no price" for name in _EXTRAS if asked.get(name)]
    if not parts and not unknown:
        unknown.append("nothing of it has a price that the API tells")
    return Quote(tuple(parts), tuple(unknown))


_EXTRAS = ("is_ddos_guard", "software_id", "auto_backups", "additional_services", "replication", "is_autoscaling")


def _presets_of(kind: str, asked: Mapping[str, Any]) -> list[tuple[Any, int]]:
    """Return the presets that an order names, each with how many of it."""
    count = asked.get("node_count") if kind == "K8sClustersGroupsResource" else 1
    own = asked.get("preset_id")
    found = [(own, count if isinstance(count, int) else 1)] if isinstance(own, int) else []
    groups: Any = asked.get("worker_groups")
    for group in groups if is_array(groups) else []:
        preset, nodes = _field(group, "preset_id"), _field(group, "node_count")
        if isinstance(preset, int):
            found.append((preset, nodes or 1))
    return found


def _field(group: Any, name: str) -> Any:
    """Return a field of what may be given as a model or as a dict."""
    return group.get(name) if is_mapping(group) else getattr(group, name, None)


def _price(preset: Any) -> Decimal | None:
    price = getattr(preset, "price", None) or getattr(preset, "cost", None)
    return price if isinstance(price, Decimal) else None


def _asks_for_address(asked: Mapping[str, Any]) -> bool:
    network = asked.get("network")
    wanted: Any = network.get("floating_ip") if is_mapping(network) else getattr(network, "floating_ip", None)
    return isinstance(wanted, str) and wanted == "create_ip"


def _price_of_address(rows: list[Any]) -> Decimal | None:
    """Return what an address costs; the API tells it for those that the account has, by itself or within a server's row."""
    within: list[Any] = []
    for row in rows:
        within += row.services or []
    costs: list[Decimal] = [
        row.cost for row in [*rows, *within] if row.type == "floating_ip" and isinstance(row.cost, Decimal) and row.cost
    ]
    return max(costs) if costs else None


def _begin(create: Callable[..., Any], given: Arguments, kind: type[Resource[Any]] | type[AsyncResource[Any]]) -> Steps:
    node: Any = getattr(create, "__self__", None)
    name = type(node).__name__.removeprefix("Async")
    if not issubclass(type(node), kind) or name not in {*_PRESETS, _ADDRESSES} or create.__name__ != "create":
        raise ConfigurationError(
            "quote knows no prices for this: give a method such as tw.servers.create of this kind of client"
        )
    return _steps(name, given.names_of(create))


def _list_of(client: Any, attribute: str) -> Any:
    for name in attribute.split("."):
        client = getattr(client, name)
    return client.list()


def quote(client: Any, create: Callable[..., Any], given: Arguments) -> Quote:
    """As `Timeweb.quote`."""
    steps = _begin(create, given, Resource)
    try:
        wanted = next(steps)
        while True:
            wanted = steps.send([*_list_of(client, wanted)])
    except StopIteration as stop:
        result: Quote = stop.value
        return result


async def aquote(client: Any, create: Callable[..., Any], given: Arguments) -> Quote:
    """As `AsyncTimeweb.quote`."""
    steps = _begin(create, given, AsyncResource)
    try:
        wanted = next(steps)
        while True:
            wanted = steps.send([item async for item in _list_of(client, wanted)])
    except StopIteration as stop:
        result: Quote = stop.value
        return result
