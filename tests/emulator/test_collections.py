"""The life of one item in every collection that the contract lets one add to, told in plain HTTP.

What a collection is, the test reads off the contract's paths by itself: a path that is posted to and listed, and the path of
one item below it. Nothing of the emulator's own reading of the contract is used.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.emulator.conftest import Wire
from tests.emulator.contract import contract
from timeweb_sdk.testing import Emulator, EmulatorServer, FakeClock, demo_state

PROJECT, DOMAIN = 101, "example.com"
ELSEWHERE = {
    "/api/v1/projects/{project_id}/resources/": "puts what there is into a project",
    "/api/v1/domains/{fqdn}/dns-records": "tests of DNS",
    "/api/v2/domains/{fqdn}/dns-records": "tests of DNS",
    "/api/v1/servers/{server_id}/": "tests of servers",
    "/api/v1/auth/access/": "lists of plain values, below",
    "/api/v1/balancers/{balancer_id}/ips": "a list of plain values, below",
    "/api/v1/storages/buckets/{bucket_id}/subdomains": "a list of plain values, below",
    "/api/v1/routers/{router_id}/networks": "networks of the account that a router joins, below",
    "/api/v1/k8s/clusters/{cluster_id}/groups/{group_id}/nodes": "so many more or fewer, below",
}
"""Paths that are posted to and listed, and are no collections of new things; each with where it is tested instead."""
BODIES: dict[str, dict[str, Any]] = {
    "/api/v1/servers": {"name": "n", "preset_id": 2453, "os_id": 99},
    "/api/v1/servers/{server_id}": {"name": "renamed"},
    "/api/v1/k8s/clusters": {"name": "n", "k8s_version": "v1.32.2+k0s.0", "network_driver": "calico"},
    "/api/v1/databases/{db_cluster_id}/admins": {"login": "l", "password": "p", "privileges": ["SELECT"]},
}


@dataclass
class Paths:
    """The paths of one collection; `items` where one item has a path, with the methods that it takes."""

    create: str
    listing: str
    items: str | None = None
    methods: set[str] = field(default_factory=set)


def variants(path: str) -> list[str]:
    """The same path in both versions, and the plural in which an app's deploys are listed."""
    other = path.replace("/v1/", "/v2/") if "/v1/" in path else path.replace("/v2/", "/v1/")
    return [path, other, f"{path}s"]


def find_collections() -> Iterator[Paths]:
    paths = contract()["paths"]
    for path, item in paths.items():
        if "post" not in item or any(path.startswith(prefix) for prefix in ELSEWHERE):
            continue
        listing = next((other for other in variants(path) if is_list(paths.get(other, {}).get("get"))), None)
        if listing is None:
            continue
        found = Paths(path, listing)
        for other in paths:
            below = next((v for v in variants(path)[:2] if re.fullmatch(re.escape(v) + r"/(mailboxes/)?\{\w+\}", other)), None)
            if below not in (None, path) and is_list(paths.get(below, {}).get("get")) and below != listing:
                continue  # of another collection, which has the same name in another version
            if below is not None and any(paths[other].get(method) for method in ("get", "patch", "put", "delete")):
                found.items = found.items or other
                found.methods |= {f"{method} {other}" for method in paths[other] if method != "parameters"}
        yield found


def reply_schema(operation: Any) -> dict[str, Any]:
    status = min(code for code in operation["responses"] if code.startswith("2"))
    content = resolve(operation["responses"][status]).get("content", {})
    return flat(content.get("application/json", {}).get("schema", {}))


def is_list(operation: Any) -> bool:
    return operation is not None and listed_key(operation) is not None


def listed_key(operation: Any) -> str | None:
    for key, schema in reply_schema(operation).items():
        if flat_type(schema) == "array" and flat(resolve(schema)["items"]):
            return key
    return None


def resolve(node: Any) -> Any:
    while "$ref" in node:
        target: Any = contract()
        for part in node["$ref"][2:].split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


def flat(schema: Any) -> dict[str, Any]:
    """Properties, those of every part of an `allOf` included."""
    schema = resolve(schema)
    found: dict[str, Any] = dict(schema.get("properties", {}))
    for part in schema.get("allOf", []):
        found |= flat(part)
    return found


def flat_type(schema: Any) -> Any:
    return resolve(schema).get("type")


COLLECTIONS = {paths.create: paths for paths in find_collections()}


class Life:
    """One account on a socket, and what happens to one new thing in it."""

    def __init__(self, wire: Wire, paths: Paths) -> None:
        self.wire, self.paths = wire, paths
        self.values: dict[str, Any] = {"fqdn": DOMAIN, "domain": DOMAIN}
        for owner in re.findall(r"^(.*?)/\{(\w+)\}", paths.create):
            self._learn_owner(*owner)
        if paths.create.count("{") > 1:
            self._learn_owner(*re.findall(r"^(.*)/\{(\w+)\}", paths.create)[0])

    def _learn_owner(self, path: str, name: str) -> None:
        if name in self.values:
            return
        for candidate in variants(path.replace("/dbs", "/databases"))[:2]:
            if candidate in contract()["paths"]:
                items = self.listed(candidate)
                self.values[name] = items[0]["id"]
                return
        raise AssertionError(f"whose {path} is it?")

    def fill(self, path: str, item: Any = None) -> str:
        def value(found: re.Match[str]) -> str:
            name = found[1]
            if name in self.values:
                return str(self.values[name])
            return str(item[next(key for key in (name, "id", "mailbox", "fqdn") if key in item)])

        return re.sub(r"\{(\w+)\}", value, path)

    def ask(self, method: str, path: str, body: Any = None, item: Any = None) -> Any:
        reply = self.wire(method, self.fill(path, item), body)
        assert 200 <= reply.status < 300, (method, path, reply.body)
        return json.loads(reply.body) if reply.body else {}

    def listed(self, path: str | None = None) -> list[dict[str, Any]]:
        path = path or self.paths.listing
        key = listed_key(contract()["paths"][path]["get"])
        found: list[dict[str, Any]] = self.ask("GET", path)[str(key)]
        return found

    def body(self, emulator: Emulator, method: str, path: str) -> dict[str, Any] | None:
        content = contract()["paths"][path][method].get("requestBody", {}).get("content", {})
        if "application/json" not in content:
            return None
        body: dict[str, Any] = BODIES.get(path) or emulator.sample(content["application/json"]["schema"])
        own = {"project_id": PROJECT, "mailbox": "sales", "name": "mine", "subnet_v4": "192.168.9.0/24"}
        return {**body, **{key: value for key, value in own.items() if key in body}}


@pytest.fixture
def account() -> Iterator[tuple[Emulator, Wire]]:
    emulator = Emulator(demo_state(), clock=FakeClock(), rate_limit=False)
    with EmulatorServer(emulator) as server:
        yield emulator, Wire(server.url)


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(one.get(key) == other.get(key) for key in ("id", "mailbox", "provider_id"))


@pytest.mark.parametrize("path", sorted(COLLECTIONS))
def test_created_listed_found_changed_deleted_gone(path: str, account: tuple[Emulator, Wire]) -> None:
    emulator, wire = account
    paths = COLLECTIONS[path]
    life = Life(wire, paths)
    before = life.listed()
    body = life.body(emulator, "post", path)
    made = life.ask("POST", path, body)
    again = life.ask("POST", path, {**body, "mailbox": "more"} if body and "mailbox" in body else body)
    new = [item for item in life.listed() if not any(same(item, old) for old in before)]
    assert len(new) == 2, "two were created, and each can be told from the other"
    item = new[0]
    answered = [value for key, value in made.items() if key not in ("meta", "response_id")]
    if answered:
        assert same(item, answered[0]), "what the creation answered is what the list shows first"
        assert again != made
    for key, value in (body or {}).items():
        if key != "password" and isinstance(value, str | int) and isinstance(item.get(key), type(value)):
            assert item[key] == value, f"{key} is as it was ordered"
    emulator.advance(60)
    if paths.items is None:
        return
    settled = next(other for other in life.listed() if same(other, item))
    assert settled.get("status") not in ("starting", "installing", "creating", "create", "processing", "new", "deploy")
    for step in sorted(paths.methods, key=_order):
        method, where = step.split(" ", 1)
        if method == "post":
            continue
        reply = life.ask(method.upper(), where, life.body(emulator, method, where), item)
        if method == "get" and not is_list(contract()["paths"][where]["get"]):
            payload = next(value for key, value in reply.items() if key not in ("meta", "response_id"))
            assert same(payload, item)
        if method in ("patch", "put"):
            changed = next(other for other in life.listed() if same(other, item))
            for key, value in (life.body(emulator, method, where) or {}).items():
                if key != "password" and isinstance(value, str | int) and isinstance(changed.get(key), type(value)):
                    assert changed[key] == value, f"{key} was changed"
    if not any(step.startswith("delete ") for step in paths.methods):
        return
    assert not any(same(other, item) for other in life.listed())
    assert any(same(other, new[1]) for other in life.listed()), "the other one stays"
    for step in paths.methods:
        method, where = step.split(" ", 1)
        if method in ("get", "delete"):
            gone = wire(method.upper(), life.fill(where, item))
            assert (gone.status, gone.json()["error_code"]) == (404, "not_found")


def _order(step: str) -> int:
    return ["get", "patch", "put", "post", "delete"].index(step.split(" ", 1)[0])


def test_no_collection_is_forgotten() -> None:
    assert len(COLLECTIONS) >= 30
    assert sum("{" in path for path in COLLECTIONS) >= 12, "of those, so many belong to an item"
    assert all(any(path.startswith(prefix) for path in contract()["paths"]) for prefix in ELSEWHERE)


@pytest.mark.parametrize(
    ("owner", "child", "kept", "body"),
    [
        ("databases", "instances", "dbs/{}/instances", {"name": "n"}),
        ("balancers", "rules", "balancers/{}/rules", None),
        ("firewall/groups", "rules", "groups/{}/rules", {"direction": "ingress", "protocol": "icmp"}),
    ],
)
def test_what_an_item_owns_goes_with_it(wire: Wire, owner: str, child: str, kept: str, body: Any) -> None:
    owner = f"/api/v1/{owner}"
    (items,) = (value for value in wire("GET", owner).json().values() if isinstance(value, list))
    number = items[0]["id"]
    path = f"{owner}/{number}/{child}"
    port = {"balancer_proto": "http", "balancer_port": 81, "server_proto": "http", "server_port": 81}
    assert wire("POST", path, body or port).status in (200, 201)
    assert kept.format(number) in wire("GET", "/_emulator/state").json()["children"]
    assert wire("DELETE", f"{owner}/{number}").status == 204
    for method in ("GET", "POST"):
        reply = wire(method, path, body or port if method == "POST" else None)
        assert (reply.status, reply.json()["error_code"]) == (404, "not_found")
    assert kept.format(number) not in wire("GET", "/_emulator/state").json()["children"]


def test_it_survives_a_restart(wire: Wire, emulator: Emulator) -> None:
    made = wire("POST", "/api/v1/databases", {"name": "kept", "type": "postgres16", "preset_id": 1}).json()["db"]
    admin = {"login": "l", "password": "p", "privileges": ["SELECT"]}
    assert wire("POST", f"/api/v1/databases/{made['id']}/admins", admin).status == 201
    after = Emulator(json.loads(emulator.dump()), clock=FakeClock())
    after.advance(60)
    with EmulatorServer(after) as server:
        again = Wire(server.url)
        found = again("GET", f"/api/v1/databases/{made['id']}").json()["db"]
        assert (found["name"], found["status"]) == ("kept", "started")
        (kept,) = again("GET", f"/api/v1/databases/{made['id']}/admins").json()["admins"]
        second = again("POST", f"/api/v1/databases/{made['id']}/admins", {**admin, "login": "m"}).json()["admin"]
        assert kept["id"] != second["id"]


def test_it_costs_what_its_preset_costs(wire: Wire, emulator: Emulator) -> None:
    def rows() -> dict[tuple[str, Any], float]:
        listed = wire("GET", "/api/v1/account/services/cost").json()["services_costs"]
        return {(row["type"], row["service_id"]): row["total_cost"] for row in listed}

    before, fee = rows(), wire("GET", "/api/v1/account/finances").json()["finances"]["monthly_cost"]
    preset = wire("GET", "/api/v2/presets/dbs").json()["databases_presets"][1]
    order = {"name": "d", "type": preset["type"], "preset_id": preset["id"]}
    made = wire("POST", "/api/v1/databases", order).json()["db"]
    assert rows().items() - before.items() == {(("database", made["id"]), preset["price"])}
    assert wire("GET", "/api/v1/account/finances").json()["finances"]["monthly_cost"] == fee + preset["price"]
    wire("DELETE", f"/api/v1/databases/{made['id']}")
    assert rows() == before


def test_without_money_it_is_not_started(wire: Wire, emulator: Emulator) -> None:
    emulator.state["finances"]["balance"] = 0
    made = wire("POST", "/api/v1/databases", {"name": "d", "type": "postgres16", "preset_id": 1}).json()["db"]
    emulator.advance(60)
    found = wire("GET", f"/api/v1/databases/{made['id']}").json()["db"]
    assert (made["status"], found["status"]) == ("no_paid", "no_paid")


def test_an_address_ordered_with_it_is_bound_to_it(wire: Wire) -> None:
    order = {"name": "d", "type": "postgres16", "preset_id": 1, "network": {"floating_ip": "create_ip"}}
    made = wire("POST", "/api/v1/databases", order).json()["db"]
    bound = [ip for ip in wire("GET", "/api/v1/floating-ips").json()["ips"] if ip["resource_type"] == "database"]
    assert [ip["resource_id"] for ip in bound] == [made["id"]]
    wire("DELETE", f"/api/v1/databases/{made['id']}")
    freed = wire("GET", f"/api/v1/floating-ips/{bound[0]['id']}").json()["ip"]
    assert freed["resource_id"] is None


def test_a_group_of_nodes_has_as_many_as_were_asked_for(wire: Wire) -> None:
    path = "/api/v1/k8s/clusters/1001/groups"
    group = wire("POST", path, {"name": "g", "preset_id": 405, "node_count": 3}).json()["node_group"]
    nodes = f"{path}/{group['id']}/nodes"

    def count() -> tuple[int, int]:
        shown: int = wire("GET", f"{path}/{group['id']}").json()["node_group"]["node_count"]
        return len(wire("GET", nodes).json()["nodes"]), shown

    assert count() == (3, 3)
    assert len(wire("POST", nodes, {"count": 2}).json()["nodes"]) == 2
    assert count() == (5, 5)
    assert wire("DELETE", nodes, {"count": 1}).status == 204
    first = wire("GET", nodes).json()["nodes"][0]["id"]
    assert wire("DELETE", f"/api/v1/k8s/clusters/1001/nodes/{first}").status == 204
    assert count() == (3, 3)
    assert wire("DELETE", nodes, {"count": 9}).status == 400


def test_lists_of_values_are_added_to_and_taken_from(wire: Wire) -> None:
    ips = "/api/v1/balancers/1001/ips"
    assert wire("POST", ips, {"ips": ["192.168.0.8", "192.168.0.4"]}).status == 204
    assert wire("GET", ips).json()["ips"] == ["192.168.0.4", "192.168.0.8"]
    assert wire("GET", "/api/v1/balancers/1001").json()["balancer"]["ips"] == ["192.168.0.4", "192.168.0.8"]
    wire("DELETE", ips, {"ips": ["192.168.0.4"]})
    assert wire("GET", ips).json()["ips"] == ["192.168.0.8"]
    assert wire("POST", "/api/v1/auth/access/ips", {"ips": ["203.0.113.5"]}).json()["ips"]["status"] == "success"
    assert wire("POST", "/api/v1/auth/access/ips/enabled", {"is_enabled": True}).status == 204
    access = wire("GET", "/api/v1/auth/access").json()
    assert (access["white_list"]["ips"], access["is_ip_restrictions_enabled"]) == (["203.0.113.5"], True)
    names = "/api/v1/storages/buckets/1001/subdomains"
    added = wire("POST", names, {"subdomains": ["a.example.com", "media.example.com"]}).json()["subdomains"]
    assert [entry["status"] for entry in added] == ["success", "duplicate"]
    wire("DELETE", names, {"subdomains": ["a.example.com"]})
    assert [entry["subdomain"] for entry in wire("GET", names).json()["subdomains"]] == ["media.example.com"]


def test_a_router_joins_and_leaves_networks(wire: Wire) -> None:
    router = wire("GET", "/api/v1/routers").json()["routers"][0]["id"]
    networks = f"/api/v1/routers/{router}/networks"
    first, second = (network["id"] for network in wire("GET", networks).json()["router_networks"])
    assert wire("PATCH", f"{networks}/{first}/nat", {"nat_ip": "203.0.113.9"}).status == 200
    assert wire("GET", networks).json()["router_networks"][0]["nat_ip"] == "203.0.113.9"
    assert wire("DELETE", f"{networks}/{second}").status == 200
    last = wire("DELETE", f"{networks}/{first}")
    assert (last.status, last.json()["error_code"]) == (400, "router_must_have_at_least_one_network")


def test_settings_are_kept(wire: Wire) -> None:
    path = "/api/v1/dbs/1001/auto-backups"
    wire("PATCH", path, {"is_enabled": True, "copy_count": 7})
    settings = wire("GET", path).json()["auto_backups_settings"]
    settings = settings[0] if isinstance(settings, list) else settings
    assert (settings["is_enabled"], settings["copy_count"]) == (True, 7)


def test_projects_hold_what_was_put_into_them(wire: Wire) -> None:
    order = {"name": "d", "type": "postgres16", "preset_id": 1, "project_id": 103}
    made = wire("POST", "/api/v1/databases", order).json()["db"]
    listed = wire("GET", "/api/v1/projects/103/resources/databases").json()["databases"]
    assert [database["id"] for database in listed] == [made["id"]]
    moved = {"to_project": 102, "resource_id": made["id"], "resource_type": "database"}
    assert wire("PUT", "/api/v1/projects/103/resources/transfer", moved).status == 200
    assert wire("GET", "/api/v1/projects/103/resources/databases").json()["databases"] == []
    whole = wire("GET", "/api/v1/projects/102/resources").json()
    assert made["id"] in [database["id"] for database in whole["databases"]]
