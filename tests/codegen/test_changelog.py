"""The changelog between two surfaces: each kind of change is seen, named as callers know it, judged for the right party."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codegen import changelog, surface
from codegen.__main__ import main
from codegen.changelog import Change
from codegen.errors import CodegenError
from codegen.names import Names
from codegen.normalise import Normaliser
from codegen.operations import read_operations
from codegen.tree import Json
from tests.codegen.contracts import STRING, contract, envelope, obj, operation

Edit = Callable[[Json], Any]
THING, CREATE = "Thing", "things.create"


def document() -> Json:
    """A contract of one thing with parts: it can be listed, and created from a body that is a component."""
    part = obj(size={"type": "number", "format": "decimal"})
    thing = obj(id={"type": "integer"}, state={"type": "string", "enum": ["on", "off"]}, parts={"type": "array", "items": part})
    thing["properties"]["note"] = STRING
    create = obj(name=STRING)
    create["properties"]["zone"] = {"type": "string", "enum": ["a", "b"]}
    create["properties"]["limits"] = {"type": "array", "items": {"type": "integer"}, "default": [1]}
    listed = envelope("things", {"type": "array", "items": {"$ref": "#/components/schemas/thing"}})
    limit = {"name": "limit", "in": "query", "schema": {"type": "integer"}}
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/create-thing"}}}}
    path = {
        "get": operation("getThings", reply=listed, parameters=[limit]),
        "post": operation("createThing", reply=envelope("thing", {"$ref": "#/components/schemas/thing"}), requestBody=body),
    }
    made: Json = json.loads(json.dumps(contract({"/api/v1/things": path}, {"thing": thing, "create-thing": create})))
    return made  # nothing in it is shared with another


def read(contract: Json, lock: dict[str, str] | None = None) -> surface.Surface:
    normaliser = Normaliser(contract, Names(dict(lock or {})))
    operations = read_operations(normaliser)
    return surface.read(operations, normaliser.classes)


def changes(edit: Edit, old_lock: dict[str, str] | None = None, new_lock: dict[str, str] | None = None) -> list[Change]:
    new = document()
    edit(new)
    return changelog.compare(read(document(), old_lock), read(new, new_lock))


def told(edit: Edit, *locks: dict[str, str]) -> list[tuple[str, str, bool, bool]]:
    return [(change.name, change.what, change.callers, change.readers) for change in changes(edit, *locks)]


def fields(new: Json, name: str) -> Json:
    found: Json = new["components"]["schemas"][name]["properties"]
    return found


def path(new: Json) -> Json:
    found: Json = new["paths"]["/api/v1/things"]
    return found


def test_nothing_changed() -> None:
    assert changes(lambda new: None) == []
    assert changelog.markdown([]) == "No changes for callers or readers."


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda new: fields(new, "thing").pop("note"), (THING, "field `note` removed", False, True)),
        (
            lambda new: fields(new, "thing").update(price={"type": "integer", "nullable": True}),
            (THING, "field `price` added: `int | None`, optional", False, False),
        ),
        (
            lambda new: fields(new, "thing")["state"]["enum"].append("new"),
            (THING, "field `state`: new `new`", False, False),
        ),
        (
            lambda new: fields(new, "thing")["note"].update(nullable=True),
            (THING, "field `note`: `str` → `str | None`", False, True),
        ),
        (
            lambda new: new["components"]["schemas"]["thing"]["required"].remove("id"),
            (THING, "field `id` may be absent", False, True),
        ),
        (lambda new: fields(new, "thing")["id"].update(type="string"), (THING, "field `id`: `int` → `str`", False, True)),
        (
            lambda new: fields(new, "thing")["parts"].update(nullable=True),
            (THING, "field `parts`: `list[ThingPart]` → `list[ThingPart] | None`", False, True),
        ),
        (
            lambda new: fields(new, "thing")["parts"]["items"]["properties"]["size"].update(type="integer", format=""),
            ("ThingPart", "field `size`: `Decimal` → `int`", False, True),
        ),
    ],
)
def test_what_readers_see(edit: Edit, expected: tuple[str, str, bool, bool]) -> None:
    assert told(edit) == [expected]


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda new: fields(new, "create-thing").pop("zone"), ("argument `zone` removed", True)),
        (
            lambda new: fields(new, "create-thing").update(size={"type": "integer"}),
            ("argument `size` added: `int`, optional", False),
        ),
        (
            lambda new: new["components"]["schemas"]["create-thing"].update(
                properties={**fields(new, "create-thing"), "size": {"type": "integer"}}, required=["name", "size"]
            ),
            ("argument `size` added: `int`, required", True),
        ),
        (lambda new: fields(new, "create-thing")["zone"]["enum"].remove("b"), ("argument `zone`: no longer `b`", True)),
        (lambda new: fields(new, "create-thing").update(zone=STRING), ("argument `zone`: no longer `a`, `b`", False)),
        (
            lambda new: new["components"]["schemas"]["create-thing"]["required"].append("zone"),
            ("argument `zone` now required", True),
        ),
        (
            lambda new: new["components"]["schemas"]["create-thing"]["required"].clear(),
            ("argument `name` may be absent", False),
        ),
        (
            lambda new: fields(new, "create-thing").update(name={"oneOf": [STRING, {"type": "integer"}]}),
            ("argument `name`: `str` → `int | str`", False),
        ),
        (
            lambda new: fields(new, "create-thing")["limits"]["items"].update(nullable=True),
            ("argument `limits`: `list[int]` → `list[int | None]`", True),
        ),
        (
            lambda new: fields(new, "create-thing")["limits"].update(default=[2]),
            ("argument `limits`: left out it means `[2]`, before `[1]`", True),
        ),
    ],
)
def test_what_callers_see(edit: Edit, expected: tuple[str, bool]) -> None:
    (change,) = changes(edit)
    assert (change.name, change.what, change.callers) == (CREATE, *expected)
    assert not change.readers


def test_an_enum_that_becomes_a_component_is_no_change_but_its_values_are() -> None:
    def hoist(new: Json) -> None:
        new["components"]["schemas"]["state"] = fields(new, "thing").pop("state")
        fields(new, "thing")["state"] = {"$ref": "#/components/schemas/state"}

    def hoist_and_lose(new: Json) -> None:
        hoist(new)
        new["components"]["schemas"]["state"]["enum"] = ["on", "asleep"]

    assert told(hoist) == []
    assert told(hoist_and_lose) == [
        (THING, "field `state`: new `asleep`", False, False),
        (THING, "field `state`: no longer `off`", False, False),
    ]


def test_methods_come_go_and_are_deprecated() -> None:
    def edit(new: Json) -> None:
        path(new)["delete"] = operation("deleteThings")
        path(new)["get"]["deprecated"] = True
        del path(new)["post"]

    assert set(told(edit)) == {
        ("things.create", "removed (`POST /api/v1/things`)", True, False),
        ("things.list", "deprecated", False, False),
        ("things.delete", "added (`DELETE /api/v1/things`)", False, False),
    }


def test_a_removed_method_keeps_its_python_name_though_the_lock_has_forgotten_it() -> None:
    lock = {"/paths/~1api~1v1~1things/post": "things.buy"}
    assert ("things.buy", "removed (`POST /api/v1/things`)", True, False) in told(lambda new: path(new).pop("post"), lock, {})


def test_a_method_that_is_called_otherwise_is_a_rename() -> None:
    lock = {"/paths/~1api~1v1~1things/post": "things.buy"}
    assert told(lambda new: None, {}, lock) == [("things.create", "renamed: `things.buy`", True, False)]


def test_a_name_that_calls_another_endpoint_is_told() -> None:
    def edit(new: Json) -> None:
        new["paths"]["/api/v2/things"] = {"post": path(new).pop("post")}

    assert told(edit) == [("things.create", "calls `POST /api/v2/things` instead of `POST /api/v1/things`", False, False)]


def test_a_model_that_is_called_otherwise_is_a_rename() -> None:
    lock = {"/components/schemas/thing": "Item"}
    assert told(lambda new: None, {}, lock) == [
        ("Thing", "renamed: `Item`", False, True),
        ("ThingPart", "renamed: `ItemPart`", False, True),
    ]


def test_what_the_overlay_had_added_before() -> None:
    old, new = document(), document()
    path(old)["get"]["x-source"] = "overlay"
    (change,) = changelog.compare(read(old), read(new))
    assert (change.name, change.what, change.breaking) == ("things.list", "is now in the vendor's contract", False)


def test_a_changed_method_shows_both_signatures_once() -> None:
    def edit(new: Json) -> None:
        fields(new, "create-thing").update(size={"type": "integer"})
        del fields(new, "create-thing")["zone"]

    text = changelog.markdown(changes(edit))
    assert "## Breaking\n\n- `things.create`: argument `zone` removed **(breaks callers)**\n\n  ```diff\n" in text
    assert "  - things.create(*, name: str, zone: str = ..., limits: Sequence[int] = ...) -> Thing\n" in text
    assert text.count("```diff") == 1
    assert "## Compatible\n\n- `things.create`: argument `size` added: `int`, optional" in text


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, str]:
    """Two folders such as openapi/: each with its own contract, corrections and names."""
    new = document()
    del fields(new, "thing")["note"]
    empty = "overlay: 1.0.0\ninfo: {title: none, version: '1'}\nactions: []\n"
    for name, made in (("old", document()), ("new", new)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "bundle.json").write_text(json.dumps(made), encoding="utf-8")
        (tmp_path / name / "overlay.yaml").write_text(empty)
        (tmp_path / name / "english.yaml").write_text(empty)
    return str(tmp_path / "old"), str(tmp_path / "new")


def test_the_command_compares_two_folders(folders: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["diff", *folders]) == 0
    assert "- `Thing`: field `note` removed **(breaks readers)**" in capsys.readouterr().out
    assert main(["diff", folders[0], folders[0]]) == 0
    assert capsys.readouterr().out == "No changes for callers or readers.\n"


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(CodegenError, match=r"missing\.json: not a readable JSON document"):
        changelog.surface(tmp_path / "missing.json")
