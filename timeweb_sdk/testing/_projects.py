"""Projects and what is in them."""

from __future__ import annotations

from typing import Any

from timeweb_sdk.testing._account import Item
from timeweb_sdk.testing._call import Call, handlers
from timeweb_sdk.testing._contract import contract
from timeweb_sdk.testing._generate import Generator
from timeweb_sdk.testing._http import conflict, not_found
from timeweb_sdk.testing._presets import project_kind

handles = handlers("project_id")

_KINDS = {
    # path segment: resource type in requests and replies, collection
    "servers": ("server", "servers"),
    "balancers": ("balancer", "balancers"),
    "buckets": ("storage", "buckets"),
    "clusters": ("kubernetes", "clusters"),
    "databases": ("database", "dbs"),
    "dedicated": ("dedicated", "dedicated_servers"),
}
_ENVELOPES = {kind: "dedicated_servers" if kind == "dedicated" else kind for kind in _KINDS}
_SIBLINGS = {
    "apps": "apps",
    "agents": "agents",
    "knowledge_bases": "knowledge_bases",
    "registries": "container_registry_list",
    "cdn": "http_resources",
    "routers": "routers",
}
"""Envelope keys of a project's other resources -> their collections."""


def _project(call: Call) -> Item:
    return call.account.find("projects", call.path["project_id"], "Project")


def _resources(call: Call, segment: str, project_id: int) -> list[Item]:
    kind, collection = _KINDS[segment]
    return _members(call, kind, collection, project_id)


def _members(call: Call, kind: str, collection: str, project_id: int) -> list[Item]:
    account = call.account
    homes = {e["resource_id"]: e["project_id"] for e in account.items("project_resources") if e["resource_type"] == kind}
    home = account.home_project()["id"]
    kept: list[Item] = account.state.get(collection, [])
    return [item for item in kept if homes.get(item.get("id"), home) == project_id]


def _as_listed(call: Call, key: str, items: list[Item]) -> list[Item]:
    """The items with whatever the contract shows of them in this list and not in their own."""
    schema = contract().properties(call.endpoint.response or {}).get(key, {})
    shown = contract().resolve(schema).get("items")
    return (
        items if shown is None or key == "servers" else [{**Generator(contract()).item([shown], {}, key), **i} for i in items]
    )


@handles("getProject")
def get_project(call: Call) -> dict[str, Any]:
    return {"project": _project(call)}


@handles("createProject")
def create_project(call: Call) -> dict[str, Any]:
    account = call.account
    project: Item = {
        "id": account.new_id("projects"),
        "account_id": account.home_project().get("account_id", ""),
        "avatar_id": call.body.get("avatar_id"),
        "description": call.body.get("description") or "",
        "name": call.body["name"],
        "is_default": False,
    }
    account.items("projects").append(project)
    return {"project": project}


@handles("updateProject")
def update_project(call: Call) -> dict[str, Any]:
    project = _project(call)
    project.update(call.body)
    project["description"] = project.get("description") or ""
    return {"project": project}


@handles("deleteProject")
def delete_project(call: Call) -> None:
    project = _project(call)
    if project.get("is_default"):
        raise conflict("The default project cannot be deleted")
    if any(_resources(call, segment, project["id"]) for segment in _KINDS):
        raise conflict("The project is not empty")
    call.account.items("projects").remove(project)


@handles("getAccountBalancers", "getAccountStorages", "getAccountClusters", "getAccountDatabases", "getAccountDedicatedServers")
def all_of_a_kind(call: Call) -> dict[str, Any]:
    segment = call.endpoint.path.rsplit("/", 1)[1]
    key = _ENVELOPES[segment]
    return call.page(key, _as_listed(call, key, call.account.state.get(_KINDS[segment][1], [])))


@handles("getAllProjectResources")
def all_resources(call: Call) -> dict[str, Any]:
    number = _project(call)["id"]
    found = {_ENVELOPES[segment]: _resources(call, segment, number) for segment in _KINDS}
    siblings = {key: _members(call, project_kind(name), name, number) for key, name in _SIBLINGS.items()}
    found |= {key: _as_listed(call, key, items) for key, items in siblings.items()}
    return {**found, "meta": {"total": sum(map(len, found.values()))}}


@handles(
    "getProjectServers",
    "getProjectBalancers",
    "getProjectStorages",
    "getProjectClusters",
    "getProjectDatabases",
    "getProjectDedicatedServers",
)
def some_resources(call: Call) -> dict[str, Any]:
    segment = call.endpoint.path.rsplit("/", 1)[1]
    key = _ENVELOPES[segment]
    return call.page(key, _as_listed(call, key, _resources(call, segment, _project(call)["id"])))


@handles(
    "addServerToProject",
    "addBalancerToProject",
    "addStorageToProject",
    "addClusterToProject",
    "addDatabaseToProject",
    "addDedicatedServerToProject",
)
def add_resource(call: Call) -> dict[str, Any]:
    segment = call.endpoint.path.rsplit("/", 1)[1]
    return _move(call, _KINDS[segment][0], call.body["resource_id"], _project(call))


@handles("transferResourceToAnotherProject")
def transfer(call: Call) -> dict[str, Any]:
    _project(call)
    target = call.account.find("projects", call.body["to_project"], "Project")
    return _move(call, call.body["resource_type"], call.body["resource_id"], target)


def _move(call: Call, kind: str, resource_id: Any, project: Item) -> dict[str, Any]:
    collection = next((name for known, name in _KINDS.values() if known == kind), kind)
    if kind == "server":
        resource_id = call.account.find("servers", resource_id, "Server")["id"]
    elif all(item.get("id") != resource_id for item in call.account.state.get(collection, [])):
        raise not_found()
    entry = call.account.put_in_project(kind, resource_id, project["id"])
    resource = {key: entry[key] for key in ("id", "created_at", "resource_id")}
    return {"resource": {**resource, "project": project, "type": kind}}
