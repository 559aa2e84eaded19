"""After normalising there is nothing left to invent."""

from __future__ import annotations

import pytest

from codegen.errors import CodegenError
from codegen.names import Names
from codegen.normalise import Normaliser
from codegen.tree import Json
from tests.codegen.contracts import NUMBER, STRING, contract, obj


def normaliser(schemas: Json, names: dict[str, str] | None = None) -> Normaliser:
    return Normaliser(contract({}, schemas), Names(names or {}))


def plain(node: Json, schemas: Json | None = None) -> Json:
    return normaliser(schemas or {}).plain(node, ("here",), "Here")


def test_inline_objects_become_classes_named_after_their_place() -> None:
    it = normaliser({"vds": obj(disks={"type": "array", "items": obj(size=NUMBER)})}, {"/components/schemas/vds": "Server"})
    assert it.plain({"$ref": "#/components/schemas/vds"}, (), "X") == {"$ref": "Server"}
    assert set(it.classes) == {"Server", "ServerDisk"}
    assert it.classes["Server"].schema["properties"]["disks"] == {"type": "array", "items": {"$ref": "ServerDisk"}}


def test_all_of_is_merged() -> None:
    it = normaliser({"base": obj(id=NUMBER), "thing": {"allOf": [{"$ref": "#/components/schemas/base"}, obj(name=STRING)]}})
    it.plain({"$ref": "#/components/schemas/thing"}, (), "X")
    assert it.classes["Thing"].schema["properties"] == {"id": {"type": "integer"}, "name": STRING}
    assert it.classes["Thing"].schema["required"] == ["id", "name"]


def test_a_nullable_reference_stays_a_reference() -> None:
    schemas = {"image": obj(id=STRING)}
    assert plain({"nullable": True, "allOf": [{"$ref": "#/components/schemas/image"}]}, schemas) == {
        "$ref": "Image",
        "nullable": True,
    }


@pytest.mark.parametrize(("here", "there"), [(True, False), (False, True), (True, True), (False, False)])
def test_a_reference_is_nullable_where_it_stands_or_where_it_leads(here: bool, there: bool) -> None:
    schemas = {"image": obj(id=STRING) | {"nullable": there}, "name": STRING | {"nullable": there}}
    for name, of_it in (("image", {"$ref": "Image"}), ("name", STRING)):
        reference = {"$ref": f"#/components/schemas/{name}"}
        for spelt in ({"allOf": [reference]}, reference):
            assert plain(spelt | ({"nullable": True} if here else {}), schemas) == of_it | (
                {"nullable": True} if here or there else {}
            )


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string", "enum": ["a", "b", None]}, {"type": "string", "enum": ["a", "b"]}),
        ({"type": "string", "format": "ipv4", "maxLength": 15}, STRING),
        ({"type": "number", "minimum": 1, "maximum": 5}, {"anyOf": [{"type": "integer"}, NUMBER]}),
        ({"type": "number", "format": "decimal"}, {"type": "number", "format": "decimal"}),
        ({"anyOf": [{"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}]}, STRING),
        ({"oneOf": [{"enum": ["a"]}, {"enum": ["b"]}]}, {"type": "string", "enum": ["a", "b"]}),
        ({"type": "object"}, {"type": "object", "additionalProperties": True}),
        ({}, {}),
    ],
)
def test_plain_forms(schema: Json, expected: Json) -> None:
    assert plain(schema) == expected


@pytest.mark.parametrize(
    ("name", "kind"), [("id", "integer"), ("preset_id", "integer"), ("agents_ids", "integer"), ("paid", None)]
)
def test_identifiers_are_integers(name: str, kind: str | None) -> None:
    it = normaliser({"thing": obj(**{name: NUMBER})})
    it.plain({"$ref": "#/components/schemas/thing"}, (), "X")
    assert it.classes["Thing"].schema["properties"][name].get("type") == kind


def test_required_names_only_what_exists() -> None:
    it = normaliser({"thing": {"type": "object", "properties": {"a": STRING}, "required": ["a", "ghost"]}})
    it.plain({"$ref": "#/components/schemas/thing"}, (), "X")
    assert it.classes["Thing"].schema["required"] == ["a"]


def test_an_inline_copy_of_a_component_is_that_component() -> None:
    disk = obj(id=NUMBER, size=NUMBER, used=NUMBER)
    it = normaliser({"server-disk": disk, "server": obj(disks={"type": "array", "items": disk})})
    it.plain({"$ref": "#/components/schemas/server"}, (), "X")
    assert set(it.classes) == {"Server", "ServerDisk"}
    assert it.classes["ServerDisk"].pointer == "/components/schemas/server-disk"


def test_recursion_ends() -> None:
    it = normaliser({"node": obj(id=STRING, children={"type": "array", "items": {"$ref": "#/components/schemas/node"}})})
    assert it.plain({"$ref": "#/components/schemas/node"}, (), "X") == {"$ref": "Node"}


def test_notes_reach_nested_inline_objects() -> None:
    schema = {
        **obj(disks={"type": "array", "items": obj(size=NUMBER)}),
        "x-fields": {"disks": "All disks.", "disks.size": "MB."},
    }
    it = normaliser({"server": schema})
    it.plain({"$ref": "#/components/schemas/server"}, (), "X")
    assert it.classes["Server"].schema["properties"]["disks"]["description"] == "All disks."
    assert it.classes["ServerDisk"].schema["properties"]["size"]["description"] == "MB."


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "tuple"}, "unknown type 'tuple'"),
    ],
)
def test_what_cannot_be_understood_is_named(schema: Json, message: str) -> None:
    with pytest.raises(CodegenError, match=message) as caught:
        plain(schema)
    assert str(caught.value).startswith("/here")
