"""Small contracts to generate from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from codegen import build as pipeline
from codegen.distil import distil
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


def ref(name: str, kind: str = "schemas") -> Json:
    """A reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


STRING: Json = {"type": "string"}
NUMBER: Json = {"type": "number"}


OVERLAY = """overlay: 1.0.0
actions:
  - target: $.components.schemas.thing.properties.size
    update: {nullable: true}
    x-reason: things that are being made have no size
    x-source: reported by public clients, unverified
    x-confidence: inferred
"""
ENGLISH = """overlay: 1.0.0
actions:
- target: $
  update:
    x-resources: {things: What the tests speak of.}
- target: $.paths['/api/v1/things'].get
  update: {summary: Show what is kept, description: Nothing is charged.}
- target: $.components.schemas.thing
  update: {description: What is kept.}
- target: $.components.schemas.gadget
  update: {description: What is kept beside it.}
"""


def small_contract() -> Json:
    """A contract with something to correct and something to explain, which compiles in no time."""
    schemas = {
        "thing": obj(id=STRING, size={"type": "integer"}, status={"type": "string", "enum": ["on"]}, gadget=ref("gadget")),
        "gadget": obj(color=STRING),
    }
    reply = envelope("things", {"type": "array", "items": ref("thing")})
    return contract({"/api/v1/things": {"get": operation("getThings", reply=reply)}}, schemas)


def write_documents(folder: Path) -> None:
    """Write a folder such as openapi/, complete and settled, for the small contract."""
    folder.mkdir(parents=True)
    (folder / "overlay.yaml").write_text(OVERLAY, encoding="utf-8")
    (folder / "english.yaml").write_text(ENGLISH, encoding="utf-8")
    bundle = distil(small_contract())
    (folder / "bundle.json").write_text(json.dumps(bundle, indent=1) + "\n", encoding="utf-8")
    pipeline.write_locks(pipeline.run(bundle, folder), folder)
