"""Addresses: the floating ips of the account, and how they hang on servers."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from itertools import chain
from typing import Any

from timeweb_sdk.testing._account import Account, Item, listed
from timeweb_sdk.testing._call import Call, handlers
from timeweb_sdk.testing._catalogue import LOCATIONS
from timeweb_sdk.testing._http import ApiError, bad_request

handles = handlers("floating_ip_id", "server_id")

# Only ranges reserved for documentation and benchmarks: nothing here can reach a real host.
_IPV4 = (IPv4Network("203.0.113.0/24"), IPv4Network("198.18.0.0/15"))
_IPV6 = IPv6Network("2001:db8::/32")
PUBLIC_V4 = ("ipv4", "ipv_4")


def public_ipv4() -> Iterator[str]:
    """Every public IPv4 address that the emulator can hand out, in order."""
    return (str(address) for address in chain.from_iterable(network.hosts() for network in _IPV4))


def allocate(account: Account, kind: str) -> str:
    taken = {str(address.get("ip")) for address in account.items("ips")}
    taken |= {str(address.get("ip")) for server in account.items("servers") for address in addresses_of(server)}
    pool = public_ipv4() if kind == "ipv4" else (str(_IPV6[number]) for number in range(16, 1 << 32))
    return next(address for address in pool if address not in taken)


def addresses_of(server: Item) -> list[Item]:
    """The public addresses of a server, whatever shape its networks are in."""
    return [
        address
        for network in listed(server, "networks")
        if network.get("type") == "public"
        for address in listed(network, "ips")
    ]


_ZONE = "spb-1"
"""Where an address is that was asked for by a server of unknown place."""


def create_floating(account: Account, zone: str | None, *, ddos_guard: bool = False) -> Item:
    address: Item = {
        "id": account.new_uuid(),
        "ip": allocate(account, "ipv4"),
        "is_ddos_guard": ddos_guard,
        "availability_zone": zone or _ZONE,
        "resource_type": None,
        "resource_id": None,
        "comment": None,
        "ptr": None,
    }
    account.items("ips").append(address)
    account.touch()
    return address


def attach(account: Account, address: Item, server: Item) -> Item:
    """Hang a floating ip on a server; its first address becomes the main one."""
    address["resource_type"], address["resource_id"] = "server", server.get("id")
    return add_to_network(server, "ipv4", str(address["ip"]), id=address["id"], ptr=address.get("ptr") or "")


def _public_network() -> Item:
    return {"type": "public", "bandwidth": 1000, "ips": [], "is_ddos_guard": False, "blocked_ports": []}


def add_to_network(server: Item, kind: str, ip: str, **extra: Any) -> Item:
    networks = listed(server, "networks")
    public = next((network for network in networks if network.get("type") == "public"), None)
    if public is None:
        public = _public_network()
        networks = [public, *networks]
    known = listed(public, "ips")
    main = kind == "ipv4" and not any(address.get("is_main") for address in known)
    entry: Item = {"type": kind, "ip": ip, "ptr": "", "is_main": main, **extra}
    public["ips"] = [*known, entry]
    server["networks"] = networks
    return entry


def detach_all(account: Account, server: Item) -> None:
    """What deleting a server does to its public IPv4 addresses: they stay, unbound and billed."""
    known = {address.get("ip"): address for address in account.items("ips")}
    for entry in addresses_of(server):
        if entry.get("type") not in PUBLIC_V4:
            continue
        address = known.get(entry.get("ip"))
        if address is None:
            address = {
                "id": entry.get("id") or account.new_uuid(),
                "ip": entry.get("ip"),
                "is_ddos_guard": False,
                "availability_zone": server.get("availability_zone", "spb-1"),
                "comment": None,
                "ptr": entry.get("ptr"),
            }
            account.items("ips").append(address)
        address["resource_type"] = address["resource_id"] = None


def _remove_from_server(server: Item, ip: str) -> None:
    for network in listed(server, "networks"):
        if network.get("ips"):
            network["ips"] = [entry for entry in listed(network, "ips") if entry.get("ip") != ip]


# Operations: floating ips


@handles("getFloatingIps")
def list_floating(call: Call) -> dict[str, Any]:
    return call.page("ips", call.account.items("ips"))


@handles("getFloatingIp")
def get_floating(call: Call) -> dict[str, Any]:
    return {"ip": _floating(call)}


@handles("createFloatingIp")
def post_floating(call: Call) -> dict[str, Any]:
    zone = call.body["availability_zone"]
    return {"ip": create_floating(call.account, zone, ddos_guard=call.body["is_ddos_guard"])}


@handles("updateFloatingIP")
def patch_floating(call: Call) -> dict[str, Any]:
    address = _floating(call)
    address.update(call.body)
    return {"ip": address}


@handles("deleteFloatingIP")
def delete_floating(call: Call) -> None:
    address = _floating(call)
    if address.get("resource_id") is not None:
        _unbind(call.account, address)
    call.account.items("ips").remove(address)


@handles("bindFloatingIp")
def bind_floating(call: Call) -> None:
    address, target = _floating(call), call.body["resource_id"]
    if address.get("resource_id") is not None:
        raise bad_request("Floating ip is already bound", code="floating_ip_already_bound")
    if call.body["resource_type"] != "server":
        address["resource_type"], address["resource_id"] = call.body["resource_type"], target
        return
    server = call.account.find("servers", target, "Server")
    if server.get("availability_zone") != address.get("availability_zone"):
        raise bad_request("Floating ip and resource are in different zones", code="different_zones_exception")
    attach(call.account, address, server)


@handles("unbindFloatingIp")
def unbind_floating(call: Call) -> None:
    _unbind(call.account, _floating(call))


def _floating(call: Call) -> Item:
    return call.account.find("ips", call.path["floating_ip_id"], "Floating ip")


def _unbind(account: Account, address: Item) -> None:
    if address.get("resource_type") == "server":
        for server in account.items("servers"):
            if server.get("id") == address.get("resource_id"):
                _remove_from_server(server, str(address.get("ip")))
    address["resource_type"] = address["resource_id"] = None


# Operations: the addresses of one server


@handles("getServerIPs")
def list_server_ips(call: Call) -> dict[str, Any]:
    return call.page("server_ips", [_server_ip(entry) for entry in addresses_of(_server(call))])


@handles("addServerIP")
def add_server_ip(call: Call) -> dict[str, Any]:
    server, ptr = _server(call), call.body.get("ptr", "")
    if call.body["type"] == "ipv4":
        zone = server.get("availability_zone") or next(iter(LOCATIONS.values()))[1][0]
        address = create_floating(call.account, zone)
        address["ptr"] = ptr or None
        return {"server_ip": _server_ip(attach(call.account, address, server))}
    return {"server_ip": _server_ip(add_to_network(server, "ipv6", allocate(call.account, "ipv6"), ptr=ptr))}


@handles("updateServerIP")
def update_server_ip(call: Call) -> dict[str, Any]:
    entry = _entry(call)
    entry["ptr"] = call.body["ptr"]
    return {"server_ip": _server_ip(entry)}


@handles("deleteServerIP")
def delete_server_ip(call: Call) -> None:
    entry = _entry(call)
    if entry.get("is_main"):
        raise bad_request("Can`t delete main ip", code="delete_main_ip_error")
    _remove_from_server(_server(call), call.body["ip"])
    ips = call.account.items("ips")
    ips[:] = [address for address in ips if address.get("ip") != call.body["ip"]]


def _server(call: Call) -> Item:
    return call.account.find("servers", call.path["server_id"], "Server")


def _entry(call: Call) -> Item:
    for entry in addresses_of(_server(call)):
        if entry.get("ip") == call.body["ip"]:
            return entry
    raise ApiError(404, "ip_not_found", "Ip not found")


def _server_ip(entry: Item) -> Item:
    defaults: Item = {"type": "ipv4", "ip": "", "ptr": "", "is_main": False}
    return {key: entry.get(key, default) for key, default in defaults.items()}
