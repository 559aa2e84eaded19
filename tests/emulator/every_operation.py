"""A call of every operation that the emulator can answer: an account that has what is asked for, a path, a body."""

import json
from typing import Any

from tests.emulator.contract import contract
from timeweb_sdk._generated.operation_table import TABLE
from timeweb_sdk.testing import Emulator, FakeClock, State, demo_state
from timeweb_sdk.testing._collections import collections
from timeweb_sdk.testing._contract import contract as internal_contract
from timeweb_sdk.testing._store import concrete, items_at

HEADERS = {"Authorization": "Bearer emulator-token"}
SERVER, SPARE_DISK, BACKUP = 4100001, 90, 91
DOMAIN, RECORD = "example.com", 71
BODIES: dict[str, Any] = {
    "createServer": {"name": "new", "preset_id": 2453, "os_id": 99},
    "updateServer": {"name": "renamed", "preset_id": 2581},
    "performActionOnServer": {"action": "reboot"},
    "updateServerNAT": {"nat_mode": "snat"},
    "addServerIP": {"type": "ipv4"},
    "updateServerIP": {"ip": "203.0.113.200", "ptr": "host.example.com"},
    "deleteServerIP": {"ip": "203.0.113.200"},
    "createServerDisk": {"size": 10240},
    "updateServerDisk": {"size": 204800},
    "performActionOnBackup": {"action": "restore"},
    "addKeyToServer": {"ssh_key_ids": [501]},
    "bindFloatingIp": {"resource_type": "server", "resource_id": SERVER},
    "addServerToProject": {"resource_id": SERVER},
    **{
        f"add{what}ToProject": {"resource_id": 1001}
        for what in ("Balancer", "Cluster", "Database", "DedicatedServer", "Storage")
    },
    "transferResourceToAnotherProject": {"to_project": 103, "resource_id": SERVER, "resource_type": "server"},
}


def prepared_state() -> State:
    """The demonstration with more of what is operated on: a second disk, its backup, a record, an empty project."""
    state = demo_state()
    server = state["servers"][0]
    server["disks"].append({**server["disks"][0], "id": SPARE_DISK, "is_system": False, "system_name": "vdb"})
    backup = {"id": BACKUP, "name": "b", "comment": "", "created_at": "2026-01-01T00:00:00Z", "status": "done"}
    state["backups"] = {str(SPARE_DISK): [{**backup, "size": 1024, "type": "manual", "progress": 100}]}
    server["networks"][0]["ips"].append({"type": "ipv4", "ip": "203.0.113.200", "ptr": "", "is_main": False})
    local = {"type": "ipv4", "ip": "192.168.0.4", "is_main": False}
    server["networks"].append({"type": "local", "id": "network-1", "nat_mode": "no_nat", "ips": [local]})
    state["projects"].append({**state["projects"][1], "id": 104, "name": "empty"})
    data = {"value": "203.0.113.1", "subdomain": None}
    state["dns_records"][DOMAIN].append({"id": RECORD, "fqdn": DOMAIN, "type": "A", "ttl": 600, "data": data})
    return state


def prepared() -> Emulator:
    """An account in which every operation finds its object."""
    return Emulator(prepared_state(), clock=FakeClock(), rate_limit=False)


def known_ids(operation: str, emulator: Emulator) -> dict[str, Any]:
    """Ids of what the account has, for the placeholders of a path."""
    found: dict[str, Any] = {}
    ids: list[str] = []
    for name, collection in collections().chain(internal_contract().endpoints[operation]):
        items = items_at(emulator.account, concrete(collection.name, ids)) if collection else None
        if items and collection:
            found[name] = items[0][collection.identity(internal_contract())]
        ids.append(str(found.get(name, "")))
    return found


def concrete_path(operation: str, emulator: Emulator) -> str:
    entry = TABLE[operation]
    values: dict[str, Any] = {
        "server_id": SERVER,
        "disk_id": SPARE_DISK,
        "project_id": 104 if operation == "deleteProject" else 102,
        "ssh_key_id": 501,
        "fqdn": "new.example" if operation == "addDomain" else DOMAIN,
        "subdomain": f"{'mail' if operation == 'addSubdomain' else 'shop'}.{DOMAIN}",
        "record_id": RECORD,
        "floating_ip_id": emulator.state["ips"][-1 if operation == "bindFloatingIp" else 0]["id"],
        "resource_type": "server",
        "mailbox": "info",
        "domain": DOMAIN,
        "period": "24",
        "time_from": "2026-01-01T00:00:00Z",
        "keys": "system.cpu.util",
        "action": "start",
    }
    values = {**known_ids(operation, emulator), **values}
    if operation == "addResourceToGroup":
        values["resource_id"] = SERVER + 7  # another than the one that is in a group
    if operation == "getRulesForResource":
        values["resource_id"] = SERVER
    if operation == "deleteClusterNode":
        nodes = next(kept for place, kept in emulator.state["children"].items() if place.endswith("/nodes"))
        values["node_id"] = nodes[0]["id"]
    if "/disks/" in entry.path:
        values["backup_id"] = BACKUP
    path = entry.path
    for name in entry.path_params:
        parameter = next(p for p in parameters(operation) if p["name"].replace("-", "_") == name.replace("-", "_"))
        schema = parameter["schema"]
        default = schema["enum"][0] if "enum" in schema else 1 if schema.get("type") in ("integer", "number") else "some-id"
        value = values.get(name, default)
        if "enum" in schema and value not in schema["enum"]:
            value = default
        path = path.replace("{" + name + "}", str(value))
    return path


def parameters(operation: str) -> list[dict[str, Any]]:
    entry = TABLE[operation]
    found: list[dict[str, Any]] = contract()["paths"][entry.path][entry.method.lower()].get("parameters", [])
    return [contract()["components"]["parameters"][p["$ref"].split("/")[-1]] if "$ref" in p else p for p in found]


def body_of(operation: str, emulator: Emulator) -> bytes:
    if operation in BODIES:
        return json.dumps(BODIES[operation]).encode()
    entry = TABLE[operation]
    content = contract()["paths"][entry.path][entry.method.lower()].get("requestBody", {}).get("content", {})
    if "application/json" not in content:
        return b""
    body = emulator.sample(content["application/json"]["schema"])
    if isinstance(body, dict):
        body.update({key: value for key, value in {"project_id": 101, "mailbox": "sales"}.items() if key in body})
    return json.dumps(body).encode()
