"""What the contract keeps where: its collections, read off the paths and the replies of its operations.

A collection is a path that lists objects (`/databases`), with or without a way to add one, and the paths of its items
(`/databases/{db_cluster_id}`). What stands below an item is the item's own (`/dbs/{db_id}/backups`). A collection is known by
the envelope key of its list, so that the deprecated `/dbs` and `/databases` are one, and so are versions 1 and 2 of a path.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from typing import Literal, TypeAlias

from timeweb_sdk.testing._contract import Contract, Endpoint, Schema, contract

Role: TypeAlias = Literal["list", "create", "read", "change", "remove", "document", "act"]
_FALLBACK_IDENTITIES = ("id", "fqdn", "mailbox", "name")


@dataclass(slots=True, eq=False)
class Collection:
    """Objects of one kind in one place. `name` has `{}` where the ids of owners stand: `dbs/{}/backups`."""

    name: str
    key: str
    owner: Collection | None
    schemas: list[Schema] = field(default_factory=list[Schema])
    """Every schema in which one item is answered."""
    item_keys: set[str] = field(default_factory=set[str])
    """Envelope keys of one item."""
    id_params: list[str] = field(default_factory=list[str])
    creates: bool = False
    """Whether an operation adds an item."""

    def identity(self, contract: Contract) -> str:
        """The property that paths know an item by."""
        known = {name for schema in self.schemas for name in contract.properties(schema)}
        return next((name for name in (*self.id_params, *_FALLBACK_IDENTITIES) if name in known), "id")


@dataclass(frozen=True, slots=True)
class Route:
    """What an operation does to which collection; `act` does something else to the item it is below, if any."""

    role: Role
    collection: Collection | None = None
    place: str = ""
    """Of a document: where it is kept, with `{}` for ids."""


class Collections:
    """The collections of a contract and the route of each of its operations."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._payloads: dict[str, dict[str, Schema]] = {}
        self._lists: dict[str, str] = {}
        self._mirrored: dict[str, list[str]] = {}
        self.named: dict[str, Collection] = {}
        gets = [endpoint for endpoint in contract.endpoints.values() if endpoint.method == "GET"]
        self._methods: dict[str, set[str]] = defaultdict(set)
        for endpoint in contract.endpoints.values():
            self._methods[endpoint.path].add(endpoint.method)
        self._documents = {endpoint.path for endpoint in gets if self._is_document(endpoint)}
        for endpoint in gets:
            listed = self._listed(endpoint)
            if listed is not None:
                self._lists[_anonymous(endpoint.path)] = listed[0]
        for path, key in list(self._lists.items()):
            self._lists.setdefault(_versionless(path), key)
        self._top_keys = {key for path, key in self._lists.items() if "{}" not in path}
        self._keys = set(self._lists.values())
        self.routes: dict[str, Route] = {endpoint.id: self._route(endpoint) for endpoint in contract.endpoints.values()}

    def chain(self, endpoint: Endpoint) -> list[tuple[str, Collection | None]]:
        """The placeholders of a path in order, each with the collection that it names an item of, if any."""
        parts = _parts(endpoint.path)
        return [
            (part[1:-1], self._at(endpoint.path, parts[:position]))
            for position, part in enumerate(parts)
            if part.startswith("{")
        ]

    def mirrored(self, collection: Collection) -> list[str]:
        """The lists of an item that have a collection of the same name below it."""
        if collection.name not in self._mirrored:
            prefix = f"{collection.name}/{{}}/"
            below = [name.removeprefix(prefix) for name in self.named if name.startswith(prefix)]
            properties = {name for schema in collection.schemas for name in self._contract.properties(schema)}
            self._mirrored[collection.name] = [name for name in below if name in properties]
        return self._mirrored[collection.name]

    # Reading the contract

    def _payload(self, endpoint: Endpoint) -> dict[str, Schema]:
        """What the reply of an operation holds, by key."""
        if endpoint.id not in self._payloads:
            found = self._contract.properties(endpoint.response or {})
            self._payloads[endpoint.id] = {key: schema for key, schema in found.items() if key not in ("meta", "response_id")}
        return self._payloads[endpoint.id]

    def _listed(self, endpoint: Endpoint) -> tuple[str, Schema] | None:
        """Key and item schema of a reply that holds one list of objects."""
        payload = self._payload(endpoint)
        if len(payload) != 1:
            return None
        ((key, schema),) = payload.items()
        resolved = self._contract.resolve(schema)
        items = self._contract.resolve(resolved.get("items", {}))
        is_list = resolved.get("type") == "array" and (items.get("type") == "object" or "properties" in items)
        return (key, items) if is_list else None

    def _is_document(self, endpoint: Endpoint) -> bool:
        """One object with a place of its own, or a list that is changed as a whole."""
        if not self._payload(endpoint):
            return False
        return self._listed(endpoint) is None or ("PATCH" in self._methods[endpoint.path] and not self._adds(endpoint.path))

    def _adds(self, path: str) -> bool:
        return "POST" in self._methods[path]

    def _route(self, endpoint: Endpoint) -> Route:
        parts = _parts(endpoint.path)
        if parts[-1].startswith("{"):
            return self._item_route(endpoint, parts)
        collection = self._at(endpoint.path, parts)
        listed = self._listed(endpoint)
        if endpoint.path in self._documents and endpoint.method in ("GET", "PUT", "PATCH"):
            return Route("document", place=self._place(endpoint.path, parts))
        if endpoint.method == "GET" and listed is not None and collection is not None:
            collection.schemas.append(listed[1])
            return Route("list", collection)
        listing = self._own_key(endpoint.path.split("/")[2], "/".join(_anonymous_parts(parts)))
        if endpoint.method == "POST" and collection is not None and listing is not None and self._creates(endpoint):
            collection.creates = True
            self._note_item(endpoint, collection)
            return Route("create", collection)
        return Route("act")

    def _item_route(self, endpoint: Endpoint, parts: list[str]) -> Route:
        collection = self._at(endpoint.path, parts[:-1])
        if collection is None:
            return Route("act")
        key = self._list_at(endpoint.path.split("/")[2], "/".join(_anonymous_parts(parts)))
        if key is not None and endpoint.method in ("GET", "POST"):
            return self._below_item(endpoint, self._collection(f"{collection.name}/{{}}/{key}", key, collection))
        roles: dict[str, Role] = {"GET": "read", "PATCH": "change", "PUT": "change", "DELETE": "remove"}
        if "PATCH" not in self._methods[endpoint.path] and endpoint.body_type == "application/json":
            roles["POST"] = "change"
        if endpoint.method not in roles or (endpoint.method == "PUT" and not self._payload(endpoint)):
            return Route("act")
        collection.id_params.append(parts[-1][1:-1])
        self._note_item(endpoint, collection)
        return Route(roles[endpoint.method], collection)

    def _below_item(self, endpoint: Endpoint, collection: Collection) -> Route:
        """The path of an item that lists what is below it: `/mail/domains/{domain}`."""
        listed = self._listed(endpoint)
        if endpoint.method == "GET" and listed is not None:
            collection.schemas.append(listed[1])
            return Route("list", collection)
        if not self._creates(endpoint):
            return Route("act")
        collection.creates = True
        self._note_item(endpoint, collection)
        return Route("create", collection)

    def _note_item(self, endpoint: Endpoint, collection: Collection) -> None:
        for key, schema in self._payload(endpoint).items():
            if self._contract.properties(schema):
                collection.item_keys.add(key)
                if endpoint.method != "DELETE":
                    collection.schemas.append(schema)

    def _creates(self, endpoint: Endpoint) -> bool:
        """A reply with one object, or with none at all to a body: certificates come without an id."""
        payload = self._payload(endpoint)
        if not payload:
            return endpoint.body is not None and self._contract.resolve(endpoint.body).get("type") == "object"
        return len(payload) == 1 and bool(self._contract.properties(next(iter(payload.values()))))

    def _at(self, path: str, parts: list[str]) -> Collection | None:
        """The collection at the first parts of a path, which end in a fixed one."""
        if not parts or parts[-1].startswith("{"):
            return None
        version = path.split("/")[2]
        key = self._key(version, parts)
        if key is None:
            return None
        variables = [position for position, part in enumerate(parts) if part.startswith("{")]
        if not variables:
            return self._collection(key, key, None)
        owner = self._at(path, parts[: variables[-1]])
        prefix = f"{owner.name}/{{}}" if owner else "/".join(_anonymous_parts(parts[:-1]))
        kept_apart = f"-{version}" if self._is_new(version, "/".join(_anonymous_parts(parts)), key) else ""
        return self._collection(f"{prefix}/{key}{kept_apart}", key, owner)

    def _is_new(self, version: str, anonymous: str, key: str) -> bool:
        """A list that only a later version has, beside one of the same name elsewhere: copies of clusters in object storage."""
        elsewhere = (path for path, listed in self._lists.items() if listed == key and path.startswith("v1/"))
        return (
            version != "v1"
            and f"v1/{anonymous}" not in self._lists
            and any(path.endswith(f"/{{}}/{key}") for path in elsewhere)
        )

    def _key(self, version: str, parts: list[str]) -> str | None:
        anonymous = "/".join(_anonymous_parts(parts))
        own = self._own_key(version, anonymous)
        if own is None and parts[-1] in (self._keys if "{}" in anonymous else self._top_keys):
            return parts[-1]
        return own

    def _own_key(self, version: str, anonymous: str) -> str | None:
        # An app is deployed at `deploy` and its deploys are listed at `deploys`.
        return self._list_at(version, anonymous) or self._lists.get(f"{anonymous}s")

    def _list_at(self, version: str, anonymous: str) -> str | None:
        return self._lists.get(f"{version}/{anonymous}", self._lists.get(anonymous))

    def _place(self, path: str, parts: list[str]) -> str:
        for position in range(len(parts) - 1, 0, -1):
            owner = self._at(path, parts[:position]) if parts[position].startswith("{") else None
            if owner is not None:
                return "/".join((owner.name, "{}", *_anonymous_parts(parts[position + 1 :])))
        return "/".join(_anonymous_parts(parts))

    def _collection(self, name: str, key: str, owner: Collection | None) -> Collection:
        if name not in self.named:
            self.named[name] = Collection(name, key, owner)
        return self.named[name]


def _parts(path: str) -> list[str]:
    return path.split("/")[3:]


def _anonymous_parts(parts: list[str]) -> list[str]:
    return ["{}" if part.startswith("{") else part for part in parts]


def _anonymous(path: str) -> str:
    """`v1/dbs/{}/backups` for `/api/v1/dbs/{db_id}/backups`."""
    return "/".join(_anonymous_parts(path.split("/")[2:]))


def _versionless(path: str) -> str:
    return path.split("/", 1)[1]


@cache
def collections() -> Collections:
    """Those of the contract that ships with the package."""
    return Collections(contract())
