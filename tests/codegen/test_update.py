"""Taking a new contract: what a person has to do is one list, what is stale drops out by itself."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from codegen import update as updating
from codegen.documents import read_lock, write_lock
from codegen.errors import CodegenError
from codegen.tree import Json
from codegen.update import drop_stale, take
from tests.codegen.conftest import Run
from tests.codegen.contracts import NUMBER, contract, envelope, obj, operation, small_contract, write_documents

TEXTS = """overlay: 1.0.0
actions:
- target: $.a
  update:
    summary: Kept
- target: $.gone
  update:
    summary: |-
      Of two
      lines
- target: $.b
  update: {summary: Kept too}
"""


def test_texts_that_match_nothing_are_taken_out_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "english.yaml"
    path.write_text(TEXTS, encoding="utf-8")
    note = "getServer: x-parameters: 'gone' is not there"
    stale = "english.yaml: actions[1] ($.gone): matches nothing"
    assert drop_stale(path, [stale, note]) == [stale]
    head, _, rest = TEXTS.partition("- target: $.gone")
    assert path.read_text(encoding="utf-8") == head + rest[rest.index("- target: $.b") :]
    assert drop_stale(path, [note]) == []


def test_each_resource_needs_its_text_and_no_text_speaks_of_one_that_is_gone(run: Run) -> None:
    document = contract({"/api/v1/things/{id}/parts": {"get": operation("getParts")}})
    texts = {"things": "Things.", "gone": "What was once."}
    built = run(document, texts=[{"target": "$", "update": {"x-resources": texts}}])
    assert "openapi/english.yaml: x-resources: no text on things.parts" in built.to_write()
    assert not [line for line in built.to_write() if line.endswith("on things")]
    assert built.stale_texts == ["x-resources: 'gone' is not there"]
    assert '"""Things."""' in built.files["client.py"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_documents(tmp_path / "openapi")
    return tmp_path / "openapi"


def taken(document: Json, folder: Path) -> tuple[list[str], str, str]:
    """Take a contract; returns what is left for a person, the changelog and the generated models."""
    page = folder.with_name("changelog.md")
    left = take(json.dumps(document).encode(), folder, folder.with_name("package"), page)
    models = folder.with_name("package") / "_generated/models"
    return left, page.read_text(encoding="utf-8"), "".join(path.read_text(encoding="utf-8") for path in models.glob("*.py"))


def test_an_update_that_leaves_nothing_to_a_person(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = small_contract()
    document["components"]["schemas"]["thing"]["properties"]["status"]["enum"].append("dreaming")
    left, changes, models = taken(document, folder)
    assert left == []
    assert changes.splitlines()[-1] == "- `Thing`: field `status`: new `dreaming`"
    assert "dreaming" in models
    assert "Left for a person: 0" in capsys.readouterr().out
    assert taken(document, folder)[:2] == ([], "No changes for callers or readers.\n")


def test_an_update_lists_all_that_only_a_person_can_do(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = small_contract()
    thing = document["components"]["schemas"]["thing"]
    del thing["properties"]["gadget"], document["components"]["schemas"]["gadget"]
    thing["required"].remove("gadget")
    thing["properties"]["size"]["nullable"] = True  # as the correction said
    document["paths"]["/api/v1/parts"] = {"get": operation("getParts", reply=envelope("parts", obj(price=NUMBER)))}
    left, changes, models = taken(document, folder)
    place = "/paths/~1api~1v1~1parts/get/responses/200/content/application~1json/schema/properties/parts/properties/price"
    assert [line.partition(" (")[0] for line in left] == [
        "openapi/overlay.yaml: actions[0]",
        f'openapi/numbers.lock: "{place}": "decimal"',
        "openapi/english.yaml: getParts: no summary",
        "openapi/english.yaml: getParts: no description",
        "openapi/english.yaml: x-resources: no text on parts",
    ]
    assert "- `Thing`: field `gadget` removed **(breaks readers)**" in changes
    assert "class Part(" in models
    assert read_lock(folder / "names.lock")["/paths/~1api~1v1~1parts/get"] == "parts.get"
    assert "gadget" not in (folder / "english.yaml").read_text(encoding="utf-8")
    told = capsys.readouterr().out
    assert "Dropped from openapi/english.yaml, for it spoke of nothing: 1" in told
    assert "parts.get (/paths/~1api~1v1~1parts/get)" in told


def test_a_contract_that_cannot_be_expressed_leaves_the_code_as_it_was(folder: Path) -> None:
    _, _, models = taken(small_contract(), folder)
    document = small_contract()
    document["paths"]["/api/v1/things"]["head"] = operation("touchThings")
    del document["components"]["schemas"]["thing"]["properties"]["size"]
    document["components"]["schemas"]["thing"]["required"].remove("size")
    with pytest.raises(CodegenError, match=r"/paths/~1api~1v1~1things/head.*\n.*overlay\.yaml: actions\[0\]") as stopped:
        taken(document, folder)
    assert len(str(stopped.value).splitlines()) == 2
    told = folder.with_name("changelog.md").read_text(encoding="utf-8")
    assert told.startswith("Provisional: the build stops")
    assert "- `Thing`: field `size` removed **(breaks readers)**" in told
    left, changes, after = taken(small_contract(), folder)
    assert (left, after) == ([], models)
    assert changes.startswith("What was there before does not compile")


def test_what_we_say_of_a_path_follows_it_when_a_placeholder_is_spelled_anew(folder: Path) -> None:
    (folder / "english.yaml").write_text(
        (folder / "english.yaml").read_text(encoding="utf-8")
        + "- target: $\n  update: {x-arguments: {thing_id: Which one.}}\n"
        + "- target: $.paths['/api/v1/things/{thing_id}'].get\n  update: {summary: Show the kept one, description: Free.}\n",
        encoding="utf-8",
    )
    document, path = small_contract(), "/api/v1/things/{thing_id}"
    document["paths"][path] = {"get": operation("getThing", reply=envelope("weight", NUMBER))}
    taken(document, folder)
    place = "/paths/~1api~1v1~1things~1{}/get/responses/200/content/application~1json/schema/properties/weight"
    write_lock(folder / "numbers.lock", {**read_lock(folder / "numbers.lock"), place.format("{thing_id}"): "float"})
    document["paths"]["/api/v1/things/{id}"] = document["paths"].pop(path)
    left, changes, _ = taken(document, folder)
    assert left == []
    assert (
        changes.splitlines()[-1] == "- `things.get`: calls `GET /api/v1/things/{id}` instead of `GET /api/v1/things/{thing_id}`"
    )
    assert read_lock(folder / "numbers.lock")[place.format("{id}")] == "float"


def test_a_bundle_without_operations_changes_nothing(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(CodegenError, match="/paths: an update that would remove every operation"):
        taken({"openapi": "3.0.3"}, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_command_lists_the_surface_and_verifies_with_the_bundle_as_it_came(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle = tmp_path / "vendor.json"
    bundle.write_bytes(b"{}")
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        commands.append(command[2:])
        if "verify" in command:
            assert Path(command[-2]).read_bytes() == b"{}"
        return subprocess.CompletedProcess(command, len(commands) - 1)

    monkeypatch.setattr(updating, "take", lambda *_: [])
    monkeypatch.setattr(subprocess, "run", run)
    assert updating.update(bundle, None) == updating.LEFT  # for the second has failed
    assert [command[:2] for command in commands] == [["tests.packaging.surface", "--write"], ["codegen", "verify"]]
