"""What an order would cost, from the lists of presets and from what the account pays already."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from decimal import Decimal
from operator import attrgetter
from typing import Any

from timeweb_sdk._core.guards import is_array, is_mapping
from timeweb_sdk._core.looks import Listed, models_of
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


async def _add_up(client: Any, kind: str, asked: "_Asked") -> Quote:
    """The rules, without IO."""
    parts: list[QuotePart] = []
    unknown: list[str] = []
    if asked.presets:
        offered = {str(item.id): item for item in await _listed(client, _PRESETS[kind])}
        for ident, count in asked.presets:
            price = _price(offered.get(str(ident)))
            if price is None:
                unknown.append(f"preset {ident}: the list of presets has no price for it")
            else:
                parts.append(QuotePart(f"preset {ident}", price * count, count))
    if asked.has_own_size:
        unknown.append("a size of one's own: the API tells no price before it runs")
    if asked.has_address:
        known = _price_of_address(await _listed(client, _COSTS))
        if known is None:
            unknown.append("public IPv4: the account has none, whose price could be read")
        else:
            parts.append(QuotePart("public IPv4", known))
    unknown += [f"{name}: the API tells no price" for name in asked.extras]
    if not parts and not unknown:
        unknown.append("nothing of it has a price that the API tells")
    return Quote(tuple(parts), tuple(unknown))


async def _listed(client: Any, attribute: str) -> list[Any]:
    _, items = await Listed(attrgetter(attribute)(client).list)
    return models_of(items)


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
    wanted = _field(asked.get("network"), "floating_ip")
    return isinstance(wanted, str) and wanted == "create_ip"


def _price_of_address(rows: list[Any]) -> Decimal | None:
    """Return what an address costs; the API tells it for those that the account has, by itself or within a server's row."""
    within: list[Any] = []
    for row in rows:
        within += models_of(row.services)
    costs: list[Decimal] = [
        row.cost for row in [*rows, *within] if row.type == "floating_ip" and isinstance(row.cost, Decimal) and row.cost
    ]
    return max(costs) if costs else None


@dataclass(frozen=True, slots=True)
class _Asked:
    """What of an order may cost; the rest may hold passwords."""

    presets: list[tuple[Any, int]]
    has_own_size: bool
    has_address: bool
    extras: list[str]


def _read(
    create: Callable[..., Any], given: Arguments, kind: type[Resource[Any]] | type[AsyncResource[Any]]
) -> tuple[str, _Asked]:
    node: Any = getattr(create, "__self__", None)
    name = type(node).__name__.removeprefix("Async")
    if not issubclass(type(node), kind) or name not in {*_PRESETS, _ADDRESSES} or create.__name__ != "create":
        raise ConfigurationError(
            "quote knows no prices for this: give a method such as tw.servers.create of this kind of client"
        )
    asked = given.names_of(create)
    return name, _Asked(
        _presets_of(name, asked),
        bool(asked.get("configuration")),
        name == _ADDRESSES or _asks_for_address(asked),
        [extra for extra in _EXTRAS if asked.get(extra)],
    )


def quote_steps(
    client: Any, create: Callable[..., Any], given: Arguments, kind: type[Resource[Any]] | type[AsyncResource[Any]]
) -> Coroutine[Any, Any, Quote]:
    """Return the steps that make a quote; raises ConfigurationError for what has no price here."""
    return _add_up(client, *_read(create, given, kind))
