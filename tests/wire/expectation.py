"""What must go over the wire and come back, read from the contract by code that knows nothing of the SDK or its generator.

It takes ``openapi/bundle.json`` with the corrections of ``overlay.yaml`` and ``numbers.lock`` and imports nothing from
``timeweb_sdk``. For each operation there are cases: every argument given, only those that are required, every field null that
may be, and one case for each variant of a body. Each carries the arguments in wire names, the request they must become, and
a reply to decode.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from codegen.numbers import Numbers
from codegen.overlay import apply, load

Json = dict[str, Any]

OPENAPI = Path(__file__).parents[2] / "openapi"
METHODS = ("get", "post", "put", "patch", "delete")
PAGE_SIZE = 100


@dataclass(frozen=True)
class Case:
    """One call: what goes in (wire names), what must be sent, what is answered."""

    operation_id: str
    name: str
    method: str
    path: str
    path_values: list[Any]
    """In the order of the placeholders."""
    query: Json
    fields: Json
    """Fields of a JSON or multipart body."""
    whole_body: Any
    """The body where it is not an object with fields; None if there is none."""
    body_kind: str
    """none, json, multipart or binary"""
    schemas: Json
    """Schema of each query parameter and body field, by wire name."""
    paged: bool
    status: int
    reply: bytes
    reply_type: str
    payload: Any
    payload_schema: Json | None
    """None where a success has no body."""
    expected_query: list[tuple[str, str]] = field(default_factory=list)


@cache
def contract() -> Json:
    """Return the corrected contract."""
    bundle: Json = json.loads((OPENAPI / "bundle.json").read_text(encoding="utf-8"))
    document = apply(bundle, load(OPENAPI / "overlay.yaml"), source_name="overlay.yaml").document
    Numbers.read(OPENAPI / "numbers.lock").decide(document)
    return document


def resolve(schema: Json) -> Json:
    """Follow references and merge ``allOf``."""
    while "$ref" in schema:
        node: Any = contract()
        for part in schema["$ref"].removeprefix("#/").split("/"):
            node = node[part.replace("~1", "/").replace("~0", "~")]
        schema = {**node, **{key: value for key, value in schema.items() if key != "$ref"}}
    if "allOf" not in schema:
        return schema
    merged: Json = {}
    for part in [*map(resolve, schema["allOf"]), {key: value for key, value in schema.items() if key != "allOf"}]:
        properties = {**merged.get("properties", {}), **part.get("properties", {})}
        required = [*merged.get("required", []), *part.get("required", [])]
        merged = {**merged, **part}
        if properties:
            merged |= {"properties": properties, "required": required}
    return merged


# -- sample values --------------------------------------------------------------------------------------------------------


class Samples:
    """Values that fit a schema, all different, so that no argument can take the place of another unnoticed."""

    def __init__(self) -> None:
        self._numbers = itertools.count(2)

    def value(self, schema: Json, name: str = "", *, mode: str = "full", depth: int = 0) -> Any:
        """Return a sample; ``mode`` is full, required (of objects only what is required) or null (null where allowed)."""
        schema = resolve(schema)
        if mode == "null" and schema.get("nullable"):
            return None
        for key in ("oneOf", "anyOf"):
            if key in schema:
                return self.value(schema[key][0], name, mode=mode, depth=depth)
        if "properties" in schema:
            return self._object(schema, mode, depth)
        kind = schema.get("type")
        if kind == "array":
            return [self.value(schema.get("items", {}), name, mode=mode, depth=depth + 1) for _ in range(2)]
        if kind == "object":
            values = schema.get("additionalProperties")
            inner = self.value(values, name, mode=mode, depth=depth + 1) if isinstance(values, dict) and values else "free"
            return {"some field": inner}
        return self._scalar(schema, name, next(self._numbers))

    def _object(self, schema: Json, mode: str, depth: int) -> Json:
        wanted = schema["properties"] if mode != "required" else set(schema.get("required", []))
        fields = {name: child for name, child in schema["properties"].items() if name in wanted}
        return {name: self.value(child, name, mode=mode, depth=depth + 1) for name, child in fields.items()}

    def _scalar(self, schema: Json, name: str, number: int) -> Any:
        kind = schema.get("type")
        if kind is None and "enum" not in schema:
            return f"anything {number}"
        if "enum" in schema:
            values = [value for value in schema["enum"] if value is not None]
            return values[number % len(values)]
        if kind == "boolean":
            return number % 2 == 0
        if kind == "integer":
            return number
        if kind == "number":
            return number + 0.25
        if schema.get("format") == "date-time":
            return f"2026-02-03T04:05:{number % 60:02}Z"
        return f"{name or 'text'} №{number} /?&=+%"


# -- cases ----------------------------------------------------------------------------------------------------------------


def operations() -> Iterator[tuple[str, str, Json]]:
    """Yield path, method and operation of everything in the contract."""
    for path, item in contract()["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def cases(path: str, method: str, operation: Json) -> Iterator[Case]:
    """Yield the cases of one operation."""
    parameters = [resolve(parameter) for parameter in operation.get("parameters", [])]
    kind, variants = _body(operation)
    for label, variant in variants:
        for mode in ("full", "required", "null"):
            samples = Samples()
            by_name = {parameter["name"]: parameter for parameter in parameters if parameter["in"] == "path"}
            values = [samples.value(by_name[name]["schema"], name) for name in re.findall(r"{(.+?)}", path)]
            query = {
                parameter["name"]: samples.value(parameter["schema"], parameter["name"])
                for parameter in parameters
                if parameter["in"] == "query" and (mode != "required" or parameter.get("required"))
            }
            schemas = {parameter["name"]: parameter["schema"] for parameter in parameters if parameter["in"] == "query"}
            fields: Json = {}
            whole: Any = None
            if kind == "binary":
                whole = b"\x00\xff some bytes"
            elif variant is not None and "properties" in variant:
                fields = _objects(samples.value(variant, mode=mode))
                schemas |= variant["properties"]
            elif variant is not None:
                whole = samples.value(variant, mode=mode)
                schemas["body"] = variant
            status, media, schema = _reply(operation)
            reply_kind, reply, payload, payload_schema = _answer(samples, media, schema, mode)
            paged = payload_schema is not None and resolve(payload_schema).get("type") == "array"
            yield Case(
                operation_id=operation["operationId"],
                name=f"{label}{mode}",
                method=method.upper(),
                path=path,
                path_values=values,
                query=query,
                fields=fields,
                whole_body=whole,
                body_kind=kind,
                schemas=schemas,
                paged=paged,
                status=status,
                reply=reply,
                reply_type=reply_kind,
                payload=payload,
                payload_schema=payload_schema,
                expected_query=_query(query, parameters, paged=paged),
            )


def _objects(value: Any) -> Json:
    assert isinstance(value, dict)
    return value


def _body(operation: Json) -> tuple[str, list[tuple[str, Json | None]]]:
    """Return the kind of the body and the schemas that it may have, each with a label."""
    if "requestBody" not in operation:
        return "none", [("", None)]
    ((media, value),) = operation["requestBody"]["content"].items()
    schema = resolve(value["schema"])
    if media == "application/octet-stream":
        return "binary", [("", schema)]
    kind = {"application/json": "json", "multipart/form-data": "multipart"}[media]
    for key in ("oneOf", "anyOf"):
        if key in schema:
            return kind, [(f"variant {number}, ", resolve(branch)) for number, branch in enumerate(schema[key])]
    return kind, [("", schema)]


def _query(given: Json, parameters: list[Json], *, paged: bool) -> list[tuple[str, str]]:
    names = {parameter["name"] for parameter in parameters if parameter["in"] == "query"}
    values = dict(given)
    if paged and {"limit", "offset"} <= names:
        values.setdefault("limit", PAGE_SIZE)  # a list asks for whole pages, whatever the default of the endpoint
    several = {name: value if isinstance(value, list) else [value] for name, value in values.items()}
    pairs = [(name, one) for name, listed in several.items() for one in listed]
    return sorted((name, str(value).lower() if isinstance(value, bool) else str(value)) for name, value in pairs)


def _reply(operation: Json) -> tuple[int, str, Json | None]:
    """Return status, media type and schema of the first success; one without content if that is what deletion answers."""
    successes = {status: resolve(reply) for status, reply in operation["responses"].items() if status.startswith("2")}
    if any("hash" in json.dumps(parameter) for parameter in operation.get("parameters", [])):
        return 204, "", None  # with a hash or a permission to go without, deletion answers nothing
    status, reply = next(iter(successes.items()))
    for media, value in reply.get("content", {}).items():
        return int(status), media, value.get("schema", {})
    return int(status), "", None


def _answer(samples: Samples, media: str, schema: Json | None, mode: str) -> tuple[str, bytes, Any, Json | None]:
    """Return content type and bytes of the reply, and the payload in it with its schema."""
    if schema is None:
        return "", b"", None, None
    if media == "application/octet-stream":
        return media, b"\x89 bytes", b"\x89 bytes", {"type": "string", "format": "binary"}
    if media != "application/json":
        return media, "key: значение\n".encode(), "key: значение\n", {"type": "string"}
    envelope = resolve(schema)
    body = samples.value(envelope, mode=mode)
    keys = [key for key in envelope.get("properties", {}) if key not in {"response_id", "meta"}]
    if len(keys) == 1 and {"response_id", "meta"} & envelope["properties"].keys():
        body.setdefault(keys[0], samples.value(envelope["properties"][keys[0]], mode=mode))
        payload, payload_schema = body[keys[0]], envelope["properties"][keys[0]]
        if isinstance(payload, list) and "meta" in envelope["properties"]:
            body["meta"] = {"total": len(payload)}
    else:
        payload = {key: value for key, value in body.items() if key not in {"response_id", "meta"}}
        properties = {key: value for key, value in envelope.get("properties", {}).items() if key in keys}
        payload_schema = {**envelope, "properties": properties} if properties else {"type": "object"}
        if not properties and isinstance(envelope.get("additionalProperties"), dict):
            payload_schema["additionalProperties"] = envelope["additionalProperties"]
            body = payload = {"some field": samples.value(envelope["additionalProperties"])}
    return media, json.dumps(body, ensure_ascii=False).encode(), payload, payload_schema
