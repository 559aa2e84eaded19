"""The corrected contract as the emulator needs it: a router over its paths, and the schemas behind each operation."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pkgutil import get_data
from typing import Any, TypeAlias
from urllib.parse import unquote

from timeweb_sdk._core.guards import is_object

Schema: TypeAlias = dict[str, Any]
METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(slots=True)
class Endpoint:
    """One operation of the contract."""

    id: str
    method: str
    path: str
    tag: str
    success: int
    content_type: str | None
    response: Schema | None
    body: Schema | None
    body_type: str | None
    path_params: dict[str, Schema]
    query_params: dict[str, Schema]
    confirmation: str | None = None
    """The envelope key under which a deletion answers the hash to confirm it with."""

    @property
    def paginated(self) -> bool:
        return "limit" in self.query_params and "offset" in self.query_params


@dataclass(slots=True)
class _Node:
    """One path segment of the routing tree."""

    fixed: dict[str, _Node] = field(default_factory=dict[str, "_Node"])
    variable: _Node | None = None
    endpoints: dict[str, Endpoint] = field(default_factory=dict[str, Endpoint])


class Contract:
    """The operations of an OpenAPI 3.0 document, found by method and path or by operation id."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.endpoints: dict[str, Endpoint] = {}
        self._root = _Node()
        self._resolved: dict[str, Schema] = {}
        for path, item in document["paths"].items():
            for method in METHODS:
                if method in item:
                    self._add(method.upper(), path, item[method], item.get("parameters", []))

    def match(self, path: str) -> tuple[dict[str, Endpoint], list[str]] | None:
        """The endpoints of a concrete path by method, with the values of its placeholders in order."""
        node = self._root
        values: list[str] = []
        for segment in path.strip("/").split("/"):
            following = node.fixed.get(segment)
            if following is None and node.variable is not None and segment:
                following = node.variable
                values.append(unquote(segment))
            if following is None:
                return None
            node = following
        return (node.endpoints, values) if node.endpoints else None

    def resolve(self, schema: Schema) -> Schema:
        """Follow `$ref` and flatten `allOf`, one level deep."""
        if "$ref" in schema:
            reference: str = schema["$ref"]
            if reference not in self._resolved:
                self._resolved[reference] = self.resolve(self._pointer(reference))
            return self._resolved[reference]
        if "allOf" not in schema:
            return schema
        merged: Schema = {key: value for key, value in schema.items() if key != "allOf"}
        for part in schema["allOf"]:
            resolved = self.resolve(part)
            for key, value in resolved.items():
                if key == "properties":
                    merged[key] = {**merged.get(key, {}), **value}
                elif key == "required":
                    merged[key] = [*merged.get(key, []), *value]
                else:
                    merged.setdefault(key, value)
        return merged

    def properties(self, schema: Schema) -> dict[str, Schema]:
        """The properties of a schema that is an object, else nothing."""
        found: dict[str, Schema] = self.resolve(schema).get("properties", {})
        return found

    def _pointer(self, reference: str) -> Schema:
        node: Any = self.document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part.replace("~1", "/").replace("~0", "~")]
        assert is_object(node)
        return node

    def _add(self, method: str, path: str, operation: dict[str, Any], shared: list[Schema]) -> None:
        parameters = [self.resolve(parameter) for parameter in (*shared, *operation.get("parameters", []))]
        success = min(int(status) for status in operation["responses"] if status.startswith("2"))
        if "204" in operation["responses"] and method == "DELETE":
            success = 204
        content_type, response = self._content(self.resolve(operation["responses"][str(success)]))
        body_type, body = self._content(self.resolve(operation.get("requestBody", {})))
        placeholders = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        declared = {p["name"].replace("-", "_"): p.get("schema", {}) for p in parameters if p["in"] == "path"}
        endpoint = Endpoint(
            id=operation["operationId"],
            method=method,
            path=path,
            tag=operation.get("tags", [""])[0],
            success=success,
            content_type=content_type,
            response=response,
            body=body,
            body_type=body_type,
            path_params={name: declared.get(name.replace("-", "_"), {"type": "string"}) for name in placeholders},
            query_params={p["name"]: p.get("schema", {}) for p in parameters if p["in"] == "query"},
        )
        if method == "DELETE" and "200" in operation["responses"]:
            endpoint.confirmation = self._confirmation(self.resolve(operation["responses"]["200"]))
        self.endpoints[endpoint.id] = endpoint
        node = self._root
        for segment in path.strip("/").split("/"):
            if segment.startswith("{"):
                node.variable = node.variable or _Node()
                node = node.variable
            else:
                node = node.fixed.setdefault(segment, _Node())
        node.endpoints[method] = endpoint

    def _confirmation(self, response: Schema) -> str | None:
        _, schema = self._content(response)
        found = self.properties(schema).items() if schema else ()
        return next((key for key, value in found if "hash" in self.properties(value)), None)

    @staticmethod
    def _content(holder: dict[str, Any]) -> tuple[str | None, Schema | None]:
        for content_type, media in holder.get("content", {}).items():
            return content_type, media.get("schema", {})
        return None, None


@cache
def contract() -> Contract:
    """The contract that ships with the package, read once per process on first use."""
    document = get_data("timeweb_sdk", "_generated/contract.json")
    assert document is not None
    return Contract(json.loads(document))
