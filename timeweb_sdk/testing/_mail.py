"""Mailboxes, which belong to domains; both versions of the API show the same ones."""

from __future__ import annotations

from typing import Any

from timeweb_sdk._core.guards import is_array
from timeweb_sdk.testing._account import Item
from timeweb_sdk.testing._call import Call, handlers
from timeweb_sdk.testing._http import conflict
from timeweb_sdk.testing._store import add, collection_named, items_at, owned, reply

handles = handlers("domain")
_MAILBOXES = "domains/{}/mailboxes"


@handles("getMailboxes", "getAllMailboxesV2")
def list_all(call: Call) -> dict[str, Any]:
    children: dict[str, Any] = call.account.state["children"]
    found = [
        mailbox
        for place, kept in children.items()
        if place.startswith("domains/") and place.endswith("/mailboxes") and is_array(kept)
        for mailbox in kept
    ]
    return call.page("mailboxes", found)


@handles("createDomainMailbox", "createDomainMailboxV2")
def create_one(call: Call) -> dict[str, Any] | None:
    return reply(call, _create(call, call.body))


@handles("createMultipleDomainMailboxes", "createMultipleDomainMailboxesV2")
def create_many(call: Call) -> dict[str, Any] | None:
    wanted: list[Item] = call.body if is_array(call.body) else call.body["mailboxes"]
    # Several are ordered with `login`, one with `mailbox`.
    made = [_create(call, {**body, "mailbox": body["login"]}) for body in wanted]
    return (
        {"mailboxes": made}
        if call.endpoint.path.startswith("/api/v1/")
        else {"mailboxes_batch": {"mailboxes": made, "errors": []}}
    )


def _create(call: Call, body: Item) -> Item:
    place = owned(call, _MAILBOXES)
    if any(mailbox.get("mailbox") == body["mailbox"] for mailbox in items_at(call.account, place) or ()):
        raise conflict("Mailbox already exists")
    mailbox = add(call, collection_named(_MAILBOXES), place, body)
    mailbox["fqdn"] = mailbox["idn_name"] = place.split("/")[1]
    return mailbox
