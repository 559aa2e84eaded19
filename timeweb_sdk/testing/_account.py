"""The emulated account: its state document, its clock, and what follows from both."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from datetime import datetime, timedelta
from itertools import chain
from random import Random
from typing import Any, TypeAlias
from uuid import UUID
from zlib import crc32

from timeweb_sdk._core.guards import is_array, is_object
from timeweb_sdk.testing import _catalogue
from timeweb_sdk.testing._clock import Clock, iso
from timeweb_sdk.testing._http import not_found

Item: TypeAlias = dict[str, Any]
State: TypeAlias = dict[str, Any]

_CATALOGUES: dict[str, Callable[[], list[Item]]] = {
    "server_presets": _catalogue.server_presets,
    "server_configurators": _catalogue.server_configurators,
    "servers_os": _catalogue.servers_os,
    "servers_software": _catalogue.servers_software,
    "locations": _catalogue.locations,
}
_COLLECTIONS = ("servers", "ips", "projects", "ssh_keys", "domains")
_FINANCES: Item = {
    "balance": 10_000.0,
    "currency": "RUB",
    "discount_end_date_at": None,
    "discount_percent": 0,
    "total_paid": 0,
    "autopay_card_info": None,
}
"""What an account says of its money that does not follow from what it runs."""
_LISTS = (*_CATALOGUES, *_COLLECTIONS, "services_costs")
_FIRST_ID = 1001


class Account:
    """State is one JSON document keyed as the API's envelopes are; what it lacks has a default, what it has is kept verbatim.

    Keys of ours, beside the API's: `project_resources` (which project a resource is in), `dns_records` (fqdn -> records),
    `backups` (disk id -> backups), and `_emulator` (what is under way, counters, settings).
    """

    def __init__(self, state: State | None, clock: Clock, seed: int, *, name: str = "") -> None:
        self.clock = clock
        self._id = f"ab{crc32(name.encode()) % 90_000 + 10_000}"
        self._seed = seed
        self._positions: dict[str, dict[str, int]] = {}
        self.version: int = 0
        self.confirmation_code = "123456"
        self.state: State = {}
        self.load({} if state is None else deepcopy(state))

    def load(self, state: State) -> None:
        """Take over a whole or partial state; raises ValueError when it is not of the expected shape."""
        check_state(state)
        self.state = state
        for name, default in _CATALOGUES.items():
            state.setdefault(name, default())
        state.setdefault("projects", [self.default_project()])
        for name in _COLLECTIONS:
            state.setdefault(name, [])
        state["finances"] = {**_FINANCES, **state.get("finances", {})}
        state.setdefault("project_resources", [])
        state.setdefault("dns_records", {})
        state.setdefault("backups", {})
        state.setdefault("children", {})
        inner = state.setdefault("_emulator", {})
        inner.setdefault("pending", [])
        inner.setdefault("next_id", {})
        self.touch()

    def touch(self) -> None:
        """Note that the state changed, and is to be written."""
        self.version += 1

    # Collections

    def items(self, collection: str) -> list[Item]:
        found: list[Item] = self.state.setdefault(collection, [])
        return found

    def find(self, collection: str, key: int | str, what: str, *, by: str = "id") -> Item:
        """The item with this id; raises the canonical 404 when there is none."""
        items, wanted = self.items(collection), _name(key)
        position = self._positions.get(collection, {}).get(wanted, len(items))
        if position >= len(items) or _name(items[position].get(by)) != wanted:
            # New here, or the list was changed from outside: look at all of it once.
            positions = {_name(item.get(by)): place for place, item in enumerate(items)}
            self._positions[collection] = positions
            if wanted not in positions:
                raise not_found(what)
            position = positions[wanted]
        return items[position]

    def new_id(self, collection: str) -> int:
        """The next integer id of a collection; ids are never used twice."""
        counters: dict[str, int] = self.state["_emulator"]["next_id"]
        if collection not in counters:
            kept: Any = self.state.get(collection, self._below(collection))
            items: list[Item] = list(chain.from_iterable(kept.values())) if is_object(kept) else kept
            taken = [item["id"] for item in items if isinstance(item.get("id"), int)]
            counters[collection] = max([_FIRST_ID - 1, *taken]) + 1
        number = counters[collection]
        counters[collection] = number + 1
        return number

    def _below(self, collection: str) -> dict[str, Any]:
        """The places of a collection that items own, `dbs/{}/backups`."""
        wanted = collection.split("/")

        def is_below(place: str) -> bool:
            parts = place.split("/")
            return len(parts) == len(wanted) and all(ours in ("{}", part) for ours, part in zip(wanted, parts, strict=True))

        return {place: kept for place, kept in self.state["children"].items() if is_below(place) and is_array(kept)}

    def new_uuid(self) -> str:
        return str(UUID(int=self._dice().getrandbits(128), version=4))

    def new_secret(self, length: int = 12) -> str:
        return "".join(self._dice().choices("abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789", k=length))

    def _dice(self) -> Random:
        """Fresh dice for each throw; the throws are counted in the state, so that a restart does not repeat them."""
        inner = self.state["_emulator"]
        inner["throws"] = inner.get("throws", 0) + 1
        return Random(f"{self._seed}/{inner['throws']}")

    def inner(self, name: str) -> dict[str, Any]:
        """A drawer of the emulator's own, kept in the state under `_emulator`."""
        found: dict[str, Any] = self.state["_emulator"].setdefault(name, {})
        return found

    # Time

    def now(self) -> str:
        return iso(self.clock.now())

    def schedule(self, seconds: float, event: str, **arguments: Any) -> None:
        """Let something happen later; it stands in the state, so it survives a restart."""
        due = iso(self.clock.now() + timedelta(seconds=seconds))
        self.state["_emulator"]["pending"].append({"due": due, "event": event, **arguments})

    def take_due(self) -> list[Item]:
        """Remove and return what is due by now, oldest first."""
        pending: list[Item] = self.state["_emulator"]["pending"]
        if not pending:
            return []
        now = self.clock.now()
        due = [entry for entry in pending if datetime.fromisoformat(entry["due"]) <= now]
        if due:
            pending[:] = [entry for entry in pending if entry not in due]
        return sorted(due, key=lambda entry: str(entry["due"]))

    # Projects

    def default_project(self) -> Item:
        """The project of an account whose state names none; another token means another account."""
        return {
            "id": 1,
            "account_id": self._id,
            "avatar_id": None,
            "description": "",
            "name": "Default project",
            "is_default": True,
        }

    def home_project(self) -> Item:
        """The default project, where resources without an explicit one live."""
        projects = self.items("projects")
        default = next((project for project in projects if project.get("is_default")), None)
        return default or (projects[0] if projects else self.default_project())

    def project_of(self, kind: str, resource_id: Any) -> int:
        for entry in self.items("project_resources"):
            if entry["resource_type"] == kind and entry["resource_id"] == resource_id:
                return int(entry["project_id"])
        return int(self.home_project()["id"])

    def put_in_project(self, kind: str, resource_id: Any, project_id: int) -> Item:
        """Move a resource; returns the entry that records it."""
        entries = self.items("project_resources")
        entries[:] = [e for e in entries if (e["resource_type"], e["resource_id"]) != (kind, resource_id)]
        entry: Item = {
            "id": self.new_id("project_resources"),
            "created_at": self.now(),
            "project_id": project_id,
            "resource_type": kind,
            "resource_id": resource_id,
        }
        entries.append(entry)
        return entry


def _name(value: Any) -> str:
    """An id as paths spell it: 7, 7.0 and "7" are the same server."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def listed(item: Item, key: str) -> list[Item]:
    """The objects in a list of an item; none where odd test data has null or something else."""
    value = item.get(key)
    return [entry for entry in value if is_object(entry)] if is_array(value) else []


def check_state(state: Any) -> None:
    """Raise ValueError, naming the key, when a document cannot be the state of an account."""
    if not is_object(state):
        found = type(state).__name__
        raise ValueError(f"the state must be a JSON object keyed like the API's envelopes (servers, finances, …), not {found}")
    for name in _LISTS:
        value = state.get(name, [])
        if not is_array(value) or not all(is_object(item) for item in value):
            raise ValueError(f"state[{name!r}] must be a list of objects")
    if not isinstance(state.get("finances", {}), dict):
        raise ValueError("state['finances'] must be an object")


def dump(state: State) -> str:
    """JSON with one item of a list on each line: quick to write, and a change is a line in a diff."""
    encode = json.JSONEncoder(ensure_ascii=False).encode
    lines: list[str] = []
    for key, value in state.items():
        if is_array(value) and value:
            lines.append(f" {encode(key)}: [\n  " + ",\n  ".join(map(encode, value)) + "\n ]")
        else:
            lines.append(f" {encode(key)}: {encode(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"
