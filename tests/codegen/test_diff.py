"""The changelog between two contracts: each kind of change is seen, named in public names, and judged for the right party."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codegen import diff
from codegen.errors import CodegenError
from codegen.facts import read
from codegen.public_names import PublicNames
from codegen.report import Change

BUNDLE = Path(__file__).parents[2] / "openapi" / "bundle.json"
LOCK = {
    "/components/schemas/thing": "Thing",
    "/components/schemas/thing/properties/parts/items": "Part",
    "/paths/~1things/get": "things.list",
    "/paths/~1things/post": "things.create",
}


def contract() -> dict[str, Any]:
    """A contract of one thing with parts: it can be listed, and created from a body that is a component."""
    thing = {
        "type": "object",
        "required": ["id", "state"],
        "properties": {
            "id": {"type": "integer"},
            "state": {"type": "string", "enum": ["on", "off"]},
            "note": {"type": "string"},
            "parts": {"type": "array", "items": {"type": "object", "properties": {"size": {"type": "number"}}}},
        },
    }
    create = {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"type": "string"}, "zone": {"type": "string", "enum": ["a", "b"]}},
    }
    listing = {"type": "object", "properties": {"things": {"type": "array", "items": {"$ref": "#/components/schemas/thing"}}}}
    return {
        "openapi": "3.0.3",
        "info": {"title": "Test", "version": "1"},
        "paths": {
            "/things": {
                "get": {
                    "operationId": "getThings",
                    "parameters": [{"name": "limit", "in": "query", "schema": {"type": "integer"}}],
                    "responses": {"200": {"description": "", "content": {"application/json": {"schema": listing}}}},
                },
                "post": {
                    "operationId": "createThing",
                    "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/create-thing"}}}},
                    "responses": {"204": {"description": ""}},
                },
            }
        },
        "components": {"schemas": {"thing": thing, "create-thing": create}},
    }


def changes(change: Callable[[dict[str, Any]], Any], lock: dict[str, str] | None = None) -> list[Change]:
    old, new = contract(), contract()
    change(new)
    return diff.compare(read(old), read(new), PublicNames(LOCK), PublicNames(LOCK if lock is None else lock))


def only(change: Callable[[dict[str, Any]], Any]) -> tuple[str, str, bool, bool, tuple[str, ...]]:
    (found,) = changes(change)
    return found.kind, found.what, found.callers, found.readers, found.names


def schema(document: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = document["components"]["schemas"][name]
    return found


def properties(document: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = schema(document, name)["properties"]
    return found


def test_nothing_changed() -> None:
    assert changes(lambda new: None) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda new: properties(new, "thing").pop("note"),
            ("removed", "note", False, True, ("Thing.note",)),
        ),
        (
            lambda new: properties(new, "thing").update(price={"type": "number", "nullable": True}),
            ("added", "price: number, optional, nullable", False, False, ("Thing.price",)),
        ),
        (
            lambda new: properties(new, "thing")["state"]["enum"].append("building"),
            ("changed", "state: new values building", False, False, ("Thing.state",)),
        ),
        (
            lambda new: properties(new, "thing")["note"].update(nullable=True),
            ("changed", "note: may be null", False, True, ("Thing.note",)),
        ),
        (
            lambda new: schema(new, "thing")["required"].remove("id"),
            ("changed", "id: no longer required", False, True, ("Thing.id",)),
        ),
        (
            lambda new: properties(new, "thing")["id"].update(type="string"),
            ("changed", "id: integer -> string", False, True, ("Thing.id",)),
        ),
        (
            lambda new: properties(new, "thing")["parts"]["items"]["properties"]["size"].update(type="integer"),
            ("changed", "parts[].size: number -> integer", False, False, ("Part.size",)),
        ),
    ],
)
def test_what_breaks_readers(change: Callable[[dict[str, Any]], Any], expected: tuple[Any, ...]) -> None:
    assert only(change) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda new: properties(new, "create-thing").pop("zone"),
            ("removed", "zone", True, False, ("things.create(zone=)",)),
        ),
        (
            lambda new: properties(new, "create-thing").update(size={"type": "integer"}),
            ("added", "size: integer, optional", False, False, ("things.create(size=)",)),
        ),
        (
            lambda new: properties(new, "create-thing")["zone"]["enum"].remove("b"),
            ("changed", "zone: values gone b", True, False, ("things.create(zone=)",)),
        ),
        (
            lambda new: schema(new, "create-thing")["required"].append("zone"),
            ("changed", "zone: now required", True, False, ("things.create(zone=)",)),
        ),
        (
            lambda new: schema(new, "create-thing")["required"].clear(),
            ("changed", "name: no longer required", False, False, ("things.create(name=)",)),
        ),
        (
            lambda new: properties(new, "create-thing").update(name={"oneOf": [{"type": "string"}, {"type": "integer"}]}),
            ("changed", "name: string -> one of string, integer", False, False, ("things.create(name=)",)),
        ),
        (
            lambda new: new["paths"]["/things"]["get"]["parameters"].clear(),
            ("removed", "query limit", True, False, ("things.list(limit=)",)),
        ),
        (
            lambda new: new["paths"]["/things"]["get"]["parameters"][0].update(required=True),
            ("changed", "query limit: now required", True, False, ("things.list(limit=)",)),
        ),
    ],
)
def test_what_breaks_callers(change: Callable[[dict[str, Any]], Any], expected: tuple[Any, ...]) -> None:
    assert only(change) == expected


@pytest.mark.parametrize(
    ("before", "after", "text", "breaks"),
    [
        ({"minimum": 2}, {"minimum": 0}, "minimum 2 -> 0", False),
        ({"minimum": 2}, {"minimum": 3}, "minimum 2 -> 3", True),
        ({"maxLength": 9}, {"maxLength": 10}, "maxLength 9 -> 10", False),
        ({"maxLength": 9}, {}, "maxLength 9 -> none", False),
        ({}, {"maxLength": 10}, "maxLength none -> 10", True),
        ({"pattern": "a"}, {"pattern": "b"}, "pattern a -> b", True),
    ],
)
def test_bounds_break_callers_when_they_get_tighter(
    before: dict[str, Any], after: dict[str, Any], text: str, breaks: bool
) -> None:
    old, new = contract(), contract()
    properties(old, "create-thing")["name"].update(before)
    properties(new, "create-thing")["name"].update(after)
    (found,) = diff.compare(read(old), read(new), PublicNames(LOCK), PublicNames(LOCK))
    assert (found.what, found.callers, found.readers) == (f"name: {text}", breaks, False)


def test_a_new_required_field_of_a_body_breaks_callers() -> None:
    def change(new: dict[str, Any]) -> None:
        properties(new, "create-thing")["size"] = {"type": "integer"}
        schema(new, "create-thing")["required"].append("size")

    assert only(change) == ("added", "size: integer, required", True, False, ("things.create(size=)",))


def test_operations_come_go_and_are_deprecated() -> None:
    def change(new: dict[str, Any]) -> None:
        item = new["paths"]["/things"]
        item["delete"] = {"operationId": "deleteThings", "responses": {"204": {"description": ""}}}
        item["get"]["deprecated"] = True
        del item["post"]

    found = {(one.place, one.kind, one.callers, one.names) for one in changes(change) if one.area == "operations"}
    assert found == {
        ("DELETE /things", "added", False, ()),
        ("GET /things", "deprecated", False, ("things.list",)),
        ("POST /things", "removed", True, ("things.create",)),
    }


def test_an_operation_that_moves_is_a_rename_and_not_a_loss() -> None:
    def change(new: dict[str, Any]) -> None:
        new["paths"]["/v2/things"] = {"get": new["paths"]["/things"].pop("get")}

    lock = {**LOCK, "/paths/~1v2~1things/get": "things.list"}
    (found,) = changes(change, lock)
    assert (found.kind, found.place, found.what, found.callers) == ("renamed", "GET /things", "now GET /v2/things", False)
    (unknown,) = changes(change)
    assert unknown.callers, "without a public name at the new place callers must look"


def test_a_model_that_is_called_otherwise_is_a_rename() -> None:
    def change(new: dict[str, Any]) -> None:
        schemas = new["components"]["schemas"]
        schemas["object"] = schemas.pop("thing")
        things = new["paths"]["/things"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        things["properties"]["things"]["items"]["$ref"] = "#/components/schemas/object"

    lock = {**LOCK, "/components/schemas/object": "Thing"}
    (found,) = changes(change, lock)
    assert (found.kind, found.place, found.what, found.names) == ("renamed", "thing", "now object", ("Thing",))
    assert not found.callers
    assert not found.readers


def test_a_name_that_changes_in_the_lock_is_a_breaking_rename() -> None:
    (found,) = changes(lambda new: None, {**LOCK, "/components/schemas/thing": "Item"})
    assert (found.area, found.place, found.what, found.callers, found.readers) == ("names", "Thing", "now Item", True, True)


def test_hoisting_an_inline_object_is_no_change() -> None:
    def change(new: dict[str, Any]) -> None:
        parts = properties(new, "thing")["parts"]
        new["components"]["schemas"]["part"] = parts["items"]
        parts["items"] = {"$ref": "#/components/schemas/part"}

    assert [one for one in changes(change) if one.area == "fields"] == []


def test_an_enum_of_its_own_names_everything_that_has_it() -> None:
    old = contract()
    old["components"]["schemas"]["zone"] = {"type": "string", "enum": ["a", "b"]}
    for name in ("thing", "create-thing"):
        properties(old, name)["zone"] = {"$ref": "#/components/schemas/zone"}
    new = copy.deepcopy(old)
    schema(new, "zone")["enum"].remove("b")
    names = PublicNames(LOCK)
    (found,) = diff.compare(read(old), read(new), names, names)
    assert (found.what, found.callers, found.names) == ("value: values gone b", True, ("Thing.zone", "things.create(zone=)"))


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    new = contract()
    properties(new, "thing").pop("note")
    paths = []
    for name, document in (("old.json", contract()), ("new.json", new), ("names.lock", LOCK)):
        (tmp_path / name).write_text(json.dumps(document), encoding="utf-8")
        paths.append(str(tmp_path / name))
    return [*paths[:2], "--names", paths[2]]


def test_fail_on_breaking(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert diff.main(files) == 0
    assert diff.main([*files, "--fail-on", "breaking"]) == 1
    assert diff.main([files[0], files[0], "--fail-on", "breaking"]) == 0
    assert capsys.readouterr().out.endswith("no changes\n")


def test_the_three_formats_say_the_same(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    diff.main(files)
    assert capsys.readouterr().out == (
        "1 change: 0 breaking for callers, 1 for readers\n\nFields of models\n  thing\n"
        "    - note [Thing.note] -- removed, breaking for readers\n"
    )
    diff.main([*files, "--format", "markdown"])
    assert "- removed: `thing` (`Thing.note`): note (**breaking for readers**)" in capsys.readouterr().out
    diff.main([*files, "--format", "json"])
    report = json.loads(capsys.readouterr().out)
    assert report["summary"] == {"changes": 1, "breaking_for_callers": 0, "breaking_for_readers": 1}
    assert report["changes"][0]["names"] == ["Thing.note"]


def test_the_contract_does_not_differ_from_itself() -> None:
    assert diff.compare_files(BUNDLE, BUNDLE) == []


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(CodegenError, match=r"missing\.json: not a readable JSON document"):
        diff.main([str(tmp_path / "missing.json"), str(BUNDLE)])
