"""`fetch` keeps the facts of a bundle, notes where they came from, and says whether anything changed."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from codegen import fetch
from codegen.documents import OPENAPI
from codegen.errors import CodegenError


def bundle(*properties: str) -> dict[str, Any]:
    thing = {"type": "object", "properties": {name: {"type": "string", "description": "prose"} for name in properties}}
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/thing"}}}
    return {
        "openapi": "3.0.3",
        "info": {"title": "Vendor", "version": "1"},
        "tags": [{"name": "Things"}],
        "paths": {
            "/things": {"get": {"operationId": "getThings", "responses": {"200": {"description": "", "content": content}}}}
        },
        "components": {"schemas": {"thing": thing}},
    }


def raw(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


def test_a_first_fetch_writes_the_contract_and_its_source(tmp_path: Path) -> None:
    source = raw(bundle("id"))
    assert fetch.store(source, tmp_path, fetched=date(2026, 6, 17))
    text = (tmp_path / "bundle.json").read_text(encoding="utf-8")
    assert "prose" not in text
    note = (tmp_path / "SOURCE.md").read_text(encoding="utf-8")
    assert hashlib.sha256(source).hexdigest() in note
    assert "| Date | 2026-06-17 |" in note
    assert "| Operations | 1 |" in note
    assert "| Schemas | 1 |" in note


def test_a_second_fetch_says_that_something_changed(tmp_path: Path) -> None:
    fetch.store(raw(bundle("id", "name")), tmp_path, fetched=date(2026, 6, 17))
    assert fetch.store(raw(bundle("id")), tmp_path, fetched=date(2026, 7, 1))
    assert "2026-07-01" in (tmp_path / "SOURCE.md").read_text(encoding="utf-8")


def test_new_prose_alone_leaves_the_folder_alone(tmp_path: Path) -> None:
    document = bundle("id")
    fetch.store(raw(document), tmp_path, fetched=date(2026, 6, 17))
    document["components"]["schemas"]["thing"]["description"] = "other prose"
    assert not fetch.store(raw(document), tmp_path, fetched=date(2026, 7, 1))
    assert "2026-06-17" in (tmp_path / "SOURCE.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (b"<html>", "the bundle is not a JSON document"),
        (raw({"swagger": "2.0"}), "not an OpenAPI 3 document"),
        (raw({**bundle("id"), "components": {}}), "leads nowhere"),
    ],
)
def test_what_is_no_contract_changes_nothing(tmp_path: Path, source: bytes, problem: str) -> None:
    with pytest.raises(CodegenError, match=problem):
        fetch.store(source, tmp_path, fetched=date(2026, 6, 17))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(CodegenError, match=r"nowhere\.json: cannot be read"):
        fetch.read(tmp_path / "nowhere.json")


def test_the_committed_note_counts_the_committed_contract() -> None:
    note = (OPENAPI / "SOURCE.md").read_text(encoding="utf-8")
    document = json.loads((OPENAPI / "bundle.json").read_text(encoding="utf-8"))
    operations = sum(key != "parameters" for item in document["paths"].values() for key in item)
    schemas = len(document["components"]["schemas"])
    for row in (f"| Operations | {operations} |", f"| Tags | {len(document['tags'])} |", f"| Schemas | {schemas} |"):
        assert row in note
