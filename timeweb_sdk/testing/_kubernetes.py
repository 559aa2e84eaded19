"""Clusters, their groups of nodes and the nodes in them: as many as were asked for."""

from __future__ import annotations

from typing import Any

from timeweb_sdk.testing._account import Account, Item
from timeweb_sdk.testing._call import Call, handlers
from timeweb_sdk.testing._http import bad_request, not_found
from timeweb_sdk.testing._presets import preset_of
from timeweb_sdk.testing._store import add, collection_named, items_at, keep_at, owned, reply

handles = handlers("cluster_id", "group_id", "node_id")
_GROUPS = "clusters/{}/node_groups"


@handles("createCluster")
def create_cluster(call: Call) -> dict[str, Any] | None:
    cluster = add(call, collection_named("clusters"), "clusters", call.body)
    place = f"clusters/{cluster['id']}/node_groups"
    for wanted in call.body.get("worker_groups", []):
        _add_group(call, place, wanted)
    return reply(call, cluster)


@handles("createClusterNodeGroup")
def create_group(call: Call) -> dict[str, Any] | None:
    return reply(call, _add_group(call, owned(call, _GROUPS), call.body))


def _add_group(call: Call, place: str, wanted: Item) -> Item:
    group = add(call, collection_named(_GROUPS), place, wanted)
    preset = preset_of(call.account, "clusters", group.get("preset_id")) or {}
    group["preset_id"] = wanted.get("preset_id", preset.get("id"))
    _add_nodes(call.account, f"{place}/{group['id']}/nodes", group, wanted["node_count"])
    return group


def _add_nodes(account: Account, place: str, group: Item, count: int) -> list[Item]:
    preset = preset_of(account, "clusters", group.get("preset_id")) or {}
    size = {key: preset.get(key, 1) for key in ("cpu", "ram", "disk", "network")}
    cluster = place.split("/")[1]
    made: list[Item] = [
        {
            "id": account.new_id("clusters/{}/node_groups/{}/nodes"),
            "created_at": account.now(),
            "type": "worker",
            "group_id": group["id"],
            "status": "active",
            "preset_id": group.get("preset_id"),
            "node_ip": f"192.168.0.{len(_nodes_of(account, cluster)) + number + 5}",
            **size,
        }
        for number in range(count)
    ]
    keep_at(account, place).extend(made)
    return made


def _nodes_of(account: Account, cluster: str) -> list[Item]:
    groups = items_at(account, f"clusters/{cluster}/node_groups") or []
    return [node for group in groups for node in items_at(account, f"clusters/{cluster}/node_groups/{group['id']}/nodes") or ()]


@handles("getClusterNodesFromGroup")
def list_nodes_of_group(call: Call) -> dict[str, Any]:
    return call.page("nodes", items_at(call.account, owned(call, f"{_GROUPS}/{{}}/nodes")) or [])


@handles("getClusterNodes")
def list_nodes(call: Call) -> dict[str, Any]:
    place = owned(call, _GROUPS)
    return call.page("nodes", _nodes_of(call.account, place.split("/")[1]))


@handles("increaseCountOfNodesInGroup")
def add_nodes(call: Call) -> dict[str, Any]:
    place, group = _group(call)
    made = _add_nodes(call.account, place, group, call.body["count"])
    group["node_count"] = len(keep_at(call.account, place))
    return call.page("nodes", made)


@handles("reduceCountOfNodesInGroup")
def remove_nodes(call: Call) -> None:
    place, group = _group(call)
    nodes = keep_at(call.account, place)
    if call.body["count"] > len(nodes):
        raise bad_request(f"count must not be greater than {len(nodes)}")
    del nodes[len(nodes) - call.body["count"] :]
    group["node_count"] = len(nodes)


def _group(call: Call) -> tuple[str, Item]:
    """Where the nodes of a group are, and the group."""
    place = owned(call, f"{_GROUPS}/{{}}/nodes")
    groups = items_at(call.account, place.rsplit("/", 2)[0]) or []
    return place, next(group for group in groups if str(group["id"]) == call.path["group_id"])


@handles("deleteClusterNode")
def delete_node(call: Call) -> None:
    groups = owned(call, _GROUPS)
    for group in items_at(call.account, groups) or ():
        nodes = items_at(call.account, f"{groups}/{group['id']}/nodes") or []
        for node in nodes:
            if str(node["id"]) == call.path["node_id"]:
                nodes.remove(node)
                group["node_count"] = len(nodes)
                return
    raise not_found("Node")


@handles("updateClusterVersion")
def update_version(call: Call) -> None:
    cluster = call.account.find("clusters", call.path["cluster_id"], "Cluster")
    wanted: Item = call.body
    cluster["k8s_version"] = wanted.get("k8s_version", cluster.get("k8s_version"))
