"""Step 1: keep the facts of the vendor's bundle and drop its prose.

What stays is what a client needs to speak to the API: paths, operation ids, English tag names, parameters, schemas, types,
enums, bounds, defaults, deprecation. Descriptions, titles, examples and code samples are the vendor's text and stay out of
this repository. A key that is neither known nor an ``x-`` extension stops the build: it may carry a fact.
"""

from __future__ import annotations

import re
from typing import Any

from codegen.check_refs import check_refs
from codegen.errors import at
from codegen.tree import Json, Where

METHODS = ("get", "post", "put", "patch", "delete", "head", "options")

_SCHEMA_FACTS = frozenset(
    {
        "type", "format", "enum", "required", "nullable", "default", "readOnly", "writeOnly", "deprecated", "uniqueItems",
        "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "pattern",
        "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties",
    }
)  # fmt: skip
_SCHEMA_PROSE = frozenset({"description", "title", "example", "examples", "externalDocs"})
_PARAMETER_FACTS = frozenset({"name", "in", "required", "deprecated", "style", "explode", "allowReserved", "allowEmptyValue"})
_CYRILLIC = re.compile("[\u0400-\u04ff]")


def distil(bundle: Json) -> Json:
    """Return the facts of ``bundle`` (an OpenAPI 3.0 document) as a new document."""
    if not isinstance(bundle, dict):  # pyright: ignore[reportUnnecessaryIsInstance] - it comes from a file
        raise at((), f"an OpenAPI document is an object, not {type(bundle).__name__}")
    if not str(bundle.get("openapi", "")).startswith("3."):
        raise at((), f"not an OpenAPI 3 document: openapi is {bundle.get('openapi')!r}")
    tags = _english_tags(bundle)
    components = bundle.get("components", {})
    result = {
        "openapi": "3.0.3",
        "info": {"title": "Timeweb Cloud API", "version": str(bundle.get("info", {}).get("version", ""))},
        "servers": [{"url": server["url"]} for server in bundle.get("servers", [])],
        "security": bundle.get("security", []),
        "tags": [{"name": name} for name in dict.fromkeys(tags.values())],
        "paths": {path: _path_item(item, ("paths", path), tags) for path, item in bundle.get("paths", {}).items()},
        "components": {
            "securitySchemes": {
                name: {key: scheme[key] for key in ("type", "scheme", "in", "name") if key in scheme}
                for name, scheme in components.get("securitySchemes", {}).items()
            },
            "parameters": {
                name: _parameter(parameter, ("components", "parameters", name))
                for name, parameter in components.get("parameters", {}).items()
            },
            "responses": {
                name: _response(response, ("components", "responses", name))
                for name, response in components.get("responses", {}).items()
            },
            "schemas": {
                name: _schema(schema, ("components", "schemas", name)) for name, schema in components.get("schemas", {}).items()
            },
        },
    }
    check_refs(result)
    return result


def _english_tags(bundle: Json) -> dict[str, str]:
    tags: dict[str, str] = {}
    for tag in bundle.get("tags", []):
        english = tag.get("x-name-i18n", {}).get("eng")
        tags[tag["name"]] = english or tag["name"]
    return tags


def _path_item(item: Json, where: Where, tags: dict[str, str]) -> Json:
    result: Json = {}
    for key, value in item.items():
        if key in METHODS:
            result[key] = _operation(value, (*where, key), tags)
        elif key == "parameters":
            result[key] = [_parameter(parameter, (*where, key, i)) for i, parameter in enumerate(value)]
        elif key not in {"summary", "description", "servers"} and not key.startswith("x-"):
            raise at((*where, key), "unknown key of a path item")
    return result


def _operation(operation: Json, where: Where, tags: dict[str, str]) -> Json:
    result: Json = {}
    for key, value in operation.items():
        if key in {"operationId", "deprecated", "security"}:
            result[key] = value
        elif key == "tags":
            result[key] = [tags.get(tag, tag) for tag in value]
        elif key == "parameters":
            result[key] = [_parameter(parameter, (*where, key, i)) for i, parameter in enumerate(value)]
        elif key == "requestBody":
            result[key] = _body(value, (*where, key))
        elif key == "responses":
            result[key] = {status: _response(response, (*where, key, status)) for status, response in value.items()}
        elif key not in {"summary", "description", "externalDocs", "servers"} and not key.startswith("x-"):
            raise at((*where, key), "unknown key of an operation")
    result.setdefault("operationId", _operation_id(str(where[-1]), str(where[-2])))
    return result


def _operation_id(method: str, path: str) -> str:
    """Synthesise an id from method and path: ``GET /api/v1/a-b/{id}`` -> ``getV1ABById``."""
    words: list[str] = []
    for segment in path.strip("/").split("/"):
        if segment == "api":
            continue
        parts = [part for part in re.split(r"[^A-Za-z0-9]+", segment) if part]
        words += ["by", *parts] if segment.startswith("{") else parts
    return method + "".join(word[:1].upper() + word[1:] for word in words)


def _parameter(parameter: Json, where: Where) -> Json:
    if "$ref" in parameter:
        return {"$ref": parameter["$ref"]}
    result: Json = {}
    for key, value in parameter.items():
        if key in _PARAMETER_FACTS:
            result[key] = value
        elif key == "schema":
            result[key] = _schema(value, (*where, key))
        elif key == "content":
            result[key] = _content(value, (*where, key))
        elif key not in {"description", "example", "examples"} and not key.startswith("x-"):
            raise at((*where, key), "unknown key of a parameter")
    return result


def _body(body: Json, where: Where) -> Json:
    if "$ref" in body:
        return {"$ref": body["$ref"]}
    result: Json = {"required": True} if body.get("required") else {}
    result["content"] = _content(body.get("content", {}), (*where, "content"))
    return result


def _response(response: Json, where: Where) -> Json:
    if "$ref" in response:
        return {"$ref": response["$ref"]}
    result: Json = {"description": ""}  # required by OpenAPI; the vendor's text is not a fact
    if "content" in response:
        result["content"] = _content(response["content"], (*where, "content"))
    return result


def _content(content: Json, where: Where) -> Json:
    return {
        media: {"schema": _schema(value["schema"], (*where, media, "schema"))} if "schema" in value else {}
        for media, value in content.items()
    }


def _schema(schema: Any, where: Where) -> Any:
    if isinstance(schema, bool):
        return schema
    if not isinstance(schema, dict):
        raise at(where, f"a schema must be an object, not {type(schema).__name__}")
    if "$ref" in schema:
        return {"$ref": schema["$ref"]}
    result: Json = {}
    for key, value in schema.items():
        if key in _SCHEMA_FACTS:
            result[key] = _without_prose(value) if key == "default" else value
        elif key in {"properties", "patternProperties"}:
            result[key] = {name: _schema(child, (*where, key, name)) for name, child in value.items()}
        elif key in {"allOf", "oneOf", "anyOf"}:
            result[key] = [_schema(child, (*where, key, i)) for i, child in enumerate(value)]
        elif key in {"items", "additionalProperties"}:
            result[key] = _schema(value, (*where, key))
        elif key == "discriminator":
            result[key] = {fact: value[fact] for fact in ("propertyName", "mapping") if fact in value}
        elif key not in _SCHEMA_PROSE and not key.startswith("x-"):
            raise at((*where, key), "unknown key of a schema")
    return result


def _without_prose(default: Any) -> Any:
    """A default in the vendor's language is a sample text, not a value that the API fills in."""
    return None if isinstance(default, str) and _CYRILLIC.search(default) else default
