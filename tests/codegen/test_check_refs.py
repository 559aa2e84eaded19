"""A broken reference is one clear error that names the place."""

from __future__ import annotations

from typing import Any

import pytest

from codegen.check_refs import check_refs
from codegen.errors import Problems


def problems_of(use: Any) -> list[str]:
    problems = Problems()
    check_refs({"paths": {"/a": {"get": use}}, "components": {"schemas": {"a/b": {}, "list": [{"x": {}}]}}}, problems)
    return problems.found


@pytest.mark.parametrize("ref", ["#/components/schemas/a~1b", "#/components/schemas/list/0/x", "#/components/schemas"])
def test_references_that_lead_somewhere(ref: str) -> None:
    assert problems_of({"$ref": ref}) == []


@pytest.mark.parametrize("ref", ["#/components/schemas/A", "#/components/schemas/list/1", "#/components/schemas/list/x"])
def test_references_that_lead_nowhere(ref: str) -> None:
    assert problems_of([{"schema": {"$ref": ref}}]) == [f"/paths/~1a/get/0/schema: the reference {ref!r} leads nowhere"]


def test_other_documents_are_out_of_reach() -> None:
    (problem,) = problems_of({"$ref": "other.json#/a"})
    assert problem.startswith("/paths/~1a/get: cannot follow the reference 'other.json#/a'")


def test_data_is_not_searched_for_references() -> None:
    assert problems_of({"default": {"$ref": "#/nowhere"}, "enum": [{"$ref": "#/nowhere"}]}) == []
    (problem,) = problems_of({"properties": {"default": {"$ref": "#/nowhere"}}})
    assert problem.startswith("/paths/~1a/get/properties/default: ")
