"""Servers: buying, running, changing and deleting them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from timeweb_sdk.testing import _addresses
from timeweb_sdk.testing._account import Account, Item, listed
from timeweb_sdk.testing._billing import can_pay
from timeweb_sdk.testing._call import Answer, Call, handlers
from timeweb_sdk.testing._confirm import confirmation
from timeweb_sdk.testing._http import ApiError, bad_request
from timeweb_sdk.testing._orders import new_disk, order_size, order_software, order_system, zone_in

handles = handlers("server_id")

BUSY = frozenset(
    {
        "installing",
        "software_install",
        "reinstalling",
        "turning_on",
        "turning_off",
        "hard_turning_off",
        "rebooting",
        "hard_rebooting",
        "removing",
        "cloning",
        "transfer",
        "configuring",
    }
)
_BOOT_MODES = {"default": "std", "single": "single", "recovery_disk": "cd"}


def become(account: Account, server: Item, status: str, seconds: float, final: str, **then: Any) -> None:
    """Enter a busy status now and the final one `seconds` later."""
    server["status"] = status
    log: list[Item] = account.inner("logs").setdefault(str(server.get("id")), [])
    log.append({"id": account.new_id("server_logs"), "logged_at": account.now(), "event": f"server_{status}"})
    account.schedule(seconds, "server", server_id=server.get("id"), status=final, **then)


def finish(account: Account, entry: Item) -> None:
    """Carry out a scheduled change of a server; one that was deleted meanwhile is left alone."""
    server = next((s for s in account.items("servers") if s.get("id") == entry["server_id"]), None)
    if server is None:
        return
    server["status"] = entry["status"]
    if entry.get("installed"):
        server["root_pass"] = account.new_secret()
        for disk in listed(server, "disks"):
            disk.update(status="done", is_mounted=True)
    if entry.get("address"):
        _give_address(account, server, entry["address"])
    if "next" in entry:
        become(account, server, entry["status"], entry["next"]["seconds"], entry["next"]["status"], installed=True)


def _give_address(account: Account, server: Item, wish: str) -> None:
    known = [a for a in account.items("ips") if a.get("resource_id") is None and wish in (a.get("id"), a.get("ip"))]
    address = known[0] if known else _addresses.create_floating(account, server.get("availability_zone"))
    _addresses.attach(account, address, server)


# Reading


@handles("getServers", "getAccountServers")
def list_servers(call: Call) -> dict[str, Any]:
    return call.page("servers", call.account.items("servers"))


@handles("getServer")
def get_server(call: Call) -> dict[str, Any]:
    return {"server": find(call)}


@handles("getServersPresetTypes")
def preset_types(call: Call) -> dict[str, Any]:
    families: dict[str, list[Item]] = {"standard": [], "premium": [], "dedicated_cpu": [], "gpu": []}
    for configurator in call.account.items("server_configurators"):
        families[_family(configurator)].append({"id": configurator.get("id"), "location": configurator.get("location")})
    return {"configurators": families}


def _family(configurator: Item) -> str:
    bounds: Item = configurator.get("requirements", {})
    if bounds.get("gpu_max"):
        return "gpu"
    if str(configurator.get("cpu_frequency", "")) >= "5":
        return "dedicated_cpu"
    return "premium" if configurator.get("disk_type") == "nvme" else "standard"


@handles("getServerLogs")
def list_logs(call: Call) -> dict[str, Any]:
    log: list[Item] = call.account.inner("logs").get(str(find(call).get("id")), [])
    return call.page("server_logs", log if call.query.get("order") == "asc" else log[::-1])


def find(call: Call) -> Item:
    return call.account.find("servers", call.path["server_id"], "Server")


def find_idle(call: Call) -> Item:
    """The server, unless work is under way on it: then 423."""
    server = find(call)
    if server.get("status") in BUSY:
        raise ApiError(423, "resource_locked", f"Server is locked while it is {server['status']}")
    if server.get("status") in ("blocked", "permanent_blocked"):
        raise ApiError(403, "forbidden", "Server is blocked")
    return server


# Buying


@handles("createServer")
def create_server(call: Call) -> dict[str, Any]:
    account, body = call.account, call.body
    size = order_size(account, body, "configuration")
    os, image = order_system(account, body)
    if "project_id" in body:
        account.find("projects", body["project_id"], "Project")
    for key_id in body.get("ssh_keys_ids", []):
        account.find("ssh_keys", key_id, "SSH key")
    number = account.new_id("servers")
    server: Item = {
        "id": number,
        "name": body["name"],
        "comment": body.get("comment", ""),
        "created_at": account.now(),
        "os": os,
        "software": order_software(account, body),
        "location": size.location,
        "availability_zone": zone_in(size.location, body.get("availability_zone")),
        "boot_mode": "std",
        "status": "installing",
        "start_at": account.now(),
        "is_ddos_guard": body.get("is_ddos_guard", False),
        "is_master_ssh": False,
        "is_dedicated_cpu": False,
        "is_qemu_agent": False,
        "avatar_id": None,
        "avatar_link": None,
        "vnc_pass": account.new_secret(8),
        "root_pass": None,
        "image": image,
        "networks": [],
        "cloud_init": body.get("cloud_init"),
        "disks": [new_disk(account, size.disk, size.disk_type, system=True)],
        **size.machine,
    }
    _join_local_network(server, body.get("network") or {})
    account.items("servers").append(server)
    if "project_id" in body:
        account.put_in_project("server", number, body["project_id"])
    for key_id in body.get("ssh_keys_ids", []):
        account.find("ssh_keys", key_id, "SSH key")["used_by"].append({"id": number, "name": server["name"]})
    _start_installing(call, server)
    return {"server": server}


def _start_installing(call: Call, server: Item) -> None:
    if not can_pay(call.account):
        server["status"] = "no_paid"
        return
    network = call.body.get("network")
    wish = "create_ip" if network is None else network.get("floating_ip", "")
    if call.timings.unpaid and wish:
        server["status"] = "no_paid"
        following = {"seconds": call.timings.install, "status": "on"}
        later = {"server_id": server["id"], "status": "installing", "address": wish, "next": following}
        call.account.schedule(call.timings.unpaid, "server", **later)
    elif server.get("software"):
        half = call.timings.install / 2
        following = {"seconds": half, "status": "on"}
        become(call.account, server, "installing", half, "software_install", address=wish, next=following)
    else:
        become(call.account, server, "installing", call.timings.install, "on", installed=True, address=wish)


def _join_local_network(server: Item, network: Item) -> None:
    if network.get("id"):
        ip = network.get("local_ip") or network.get("ip") or "192.168.0.4"
        address = {"type": "ipv4", "ip": ip, "ptr": "", "is_main": False}
        server["networks"].append(
            {"id": network["id"], "type": "local", "nat_mode": "no_nat", "bandwidth": None, "ips": [address]}
        )


# Running


def _turn_on(call: Call, server: Item) -> None:
    if can_pay(call.account):
        become(call.account, server, "turning_on", call.timings.action, "on")
    else:
        server["status"] = "no_paid"


def _turn_off(call: Call, server: Item) -> None:
    become(call.account, server, "turning_off", call.timings.action, "off")


def _turn_off_hard(call: Call, server: Item) -> None:
    become(call.account, server, "hard_turning_off", call.timings.action, "off")


def _reboot(call: Call, server: Item) -> None:
    become(call.account, server, "rebooting", call.timings.action, "on")


def _reboot_hard(call: Call, server: Item) -> None:
    become(call.account, server, "hard_rebooting", call.timings.action, "on")


def _reset_password(call: Call, server: Item) -> None:
    become(call.account, server, "rebooting", call.timings.action, "on", installed=True)


def _reinstall(call: Call, server: Item) -> None:
    become(call.account, server, "reinstalling", call.timings.install, "on", installed=True)


def _clone(call: Call, source: Item) -> Item:
    account = call.account
    number = account.new_id("servers")
    disks = [{**disk, "id": account.new_id("server_disks")} for disk in listed(source, "disks")]
    server: Item = {**source, "id": number, "created_at": account.now(), "networks": [], "disks": disks, "root_pass": None}
    account.items("servers").append(server)
    account.put_in_project("server", number, account.project_of("server", source.get("id")))
    become(account, server, "cloning", call.timings.install, "on", installed=True, address="create_ip")
    return server


def _delete(call: Call, server: Item) -> None:
    account, number = call.account, server.get("id")
    account.items("servers").remove(server)
    _addresses.detach_all(account, server)
    for disk in listed(server, "disks"):
        account.state["backups"].pop(str(disk.get("id")), None)
    entries = account.items("project_resources")
    entries[:] = [e for e in entries if (e["resource_type"], e["resource_id"]) != ("server", number)]
    for drive in account.state.get("network_drives", []):
        mounts = listed(drive, "service_list")
        drive["service_list"] = [e for e in mounts if (e.get("resource_type"), e.get("resource_id")) != ("server", number)]
    for key in account.items("ssh_keys"):
        key["used_by"] = [user for user in listed(key, "used_by") if user.get("id") != number]


_ACTIONS: dict[str, Callable[[Call, Item], object]] = {
    "start": _turn_on,
    "shutdown": _turn_off,
    "hard_shutdown": _turn_off_hard,
    "reboot": _reboot,
    "hard_reboot": _reboot_hard,
    "reset_password": _reset_password,
    "install": _reinstall,
    "clone": _clone,
    "remove": _delete,
}
_ALREADY = {"start": "on", "shutdown": "off", "hard_shutdown": "off"}


def _act(call: Call, action: str) -> None:
    server = find_idle(call)
    if server.get("status") != _ALREADY.get(action, ""):
        _ACTIONS[action](call, server)


@handles("performActionOnServer")
def perform_action(call: Call) -> None:
    _act(call, call.body["action"])


def _action_operation(operation: str, action: str) -> None:
    @handles(operation)
    def handler(call: Call) -> None:
        _act(call, action)


for _operation, _action in {
    "startServer": "start",
    "shutdownServer": "shutdown",
    "hardShutdownServer": "hard_shutdown",
    "rebootServer": "reboot",
    "rebootServerHard": "hard_reboot",
    "resetServerPassword": "reset_password",
}.items():
    _action_operation(_operation, _action)


@handles("cloneServer")
def clone_server(call: Call) -> dict[str, Any]:
    return {"server": _clone(call, find_idle(call))}


@handles("updateServerOSBootMode")
def boot_mode(call: Call) -> None:
    server = find_idle(call)
    server["boot_mode"] = _BOOT_MODES[call.body["boot_mode"]]
    _reboot(call, server)


@handles("updateServerNAT")
def nat_mode(call: Call) -> None:
    local = [network for network in listed(find_idle(call), "networks") if network.get("type") == "local"]
    if not local:
        raise ApiError(404, "network_not_found", "Network not found")
    for network in local:
        network["nat_mode"] = call.body["nat_mode"]


@handles("imageUnmountAndServerReload")
def unmount_image(call: Call) -> None:
    _reboot(call, find_idle(call))


# Changing and deleting


@handles("updateServer")
def update_server(call: Call) -> dict[str, Any]:
    account, body = call.account, call.body
    changes_machine = {"preset_id", "configurator", "os_id", "image_id", "software_id"} & body.keys()
    server = find_idle(call) if changes_machine else find(call)
    if {"preset_id", "configurator"} & body.keys():
        _resize(call, server)
    if "os_id" in body or "image_id" in body:
        server["os"], server["image"] = order_system(account, body)
        # The API goes on reporting `on`, with the old password, for a moment; clients that poll at once must cope.
        account.schedule(
            1.0,
            "server",
            server_id=server.get("id"),
            status="reinstalling",
            next={"seconds": call.timings.install, "status": "on"},
        )
    elif "software_id" in body:
        server["software"] = order_software(account, body)
        become(account, server, "software_install", call.timings.install, "on")
    server.update({key: body[key] for key in ("name", "comment", "avatar_id", "cloud_init") if key in body})
    return {"server": server}


def _resize(call: Call, server: Item) -> None:
    body: Item = call.body
    system = next((disk for disk in listed(server, "disks") if disk.get("is_system")), None)
    if "configurator" in body:
        current: Item = {name: server.get(name) for name in ("configurator_id", "cpu", "ram")}
        body = {"configurator": {**current, "disk": system["size"] if system else 0, "gpu": 0, **body["configurator"]}}
    size = order_size(call.account, body, "configurator")
    if system is not None:
        if size.disk < system["size"]:
            raise bad_request("Disk size cannot be reduced")
        system["size"] = size.disk
    server.update(size.machine)
    become(call.account, server, "configuring", call.timings.action, "on")


@handles("deleteServer")
def delete_server(call: Call) -> Answer | None:
    server = find(call)
    asked = confirmation(call)
    if asked is not None:
        return asked
    _delete(call, server)
    return None
