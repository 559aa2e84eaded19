"""``verify`` decodes documented bodies with the built models and says where they disagree, never with what value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from codegen import verify
from codegen.errors import CodegenError

FINANCES: dict[str, Any] = {
    "balance": 1.5, "currency": "RUB", "discount_end_date_at": None, "discount_percent": 0, "hourly_cost": 0.1,
    "hourly_fee": 0.1, "monthly_cost": 72, "monthly_fee": 72, "total_paid": 0, "hours_left": None, "autopay_card_info": None,
}  # fmt: skip
WHERE = "/paths/~1api~1v1~1account~1finances/get/responses/200/content/application~1json"


def bundle(
    media: dict[str, Any], path: str = "/api/v1/account/finances", schemas: dict[str, Any] | None = None
) -> dict[str, Any]:
    responses = {"200": {"content": {"application/json": media}}, "400": {"content": {"application/json": {"example": 1}}}}
    return {"openapi": "3.0.3", "paths": {path: {"get": {"responses": responses}}}, "components": {"schemas": schemas or {}}}


def issues(media: dict[str, Any], **more: Any) -> list[tuple[str, str]]:
    return [(issue.pointer, issue.kind) for issue in verify.verify(list(verify.bodies(bundle(media, **more))))]


def test_a_body_that_fits_has_no_issues() -> None:
    assert issues({"example": {"finances": FINANCES, "response_id": "1"}}) == []


def test_an_issue_is_a_pointer_and_a_kind() -> None:
    odd = {**FINANCES, "balance": "a lot"}
    del odd["currency"]
    assert issues({"example": {"finances": odd}}) == [
        (f"{WHERE}/example/finances/balance", "decimal_parsing"),
        (f"{WHERE}/example/finances/currency", "missing"),
    ]


def test_each_of_several_examples_is_decoded() -> None:
    examples = {"good": {"value": {"finances": FINANCES}}, "a/b": {"value": {"finances": {**FINANCES, "balance": []}}}}
    assert issues({"examples": examples}) == [(f"{WHERE}/examples/a~1b/value/finances/balance", "decimal_type")]


def test_without_a_whole_body_the_examples_of_the_fields_make_one() -> None:
    fields = {name: {"type": "string", "example": value} for name, value in FINANCES.items() if value is not None}
    fields["hours_left"] = {"type": "number", "nullable": True}
    fields["discount_end_date_at"] = {"type": "string", "format": "date-time"}
    fields["autopay_card_info"] = {"oneOf": [{"$ref": "#/components/schemas/card"}, {"type": "number"}]}
    schemas = {"card": {"type": "string", "example": ["not a string"]}}
    schema = {
        "allOf": [{"properties": {"finances": {"properties": fields}}}, {"properties": {"response_id": {"type": "string"}}}]
    }
    assert issues({"schema": schema}, schemas=schemas) == [(f"{WHERE}/schema/finances/autopay_card_info", "string_type")]


def test_an_operation_that_the_package_lacks_is_an_issue() -> None:
    ((_, kind),) = issues({"example": {}}, path="/api/v9/unknown")
    assert kind == "the built package has no such operation"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "vendor.json"
    path.write_text(json.dumps(bundle({"example": {"finances": {**FINANCES, "balance": "confidential"}}})), encoding="utf-8")
    return path


def test_the_report_has_no_values(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verify.report(source, write=False)
    out = capsys.readouterr().out
    assert out == f"{WHERE}/example/finances/balance: decimal_parsing\n1 documented bodies, 1 issues: 1 decimal_parsing\n"


def test_what_came_out_is_kept_and_only_what_is_new_is_told(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "disagreements.txt"
    monkeypatch.setattr(verify, "DISAGREEMENTS", kept)
    verify.report(source, write=True)
    assert kept.read_text(encoding="utf-8") == f"{WHERE}/example/finances/balance: decimal_parsing\n"
    source.write_text(
        json.dumps(bundle({"example": {"finances": {**FINANCES, "balance": "", "currency": 1}}})), encoding="utf-8"
    )
    capsys.readouterr()
    verify.report(source, write=True)
    assert capsys.readouterr().out.splitlines()[0] == f"{WHERE}/example/finances/currency: string_type"
    assert len(kept.read_text(encoding="utf-8").splitlines()) == 2


def test_unreadable_bundles_are_named(tmp_path: Path) -> None:
    with pytest.raises(CodegenError, match=r"none\.json: not a readable JSON document"):
        verify.report(tmp_path / "none.json", write=False)
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(bundle({"schema": {"$ref": "#/components/schemas/none"}})), encoding="utf-8")
    with pytest.raises(CodegenError, match="application~1json/schema: the reference '#/components/schemas/none' leads nowhere"):
        verify.report(broken, write=False)
