"""What the services other than servers sell: presets and versions. Made up to look plausible, as `_catalogue` is.

Prices are RUB per month, sizes MB as those of servers. A state that has the key wins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from timeweb_sdk.testing._account import Account, Item

_DATABASES = (
    "postgres16", "postgres17", "postgres18", "postgres15", "postgres14", "mysql", "mysql8_4", "redis7", "redis8_1", "mongodb7",
    "mongodb8_0", "opensearch", "opensearch2_19", "clickhouse", "clickhouse24", "clickhouse25", "kafka", "rabbitmq4_0",
)  # fmt: skip
_SIZES = ((1, 1024, 8192, 300), (2, 4096, 40960, 1100))


def _described(item: Item, text: str) -> Item:
    return {**item, "description": text, "description_short": text}


def _databases_presets() -> list[Item]:
    shapes = [(kind, *size) for kind in _DATABASES for size in _SIZES]
    return [
        _described(
            {"id": number, "cpu": cpu, "ram": ram, "disk": disk, "type": kind, "price": price, "location": "ru-1"},
            f"{kind}, {cpu} CPU, {ram // 1024} GB RAM, {disk // 1024} GB",
        )
        for number, (kind, cpu, ram, disk, price) in enumerate(shapes, 1)
    ]


def _balancers_presets() -> list[Item]:
    shapes = ((391, 1, 100, "10k", 180, "ru-1"), (393, 2, 200, "20k", 360, "ru-1"), (395, 1, 100, "10k", 190, "ru-3"))
    return [
        _described(
            {
                "id": number, "bandwidth": bandwidth, "replica_count": replicas, "request_per_second": requests,
                "price": price, "location": location,
            },
            f"{replicas} replicas, {requests} requests per second",
        )
        for number, replicas, bandwidth, requests, price, location in shapes
    ]  # fmt: skip


def _storages_presets() -> list[Item]:
    shapes = ((389, 1024, 79, "cold"), (391, 10240, 99, "hot"), (393, 102400, 290, "hot"))
    return [
        _described(
            {"id": number, "disk": disk, "price": price, "location": "ru-1", "tags": [], "storage_class": heat},
            f"{disk // 1024} GB, {heat}",
        )
        for number, disk, price, heat in shapes
    ]


def _k8s_presets() -> list[Item]:
    shapes = ((403, "master", 2, 2048, 30720, 690), (405, "worker", 2, 2048, 30720, 640), (407, "worker", 4, 8192, 81920, 1500))
    return [
        _described(
            {"id": number, "type": kind, "cpu": cpu, "ram": ram, "disk": disk, "network": 200, "price": price, "limit": 5},
            f"{kind}, {cpu} CPU, {ram // 1024} GB RAM",
        )
        for number, kind, cpu, ram, disk, price in shapes
    ]


def _router_presets() -> list[Item]:
    # The RAM of routers comes in GB: lebedevdsl/crossplane-provider-timeweb @ abf5327, docs/routers.md.
    return [
        {
            "id": number, "node_count": nodes, "cpu": nodes, "cpu_frequency": "3.3", "ram": 1, "bandwidth": 1000, "cost": cost,
            "location": "ru-1",
        }
        for number, nodes, cost in ((1961, 1, 450), (1963, 2, 1320))
    ]  # fmt: skip


def _registry_presets() -> list[Item]:
    return [
        _described({"id": number, "disk": disk, "price": price, "location": "ru-1"}, f"{disk} GB")
        for number, disk, price in ((1595, 5, 95), (1597, 20, 250))
    ]


def _drive_presets() -> list[Item]:
    speed = {"min": 100, "max": 500}
    return [
        {"id": number, "cost_per_gb": cost, "min": 10, "max": 5000, "step": 5, "type": kind, "read": speed, "write": speed}
        for number, cost, kind in ((1, 10, "nvme"), (3, 4, "hdd"))
    ]


def _cdn_presets() -> list[Item]:
    return [{"id": 1, "service_name": "CDN", "cost": 150, "rate_cost": 1}]


def _dedicated_presets() -> list[Item]:
    cpu = {"description": "1 x 8 cores, 3.4 GHz", "description_short": "8 x 3.4 GHz", "count": 1, "vendor": "Intel"}
    disk = {"description": "2 x 480 GB SSD", "count": 2, "total_size": 960, "type": "ssd"}
    memory = {"description": "32 GB", "count": 2, "size": 32}
    shape = {"is_ipmi_enabled": True, "is_pre_installed": True, "location": "ru-1", "cpu": cpu, "disk": disk, "memory": memory}
    return [{"id": 39, "description": "8 cores, 32 GB RAM", "price": 3900, **shape}]


def _database_types() -> list[Item]:
    versions = {
        "mysql": ("8.4",),
        "postgres": ("14", "15", "16", "17", "18"),
        "valkey": ("8.1", "9.1"),
        "mongodb": ("7", "8.0"),
        "opensearch": ("2.19",),
        "clickhouse": ("24", "25"),
        "rabbitmq": ("4.0",),
    }
    needs = {"cpu_min": 1, "ram_min": 1024, "disk_min": 8192}
    about = {"is_available_replication": True, "is_deprecated": False, "requirements": needs}
    return [
        {"name": name, "version": version, "type": name + version.replace(".", "_"), **about}
        for name, known in versions.items()
        for version in known
    ]


def _app_presets(first: int, **shape: Any) -> list[Item]:
    base = {"price": 120, "location": "ru-1", "disk": 1024, **shape}
    return [_described({"id": first, **base}, "small"), _described({"id": first + 2, **base, "price": 480}, "large")]


CATALOGUES: dict[str, Callable[[], list[Any]]] = {
    "databases_presets": _databases_presets,
    "balancers_presets": _balancers_presets,
    "storages_presets": _storages_presets,
    "k8s_presets": _k8s_presets,
    "router_presets": _router_presets,
    "container_registry_presets": _registry_presets,
    "network_drive_presets": _drive_presets,
    "http_resource_presets": _cdn_presets,
    "dedicated_servers_presets": _dedicated_presets,
    "backend_presets": lambda: _app_presets(1401, cpu=1, ram=1024, cpu_frequency="3.3"),
    "frontend_presets": lambda: _app_presets(1301, requests=10000),
    "types": _database_types,
    "k8s_versions": lambda: ["v1.32.2+k0s.0", "v1.31.6+k0s.0", "v1.30.10+k0s.0"],
    "network_drivers": lambda: ["kuberouter", "calico", "flannel", "cilium"],
}
"""Envelope key -> what is listed under it where the state does not say."""


@dataclass(frozen=True, slots=True)
class Offer:
    """How a service is billed: the type of its cost rows, and the lists that its `preset_id` is of."""

    service: str
    presets: tuple[str, ...]


OFFERS = {
    "dbs": Offer("database", ("databases_presets",)),
    "balancers": Offer("balancer", ("balancers_presets",)),
    "buckets": Offer("s3", ("storages_presets",)),
    "clusters": Offer("k8s", ("k8s_presets",)),
    "routers": Offer("router", ("router_presets",)),
    "container_registry_list": Offer("container_registry", ("container_registry_presets",)),
    "network_drives": Offer("network_drive", ("network_drive_presets",)),
    "dedicated_servers": Offer("dedicated_server", ("dedicated_servers_presets",)),
    "apps": Offer("app_backend", ("backend_presets", "frontend_presets")),
}
"""Collection -> how it is billed. What a CDN resource and an AI agent are in the list of costs, the contract does not say."""


def project_kind(collection: str) -> str:
    """What projects and addresses call an item of a collection."""
    special = {"dbs": "database", "buckets": "storage", "clusters": "kubernetes", "dedicated_servers": "dedicated"}
    return special.get(collection, collection.removesuffix("s"))


def catalogue(account: Account, key: str) -> list[Any] | None:
    """What is listed under an envelope key, if that is in the state or sold here."""
    kept: list[Any] | None = account.state.get(key)
    if kept is None and key in CATALOGUES:
        return CATALOGUES[key]()
    return kept


def preset_of(account: Account, collection: str, number: Any) -> Item | None:
    """The preset with this id; where there is none of this id, the first, so that whatever was ordered has a price."""
    offer = OFFERS.get(collection)
    presets = [preset for key in (offer.presets if offer else ()) for preset in catalogue(account, key) or ()]
    return next((preset for preset in presets if preset.get("id") == number), presets[0] if presets else None)


def price_of(account: Account, collection: str, item: Item) -> float:
    """RUB per month of something that is billed by its preset."""
    preset = preset_of(account, collection, item.get("preset_id")) or {}
    if "cost_per_gb" in preset:
        size = item.get("size")
        return round(float(preset["cost_per_gb"]) * (size if isinstance(size, (int, float)) else 0), 2)
    price: Any = preset.get("price", preset.get("cost", 0))
    return float(price) if isinstance(price, (int, float)) else 0.0
