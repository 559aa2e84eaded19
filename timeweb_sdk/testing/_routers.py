"""Routers: the networks they join, address translation and forwarded ports."""

from __future__ import annotations

from typing import Any

from timeweb_sdk.testing._account import Item
from timeweb_sdk.testing._call import Call, handlers
from timeweb_sdk.testing._http import ApiError, bad_request
from timeweb_sdk.testing._store import add, collection_named, items_at, keep_at, owned, reply

handles = handlers("router_id", "network_name", "dnat_id")
_NETWORKS = "routers/{}/router_networks"


def _joined(call: Call, wanted: Item) -> Item:
    """A network as a router sees it; its own id and subnet where the account has such a network."""
    networks: list[Item] = call.account.state.get("vpcs", [])
    unknown: Item = {}
    known = next((network for network in networks if network.get("id") == wanted["id"]), unknown)
    return {
        "id": wanted["id"],
        "name": known.get("name", wanted["id"]),
        "subnet": known.get("subnet_v4", "192.168.0.0/24"),
        "nat_ip": None,
        "gateway": wanted.get("gateway", "192.168.0.1"),
        "reserved_ips": wanted.get("reserved_ips", []),
        "dhcp": {"is_enabled": wanted.get("is_dhcp_enabled", False), "is_available": True},
        "busy_addresses": [],
    }


@handles("createRouter")
def create_router(call: Call) -> dict[str, Any] | None:
    router = add(call, collection_named("routers"), "routers", call.body)
    joined = [_joined(call, wanted) for wanted in call.body["networks"]]
    keep_at(call.account, f"routers/{router['id']}/router_networks").extend(joined)
    router["networks"] = [{key: net[key] for key in ("id", "name", "nat_ip", "gateway", "dhcp")} for net in joined]
    return reply(call, router)


@handles("getNetworks")
def list_networks(call: Call) -> dict[str, Any]:
    return call.page("router_networks", items_at(call.account, owned(call, _NETWORKS)) or [])


@handles("addNetworks", "patchNetworks")
def join_networks(call: Call) -> dict[str, Any]:
    """POST adds networks, PATCH says which there are."""
    kept = keep_at(call.account, owned(call, _NETWORKS))
    joined = [_joined(call, wanted) for wanted in call.body["networks"]]
    new = {net["id"] for net in joined}
    kept[:] = [*(net for net in kept if net["id"] not in new and call.endpoint.method == "POST"), *joined]
    return call.page("router_networks", kept)


def _network(call: Call) -> tuple[list[Item], Item]:
    kept = items_at(call.account, owned(call, _NETWORKS)) or []
    # lebedevdsl/crossplane-provider-timeweb @ abf5327, docs/routers.md: what is called a name is the id of the network.
    for network in kept:
        if network["id"] == call.path["network_name"]:
            return kept, network
    raise ApiError(404, "network_not_found", "Network not found")


@handles("patchNetwork")
def change_network(call: Call) -> dict[str, Any]:
    _, network = _network(call)
    network["dhcp"]["is_enabled"] = call.body["is_dhcp_enabled"]
    return {"router_network": network}


@handles("deleteRouterNetwork")
def leave_network(call: Call) -> None:
    kept, network = _network(call)
    if len(kept) == 1:
        raise bad_request("The router must have at least one network", code="router_must_have_at_least_one_network")
    kept.remove(network)


@handles("updateRouterNat", "deleteRouterNat")
def translate(call: Call) -> dict[str, Any] | None:
    _, network = _network(call)
    network["nat_ip"] = call.body["nat_ip"] if call.endpoint.method == "PATCH" else None
    return reply(call, call.account.find("routers", call.path["router_id"], "Router"))


@handles("postDnat")
def forward_port(call: Call) -> dict[str, Any] | None:
    rule = add(call, collection_named("routers/{}/dnat_rules"), owned(call, "routers/{}/dnat_rules"), call.body)
    for side in ("local", "public"):
        rule[f"{side}_ip"], rule[f"{side}_port"] = call.body[side]["ip"], call.body[side].get("port")
    return reply(call, rule)
