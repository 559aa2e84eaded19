"""Whatever the contract lets one add, kept: added, listed, found by its id, changed, removed, together with what it owns.

This answers every operation that has no handler of its own, by what `_collections` reads off the contract. What stands in a
collection of its own lives in the state under the envelope key of its list, as `servers` do; what belongs to an item lives
under `children`, by the item: `children["dbs/1001/backups"]`. A value there that is no list is a document, such as settings.
"""

from __future__ import annotations

from typing import Any

from timeweb_sdk._core.guards import is_array, is_object
from timeweb_sdk.testing import _addresses
from timeweb_sdk.testing._account import Account, Item
from timeweb_sdk.testing._billing import can_pay
from timeweb_sdk.testing._call import Answer, Call
from timeweb_sdk.testing._catalogue import LOCATIONS
from timeweb_sdk.testing._collections import Collection, collections
from timeweb_sdk.testing._confirm import confirmation
from timeweb_sdk.testing._contract import contract
from timeweb_sdk.testing._generate import generator, statuses
from timeweb_sdk.testing._http import Response, not_found
from timeweb_sdk.testing._presets import OFFERS, catalogue, preset_of, project_kind

_NO_STATUS_LIST: dict[str, tuple[str | None, str | None]] = {
    "clusters": ("installing", "active"),
    "routers": ("starting", "started"),
}
"""Statuses that the contract gives as plain texts: lebedevdsl/crossplane-provider-timeweb @ abf5327, docs."""
_INBORN = frozenset({"networks", "domains"})
"""Lists that a new thing has something in; the others fill up by and by."""
_SECRETS = frozenset({"password", "access_key", "secret_key", "vnc_pass", "ipmi_password"})
_SIZES = ("cpu", "ram", "disk", "bandwidth")
_SHOWN_ONCE = {"iam_users": "secret_key"}
"""What only the reply to the creation tells: lebedevdsl/crossplane-provider-timeweb @ abf5327, specs/012."""
_UNPAID = ("no_paid", "unpaid")
_ACTIONS = {
    "stop": ("stopped", "stoped", "off"),
    "suspend": ("suspended", "stopped"),
    "pause": ("paused",),
    "shutdown": ("off", "stopped"),
    "blocked": ("blocked",),
}
"""Last part of an action's path -> the first of these statuses that the thing can have."""
_RESUMING = frozenset({"start", "resume"})


def answer(call: Call) -> dict[str, Any] | Answer | Response | None:
    """The reply to an operation without a handler; raises the canonical 404 where the path names what is not there."""
    route = collections().routes[call.endpoint.id]
    if route.role == "document":
        return _document(call, route.place)
    if route.collection is None:
        return _act(call)
    place, _ = locate(call, route.collection)
    if route.role == "list":
        items = listing(call, route.collection, place)
        for item in items:
            _show_children(call.account, route.collection, place, item)
        page = call.page(route.collection.key, [_discreet(route.collection, item) for item in items])
        meta = contract().properties(contract().properties(call.endpoint.response or {}).get("meta", {}))
        asked = {"limit": int(call.query.get("limit", 100)), "offset": int(call.query.get("offset", 0))}
        page["meta"].update({key: value for key, value in asked.items() if key in meta})
        return page
    if route.role == "create":
        return reply(call, add(call, route.collection, place, call.body))
    item = found(call.account, route.collection, place, list(call.path.values())[-1], call)
    _show_children(call.account, route.collection, place, item)
    if route.role == "change":
        change(call, route.collection, item)
    elif route.role == "remove":
        return remove(call, route.collection, place, item)
    return reply(call, _discreet(route.collection, item))


def _discreet(collection: Collection, item: Item) -> Item:
    secret = _SHOWN_ONCE.get(collection.name)
    return {**item, secret: None} if secret in item else item


def _show_children(account: Account, collection: Collection, place: str, item: Item) -> None:
    """What an item owns stands in it too, where it has a list of that name: the rules of a balancer."""
    for key in collections().mirrored(collection):
        kept = items_at(account, f"{place}/{item.get(collection.identity(contract()))}/{key}")
        if key in item and (kept is not None or not item[key]):
            item[key] = kept or []


# Where things are


def locate(call: Call, collection: Collection) -> tuple[str, list[str]]:
    """Where the collection of a path is, and the ids of its owners, each of which must be there."""
    chain = collections().chain(call.endpoint)
    ids: list[str] = []
    wanted = collection.name.count("{}")
    for name, kind in chain[:wanted]:
        ids.append(_owner_id(call, kind, ids, call.path[name]))
    return concrete(collection.name, ids), ids


def collection_named(name: str) -> Collection:
    """The collection of a handler that knows which one it fills."""
    return collections().named[name]


def owned(call: Call, name: str) -> str:
    """The place of a collection below the items that the path names; raises the canonical 404 where one is not there."""
    return locate(call, collection_named(name))[0]


def concrete(name: str, ids: list[str]) -> str:
    for value in ids:
        name = name.replace("{}", value, 1)
    return name


def _owner_id(call: Call, kind: Collection | None, ids: list[str], value: str) -> str:
    if kind is None:
        return value
    place = concrete(kind.name, ids)
    if not kind.creates and items_at(call.account, place) is None:
        return value  # nobody keeps these, so any will do
    owner = found(call.account, kind, place, value, call)
    return str(owner.get(kind.identity(contract()), value))


def items_at(account: Account, place: str) -> list[Item] | None:
    """The kept items of a place; None where nothing is kept."""
    kept: Any = account.state.get(place) if "/" not in place else account.state["children"].get(place)
    return kept if is_array(kept) else None


def keep_at(account: Account, place: str) -> list[Item]:
    """The items of a place, to be added to."""
    where: dict[str, Any] = account.state if "/" not in place else account.state["children"]
    kept: list[Item] = where.setdefault(place, [])
    return kept


def listing(call: Call, collection: Collection, place: str) -> list[Item]:
    kept = items_at(call.account, place)
    if kept is not None:
        return kept
    if collection.creates:
        return []
    sold = catalogue(call.account, collection.key) if "/" not in place else None
    return sold if sold is not None else _made_up(call, collection, place)


def _made_up(call: Call, collection: Collection, place: str) -> list[Item]:
    """What a list shows that nothing can be added to: one item."""
    item = generator().item(collection.schemas, _known(call), place)
    identity = collection.identity(contract())
    if isinstance(item.get(identity), int):
        item[identity] = 1
    return [item]


def found(account: Account, collection: Collection, place: str, value: str, call: Call) -> Item:
    """The item that a path names; one that was made up for a list is kept from now on."""
    identity = collection.identity(contract())
    items = listing(call, collection, place)
    for item in items:
        if str(item.get(identity)) == value or str(item.get("fqdn")).lower() == value.lower():
            if items_at(account, place) is None and call.endpoint.method != "GET":
                keep_at(account, place).extend(items)
            return item
    raise not_found(_title(collection))


def _title(collection: Collection) -> str:
    name = min(collection.item_keys, key=len, default="resource")
    return {"db": "Database", "vpc": "Network"}.get(name, name.replace("_", " ").capitalize())


def _known(call: Call) -> dict[str, str]:
    return {name: value for name, value in call.path.items() if name != "id"}


# What is done to them


def add(call: Call, collection: Collection, place: str, body: Any) -> Item:
    """Add an item as ordered, in the status of a new one, and let it settle."""
    account = call.account
    item = generator().item(collection.schemas, _known(call), f"{place}/new")
    item.update({key: [] for key, value in item.items() if is_array(value) and key not in _INBORN})
    _place_it(account, collection, item, body)
    generator().echo(item, collection.schemas, call.query)
    generator().echo(item, collection.schemas, body)
    if is_object(body):
        for key in ("configuration", "configurator"):
            generator().echo(item, collection.schemas, body.get(key))
    _identify(account, collection, item)
    _name(account, collection, item, body)
    for key in ("created_at", "updated_at", "started_at", "registered_at"):
        if isinstance(item.get(key), str):
            item[key] = account.now()
    keep_at(account, place).append(item)
    _start(call, collection, place, item)
    _connect(account, collection, item, body)
    if is_object(body) and isinstance(body.get("project_id"), int):
        account.find("projects", body["project_id"], "Project")
        account.put_in_project(project_kind(collection.name), item.get("id"), body["project_id"])
    account.touch()
    return item


def _name(account: Account, collection: Collection, item: Item, body: Any) -> None:
    """A name and secrets of its own, where none were sent."""
    sent = body.keys() if is_object(body) else ()
    if "name" in item and "name" not in sent and "id" in item:
        item["name"] = f"{collection.key.removesuffix('s')}-{item['id']}"
    for key in _SECRETS & item.keys():
        if key not in sent:
            item[key] = account.new_secret(20)


def _identify(account: Account, collection: Collection, item: Item) -> None:
    name = collection.identity(contract())
    if name not in ("id", *collection.id_params) or (name != "id" and not name.endswith("_id")):
        return  # it goes by what it is called
    schemas = [found[name] for found in map(contract().properties, collection.schemas) if name in found]
    if schemas and contract().resolve(schemas[0]).get("type") in ("integer", "number"):
        item[name] = account.new_id(collection.name)
    else:
        number = account.new_uuid()
        item[name] = f"network-{number.replace('-', '')}" if collection.name == "vpcs" else number


def _place_it(account: Account, collection: Collection, item: Item, body: Any) -> None:
    """References to things that exist: a preset with its size and place, the default project, the account."""
    wanted = body.get("preset_id") if is_object(body) else None
    preset = preset_of(account, collection.name, wanted)
    if preset is not None and "preset_id" in item:
        item["preset_id"] = preset["id"]
        sizes = {key: preset[key] for key in (*_SIZES, "location") if key in preset}
        item.update({key: value for key, value in sizes.items() if key in item and not is_object(item[key])})
        generator().echo(item, collection.schemas, {"preset": preset, "configurator_id": 0})
        generator().echo(item, collection.schemas, {"configurator_id": None})
    location = body.get("location") if is_object(body) else None
    zones = LOCATIONS.get(str(location or item.get("location")), ("", ("spb-1",)))[1]
    home = account.home_project()
    standard: Item = {"availability_zone": zones[0], "project_id": home.get("id"), "account_id": home.get("account_id")}
    item.update({key: value for key, value in standard.items() if key in item})


def _start(call: Call, collection: Collection, place: str, item: Item) -> None:
    new, settled, unpaid = _statuses(collection)
    if "status" not in item or settled is None:
        return
    if unpaid is not None and collection.name in OFFERS and not can_pay(call.account):
        item["status"] = unpaid
        return
    item["status"] = settled if new is None else new
    if new is not None:
        name = collection.identity(contract())
        seconds = call.timings.backup if collection.key == "backups" else call.timings.install
        call.account.schedule(seconds, "settle", place=place, name=name, value=item.get(name), status=settled)


def _statuses(collection: Collection) -> tuple[str | None, str | None, str | None]:
    """Of new, of settled and of unpaid items."""
    schemas = [found["status"] for found in map(contract().properties, collection.schemas) if "status" in found]
    allowed = [contract().resolve(schema).get("enum") for schema in schemas]
    shared = [status for status in (allowed[0] or () if allowed else ()) if all(status in (other or ()) for other in allowed)]
    if not shared:
        new, settled = _NO_STATUS_LIST.get(collection.name, (None, "active" if schemas else None))
        return new, settled, None
    new, settled = statuses(shared)
    return new, settled, next((status for status in _UNPAID if status in shared), None)


def settle(account: Account, entry: Item) -> None:
    """Carry out a scheduled change of status, unless the item is gone or has another status by now."""
    for item in items_at(account, entry["place"]) or ():
        if item.get(entry["name"]) == entry["value"] and item.get("status") not in _UNPAID:
            item["status"] = entry["status"]
            if "progress" in item:
                item["progress"] = 100


def _connect(account: Account, collection: Collection, item: Item, body: Any) -> None:
    """The public address that was ordered with it."""
    network = body.get("network") if is_object(body) else None
    wish = network.get("floating_ip") if is_object(network) else None
    if not isinstance(wish, str) or not wish:
        return
    known = [a for a in account.items("ips") if a.get("resource_id") is None and wish in (a.get("id"), a.get("ip"))]
    zone = item.get("availability_zone")
    address = known[0] if known else _addresses.create_floating(account, str(zone) if zone else None)
    address.update(resource_type=project_kind(collection.name), resource_id=item.get("id"))
    if "ip" in item:
        item["ip"] = address["ip"]


def change(call: Call, collection: Collection, item: Item) -> None:
    generator().echo(item, collection.schemas, call.body)
    if "updated_at" in item:
        item["updated_at"] = call.account.now()
    call.account.touch()


def remove(call: Call, collection: Collection, place: str, item: Item) -> dict[str, Any] | Answer | None:
    """Take an item away with everything that is its own."""
    asked = confirmation(call)
    if asked is not None:
        return asked
    account, number = call.account, item.get(collection.identity(contract()))
    keep_at(account, place).remove(item)
    _forget_children(account, f"{place}/{number}/")
    if "/" not in place:
        kind = project_kind(collection.name)
        entries = account.items("project_resources")
        entries[:] = [e for e in entries if (e["resource_type"], e["resource_id"]) != (kind, number)]
        for address in account.items("ips"):
            if (address.get("resource_type"), address.get("resource_id")) == (kind, number):
                address["resource_type"] = address["resource_id"] = None
    account.touch()
    return _gone(call)


def _gone(call: Call) -> dict[str, Any] | Answer | None:
    endpoint = call.endpoint
    if endpoint.success == 204 or endpoint.response is None:
        return Answer(endpoint.success, None)
    if endpoint.confirmation is not None:
        return Answer(200, {endpoint.confirmation: {"is_moved_in_quarantine": True}})
    return generator().body(endpoint, call.path, None)


def _forget_children(account: Account, prefix: str) -> None:
    children: dict[str, Any] = account.state["children"]
    for place in [place for place in children if place.startswith(prefix)]:
        del children[place]


# Replies


def reply(call: Call, item: Item) -> dict[str, Any] | None:
    """The envelope of an item; None where the contract says that the reply is empty."""
    endpoint = call.endpoint
    if endpoint.response is None:
        return None
    envelope = {key: schema for key, schema in contract().properties(endpoint.response).items() if key != "response_id"}
    found: dict[str, Any] = {}
    for key, schema in envelope.items():
        found[key] = item if key != "meta" and contract().properties(schema) else generator().sample(schema, key, endpoint.id)
    return found


def _act(call: Call) -> dict[str, Any] | Response | None:
    """Something done to an item, or asked of it: what it is below must be there, what it answers is made up."""
    owner: Item | None = None
    owners: Collection | None = None
    ids: list[str] = []
    for name, kind in collections().chain(call.endpoint):
        value = call.path[name]
        if kind is not None and (kind.creates or items_at(call.account, concrete(kind.name, ids)) is not None):
            owner, owners = found(call.account, kind, concrete(kind.name, ids), value, call), kind
        ids.append(value)
    if owner is not None and owners is not None:
        _enter(call, owners, owner)
    return made_up(call, owner)


def _enter(call: Call, collection: Collection, item: Item) -> None:
    """The status that an action leads to, where the thing can have it."""
    if call.endpoint.method == "GET" or "status" not in item:
        return
    last = call.path.get("action") or call.endpoint.path.rsplit("/", 1)[1]
    if last in _RESUMING:
        item["status"] = _statuses(collection)[1] or item["status"]
    schemas = [found["status"] for found in map(contract().properties, collection.schemas) if "status" in found]
    allowed = [status for schema in schemas for status in contract().resolve(schema).get("enum", ())]
    item["status"] = next((status for status in _ACTIONS.get(last, ()) if status in allowed), item["status"])


def made_up(call: Call, owner: Item | None = None) -> dict[str, Any] | Response | None:
    """A body from the contract; the item that the path is below stands in it where it has a place."""
    endpoint = call.endpoint
    if endpoint.response is None:
        return None
    if endpoint.content_type != "application/json":
        return Response(endpoint.success, {"content-type": str(endpoint.content_type)}, _plain(str(endpoint.content_type)))
    body = generator().body(endpoint, call.path, call.body)
    for key in body:
        sold = catalogue(call.account, key)
        if sold is not None and is_array(body[key]):
            body[key] = sold
    if owner is not None:
        for key, value in body.items():
            if key != "meta" and is_object(value) and value.keys() == owner.keys():
                body[key] = owner
    return body


def _plain(content_type: str) -> bytes:
    if "yaml" in content_type:
        return b"apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\nusers: []\n"
    return b"emulated document\n"


def _document(call: Call, place: str) -> dict[str, Any] | Response | None:
    """One thing at a place of its own, such as settings: made up at first, kept once it was changed."""
    ids: list[str] = []
    for name, kind in collections().chain(call.endpoint):
        ids.append(_owner_id(call, kind, ids, call.path[name]))
    where = concrete(place, ids)
    children: dict[str, Any] = call.account.state["children"]
    body = made_up(call)
    if not is_object(body):
        return body
    payload = {key: value for key, value in body.items() if key != "meta"}
    if len(payload) == 1 and next(iter(payload)) in call.account.state:
        (key,) = payload
        kept = call.account.state[key]
        return call.page(key, kept) if is_array(kept) else {key: kept}
    payload.update(children.get(where, {}))
    if call.endpoint.method != "GET":
        _overwrite(call, payload)
        children[where] = payload
        call.account.touch()
    return {**body, **payload}


def _overwrite(call: Call, payload: dict[str, Any]) -> None:
    schemas = contract().properties(call.endpoint.response or {})
    for key, value in payload.items():
        if is_object(value):
            generator().echo(value, [schemas[key]], call.body)
        elif is_array(value):
            items = contract().resolve(schemas[key]).get("items", {})
            for entry in value:
                if is_object(entry):
                    generator().echo(entry, [items], call.body)
