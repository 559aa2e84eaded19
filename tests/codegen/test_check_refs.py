"""A broken reference is one clear error that names the place."""

from __future__ import annotations

from typing import Any

import pytest

from codegen.check_refs import check_refs
from codegen.errors import CodegenError


def document(use: Any) -> dict[str, Any]:
    return {"paths": {"/a": {"get": use}}, "components": {"schemas": {"a/b": {}, "list": [{"x": {}}]}}}


@pytest.mark.parametrize("ref", ["#/components/schemas/a~1b", "#/components/schemas/list/0/x", "#/components/schemas"])
def test_references_that_lead_somewhere(ref: str) -> None:
    check_refs(document({"$ref": ref}))


@pytest.mark.parametrize("ref", ["#/components/schemas/A", "#/components/schemas/list/1", "#/components/schemas/list/x"])
def test_references_that_lead_nowhere(ref: str) -> None:
    with pytest.raises(CodegenError) as caught:
        check_refs(document([{"schema": {"$ref": ref}}]))
    assert str(caught.value) == f"/paths/~1a/get/0/schema: the reference {ref!r} leads nowhere"


def test_other_documents_are_out_of_reach() -> None:
    with pytest.raises(CodegenError, match=r"^/paths/~1a/get: cannot follow the reference 'other\.json#/a'"):
        check_refs(document({"$ref": "other.json#/a"}))


def test_data_is_not_searched_for_references() -> None:
    check_refs(document({"default": {"$ref": "#/nowhere"}, "enum": [{"$ref": "#/nowhere"}]}))
    with pytest.raises(CodegenError, match=r"^/paths/~1a/get/properties/default: "):
        check_refs(document({"properties": {"default": {"$ref": "#/nowhere"}}}))
