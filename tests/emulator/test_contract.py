"""Every operation of the contract answers its success status with a body that an independent validator accepts."""

from functools import cache
from typing import Any

import pytest
from openapi_schema_validator import OAS30Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from tests.emulator.contract import contract
from tests.emulator.every_operation import HEADERS, body_of, concrete_path, prepared
from timeweb_sdk._generated.operation_table import TABLE
from timeweb_sdk.testing import Request


@cache
def registry() -> Registry[Any]:
    resource = Resource.from_contents(contract(), default_specification=DRAFT4)
    found: Registry[Any] = Registry().with_resource("urn:contract", resource)
    return found


@pytest.mark.parametrize("operation", sorted(TABLE))
def test_operation_is_answered_as_the_contract_says(operation: str) -> None:
    emulator = prepared()
    entry = TABLE[operation]
    request = Request(entry.method, concrete_path(operation, emulator), {}, HEADERS, body_of(operation, emulator))
    response = emulator.handle(request)
    responses = contract()["paths"][entry.path][entry.method.lower()]["responses"]
    assert 200 <= response.status < 300, response.body
    assert str(response.status) in responses
    content = responses[str(response.status)].get("content", {})
    if not content:
        assert response.body == b""
    elif "application/json" in content:
        assert response.headers["content-type"].startswith("application/json")
        pointer = f"urn:contract#/paths/{entry.path.replace('/', '~1')}/{entry.method.lower()}/responses/{response.status}"
        schema = {"$ref": pointer.replace("{", "%7B").replace("}", "%7D") + "/content/application~1json/schema"}
        OAS30Validator(schema, registry=registry()).validate(response.json())
    else:
        assert response.headers["content-type"] == next(iter(content))
        assert response.body


def test_the_same_question_gets_the_same_answer() -> None:
    def ask() -> bytes:
        return prepared().handle(Request("GET", "/api/v1/k8s/clusters/3", {}, HEADERS)).body

    assert ask() == ask()
