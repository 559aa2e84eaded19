"""`quote`: what an order would cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from timeweb_sdk import ConfigurationError, Quote, QuotePart, Timeweb
from timeweb_sdk._core.quoting import _PRESETS
from timeweb_sdk.testing import Emulator, demo_state

WEB: dict[str, Any] = {"name": "web", "os_id": 99}


@pytest.fixture
def emulator() -> Emulator:
    return Emulator(demo_state())


async def both(emulator: Emulator, path: str, **asked: Any) -> Quote:
    """Quote with both clients; they must agree, and change nothing."""
    quotes: list[Quote] = []
    for client in (emulator.client(), emulator.async_client()):
        node: Any = client
        for name in path.split("."):
            node = getattr(node, name)
        given: Any = client.quote(node, **asked)
        quotes.append(given if isinstance(given, Quote) else await given)
    assert quotes[0] == quotes[1]
    assert {request["method"] for request in emulator.requests} <= {"GET"}
    return quotes[0]


async def test_a_server_with_an_address_costs_what_it_is_billed_afterwards(emulator: Emulator) -> None:
    order = {**WEB, "preset_id": 2447, "network": {"floating_ip": "create_ip"}}
    quote = await both(emulator, "servers.create", **order)
    assert quote.complete
    assert quote.parts == (QuotePart("preset 2447", Decimal(300)), QuotePart("public IPv4", Decimal(200)))
    tw = emulator.client()
    before = sum(row.total_cost for row in tw.account.services.cost.list())
    tw.servers.create(**order)
    emulator.clock.advance(3600)
    assert sum(row.total_cost for row in tw.account.services.cost.list()) - before == quote.monthly == 500


async def test_what_has_no_price_is_said(emulator: Emulator) -> None:
    quote = await both(emulator, "servers.create", **WEB, configuration={"configurator_id": 11, "cpu": 1}, is_ddos_guard=True)
    assert not (quote.monthly or quote.complete)
    assert [text.partition(":")[0] for text in quote.unknown] == ["a size of one's own", "is_ddos_guard"]
    unknown = await both(emulator, "servers.create", **WEB, preset_id=999999)
    assert unknown.unknown == ("preset 999999: the list of presets has no price for it",)
    nothing = await both(emulator, "servers.create", **WEB)
    assert not nothing.complete


async def test_an_address_has_a_price_only_where_the_account_has_one(emulator: Emulator) -> None:
    order = {"is_ddos_guard": False, "availability_zone": "spb-3"}
    assert (await both(emulator, "floating_ips.create", **order)).monthly == 200
    empty = await both(Emulator(), "floating_ips.create", **order)
    assert not (empty.monthly or empty.complete)


async def test_a_cluster_is_its_master_and_all_its_workers(emulator: Emulator) -> None:
    tw = emulator.client()
    master, worker = (next(p for p in tw.presets.k8s.list() if p.type == kind) for kind in ("master", "worker"))
    groups = [{"name": "a", "preset_id": worker.id, "node_count": 3}]
    quote = await both(
        emulator,
        "k8s.clusters.create",
        name="c",
        k8s_version="v1.31",
        network_driver="calico",
        preset_id=master.id,
        worker_groups=groups,
    )
    assert quote.monthly == master.price + 3 * worker.price
    group = await both(emulator, "k8s.clusters.groups.create", cluster_id=1, name="a", preset_id=worker.id, node_count=2)
    assert group.monthly == 2 * worker.price


def test_the_table_of_presets_names_what_exists() -> None:
    tw = Timeweb("t")
    for path in (
        "servers",
        "databases",
        "balancers",
        "routers",
        "storages.buckets",
        "container_registry",
        "network_drives",
        "dedicated_servers",
        "k8s.clusters",
        "k8s.clusters.groups",
    ):
        node: Any = tw
        for name in path.split("."):
            node = getattr(node, name)
        presets: Any = tw
        for name in _PRESETS[type(node).__name__].split("."):
            presets = getattr(presets, name)
        assert callable(presets.list)


def test_what_has_no_list_of_prices_is_refused(emulator: Emulator) -> None:
    tw = emulator.client()
    for method, asked in ((tw.servers.start, {"server_id": 1}), (tw.projects.create, {"name": "x"}), (len, {})):
        call: Any = method
        with pytest.raises(ConfigurationError, match="quote knows no prices"):
            tw.quote(call, **asked)
    assert not emulator.requests
