"""Operations are read from the contract with envelopes opened and bodies flattened."""

from __future__ import annotations

from typing import Any

import pytest

from codegen.errors import CodegenError
from codegen.names import Names
from codegen.normalise import Normaliser
from codegen.operations import Operation, read_operations
from codegen.tree import Json
from tests.codegen.contracts import NUMBER, STRING, contract, envelope, obj, operation


def read(paths: Json, schemas: Json | None = None, **more: Any) -> list[Operation]:
    normaliser = Normaliser(contract(paths, schemas, **more), Names())
    operations = read_operations(normaliser)
    normaliser.problems.raise_any()
    return operations


def one(paths: Json, schemas: Json | None = None) -> Operation:
    return read(paths, schemas)[0]


def body(schema: Json, media: str = "application/json") -> Json:
    return {"content": {media: {"schema": schema}}}


def test_the_envelope_is_opened() -> None:
    it = one({"/api/v1/things/{thing_id}": {"get": operation("getThing", reply=envelope("thing", obj(id=NUMBER)))}})
    assert (it.data_key, it.returns, it.listing) == ("thing", {"$ref": "Thing"}, False)


def test_a_list_is_a_listing_and_knows_whether_it_has_pages() -> None:
    reply = envelope("things", {"type": "array", "items": obj(id=NUMBER)})
    parameters = [{"name": name, "in": "query", "schema": NUMBER} for name in ("limit", "offset")]
    whole = one({"/api/v1/things": {"get": operation("getThings", reply=reply)}})
    paged = one({"/api/v1/things": {"get": operation("getThings", reply=reply, parameters=parameters)}})
    assert (whole.listing, whole.paginated) == (True, False)
    assert (paged.listing, paged.paginated) == (True, True)
    assert paged.data_key == "things"


def test_several_payloads_become_one_model_without_the_envelopes_keys() -> None:
    reply = obj(response_id=STRING, cpu=NUMBER, ram=NUMBER)
    normaliser = Normaliser(contract({"/api/v1/things/statistics": {"get": operation("getStatistics", reply=reply)}}), Names())
    (it,) = read_operations(normaliser)
    assert it.data_key is None
    assert it.returns is not None
    assert list(normaliser.classes[it.returns["$ref"]].schema["properties"]) == ["cpu", "ram"]


@pytest.mark.parametrize(
    ("declared", "where"),
    [
        ("network-drive-id", "network_drive_id"),
        ("network_drive_id", "network_drive_id"),
        ("something_else", "network_drive_id"),
    ],
)
def test_path_parameters_follow_the_path(declared: str, where: str) -> None:
    parameter = {"name": declared, "in": "path", "required": True, "schema": STRING}
    it = one({"/api/v1/network-drives/{network_drive_id}": {"get": operation("getDrive", parameters=[parameter])}})
    assert [(argument.wire, argument.name) for argument in it.path_arguments] == [(where, where)]


def test_a_body_is_flattened_required_fields_first() -> None:
    schema = {"type": "object", "properties": {"comment": STRING, "name": STRING}, "required": ["name"]}
    it = one({"/api/v1/things": {"post": operation("createThing", requestBody=body(schema))}})
    assert [(argument.name, argument.required) for argument in it.bodies[0]] == [("name", True), ("comment", False)]


def test_every_variant_of_a_body_is_kept() -> None:
    schemas = {
        "a": obj(type={"type": "string", "enum": ["A"]}, value=STRING),
        "mx": obj(type={"type": "string", "enum": ["MX"]}, priority=NUMBER),
    }
    one_of = {"oneOf": [{"$ref": "#/components/schemas/a"}, {"$ref": "#/components/schemas/mx"}]}
    it = one({"/api/v1/records": {"post": operation("createRecord", requestBody=body(one_of))}}, schemas)
    assert [[argument.name for argument in variant] for variant in it.bodies] == [["type", "value"], ["type", "priority"]]


def test_a_body_field_named_like_a_path_parameter_is_told_apart() -> None:
    parameter = {"name": "id", "in": "path", "required": True, "schema": NUMBER}
    it = one(
        {"/api/v1/things/{id}": {"patch": operation("updateThing", parameters=[parameter], requestBody=body(obj(id=NUMBER)))}}
    )
    assert [(argument.wire, argument.name) for argument in it.bodies[0]] == [("id", "body_id")]


@pytest.mark.parametrize(
    ("media", "schema", "kind"),
    [
        ("application/json", {"type": "array", "items": STRING}, "json-whole"),
        ("application/octet-stream", {"type": "string", "format": "binary"}, "binary"),
        ("multipart/form-data", obj(file={"type": "string", "format": "binary"}), "multipart"),
    ],
)
def test_kinds_of_bodies(media: str, schema: Json, kind: str) -> None:
    assert one({"/api/v1/things": {"post": operation("createThing", requestBody=body(schema, media))}}).body == kind


@pytest.mark.parametrize(("media", "kind"), [("application/yaml", "text"), ("application/octet-stream", "binary")])
def test_replies_other_than_json(media: str, kind: str) -> None:
    node = operation("getThing")
    node["responses"] = {"200": {"content": {media: {"schema": STRING}}}}
    assert one({"/api/v1/things/{id}": {"get": node}}).content == kind


def test_parameters_of_the_path_item_are_shared() -> None:
    shared = [
        {"name": "thing_id", "in": "path", "required": True, "schema": NUMBER},
        {"name": "full", "in": "query", "schema": STRING},
    ]
    it = one({"/api/v1/things/{thing_id}": {"parameters": shared, "get": operation("getThing")}})
    assert [argument.name for argument in it.all_arguments] == ["thing_id", "full"]


def test_tags_without_an_english_name_are_called_after_their_path() -> None:
    paths = {"/api/v1/ssh-keys": {"get": operation("getKeys", tag="Ключи")}}
    assert one(paths).tag == "ssh_keys"


def test_two_operations_with_one_id_are_refused() -> None:
    paths = {"/api/v1/a": {"get": operation("same")}, "/api/v1/b": {"get": operation("same")}}
    with pytest.raises(CodegenError, match=r"/paths/~1api~1v1~1b/get: the id 'same' is also that of GET /api/v1/a"):
        read(paths)
