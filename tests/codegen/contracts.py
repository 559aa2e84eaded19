"""Small contracts to generate from."""

from __future__ import annotations

from typing import Any

from codegen.tree import Json


def operation(operation_id: str | None = None, *, tag: str = "Things", reply: Json | None = None, **more: Any) -> Json:
    """An operation that answers 200 with ``reply`` as its JSON schema (204 without one)."""
    result: Json = {"tags": [tag], **more}
    if operation_id:
        result["operationId"] = operation_id
    success: Json = {"200": {"description": "", "content": {"application/json": {"schema": reply}}}}
    result["responses"] = success if reply is not None else {"204": {"description": ""}}
    return result


def contract(paths: Json, schemas: Json | None = None, **more: Any) -> Json:
    """An OpenAPI document of these paths and component schemas."""
    return {
        "openapi": "3.0.0",
        "info": {"title": "", "version": "1"},
        "tags": more.pop("tags", [{"name": "Things"}]),
        "paths": paths,
        "components": {"schemas": schemas or {}, **more},
    }


def envelope(key: str, schema: Json) -> Json:
    """The API's envelope around one payload."""
    return {
        "type": "object",
        "properties": {"response_id": {"type": "string"}, "meta": {"type": "object"}, key: schema},
        "required": [key],
    }


def obj(**properties: Json) -> Json:
    """An object schema whose properties are all required."""
    return {"type": "object", "properties": properties, "required": list(properties)}


STRING: Json = {"type": "string"}
NUMBER: Json = {"type": "number"}
