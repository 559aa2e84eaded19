"""The pipeline as its user runs it: build, check, other bundles, clear failures."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest

from codegen import build as pipeline, changelog
from codegen.__main__ import main
from codegen.build import Build, Compiled
from codegen.documents import BUNDLE
from codegen.errors import CodegenError
from codegen.tree import Json
from tests.codegen.contracts import NUMBER, STRING, contract, envelope, obj, operation


def bundle(tmp_path: Path, document: Json) -> Path:
    path = tmp_path / "bundle.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def build(source: Path, out: Path) -> int:
    return main(["build", "--from", str(source), "--out", str(out), "--allow-unmatched"])


def in_python(out: Path, code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=out, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def built_once(committed: Build, monkeypatch: pytest.MonkeyPatch) -> Build:
    """The commands take what the session has built already."""
    monkeypatch.setattr(pipeline, "run", lambda *_, **__: committed)
    return committed


@pytest.mark.usefixtures("built_once")
def test_the_committed_code_is_what_the_contract_gives(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 0, capsys.readouterr().err


def test_every_vendor_operation_comes_out(committed: Build) -> None:
    document = json.loads(BUNDLE.read_text(encoding="utf-8"))
    vendor = {node["operationId"] for item in document["paths"].values() for node in item.values()}
    assert {operation.id for operation in committed.operations if operation.source == "vendor"} == vendor
    assert vendor


def test_the_committed_contract_is_sorted(committed: Build) -> None:
    text = BUNDLE.read_text(encoding="utf-8")
    assert text == json.dumps(json.loads(text), ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    assert committed.stale_texts == []


@pytest.mark.usefixtures("built_once")
def test_check_fails_for_a_text_or_a_number_that_is_missing_and_warns_of_a_stale_one(
    committed: Build, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(committed, "stale_texts", ["getServer: x-parameters: 'gone' is not there"])
    assert main(["check"]) == 0
    assert "warning: openapi/english.yaml: speaks of nothing: getServer: x-parameters: 'gone'" in capsys.readouterr().err
    monkeypatch.setattr(committed, "texts", ["getServer: no summary"])
    monkeypatch.setattr(committed.numbers, "undecided", ['"/components/schemas/a": "integer"'])
    assert main(["check"]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert "codegen: openapi/english.yaml: getServer: no summary" in errors
    assert 'codegen: openapi/numbers.lock: "/components/schemas/a": "integer"' in errors


def test_the_committed_contract_does_not_differ_from_itself(compiled: Compiled) -> None:
    assert changelog.compare(compiled.surface, copy.deepcopy(compiled.surface)) == []


def test_another_bundle_builds_an_importable_package_and_leaves_the_checkout_alone(tmp_path: Path) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in (pipeline.PACKAGE / pipeline.GENERATED).rglob("*.py"))
    reply = envelope("widgets", {"type": "array", "items": obj(id=NUMBER, state={"type": "string", "enum": ["on"]})})
    document = contract({"/api/v1/widgets": {"get": operation(reply=reply, tag="Виджеты")}}, tags=[{"name": "Виджеты"}])
    assert build(bundle(tmp_path, document), tmp_path / "out") == 0
    code = (
        "import timeweb_sdk.operations as o; from timeweb_sdk.models import Widget;"
        "print(*o.OPERATIONS, next(iter(o.OPERATIONS.values())).attribute, Widget(id='7', state='new').state)"
    )
    assert in_python(tmp_path / "out", code) == "getV1Widgets widgets.list new"
    assert before == sorted((path, path.stat().st_mtime_ns) for path in (pipeline.PACKAGE / pipeline.GENERATED).rglob("*.py"))


def test_the_own_contract_without_operation_ids_and_english_tags_builds(tmp_path: Path) -> None:
    document = json.loads(BUNDLE.read_text(encoding="utf-8"))
    document["paths"] = dict(list(document["paths"].items())[::8])  # enough of every kind
    for i, item in enumerate(document["paths"].values()):
        for node in item.values():
            node["tags"] = ["Ярлык " + node["tags"][0][::-1].translate(str.maketrans("abcdefgh", "абвгдежз"))]
            if i % 5:
                del node["operationId"]
    assert build(bundle(tmp_path, document), tmp_path / "out") == 0
    code = "from timeweb_sdk.operations import OPERATIONS; print(len([o for o in OPERATIONS.values() if o.source == 'vendor']))"
    assert in_python(tmp_path / "out", code) == str(sum(map(len, document["paths"].values())))


def test_names_that_differ_only_in_case_build(tmp_path: Path) -> None:
    schemas = {
        "Meta": obj(total=NUMBER),
        "meta": obj(pages=NUMBER),
        "thing": obj(a={"$ref": "#/components/schemas/Meta"}, b={"$ref": "#/components/schemas/meta"}),
    }
    reply = envelope("thing", {"$ref": "#/components/schemas/thing"})
    document = contract({"/api/v1/things/{id}": {"get": operation("getThing", reply=reply)}}, schemas)
    assert build(bundle(tmp_path, document), tmp_path / "out") == 0
    wire = {"a": {"total": 1}, "b": {"pages": 2}}
    code = f"from timeweb_sdk.models import Thing; print(sorted(Thing.model_validate({wire}).model_dump().items()))"
    assert in_python(tmp_path / "out", code) == "[('a', {'total': 1}), ('b', {'pages': 2})]"


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        (
            {"$ref": "#/components/schemas/missing"},
            "/paths/~1api~1v1~1things/get/responses/200/content/application~1json/schema",
        ),
        (
            obj(a={"type": "string", "not": {}}),
            "/paths/~1api~1v1~1things/get/responses/200/content/application~1json/schema/properties/a/not",
        ),
    ],
)
def test_a_broken_bundle_is_one_clear_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], schema: Json, pointer: str
) -> None:
    document = contract({"/api/v1/things": {"get": operation("getThings", reply=schema)}})
    assert build(bundle(tmp_path, document), tmp_path / "out") == 1
    captured = capsys.readouterr()
    assert pointer in captured.err
    assert "Traceback" not in captured.err
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_not_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "bundle.json"
    source.write_text("<html>", encoding="utf-8")
    assert build(source, tmp_path / "out") == 1
    assert "not a readable JSON document" in capsys.readouterr().err


def test_from_needs_out(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["build", "--from", str(tmp_path / "x.json")]) == 1
    assert "--from needs --out" in capsys.readouterr().err


@pytest.mark.usefixtures("built_once")
def test_check_names_what_is_out_of_date(
    committed: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "timeweb_sdk"
    pipeline.write(committed, package)
    edited = package / pipeline.GENERATED / "models" / "servers.py"
    edited.write_text(edited.read_text(encoding="utf-8") + "\nHACK = 1\n", encoding="utf-8")
    monkeypatch.setattr(pipeline, "PACKAGE", package)
    assert main(["check"]) == 1
    error = capsys.readouterr().err
    assert "out of date: timeweb_sdk/_generated/models/servers.py" in error
    assert error.count("out of date") == 1


def test_property_names_that_shadow_python_build(tmp_path: Path) -> None:
    thing = obj(
        list={"type": "array", "items": STRING}, **{"from": STRING, "min-size": NUMBER, "model_config": STRING, "2fa": STRING}
    )
    document = contract({"/api/v1/things/{id}": {"get": operation("getThing", reply=envelope("thing", thing))}})
    assert build(bundle(tmp_path, document), tmp_path / "out") == 0
    wire = {"list": ["a"], "from": "b", "min-size": 1, "model_config": "c", "2fa": "d"}
    code = f"from timeweb_sdk.models import Thing; print(Thing.model_validate({wire}).model_dump(by_alias=True) == {wire})"
    assert in_python(tmp_path / "out", code) == "True"


def test_nested_bodies_accept_wrapped_secrets(tmp_path: Path) -> None:
    auth = obj(login=STRING, key={"type": "string", "format": "password"}, since={"type": "string", "format": "date-time"})
    request = {"content": {"application/json": {"schema": obj(auth=auth)}}}
    document = contract({"/api/v1/things": {"post": operation("createThing", requestBody=request)}})
    assert build(bundle(tmp_path, document), tmp_path / "out") == 0
    (params,) = (tmp_path / "out").glob("timeweb_sdk/_generated/params/things.py")
    assert "key: SecretStr | str" in params.read_text(encoding="utf-8")


def test_nothing_half_written_is_left_behind(committed: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "timeweb_sdk"
    (package / pipeline.GENERATED).mkdir(parents=True)
    (package / pipeline.GENERATED / "kept.py").write_text("KEPT = 1\n", encoding="utf-8")
    monkeypatch.setattr(committed, "files", {"broken.py": "def ("})
    with pytest.raises(CodegenError, match="ruff"):
        pipeline.write(committed, package)
    assert [path.relative_to(package).as_posix() for path in package.rglob("*.py")] == ["_generated/kept.py"]


def test_a_document_that_is_nested_without_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "bundle.json"
    for depth in (700, 100_000):
        schema = '{"items":' * depth + "{}" + "}" * depth
        source.write_text('{"openapi": "3.0.3", "components": {"schemas": {"a": ' + schema + "}}}", encoding="utf-8")
        assert build(source, tmp_path / "out") == 1
        assert "nested too deeply" in capsys.readouterr().err
    source.write_text('{"openapi": "3.0.3", "info": {"version": NaN}}', encoding="utf-8")
    assert build(source, tmp_path / "out") == 1
    assert "NaN is no number of JSON" in capsys.readouterr().err


def test_what_a_list_gives_is_what_the_paths_below_it_take(compiled: Compiled) -> None:
    """The id of an item is always there, and of a type that the argument has."""
    items = {listing.path: listing.payload["items"] for listing in compiled.operations if listing.listing and listing.payload}
    checked = 0
    for taking in compiled.operations:
        for argument in taking.path_arguments:
            item = items.get(taking.path.partition(f"/{{{argument.wire}}}")[0], {})
            if "$ref" not in item or "id" not in (schema := compiled.classes[item["$ref"]].schema)["properties"]:
                continue
            checked += 1
            branches = argument.schema.get("anyOf", [argument.schema])
            kind = schema["properties"]["id"]
            assert "id" in schema["required"], taking.id
            assert not kind.get("nullable"), taking.id
            named = {*schema["required"]} & {argument.name, "fqdn", "domain", "mailbox"}  # what may be taken in place of the id
            assert kind["type"] in {branch["type"] for branch in branches} or named, taking.id
    assert checked > 150
