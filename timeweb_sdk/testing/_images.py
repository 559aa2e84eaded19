"""Images: made of a disk, or uploaded."""

from __future__ import annotations

from typing import Any

from timeweb_sdk.testing._account import Account, Item, listed
from timeweb_sdk.testing._call import Call, handlers
from timeweb_sdk.testing._http import bad_request
from timeweb_sdk.testing._store import add, collection_named, found, reply

handles = handlers("image_id")


@handles("createImage")
def create_image(call: Call) -> dict[str, Any] | None:
    """An image of a disk has the disk's system, place and size; another must say what it is."""
    body: Item = call.body
    if "disk_id" not in body:
        missing = [f"{key} should not be empty" for key in ("os", "location") if key not in body]
        if missing:
            raise bad_request(missing)
    source = _disk(call.account, body.get("disk_id"))
    inherited: Item = {}
    if source is not None:
        server, disk = source
        system: Item = server.get("os") or {}
        known = {"os": system.get("name"), "location": server.get("location"), "size": disk.get("size")}
        inherited = {key: value for key, value in known.items() if value is not None}
    return reply(call, add(call, collection_named("images"), "images", {**inherited, **body}))


def _disk(account: Account, number: Any) -> tuple[Item, Item] | None:
    """The disk with this id, after the server that it is of."""
    disks = ((server, disk) for server in account.items("servers") for disk in listed(server, "disks"))
    return next((pair for pair in disks if pair[1].get("id") == number), None)


@handles("uploadImage")
def upload(call: Call) -> dict[str, Any]:
    image = found(call.account, collection_named("images"), "images", call.path["image_id"], call)
    image["status"] = "created"
    return {"upload_successful": {"image_id": image["id"]}}
