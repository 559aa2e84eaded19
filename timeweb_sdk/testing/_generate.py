"""Schema-true, deterministic bodies for the operations that keep no state."""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_URL, uuid5

from timeweb_sdk._core.guards import is_array, is_object
from timeweb_sdk.testing._contract import Contract, Endpoint, Schema
from timeweb_sdk.testing._validate import problems

_FORMATS = {
    "date-time": "2026-06-01T12:00:00Z",
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
    "domain": "example.com",
    "email": "user@example.com",
    "ip": "203.0.113.10",
    "hostname": "example.com",
    "comment": "",
    "description": "",
}
_MAX_DEPTH = 8


class Generator:
    """Builds the success body of an endpoint from its schema, the path and the request body."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract

    def body(self, endpoint: Endpoint, path: dict[str, str], sent: Any) -> dict[str, Any]:
        """The envelope, without `response_id`: path ids stand where the schema has them, sent values are echoed."""
        assert endpoint.response is not None
        envelope: dict[str, Any] = {}
        extra = self._contract.resolve(endpoint.response).get("additionalProperties")
        if is_object(extra):
            envelope["example"] = self._sample(extra, "example", {}, endpoint.id, 0)
        identity = list(path.values())[-1] if path else None
        known = {name: value for name, value in path.items() if name != "id"}
        for key, schema in self._contract.properties(endpoint.response).items():
            if key == "response_id":
                continue
            value = self._sample(schema, key, known, endpoint.id, 0)
            if is_object(value):
                self._personalise(value, self._contract.properties(schema), identity, sent)
            envelope[key] = value
        meta = envelope.get("meta")
        lists = [value for value in envelope.values() if is_array(value)]
        if is_object(meta) and lists:
            meta["total"] = sum(len(items) for items in lists)
        return envelope

    def sample(self, schema: Schema, name: str = "value", seed: str = "") -> Any:
        """One value of the schema; the same arguments give the same value."""
        return self._sample(schema, name, {}, seed, 0)

    def _personalise(self, item: dict[str, Any], properties: dict[str, Schema], identity: str | None, sent: Any) -> None:
        if identity is not None and "id" in properties:
            item["id"] = self._cast(identity, properties["id"], item["id"])
        if is_object(sent):
            for key, value in sent.items():
                if key in properties and key != "id" and not problems(self._contract, properties[key], value, key):
                    item[key] = value

    def _cast(self, text: str, schema: Schema, otherwise: Any) -> Any:
        kind = self._contract.resolve(schema).get("type")
        value: Any = int(text) if kind in ("integer", "number") and text.isascii() and text.isdigit() else text
        return otherwise if problems(self._contract, schema, value, "id") else value

    def _sample(self, schema: Schema, name: str, known: dict[str, str], seed: str, depth: int) -> Any:
        schema = self._contract.resolve(schema)
        for choice in ("oneOf", "anyOf"):
            if choice in schema and "properties" not in schema:
                return self._sample(schema[choice][0], name, known, seed, depth)
        if "enum" in schema:
            return next((value for value in schema["enum"] if value is not None), None)
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
        low, high = schema.get("minimum", 1), schema.get("maximum")
        value: int | float = max(1, low)
        return value if high is None else min(value, high)

    @staticmethod
    def _text(schema: Schema, name: str, known: dict[str, str], seed: str) -> str:
        if name in known:
            return known[name]
        kind = schema.get("format")
        if kind == "uuid":
            return str(uuid5(NAMESPACE_URL, f"timeweb-emulator/{seed}"))
        if kind in _FORMATS:
            text = _FORMATS[kind]
        elif name in _NAMES:
            text = _NAMES[name]
        elif name == "id":
            text = str(uuid5(NAMESPACE_URL, f"timeweb-emulator/{seed}"))
        elif name.endswith("_at") or name in ("expiration", "paid_till"):
            text = _FORMATS["date-time"]
        else:
            text = f"example-{name}"
        if "maxLength" in schema:
            text = text[: schema["maxLength"]]
        return text.ljust(schema.get("minLength", 0), "x")
