"""What a firewall group protects, and which groups protect a thing."""

from __future__ import annotations

from typing import Any

from timeweb_sdk.testing._account import Item
from timeweb_sdk.testing._call import Call, handlers
from timeweb_sdk.testing._http import conflict
from timeweb_sdk.testing._store import items_at, keep_at, owned

handles = handlers("group_id", "resource_id", "resource_type")


@handles("addResourceToGroup")
def add_resource(call: Call) -> dict[str, Any]:
    place = owned(call, "groups/{}/resources")
    resource: Item = {"id": call.path["resource_id"], "type": call.query.get("resource_type", "server")}
    if resource["type"] == "server":
        call.account.find("servers", resource["id"], "Server")
    if any(groups for groups in _groups_of(call, resource)):
        # timeweb-cloud/terraform-provider-timeweb-cloud: a service is in one group at most.
        raise conflict("The resource is in a group already")
    keep_at(call.account, place).append(resource)
    return {"resource": resource}


@handles("getRulesForResource")
def groups_of_resource(call: Call) -> dict[str, Any]:
    return call.page("groups", _groups_of(call, {"id": call.path["resource_id"], "type": call.path["resource_type"]}))


def _groups_of(call: Call, resource: Item) -> list[Item]:
    account = call.account
    return [
        group
        for group in account.state.get("groups", [])
        if resource in (items_at(account, f"groups/{group.get('id')}/resources") or ())
    ]
