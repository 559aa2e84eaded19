"""What two contracts are compared by: operations with parameters, bodies and answers, and models, all flattened to fields.

A field is addressed as a reader would write it: ``networks[].ips[].type``. A reference to a component ends the path, so a
change inside a model is one change and not one per operation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from codegen.distil import METHODS
from codegen.tree import Json, Where, follow, is_array, is_object, pointer


@dataclass(frozen=True)
class Field:
    """One parameter, field of a body or field of an answer."""

    type: str
    """``integer``, ``string:date-time``, ``[string]``, ``#vds`` for a component, ``one of a, b``."""
    required: bool
    nullable: bool
    enum: tuple[str, ...]
    owner: str
    """JSON pointer of the object that has the field."""
    bounds: tuple[tuple[str, float | str], ...] = ()
    """``minimum``, ``maxLength``, ``pattern`` and the like, as far as they are given."""


LOWER = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"})
UPPER = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"})
_BOUNDS = sorted({*LOWER, *UPPER, "pattern", "multipleOf"})

Fields = dict[str, Field]


@dataclass
class Operation:
    """One operation; answers are those of the first success status."""

    key: str
    """``GET /api/v1/servers``"""
    id: str
    deprecated: bool
    parameters: Fields
    body: Fields
    body_type: str
    body_component: str
    """The component that is the body, so that its fields are compared there; empty for an inline body."""
    body_variants: list[str]
    """The components of which the body is one."""
    answer: Fields
    answer_type: str


@dataclass
class Facts:
    """Everything that is compared, and which way each model travels."""

    operations: dict[str, Operation] = field(default_factory=dict)
    models: dict[str, Fields] = field(default_factory=dict)
    sent: set[str] = field(default_factory=set)
    """Components reachable from parameters and bodies."""
    received: set[str] = field(default_factory=set)
    """Components reachable from answers."""
    bodies: dict[str, list[str]] = field(default_factory=dict)
    """Component -> keys of the operations whose body it is."""


def read(document: Json) -> Facts:
    """Flatten a distilled contract."""
    facts = Facts()
    schemas: Json = document.get("components", {}).get("schemas", {})
    for name, schema in schemas.items():
        facts.models[name] = dict(_flatten(document, schema, ("components", "schemas", name)))
    for path, item in document.get("paths", {}).items():
        for method in METHODS:
            if method in item:
                operation = _operation(document, path, method, item)
                facts.operations[operation.key] = operation
                for component in [operation.body_component, *operation.body_variants]:
                    facts.bodies.setdefault(component, []).append(operation.key)
    for operation in facts.operations.values():
        _spread(facts.sent, facts.models, {**operation.parameters, **operation.body}, operation.body_component)
        _spread(facts.received, facts.models, operation.answer)
    return facts


def _spread(reached: set[str], models: dict[str, Fields], fields: Fields, *more: str) -> None:
    waiting = [name for one in fields.values() for name in components(one.type)] + [name for name in more if name]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += [inner for one in models.get(name, {}).values() for inner in components(one.type)]


def components(type_: str) -> list[str]:
    """Names of the components that a type mentions: ``[#vds]`` -> ``['vds']``."""
    return re.findall(r"#([^\[\]{}, ]+)", type_)


def _operation(document: Json, path: str, method: str, item: Json) -> Operation:
    node = item[method]
    where: Where = ("paths", path, method)
    parameters: Fields = {}
    for raw in [*item.get("parameters", []), *node.get("parameters", [])]:
        parameter, _ = _resolved(document, raw, where)
        name = f"{parameter['in']} {parameter['name']}"
        schema = parameter.get("schema", {})
        parameters[name] = _field(document, schema, where, required=bool(parameter.get("required")))
    body, body_where = _resolved(document, node.get("requestBody", {}), (*where, "requestBody"))
    body_type, body_fields, body_component = _content(document, body, body_where)
    status = next((status for status in node.get("responses", {}) if status.startswith("2")), None)
    answer_type = ""
    answer: Fields = {}
    if status is not None:
        response, response_where = _resolved(document, node["responses"][status], (*where, "responses", status))
        answer_type, answer, _ = _content(document, response, response_where, through=True)
    return Operation(
        key=f"{method.upper()} {path}",
        id=node["operationId"],
        deprecated=bool(node.get("deprecated")),
        parameters=parameters,
        body=body_fields,
        body_type=body_type,
        body_component=body_component,
        body_variants=[name for one in body_fields.values() if one.type.startswith("one of") for name in components(one.type)],
        answer=answer,
        answer_type=answer_type,
    )


def _content(document: Json, node: Json, where: Where, *, through: bool = False) -> tuple[str, Fields, str]:
    """Media type, fields and component of a body; ``through``: an envelope that is a component is opened."""
    for media, value in node.get("content", {}).items():
        schema = value.get("schema", {})
        place = (*where, "content", media, "schema")
        ref = schema.get("$ref", "")
        component = ref.removeprefix("#/components/schemas/") if ref else ""
        if component and through:
            schema, place = _resolved(document, schema, place)
        fields = {} if component and not through else dict(_flatten(document, schema, place))
        return media, fields, component
    return "", {}, ""


def _resolved(document: Json, node: Json, where: Where) -> tuple[Json, Where]:
    """Follow references and merge ``allOf``."""
    while "$ref" in node:
        node, where = follow(document, node["$ref"])
    if "allOf" not in node:
        return node, where
    parts = [_resolved(document, part, (*where, "allOf", i)) for i, part in enumerate(node["allOf"])]
    own = {key: value for key, value in node.items() if key != "allOf"}
    if len(parts) == 1:
        return {**parts[0][0], **own}, parts[0][1]
    merged: Json = {"type": "object", "properties": {}, "required": []}
    for component in [*(component for component, _ in parts), own]:
        merged["properties"] |= component.get("properties", {})
        merged["required"] += component.get("required", [])
    return merged, where


def _flatten(document: Json, schema: Json, where: Where, path: str = "") -> Iterator[tuple[str, Field]]:
    """Yield the fields below ``schema``; a schema that is no object is one field with the empty path."""
    node, where = _resolved(document, schema, where) if "allOf" in schema else (schema, where)
    if properties := node.get("properties"):
        required = set(node.get("required", []))
        for name, child in properties.items():
            inner = f"{path}.{name}" if path else name
            yield inner, _field(document, child, where, required=name in required)
            yield from _below(document, child, (*where, "properties", name), inner)
    elif not path:
        yield path, _field(document, node, where, required=True)
        yield from _below(document, node, where, path)


def _below(document: Json, schema: Json, where: Where, path: str) -> Iterator[tuple[str, Field]]:
    """Descend into what stands inline in a field: an object, the items of an array, the values of a map, variants."""
    if "$ref" in schema or _alias(schema):
        return
    if is_object(items := schema.get("items")):
        yield from _inner(document, items, (*where, "items"), f"{path}[]")
    elif is_object(values := schema.get("additionalProperties")):
        yield from _inner(document, values, (*where, "additionalProperties"), f"{path}{{}}")
    elif schema.get("properties") or "allOf" in schema:
        yield from _flatten(document, schema, where, path)
    for key in ("oneOf", "anyOf"):
        for index, branch in enumerate(schema.get(key, [])):
            yield from _inner(document, branch, (*where, key, index), f"{path}<{_label(branch, index)}>")


def _inner(document: Json, schema: Json, where: Where, path: str) -> Iterator[tuple[str, Field]]:
    if schema.get("properties") or "allOf" in schema:
        yield from _flatten(document, schema, where, path)
    else:
        yield from _below(document, schema, where, path)


def _alias(schema: Json) -> bool:
    """An ``allOf`` of one reference is that reference, with a remark or a null."""
    parts = schema.get("allOf", [])
    return len(parts) == 1 and "$ref" in parts[0]


def _label(branch: Json, index: int) -> str:
    """What tells a variant from its siblings: a constant such as ``type: [MX]``, else its number."""
    for child in branch.get("properties", {}).values():
        if len(child.get("enum", [])) == 1:
            return str(child["enum"][0])
    return str(index)


def _field(document: Json, schema: Json, owner: Where, *, required: bool) -> Field:
    values = schema.get("enum", ())
    if is_array(items := schema.get("items", {}).get("enum")):
        values = items
    enum = tuple(str(value) for value in values if value is not None)
    bounds = tuple((key, _number(schema[key])) for key in _BOUNDS if key in schema)
    return Field(_type(schema), required, bool(schema.get("nullable")), enum, pointer(*owner), bounds)


def _number(bound: Any) -> float | str:
    """The vendor has written bounds as text: ``"1"`` is 1; a pattern stays text."""
    try:
        number = float(bound)
    except ValueError:
        return str(bound)
    return int(number) if number.is_integer() else number


def _type(schema: Json) -> str:
    if _alias(schema):
        schema = schema["allOf"][0]
    if "$ref" in schema:
        return "#" + str(schema["$ref"]).rsplit("/", 1)[-1]
    for key in ("oneOf", "anyOf"):
        if key in schema:
            return "one of " + ", ".join(dict.fromkeys(_type(branch) for branch in schema[key]))
    kind = schema.get("type", "object" if schema.get("properties") or "allOf" in schema else "any")
    if kind == "array":
        return f"[{_type(schema.get('items', {}))}]"
    if kind == "object" and is_object(values := schema.get("additionalProperties")):
        return f"{{{_type(values)}}}"
    return f"{kind}:{schema['format']}" if "format" in schema else str(kind)
