"""Constructs that are valid OpenAPI but would compile to wrong code: refused by their pointer, all at once.

Unknown keys are refused by :mod:`codegen.distil`; here it is the combinations of known ones. It looks at the corrected
contract, so that an action in ``openapi/overlay.yaml`` can spell a construct in a way that is understood.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from codegen.errors import Problems
from codegen.tree import Json, Where, is_object, operations_of, resolved

_BODIES = ("application/json", "multipart/form-data", "application/octet-stream")
_SHAPES = ("properties", "oneOf", "anyOf", "items", "additionalProperties")
"""Of these a schema has one; ``allOf`` goes with ``properties`` alone."""
_STYLES = {"query": "form", "path": "simple", "header": "simple", "cookie": "form"}
_OURS = frozenset({"authorization", "accept", "content-type", "user-agent"})
"""Headers that the client sends by itself."""


def is_json(media: str) -> bool:
    """Tell whether a reply of this media type is decoded as JSON."""
    return media == "application/json" or media.endswith("+json")


def refuse(contract: Json, problems: Problems) -> None:
    """Note what cannot be expressed."""
    for where, message in _Walk(contract).found():
        problems.add_at(where, message)


class _Walk:
    def __init__(self, contract: Json) -> None:
        self._contract = contract

    def found(self) -> Iterator[tuple[Where, str]]:
        for name, schema in self._contract["components"].get("schemas", {}).items():
            yield from self._schema(schema, ("components", "schemas", name))
        for where, node in operations_of(self._contract):
            yield from self._operation(node, where)

    def _resolved(self, node: Json, where: Where) -> tuple[Json, Where]:
        return resolved(self._contract, node, where)

    def _operation(self, node: Json, where: Where) -> Iterator[tuple[Where, str]]:
        if where[-1] in {"head", "options"}:
            yield where, "no method of the client can be called for this"
        for owner, place in ((self._contract["paths"][where[1]], where[:-1]), (node, where)):
            for i, raw in enumerate(owner.get("parameters", [])):
                yield from self._parameter(*self._resolved(raw, (*place, "parameters", i)))
        if "requestBody" in node:
            yield from self._body(*self._resolved(node["requestBody"], (*where, "requestBody")))
        yield from self._replies(node, where)

    # -- parameters -------------------------------------------------------------------------------------------------------

    def _parameter(self, parameter: Json, where: Where) -> Iterator[tuple[Where, str]]:
        kind, name = parameter["in"], parameter["name"]
        schema, schema_where = self._resolved(parameter.get("schema", {}), (*where, "schema"))
        shape = schema.get("type")
        if kind not in _STYLES:
            yield (*where, "in"), f"a parameter cannot stand in {kind!r}"
            return
        if kind in {"header", "cookie"} and parameter.get("required") and name.lower() not in _OURS:
            yield where, f"the {kind} {name!r} is required, and no method takes {kind}s"
        if "content" in parameter:
            yield (*where, "content"), "a parameter needs a schema; a media type of its own cannot be sent"
        if parameter.get("style", _STYLES[kind]) != _STYLES[kind]:
            yield (*where, "style"), f"the style {parameter['style']!r} is not how the client writes a {kind} parameter"
        if parameter.get("explode", True) is False and kind == "query" and shape in {"array", "object"}:
            yield (*where, "explode"), "the client repeats the name of a list, it does not join the items"
        if parameter.get("allowReserved"):
            yield (*where, "allowReserved"), "the client escapes reserved characters"
        if shape == "object" or (kind == "path" and shape == "array") or schema.get("properties"):
            yield where, f"an {shape or 'object'} cannot be a {kind} parameter"
        yield from self._schema(schema, schema_where)

    # -- bodies and replies -----------------------------------------------------------------------------------------------

    def _body(self, body: Json, where: Where) -> Iterator[tuple[Where, str]]:
        content = body.get("content", {})
        for media in content:
            if media not in _BODIES and "application/json" not in content:
                yield (*where, "content", media), f"a body can be sent as {', '.join(_BODIES)}"
        if len(content) > 1 and "application/json" not in content:
            yield (*where, "content"), f"one of {', '.join(content)} has to be chosen"
        for media, value in content.items():
            schema, schema_where = self._resolved(value.get("schema", {}), (*where, "content", media, "schema"))
            yield from self._schema(schema, schema_where)
            if media == "multipart/form-data":
                yield from self._form(schema, schema_where)
            for key in ("oneOf", "anyOf"):
                variants = [self._resolved(branch, (*schema_where, key, i)) for i, branch in enumerate(schema.get(key, []))]
                objects = [variant for variant, _ in variants if variant.get("properties") or "allOf" in variant]
                if objects and len(objects) < len(variants):
                    yield (*schema_where, key), "variants of a body are all objects with properties, or none is"

    def _form(self, schema: Json, where: Where) -> Iterator[tuple[Where, str]]:
        files = 0
        for name, child in schema.get("properties", {}).items():
            field, place = self._resolved(child, (*where, "properties", name))
            items, _ = self._resolved(field.get("items", {}), place)
            is_file = (items if field.get("type") == "array" else field).get("format") == "binary"
            files += is_file
            if not is_file and field.get("type") not in {"string", "integer", "number", "boolean"}:
                yield (*where, "properties", name), "a field of a form is a file, several files or a plain value"
        if not files:
            yield where, "a form without a file cannot be sent"

    def _replies(self, node: Json, where: Where) -> Iterator[tuple[Where, str]]:
        where = (*where, "responses")
        bodies: dict[str, Json] = {}
        successes = [status for status in node.get("responses", {}) if status.startswith("2")]
        if not successes:
            yield where, "no reply of a success: one with a status of 2xx is needed"
        for status in successes:
            reply, place = self._resolved(node["responses"][status], (*where, status))
            content = reply.get("content", {})
            if content:
                bodies[status] = content
            elif bodies and where[-2] != "delete":
                yield place, f"the reply {next(iter(bodies))} has a body and {status} has none"
            if len(content) > 1 and not any(map(is_json, content)):
                yield (*place, "content"), f"one of {', '.join(content)} has to be chosen"
            for media, value in content.items():
                yield from self._schema(value.get("schema", {}), (*place, "content", media, "schema"))
        if len({repr(content) for content in bodies.values()}) > 1:
            yield where, f"the replies {', '.join(bodies)} have different bodies"

    # -- schemas ----------------------------------------------------------------------------------------------------------

    def _schema(self, schema: Any, where: Where) -> Iterator[tuple[Where, str]]:
        """Look at ``schema`` and what stands in it; what it refers to is looked at where it stands."""
        shapes = [
            key for key in _SHAPES if schema.get(key) not in (None, {}, [], True, False) or (key == "items" and key in schema)
        ]
        if "allOf" in schema:
            shapes = ["allOf", *(key for key in shapes if key != "properties")]
        if len(shapes) > 1:
            yield where, f"{' beside '.join(shapes)} cannot be expressed: write one of them, or the variants in full"
        if "patternProperties" in schema:
            yield (*where, "patternProperties"), "properties named by a pattern cannot be expressed"
        if "discriminator" in schema:
            yield from self._discriminator(schema, where)
        for key in ("properties", "allOf", "oneOf", "anyOf"):
            children = schema.get(key, {})
            for name, child in children.items() if is_object(children) else enumerate(children):
                yield from self._schema(child, (*where, key, name))
        for key in ("items", "additionalProperties"):
            if is_object(child := schema.get(key)):
                yield from self._schema(child, (*where, key))

    def _discriminator(self, schema: Json, where: Where) -> Iterator[tuple[Where, str]]:
        name = schema["discriminator"].get("propertyName")
        variants: list[Json] = schema.get("oneOf") or schema.get("anyOf") or []
        branches = [self._resolved(branch, where)[0] for branch in variants]
        values = [branch.get("properties", {}).get(name, {}).get("enum", ()) for branch in branches]
        if not branches or any(len(found) != 1 for found in values) or len({*map(str, values)}) < len(values):
            yield (*where, "discriminator"), f"each variant needs a value of its own as the enum of its property {name!r}"
