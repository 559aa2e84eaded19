"""Distilling keeps facts, drops prose, and refuses what it does not know."""

from __future__ import annotations

import json
from typing import Any

import pytest

from codegen.distil import distil
from codegen.errors import CodegenError
from tests.codegen.contracts import contract, obj, operation


def test_prose_goes_and_facts_stay() -> None:
    schema: dict[str, Any] = {
        "type": "object",
        "title": "Some title",
        "description": "Some prose",
        "example": {"a": 1},
        "x-vendor": "whatever",
        "required": ["description"],
        "properties": {
            "description": {"type": "string", "description": "prose", "maxLength": 255, "nullable": True, "default": "x"}
        },
    }
    node = {**operation("getThings", reply=schema, summary="prose", description="prose"), "x-codeSamples": []}
    bundle = contract({"/api/v1/things": {"get": node}})
    distilled = distil(bundle)
    got = distilled["paths"]["/api/v1/things"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert got == {
        "type": "object",
        "required": ["description"],
        "properties": {"description": {"type": "string", "maxLength": 255, "nullable": True, "default": "x"}},
    }
    assert "prose" not in json.dumps(distilled)


def test_a_property_called_like_a_keyword_of_prose_survives() -> None:
    bundle = contract({}, {"thing": obj(title={"type": "string"}, example={"type": "string"}, description={"type": "string"})})
    assert set(distil(bundle)["components"]["schemas"]["thing"]["properties"]) == {"title", "example", "description"}


def test_distilling_twice_changes_nothing() -> None:
    bundle = contract({"/api/v1/things": {"get": operation("getThings", reply=obj(id={"type": "number"}))}})
    once = distil(bundle)
    assert distil(once) == once


def test_tags_get_their_english_names() -> None:
    bundle = contract(
        {"/api/v1/things": {"get": operation("getThings", tag="Вещи")}},
        tags=[{"name": "Вещи", "x-name-i18n": {"eng": "Things"}}],
    )
    distilled = distil(bundle)
    assert distilled["tags"] == [{"name": "Things"}]
    assert distilled["paths"]["/api/v1/things"]["get"]["tags"] == ["Things"]


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("get", "/api/v1/servers", "getV1Servers"),
        ("get", "/api/v1/servers/{server_id}", "getV1ServersByServerId"),
        ("post", "/api/v2/floating-ips/{id}/bind", "postV2FloatingIpsByIdBind"),
    ],
)
def test_missing_operation_ids_are_synthesised(method: str, path: str, expected: str) -> None:
    distilled = distil(contract({path: {method: operation()}}))
    assert distilled["paths"][path][method]["operationId"] == expected


def test_an_unknown_construct_is_named_by_its_pointer() -> None:
    bundle = contract({}, {"thing": {"type": "object", "properties": {"a/b": {"type": "string", "prefixItems": []}}}})
    with pytest.raises(CodegenError, match=r"^/components/schemas/thing/properties/a~1b/prefixItems: unknown key of a schema"):
        distil(bundle)


def test_a_default_in_the_vendors_language_is_not_a_fact() -> None:
    bundle = contract({}, {"thing": obj(a={"type": "string", "default": "Имя"})})
    assert distil(bundle)["components"]["schemas"]["thing"]["properties"]["a"].get("default") is None


@pytest.mark.parametrize("key", ["not", "if", "$defs"])
def test_constructs_that_no_model_can_express_are_refused(key: str) -> None:
    with pytest.raises(CodegenError, match="unknown key of a schema"):
        distil(contract({}, {"thing": {"type": "object", key: {}}}))


def test_a_list_is_no_document() -> None:
    with pytest.raises(CodegenError, match="an OpenAPI document is an object, not array"):
        distil(json.loads("[]"))


def test_not_openapi_3() -> None:
    with pytest.raises(CodegenError, match="not an OpenAPI 3 document"):
        distil({"swagger": "2.0"})
