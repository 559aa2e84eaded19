"""SSH keys and the servers they were put on."""

from __future__ import annotations

from typing import Any

from timeweb_sdk.testing._account import Item, listed
from timeweb_sdk.testing._call import Call, handlers
from timeweb_sdk.testing._servers import find

handles = handlers("ssh_key_id", "server_id")


def _key(call: Call) -> Item:
    return call.account.find("ssh_keys", call.path["ssh_key_id"], "SSH key")


def _make_default(call: Call, chosen: Item) -> None:
    """There is at most one default key."""
    for key in call.account.items("ssh_keys"):
        key["is_default"] = key is chosen


@handles("getKey")
def get_key(call: Call) -> dict[str, Any]:
    return {"ssh_key": _key(call), "meta": {"total": 1}}


@handles("createKey")
def create_key(call: Call) -> dict[str, Any]:
    account = call.account
    key: Item = {"id": account.new_id("ssh_keys"), **call.body, "created_at": account.now(), "used_by": []}
    account.items("ssh_keys").append(key)
    if key["is_default"]:
        _make_default(call, key)
    return {"ssh_key": key}


@handles("updateKey")
def update_key(call: Call) -> dict[str, Any]:
    key = _key(call)
    key.update(call.body)
    if call.body.get("is_default"):
        _make_default(call, key)
    return {"ssh_key": key, "meta": {"total": 1}}


@handles("deleteKey")
def delete_key(call: Call) -> None:
    call.account.items("ssh_keys").remove(_key(call))


@handles("addKeyToServer")
def add_to_server(call: Call) -> None:
    server = find(call)
    keys = [call.account.find("ssh_keys", number, "SSH key") for number in call.body["ssh_key_ids"]]
    for key in keys:
        users: list[Item] = key.setdefault("used_by", [])
        if not any(user.get("id") == server.get("id") for user in users):
            users.append({"id": server.get("id"), "name": server.get("name")})


@handles("deleteKeyFromServer")
def delete_from_server(call: Call) -> None:
    server, key = find(call), _key(call)
    key["used_by"] = [user for user in listed(key, "used_by") if user.get("id") != server.get("id")]
