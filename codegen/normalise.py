"""Step 3: bring every schema of the corrected contract into one plain form, so that nothing is left to invent later.

Afterwards an object with properties is a named class, everything else is written where it is used:

- ``allOf`` is merged, aliases are followed, inline objects are hoisted into classes (named by :mod:`codegen.names`);
- a string enum is open: the known values or any other string, unless it tells the variants of a union apart;
- a ``number`` is an integer if it is called an id, else what :mod:`codegen.numbers` has made of it; only formats that change
  the Python type stay;
- bounds and patterns go: the API enforces them, and a reply must not be lost to them;
- ``required`` names only properties that exist.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from codegen.errors import Problems, at
from codegen.names import Names, pascal, singular
from codegen.tree import Json, Where, pointer, resolved

FORMATS = frozenset({"date-time", "decimal", "password", "binary"})
"""Formats that change the Python type: datetime, Decimal, SecretStr, bytes."""

_DECORATION = frozenset({"nullable", "description", "x-fields", "deprecated", "type"})
_SCALARS = frozenset({"string", "integer", "number", "boolean"})
_IDENTIFIER = re.compile(r"(^|_)ids?$")


@dataclass
class ModelClass:
    """A named class: its properties are in plain form and refer to other classes by ``$ref: <class name>``."""

    name: str
    pointer: str
    schema: Json
    description: str = ""


@dataclass
class Normaliser:
    """Normalises schemas of one contract and collects the classes they need."""

    contract: Json
    names: Names
    problems: Problems = field(default_factory=Problems)
    classes: dict[str, ModelClass] = field(default_factory=dict)
    _by_pointer: dict[str, str] = field(default_factory=dict)
    _component_by_shape: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Learn the shapes of the object components, so that an equal inline object becomes the same class."""
        for name, schema in self.schemas.items():
            if len(schema.get("properties", {})) > 2:  # smaller ones are alike by chance
                self._component_by_shape.setdefault(_shape(schema), name)

    @property
    def schemas(self) -> Json:
        schemas: Json = self.contract.get("components", {}).get("schemas", {})
        return schemas

    def resolve(self, node: Json, where: Where) -> tuple[Json, Where]:
        """Follow ``$ref`` (also chains) and merge ``allOf``; returns the node and the place where its text stands."""
        node, where = resolved(self.contract, node, where)
        if "allOf" not in node:
            return node, where
        parts = [self.resolve(part, (*where, "allOf", i)) for i, part in enumerate(node["allOf"])]
        own = {key: value for key, value in node.items() if key != "allOf"}
        if len(parts) == 1 and not own.keys() - _DECORATION:
            part, part_where = parts[0]  # a reference that only carries a remark or a null
            return {**part, **own}, part_where
        return _merged([*(part for part, _ in parts), own], where), where

    def plain(self, node: Any, where: Where, hint: str) -> Json:
        """Return ``node`` in plain form; ``hint`` is the name that an inline object found here would get."""
        if not isinstance(node, dict):
            return {}
        described = node.get("description")
        nullable = bool(node.get("nullable"))
        deprecated = bool(node.get("deprecated"))
        component = self._component_of(node)
        schema, at_where = self.resolve(node, where)
        if component and at_where[:2] == ("components", "schemas"):
            hint = pascal(str(at_where[2]))
        result = self._plain_resolved(schema, at_where, hint)
        if nullable or schema.get("nullable"):
            result = {**result, "nullable": True}
        if deprecated:
            result = {**result, "deprecated": True}
        if (default := node.get("default", schema.get("default"))) is not None:
            result = {**result, "default": default}
        if described and "properties" not in schema:
            result = {**result, "description": described}
        return result

    @staticmethod
    def _component_of(node: Json) -> str | None:
        """The component that ``node`` stands for: a direct reference or an ``allOf`` of exactly one."""
        if "allOf" in node and len(node["allOf"]) == 1 and "properties" not in node:
            node = node["allOf"][0]
        ref = node.get("$ref")
        return str(ref) if ref else None

    def _plain_resolved(self, schema: Json, where: Where, hint: str) -> Json:
        if schema.get("properties"):
            return {"$ref": self._class(schema, where, hint)}
        for key in ("oneOf", "anyOf"):
            if key in schema:
                union = self._union(schema[key], (*where, key), hint)
                if "discriminator" in schema:
                    self._close(union, schema["discriminator"]["propertyName"])
                return union
        kind = schema.get("type")
        if kind is None and "enum" in schema:
            kind = "string" if all(isinstance(value, str) or value is None for value in schema["enum"]) else None
        if kind == "array" or (kind is None and "items" in schema):
            return {"type": "array", "items": self.plain(schema.get("items", {}), (*where, "items"), singular(hint))}
        if kind == "object" or (kind is None and "additionalProperties" in schema):
            values = schema.get("additionalProperties")
            if isinstance(values, dict) and values:
                return {
                    "type": "object",
                    "additionalProperties": self.plain(values, (*where, "additionalProperties"), singular(hint)),
                }
            return {"type": "object", "additionalProperties": True}
        if kind is None:
            return {}
        if kind not in _SCALARS:
            raise at((*where, "type"), f"unknown type {kind!r}")
        return _scalar(kind, schema, str(where[-1]) if where else "")

    def _union(self, branches: list[Json], where: Where, hint: str) -> Json:
        plain: list[Json] = []
        for i, branch in enumerate(branches):
            resolved, branch_where = self.resolve(branch, (*where, i))
            name = hint + _variant_label(resolved) if branch_where == (*where, i) else hint
            candidate = self.plain(branch, (*where, i), name)
            for one in candidate.get("anyOf", [candidate]) if set(candidate) == {"anyOf"} else [candidate]:
                if one not in plain:
                    plain.append(one)
        plain = _joined_enums(plain)
        return plain[0] if len(plain) == 1 else {"anyOf": plain}

    def _close(self, union: Json, prop: str) -> None:
        """Let the property by which variants are told apart hold its one value, so that the right one is decoded."""
        for name in referenced(union):
            tag = self.classes[name].schema["properties"].get(prop, {})
            tag["closed"] = "enum" in tag

    def _class(self, schema: Json, where: Where, hint: str) -> str:
        place = pointer(*where)
        inline = where[:2] != ("components", "schemas") or len(where) > 3
        if inline and place not in self.names.locked:  # a public class stays one of its own
            twin = self._component_by_shape.get(_shape(schema))
            if twin is not None:
                where, schema, hint = ("components", "schemas", twin), self.schemas[twin], pascal(twin)
                place = pointer(*where)
        if place in self._by_pointer:
            return self._by_pointer[place]
        name = self.names.class_name(place, hint)
        self._by_pointer[place] = name
        model = self.classes[name] = ModelClass(name, place, {}, schema.get("description", ""))
        notes: dict[str, str] = schema.get("x-fields", {})
        required = [prop for prop in dict.fromkeys(schema.get("required", [])) if prop in schema["properties"]]
        properties: Json = {}
        model.schema = {"type": "object", "properties": properties, "required": required}
        for prop in sorted(schema["properties"], key=lambda prop: prop != "id"):
            child_where = (*where, "properties", prop)
            with self.problems.collected():
                inner = with_notes(schema["properties"][prop], prop, notes)
                properties[prop] = self.plain(inner, child_where, name + pascal(prop))
                if prop in notes:
                    properties[prop] = {**properties[prop], "description": notes[prop]}
        return name


def with_notes(child: Json, prop: str, notes: dict[str, str]) -> Json:
    """Hand dotted notes (``disks.size``) down to the inline object they speak of."""
    below = {key[len(prop) + 1 :]: text for key, text in notes.items() if key.startswith(prop + ".")}
    if not below or "$ref" in child:
        return child
    if "items" in child and "$ref" not in child["items"]:
        return {**child, "items": {**child["items"], "x-fields": {**child["items"].get("x-fields", {}), **below}}}
    return {**child, "x-fields": {**child.get("x-fields", {}), **below}}


def _merged(parts: list[Json], where: Where) -> Json:
    """Merge ``allOf``: properties of all parts together, other keys from the last part that has them."""
    merged: Json = {}
    for part in parts:
        if {merged.get("type"), part.get("type")} - {None} > {part.get("type")}:
            raise at((*where, "allOf"), f"nothing is both {merged['type']} and {part['type']}")
        for key, value in part.items():
            if key == "properties":
                known = merged.setdefault(key, {})
                for prop in known.keys() & value.keys():
                    if len({known[prop].get("type"), value[prop].get("type")} - {None}) > 1:
                        raise at((*where, "allOf"), f"the parts disagree about the type of {prop!r}")
                merged[key] = known | value
            elif key == "required":
                merged[key] = list(dict.fromkeys([*merged.get(key, []), *value]))
            else:
                merged[key] = value
    return merged


def _scalar(kind: str, schema: Json, prop: str) -> Json:
    if kind == "number" and _IDENTIFIER.search(prop) and schema.get("format") not in FORMATS:
        kind = "integer"
    if kind == "string" and schema.get("enum"):
        values = [value for value in schema["enum"] if isinstance(value, str)]
        return {"type": "string", "enum": list(dict.fromkeys(values))} if values else {"type": "string"}
    if kind == "number" and "format" not in schema:  # nobody has decided yet, so it stays what was sent
        return {"anyOf": [{"type": "integer"}, {"type": "number"}]}
    result: Json = {"type": kind}
    if schema.get("format") in FORMATS:
        result["format"] = schema["format"]
    return result


def _joined_enums(branches: list[Json]) -> list[Json]:
    """Several enums in one union are one enum."""
    enums = [branch for branch in branches if "enum" in branch]
    if len(enums) < 2:
        return branches
    joined = {"type": "string", "enum": list(dict.fromkeys(value for branch in enums for value in branch["enum"]))}
    return [joined, *[branch for branch in branches if "enum" not in branch]]


def _variant_label(schema: Json) -> str:
    """What tells one inline variant from its siblings: a constant such as ``type: [MX]``, else its own properties."""
    for child in schema.get("properties", {}).values():
        values = child.get("enum") if isinstance(child, dict) else None
        if values and len(values) == 1 and isinstance(values[0], str):
            return pascal(values[0])
    return "".join(pascal(prop) for prop in list(schema.get("properties", {}))[:1])


def _shape(schema: Json) -> str:
    """What two objects must share to be one class: property names, types, enums, nullability; not prose and not order."""

    def strip(node: Any) -> Any:
        if isinstance(node, dict):
            return {
                key: strip(value) for key, value in node.items() if key not in {"description", "x-fields", "type", "required"}
            } | ({"type": node["type"]} if "type" in node and "properties" not in node else {})
        return [strip(child) for child in node] if isinstance(node, list) else node

    return json.dumps(strip(schema), sort_keys=True)


def referenced(schema: Any) -> Iterable[str]:
    """Yield the names of the classes that a plain schema refers to."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"]
        for value in schema.values():
            yield from referenced(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from referenced(value)


def closure(schemas: Iterable[Json], classes: dict[str, ModelClass]) -> set[str]:
    """Return the names of all classes that plain schemas hold, also within others."""
    found: set[str] = set()
    waiting = [name for schema in schemas for name in referenced(schema)]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += referenced(classes[name].schema)
    return found
