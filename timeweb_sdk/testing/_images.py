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
    """An image of a disk has the disk's system and place; another must say what it is."""
    body: Item = call.body
    if "disk_id" not in body:
        missing = [f"{key} should not be empty" for key in ("os", "location") if key not in body]
        if missing:
            raise bad_request(missing)
    server = _server_with(call.account, body.get("disk_id"))
    inherited = {"os": server["os"].get("name"), "location": server.get("location")} if server else {}
    return reply(call, add(call, collection_named("images"), "images", {**inherited, **body}))


def _server_with(account: Account, disk: Any) -> Item | None:
    return next((s for s in account.items("servers") if any(d.get("id") == disk for d in listed(s, "disks"))), None)


@handles("uploadImage")
def upload(call: Call) -> dict[str, Any]:
    image = found(call.account, collection_named("images"), "images", call.path["image_id"], call)
    image["status"] = "created"
    return {"upload_successful": {"image_id": image["id"]}}
