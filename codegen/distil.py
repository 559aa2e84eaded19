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


class _Distiller:
    """One run over one bundle; what is wrong is noted and left out, and the run goes on."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.tags: dict[str, str] = {}

    def document(self, bundle: Json) -> Json:
        for i, tag in enumerate(self._array(bundle, "tags", ())):
            node = self._node(tag, ("tags", i))
            name = self._text(node.get("name"), ("tags", i, "name"))
            english = node.get("x-name-i18n")
            self.tags[name] = str((english if is_object(english) else {}).get("eng") or name)
        components = self._object(bundle, "components", ())
        info = self._object(bundle, "info", ())
        servers = [self._node(server, ("servers", i)) for i, server in enumerate(self._array(bundle, "servers", ()))]
        return {
            "openapi": "3.0.3",
            "info": {"title": "Timeweb Cloud API", "version": str(info.get("version", ""))},
            "servers": [{"url": self._text(server.get("url"), ("servers", i, "url"))} for i, server in enumerate(servers)],
            "security": self._array(bundle, "security", ()),
            "tags": [{"name": name} for name in dict.fromkeys(self.tags.values())],
            "paths": self._each(bundle, "paths", (), self._path_item),
            "components": {
                "securitySchemes": self._each(components, "securitySchemes", ("components",), self._security_scheme),
                "parameters": self._each(components, "parameters", ("components",), self._parameter),
                "responses": self._each(components, "responses", ("components",), self._response),
                "schemas": self._each(components, "schemas", ("components",), self._schema),
            },
        }

    # -- shapes -----------------------------------------------------------------------------------------------------------

    def _node(self, value: Any, where: Where) -> Json:
        if is_object(value):
            return value
        self.problems.add_at(where, f"must be an object, not {_kind(value)}")
        return {}

    def _object(self, node: Json, key: str, where: Where) -> Json:
        return self._node(node[key], (*where, key)) if key in node else {}

    def _array(self, node: Json, key: str, where: Where) -> list[Any]:
        value = node.get(key, [])
        if is_array(value):
            return value
        self.problems.add_at((*where, key), f"must be an array, not {_kind(value)}")
        return []

    def _text(self, value: Any, where: Where) -> str:
        if isinstance(value, str):
            return value
        self.problems.add_at(where, f"must be a string, not {_kind(value)}")
        return ""

    def _scalar(self, value: Any, where: Where) -> Any:
        if is_object(value) or is_array(value):
            self.problems.add_at(where, f"must not be an {_kind(value)}")
            return None
        return value

    def _each(self, node: Json, key: str, where: Where, distilled: Callable[[Any, Where], Any]) -> Json:
        """Distil every entry of a mapping."""
        where = (*where, key)
        entries = self._node(node[key], where) if key in node else {}
        return {name: distilled(value, (*where, name)) for name, value in entries.items()}

    def _unknown(self, key: str, where: Where, owner: str) -> None:
        if key not in _PROSE and not key.startswith("x-"):
            self.problems.add_at((*where, key), f"unknown key of {owner}")

    # -- paths ------------------------------------------------------------------------------------------------------------

    def _path_item(self, item: Any, where: Where) -> Json:
        result: Json = {}
        for key, value in self._node(item, where).items():
            if key in METHODS:
                result[key] = self._operation(value, (*where, key))
            elif key == "parameters":
                result[key] = self._parameters(item, where)
            else:
                self._unknown(key, where, "a path item")
        return result

    def _operation(self, operation: Any, where: Where) -> Json:
        result: Json = {}
        node = self._node(operation, where)
        for key, value in node.items():
            if key == "operationId":
                result[key] = self._text(value, (*where, key))
            elif key == "deprecated":
                result[key] = value is True
            elif key == "security":
                result[key] = self._array(node, key, where)
            elif key == "tags":
                tags = [self._text(tag, (*where, key, i)) for i, tag in enumerate(self._array(node, key, where))]
                result[key] = [self.tags.get(tag, tag) for tag in tags]
            elif key == "parameters":
                result[key] = self._parameters(node, where)
            elif key == "requestBody":
                result[key] = self._body(value, (*where, key))
            elif key == "responses":
                result[key] = self._each(node, key, where, self._response)
            else:
                self._unknown(key, where, "an operation")
        result.setdefault("operationId", _operation_id(str(where[-1]), str(where[-2])))
        return result

    def _parameters(self, node: Json, where: Where) -> list[Json]:
        array = self._array(node, "parameters", where)
        return [self._parameter(parameter, (*where, "parameters", i)) for i, parameter in enumerate(array)]

    def _parameter(self, parameter: Any, where: Where) -> Json:
        parameter = self._node(parameter, where)
        if "$ref" in parameter:
            return {"$ref": self._text(parameter["$ref"], (*where, "$ref"))}
        result: Json = {key: self._text(parameter.get(key), (*where, key)) for key in ("name", "in")}
        beside = {key: value for key, value in parameter.items() if key in {"type", "enum", "format"}}
        for key, value in parameter.items():
            if key in _PARAMETER_FACTS:
                result.setdefault(key, value)
            elif key == "schema":
                result[key] = self._schema(value, (*where, key))
            elif key == "content":
                result[key] = self._content(value, (*where, key))
            elif key not in beside:
                self._unknown(key, where, "a parameter")
        if beside:  # where OpenAPI 2 had them
            result["schema"] = self._schema(beside, where) | result.get("schema", {})
        return result

    def _body(self, body: Any, where: Where) -> Json:
        body = self._node(body, where)
        if "$ref" in body:
            return {"$ref": self._text(body["$ref"], (*where, "$ref"))}
        result: Json = {"required": True} if body.get("required") else {}
        result["content"] = self._content(body.get("content", {}), (*where, "content"))
        return result

    def _response(self, response: Any, where: Where) -> Json:
        response = self._node(response, where)
        if "$ref" in response:
            return {"$ref": self._text(response["$ref"], (*where, "$ref"))}
        result: Json = {"description": ""}  # required by OpenAPI; the vendor's text is not a fact
        if "content" in response:
            result["content"] = self._content(response["content"], (*where, "content"))
        return result

    def _content(self, content: Any, where: Where) -> Json:
        """``application/json; charset=utf-8`` is ``application/json``: the parameters are no other media type."""
        result: Json = {}
        for media, value in self._node(content, where).items():
            name = self._text(media, (*where, media)).partition(";")[0].strip().lower()
            node = self._node(value, (*where, media))
            found = {"schema": self._schema(node["schema"], (*where, media, "schema"))} if "schema" in node else {}
            if result.setdefault(name, found) != found:
                self.problems.add_at((*where, media), f"{name} stands here twice, with two schemas")
        return result

    def _security_scheme(self, scheme: Any, where: Where) -> Json:
        scheme = self._node(scheme, where)
        return {key: scheme[key] for key in ("type", "scheme", "in", "name") if key in scheme}

    # -- schemas ----------------------------------------------------------------------------------------------------------

    def _schema(self, schema: Any, where: Where) -> Json:
        if schema is True:  # any value will do
            return {}
        schema = self._node(schema, where)
        if "$ref" in schema:
            return {"$ref": self._text(schema["$ref"], (*where, "$ref"))}
        result: Json = {}
        for key, value in schema.items():
            if key == "default":
                result[key] = _without_prose(value)
            elif key == "const":
                result["enum"] = [self._scalar(value, (*where, key))]
                if "type" not in schema and type(value) in _JSON_TYPES:
                    result["type"] = _JSON_TYPES[type(value)]
            elif key == "enum":
                result[key] = [self._scalar(one, (*where, key, i)) for i, one in enumerate(self._array(schema, key, where))]
            elif key == "required" and not isinstance(value, bool):
                result[key] = [self._text(one, (*where, key, i)) for i, one in enumerate(self._array(schema, key, where))]
            elif key in _SCHEMA_FACTS:
                if value is not None and key != "required":
                    result[key] = value if key == "type" and is_array(value) else self._scalar(value, (*where, key))
            elif key in {"properties", "patternProperties"}:
                result[key] = self._each(schema, key, where, self._schema)
            elif key in {"allOf", "oneOf", "anyOf"}:
                array = self._array(schema, key, where)
                result[key] = [self._schema(child, (*where, key, i)) for i, child in enumerate(array)]
            elif key == "items" or (key == "additionalProperties" and not isinstance(value, bool)):
                result[key] = self._schema(value, (*where, key))
            elif key == "additionalProperties":
                result[key] = value
            elif key == "discriminator":
                node = self._node(value, (*where, key))
                result[key] = {"propertyName": self._text(node.get("propertyName"), (*where, key, "propertyName"))}
                if "mapping" in node:
                    result[key]["mapping"] = self._each(node, "mapping", (*where, key), self._text)
            else:
                self._unknown(key, where, "a schema")
        return self._spelled_as_3_0(result, where)

    def _spelled_as_3_0(self, schema: Json, where: Where) -> Json:
        """Write lists of types, a type ``null`` and constants as OpenAPI 3.0 does; in place."""
        kinds = schema.get("type")
        if isinstance(kinds, list):
            named: list[str] = [self._text(kind, (*where, "type")) for kind in kinds if kind != "null"]
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
            self._text(kinds, (*where, "type"))
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
