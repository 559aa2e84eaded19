"""Step 1: keep the facts of the vendor's bundle and drop its prose.

What stays is what a client needs to speak to the API: paths, operation ids, English tag names, parameters, schemas, types,
enums, bounds, defaults, deprecation. Descriptions, titles, examples and code samples are the vendor's text and stay out of
this repository. A key that is neither known nor an ``x-`` extension stops the build: it may carry a fact. What OpenAPI 3.1 or
a slip spells differently is written as OpenAPI 3.0 spells it, so that nothing behind this step meets two spellings. Keys are
sorted: the vendor's order changes with every bundle, and nobody could read the difference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from codegen.check_refs import check_refs
from codegen.errors import Problems, at
from codegen.tree import METHODS, Json, Where, is_array, is_object

_SCHEMA_FACTS = frozenset(
    {
        "type", "format", "enum", "required", "nullable", "default", "readOnly", "writeOnly", "deprecated", "uniqueItems",
        "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "pattern",
        "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties",
    }
)  # fmt: skip
_PROSE = frozenset({"description", "title", "summary", "example", "examples", "externalDocs", "servers"})
_PARAMETER_FACTS = frozenset({"name", "in", "required", "deprecated", "style", "explode", "allowReserved", "allowEmptyValue"})
Part = Callable[[Any, Where], Any]
"""Distils what stands at a place."""
_JSON_TYPES: dict[type, str] = {str: "string", bool: "boolean", int: "integer", float: "number"}
CYRILLIC = re.compile("[\u0400-\u04ff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def distil(bundle: Any) -> Json:
    """Return the facts of ``bundle`` (an OpenAPI 3 document) as a new document; one error names all its faults."""
    if not is_object(bundle):
        raise at((), f"an OpenAPI document is an object, not {_kind(bundle)}")
    if not str(bundle.get("openapi", "")).startswith("3."):
        raise at((), f"not an OpenAPI 3 document: openapi is {bundle.get('openapi')!r}")
    problems = Problems()
    result = _Distiller(problems).document(bundle)
    for where in _broken_texts(result, ()):
        problems.add_at(where, "holds half of a surrogate pair, which is no text")
    check_refs(result, problems)
    problems.raise_any()
    ordered: Json = _sorted(result)
    return ordered


def _as_it_is(value: Any, _: Where) -> Any:
    return value


def _or_reference(distilled: Callable[[_Distiller, Any, Where], Json]) -> Callable[[_Distiller, Any, Where], Json]:
    """Let a reference stand for what a method distils: what the vendor writes beside it means nothing."""

    @wraps(distilled)
    def either(self: _Distiller, value: Any, where: Where) -> Json:
        if is_object(value) and "$ref" in value:
            return {"$ref": self.text(value["$ref"], (*where, "$ref"))}
        return distilled(self, value, where)

    return either


class _Distiller:
    """One run over one bundle; what is wrong is noted and left out, and the run goes on."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.tags: dict[str, str] = {}
        self._schema_parts: dict[str, Part] = {
            **dict.fromkeys(_SCHEMA_FACTS, self._scalar),
            "const": self._scalar,
            "type": lambda value, where: value if is_array(value) else self._scalar(value, where),
            "enum": self._list(self._scalar),
            "default": lambda value, _: _without_prose(value),
            "required": lambda value, where: None if isinstance(value, bool) else self._list(self.text)(value, where),
            **dict.fromkeys(("properties", "patternProperties"), self._map(self._schema)),
            **dict.fromkeys(("allOf", "oneOf", "anyOf"), self._list(self._schema)),
            "items": self._schema,
            "additionalProperties": lambda value, where: value if isinstance(value, bool) else self._schema(value, where),
            "discriminator": self._discriminator,
        }

    def document(self, bundle: Json) -> Json:
        for i, tag in enumerate(self._list(self._node)(bundle.get("tags", []), ("tags",))):
            name, english = self.text(tag.get("name"), ("tags", i, "name")), tag.get("x-name-i18n")
            self.tags[name] = str((english if is_object(english) else {}).get("eng") or name)
        components = self._node(bundle.get("components", {}), ("components",))
        parts = {"securitySchemes": self._security_scheme, "parameters": self._parameter}
        parts |= {"responses": self._response, "schemas": self._schema}
        info = self._node(bundle.get("info", {}), ("info",))
        servers = self._list(self._node)(bundle.get("servers", []), ("servers",))
        return {
            "openapi": "3.0.3",
            "info": {"title": "Timeweb Cloud API", "version": str(info.get("version", ""))},
            "servers": [{"url": self.text(server.get("url"), ("servers", i, "url"))} for i, server in enumerate(servers)],
            "security": self._list(_as_it_is)(bundle.get("security", []), ("security",)),
            "tags": [{"name": name} for name in dict.fromkeys(self.tags.values())],
            "paths": self._map(self._path_item)(bundle.get("paths", {}), ("paths",)),
            "components": {
                name: self._map(part)(components.get(name, {}), ("components", name)) for name, part in parts.items()
            },
        }

    # -- shapes -----------------------------------------------------------------------------------------------------------

    def _node(self, value: Any, where: Where) -> Json:
        if is_object(value):
            return value
        self.problems.add_at(where, f"must be an object, not {_kind(value)}")
        return {}

    def text(self, value: Any, where: Where) -> str:
        if isinstance(value, str):
            return value
        self.problems.add_at(where, f"must be a string, not {_kind(value)}")
        return ""

    def _scalar(self, value: Any, where: Where) -> Any:
        if is_object(value) or is_array(value):
            self.problems.add_at(where, f"must not be an {_kind(value)}")
            return None
        return value

    def _list(self, part: Part) -> Callable[[Any, Where], list[Any]]:
        """Distil every item of an array."""

        def distilled(value: Any, where: Where) -> list[Any]:
            if is_array(value):
                return [part(item, (*where, i)) for i, item in enumerate(value)]
            self.problems.add_at(where, f"must be an array, not {_kind(value)}")
            return []

        return distilled

    def _map(self, part: Part) -> Callable[[Any, Where], Json]:
        """Distil every entry of a mapping."""

        def distilled(value: Any, where: Where) -> Json:
            return {name: part(child, (*where, name)) for name, child in self._node(value, where).items()}

        return distilled

    def _keys(self, node: Any, where: Where, owner: str, parts: dict[str, Part]) -> Json:
        """Distil an object by its keys; prose and extensions go, an unknown key is a problem."""
        result: Json = {}
        for key, value in self._node(node, where).items():
            if key in parts:
                result[key] = parts[key](value, (*where, key))
            elif key not in _PROSE and not key.startswith("x-"):
                self.problems.add_at((*where, key), f"unknown key of {owner}")
        return result

    # -- paths ------------------------------------------------------------------------------------------------------------

    def _path_item(self, item: Any, where: Where) -> Json:
        parts: dict[str, Part] = dict.fromkeys(METHODS, self._operation)
        return self._keys(item, where, "a path item", {**parts, "parameters": self._list(self._parameter)})

    def _operation(self, operation: Any, where: Where) -> Json:
        parts: dict[str, Part] = {
            "operationId": self.text,
            "deprecated": lambda value, _: value is True,
            "security": self._list(_as_it_is),
            "tags": self._list(lambda tag, place: self.tags.get(name := self.text(tag, place), name)),
            "parameters": self._list(self._parameter),
            "requestBody": self._body,
            "responses": self._map(self._response),
        }
        own_id = _operation_id(str(where[-1]), str(where[-2]))
        return {"operationId": own_id, **self._keys(operation, where, "an operation", parts)}

    @_or_reference
    def _parameter(self, parameter: Any, where: Where) -> Json:
        beside = dict.fromkeys(("type", "enum", "format"), _as_it_is)  # where OpenAPI 2 had them
        parts: dict[str, Part] = {"name": self.text, "in": self.text, "schema": self._schema, "content": self._content}
        facts = dict.fromkeys(_PARAMETER_FACTS, _as_it_is)
        parameter = {"name": None, "in": None, **self._node(parameter, where)}
        result = self._keys(parameter, where, "a parameter", {**facts, **beside, **parts})
        if loose := {key: result.pop(key) for key in beside if key in result}:
            result["schema"] = self._schema(loose, where) | result.get("schema", {})
        return result

    @_or_reference
    def _body(self, body: Any, where: Where) -> Json:
        body = self._node(body, where)
        result: Json = {"required": True} if body.get("required") else {}
        return {**result, "content": self._content(body.get("content", {}), (*where, "content"))}

    @_or_reference
    def _response(self, response: Any, where: Where) -> Json:
        response = self._node(response, where)
        result: Json = {"description": ""}  # required by OpenAPI; the vendor's text is not a fact
        if "content" in response:
            result["content"] = self._content(response["content"], (*where, "content"))
        return result

    def _content(self, content: Any, where: Where) -> Json:
        """``application/json; charset=utf-8`` is ``application/json``: the parameters are no other media type."""
        result: Json = {}
        for media, value in self._node(content, where).items():
            name = self.text(media, (*where, media)).partition(";")[0].strip().lower()
            node = self._node(value, (*where, media))
            found = {"schema": self._schema(node["schema"], (*where, media, "schema"))} if "schema" in node else {}
            if result.setdefault(name, found) != found:
                self.problems.add_at((*where, media), f"{name} stands here twice, with two schemas")
        return result

    def _security_scheme(self, scheme: Any, where: Where) -> Json:
        scheme = self._node(scheme, where)
        return {key: scheme[key] for key in ("type", "scheme", "in", "name") if key in scheme}

    # -- schemas ----------------------------------------------------------------------------------------------------------

    @_or_reference
    def _schema(self, schema: Any, where: Where) -> Json:
        if schema is True:  # any value will do
            return {}
        found = self._keys(schema, where, "a schema", self._schema_parts)
        result = {key: value for key, value in found.items() if value is not None or key == "default"}
        if "const" in result:
            value = result.pop("const")
            result["enum"] = [value]
            if type(value) in _JSON_TYPES:
                result.setdefault("type", _JSON_TYPES[type(value)])
        return self._spelled_as_3_0(result, where)

    def _discriminator(self, value: Any, where: Where) -> Json:
        parts: dict[str, Part] = {"propertyName": self.text, "mapping": self._map(self.text)}
        return self._keys({"propertyName": None, **self._node(value, where)}, where, "a discriminator", parts)

    def _spelled_as_3_0(self, schema: Json, where: Where) -> Json:
        """Write lists of types, a type ``null`` and constants as OpenAPI 3.0 does; in place."""
        kinds = schema.get("type")
        if isinstance(kinds, list):
            named: list[str] = [self.text(kind, (*where, "type")) for kind in kinds if kind != "null"]
            if len(named) < len(kinds):
                schema["nullable"] = True
            if len(named) == 1:
                schema["type"] = named[0]
            else:
                del schema["type"]
                rest = {key: schema.pop(key) for key in list(schema) if key in {"items", "properties", "required", "format"}}
                if named and (rest or "oneOf" in schema or "anyOf" in schema):
                    self.problems.add_at((*where, "type"), f"the types {', '.join(named)} beside {[*rest]}")
                elif named:
                    schema["anyOf"] = [{"type": kind} for kind in named]
        elif kinds == "null":
            schema.pop("type")
            schema["nullable"] = True
        elif kinds in ("true", "false"):
            schema["type"] = "boolean"
        elif kinds is not None:
            self.text(kinds, (*where, "type"))
        for key in ("oneOf", "anyOf"):
            if {"nullable": True} in schema.get(key, ()):
                schema[key] = [branch for branch in schema[key] if branch != {"nullable": True}]
                schema["nullable"] = True
        return schema


def _broken_texts(node: Any, where: Where) -> Iterator[Where]:
    """Yield the places of keys and values that no file can hold."""
    if isinstance(node, str) and _SURROGATE.search(node):
        yield where
    elif is_object(node):
        for key, child in node.items():
            yield from _broken_texts(key, (*where, ascii(key)))
            yield from _broken_texts(child, (*where, key))
    elif is_array(node):
        for i, child in enumerate(node):
            yield from _broken_texts(child, (*where, i))


def _sorted(node: Any) -> Any:
    if is_object(node):
        return {
            key: sorted(node[key]) if key == "required" and is_array(node[key]) else _sorted(node[key]) for key in sorted(node)
        }
    return [_sorted(child) for child in node] if is_array(node) else node


def _kind(value: Any) -> str:
    return "null" if value is None else {bool: "boolean", dict: "object", list: "array"}.get(type(value), type(value).__name__)


def _operation_id(method: str, path: str) -> str:
    """Synthesise an id from method and path: ``GET /api/v1/a-b/{id}`` -> ``getV1ABById``."""
    words: list[str] = []
    for segment in path.strip("/").split("/"):
        if segment == "api":
            continue
        parts = [part for part in re.split(r"[^A-Za-z0-9]+", segment) if part]
        words += ["by", *parts] if segment.startswith("{") else parts
    return method + "".join(word[:1].upper() + word[1:] for word in words)


def _without_prose(default: Any) -> Any:
    """A default in the vendor's language is a sample text, not a value that the API fills in."""
    return None if isinstance(default, str) and CYRILLIC.search(default) else default
