"""Made-up values that a client can use: true to the schema, of the right format, and always the same."""

from __future__ import annotations

from functools import cache
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from timeweb_sdk._core.guards import is_array, is_object
from timeweb_sdk.testing._contract import Contract, Endpoint, Schema, contract
from timeweb_sdk.testing._validate import problems

_DATE = "2026-06-01T12:00:00.000Z"
_FORMATS = {
    "date-time": _DATE,
    "date": "2026-06-01",
    "time": "12:00:00",
    "email": "user@example.com",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "hostname": "example.com",
    "ipv4": "203.0.113.10",
    "ipv6": "2001:db8::10",
    "ip": "203.0.113.10",
    "cidr": "192.168.0.0/24",
    "binary": "",
    "byte": "",
}
_NAMES = {
    "fqdn": "example.com",
    "idn_name": "example.com",
    "domain": "example.com",
    "cdn_domain": "cdn.example.com",
    "hostname": "s3.example.com",
    "host": "db.example.com",
    "cn": "example.com",
    "source": "www.example.com",
    "mailbox": "info",
    "forward_to": "user@example.com",
    "outgoing_to": "user@example.com",
    "outgoing_email": "user@example.com",
    "full_name": "studio/site",
    "access_key": "EXAMPLEACCESSKEY0000",
    "birthdate": "1990-01-01",
    "country_code": "RU",
    "period": "P1Y",
    "from": "03:00",
    "to": "06:00",
    "index_page": "index.html",
    "index_dir": "/dist",
    "email": "user@example.com",
    "login": "user",
    "ip": "203.0.113.10",
    "ips": "203.0.113.10",
    "ipv4": "192.168.0.4",
    "ipv6": "2001:db8::10",
    "local_ip": "192.168.0.4",
    "node_ip": "192.168.0.5",
    "gateway": "192.168.0.1",
    "nexthop": "192.168.0.1",
    "nat_ip": "203.0.113.10",
    "busy_address": "192.168.0.4",
    "busy_addresses": "192.168.0.4",
    "reserved_ips": "192.168.0.2",
    "mac": "52:54:00:12:34:56",
    "port": "443",
    "cidr": "192.168.0.0/24",
    "location": "ru-1",
    "location_code": "RU",
    "zone": "spb-1",
    "availability_zone": "spb-1",
    "availability_zones": "spb-1",
    "cpu_frequency": "3.3",
    "currency": "RUB",
    "language": "python",
    "framework": "django",
    "url": "https://example.com/",
    "k8s_version": "v1.31.4+k0s.0",
    "version": "1.0.0",
    "versions": "1.0.0",
    "sha": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "commit_sha": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "yaml_config": "{}\n",
    "time": "12:00",
    "disk_type": "nvme",
    "branch": "main",
    "branch_name": "main",
    "comment": "",
    "description": "",
    "message": "",
}
_NUMBERS = {"port": 5432, "used": 0}
_SUFFIXES = {
    "_at": _DATE,
    "_date": _DATE,
    "_ip": "203.0.113.10",
    "_v4": "192.168.0.0/24",
    "_cidr": "192.168.0.0/24",
    "_network": "10.244.0.0/16",
    "subnet": "192.168.0.0/24",
    "subnets": "192.168.0.0/24",
    "_url": "https://example.com/",
    "_link": "https://example.com/",
    "_fqdn": "www.example.com",
    "_zone": "spb-1",
}
_ABSENT = frozenset({"deleted_at", "moved_in_quarantine_at", "avatar_id", "avatar_link"})
"""What most things do not have, where the schema lets it be null."""
_SETTLED = (
    "success", "done", "on", "active", "started", "finished", "created", "indexed", "ssl_released", "paid",
)  # fmt: skip
_UNDER_WAY = (
    "installing", "creating", "create", "starting", "processing", "process", "deploy", "new", "indexing", "started",
)  # fmt: skip
_TELLING = frozenset({"date-time", "date", "uri", "url", "email"})
"""Formats that say more than a name does; an address is better known by its name."""
_MAX_DEPTH = 8


def statuses(allowed: list[Any]) -> tuple[str | None, str | None]:
    """Of the statuses that a thing can have: that of a new one, if it has one of its own, and that in which it can be used."""
    settled = next((status for status in _SETTLED if status in allowed), None)
    under_way = next((status for status in _UNDER_WAY if status in allowed and status != settled), None)
    return under_way, settled


class Generator:
    """Builds bodies and items from schemas, the path and the body of the request."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract

    def body(self, endpoint: Endpoint, path: dict[str, str], sent: Any) -> dict[str, Any]:
        """The envelope, without `response_id`: path ids stand where the schema has them, sent values are echoed."""
        assert endpoint.response is not None
        envelope: dict[str, Any] = {}
        extra = self._contract.resolve(endpoint.response).get("additionalProperties")
        if is_object(extra):
            envelope["example"] = self._sample(extra, "example", {}, endpoint.id, 0)
        known = {name: value for name, value in path.items() if name != "id"}
        for key, schema in self._contract.properties(endpoint.response).items():
            if key == "response_id":
                continue
            value = self._sample(schema, key, known, endpoint.id, 0)
            if is_object(value):
                self.echo(value, [schema], sent)
            envelope[key] = value
        meta = envelope.get("meta")
        lists = [value for value in envelope.values() if is_array(value)]
        if is_object(meta) and lists:
            meta["total"] = sum(len(items) for items in lists)
        return envelope

    def item(self, schemas: list[Schema], known: dict[str, str], seed: str) -> dict[str, Any]:
        """One object that has what any of these schemas of it has; the first that has a property decides."""
        found: dict[str, Any] = {}
        for schema in schemas:
            sampled: Any = self._sample(schema, "item", known, seed, 0)
            found = {**sampled, **found} if is_object(sampled) else found
        return found

    def echo(self, item: dict[str, Any], schemas: list[Schema], sent: Any) -> None:
        """Take over what was sent, where the item has a property that such a value fits."""
        if not is_object(sent):
            return
        for key, value in sent.items():
            options = [found[key] for found in map(self._contract.properties, schemas) if key in found]
            if key == "id" or not options:
                continue
            if all(not problems(self._contract, option, value, key) for option in options):
                item[key] = value
            elif is_object(value) and is_object(item.get(key)):
                self.echo(item[key], options, value)

    def sample(self, schema: Schema, name: str = "value", seed: str = "") -> Any:
        """One value of the schema; the same arguments give the same value."""
        return self._sample(schema, name, {}, seed, 0)

    def _sample(self, schema: Schema, name: str, known: dict[str, str], seed: str, depth: int) -> Any:
        schema = self._contract.resolve(schema)
        if name in _ABSENT and schema.get("nullable"):
            return None
        for choice in ("oneOf", "anyOf"):
            if choice in schema and "properties" not in schema:
                return self._sample(schema[choice][0], name, known, seed, depth)
        if "enum" in schema:
            return _chosen(schema["enum"], name)
        kind = schema.get("type") or ("object" if "properties" in schema else "array" if "items" in schema else None)
        if kind == "object":
            return self._object(schema, known, seed, depth)
        if kind == "array":
            count = max(schema.get("minItems", 1), 1) if depth < _MAX_DEPTH else 0
            return [self._sample(schema.get("items", {}), name, known, f"{seed}/{n}", depth + 1) for n in range(count)]
        if kind in ("integer", "number"):
            return self._number(schema, name, known)
        if kind == "boolean":
            return False
        return self._text(schema, name, known, seed)

    def _object(self, schema: Schema, known: dict[str, str], seed: str, depth: int) -> dict[str, Any]:
        properties: dict[str, Schema] = schema.get("properties", {})
        if depth >= _MAX_DEPTH:
            required = set(schema.get("required", []))
            properties = {key: value for key, value in properties.items() if key in required}
        found = {key: self._sample(value, key, known, f"{seed}.{key}", depth + 1) for key, value in properties.items()}
        extra = schema.get("additionalProperties")
        if not properties and is_object(extra):
            found["example"] = self._sample(extra, "example", known, f"{seed}.example", depth + 1)
        return found

    @staticmethod
    def _number(schema: Schema, name: str, known: dict[str, str]) -> int | float:
        if known.get(name, "").isdigit():
            return int(known[name])
        low, high = schema.get("minimum", _NUMBERS.get(name, 1)), schema.get("maximum")
        value: int | float = low if name in _NUMBERS else max(1, low)
        return value if high is None else min(value, high)

    @staticmethod
    def _text(schema: Schema, name: str, known: dict[str, str], seed: str) -> str:
        if name in known:
            return known[name]
        if schema.get("format") == "uuid" or name == "id":
            return str(uuid5(NAMESPACE_URL, f"timeweb-emulator/{seed}"))
        if "parameters." in seed.lower():
            return "1"
        kind = schema.get("format", "")
        text = _FORMATS[kind] if kind in _TELLING else _NAMES.get(name, _FORMATS.get(kind))
        if text is None:
            text = next((value for suffix, value in _SUFFIXES.items() if name.endswith(suffix)), None)
        if text is None:
            text = _DATE if name in ("expiration", "paid_till") else "active" if name == "status" else f"example-{name}"
        if "maxLength" in schema:
            text = text[: schema["maxLength"]]
        return text.ljust(schema.get("minLength", 0), "x")


def _chosen(allowed: list[Any], name: str) -> Any:
    """A settled status, or else the first that says something."""
    settled = statuses(allowed)[1] if name.endswith("status") else None
    return settled or next((value for value in allowed if value is not None), None)


@cache
def generator() -> Generator:
    """That of the contract that ships with the package."""
    return Generator(contract())
