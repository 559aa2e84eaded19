"""OpenAPI Overlay 1.0: what an action does, and that a stale one is never silent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from codegen.errors import CodegenError
from codegen.overlay import apply, load


def overlay(*actions: dict[str, Any]) -> dict[str, Any]:
    return {"overlay": "1.0.0", "info": {"title": "Test", "version": "1"}, "actions": list(actions)}


def applied(document: dict[str, Any], *actions: dict[str, Any]) -> dict[str, Any]:
    return apply(document, overlay(*actions), source_name="test.yaml").document


def test_update_merges_objects_and_replaces_values() -> None:
    document = {"vds": {"type": "number", "nested": {"kept": 1, "old": 2}}}
    result = applied(document, {"target": "$.vds", "update": {"type": "integer", "nested": {"old": 3}}})
    assert result == {"vds": {"type": "integer", "nested": {"kept": 1, "old": 3}}}


def test_update_appends_to_an_array_inside_the_target() -> None:
    result = applied({"vds": {"enum": ["a", "b"]}}, {"target": "$.vds", "update": {"enum": ["b", "c"]}})
    assert result == {"vds": {"enum": ["a", "b", "c"]}}


def test_update_of_an_array_target_appends_one_entry() -> None:
    document: dict[str, Any] = {"parameters": [{"name": "a"}]}
    result = applied(document, {"target": "$.parameters", "update": {"name": "b"}})
    assert result == {"parameters": [{"name": "a"}, {"name": "b"}]}


def test_update_reaches_every_match_and_shares_nothing_between_them() -> None:
    document: dict[str, Any] = {"a": {"p": {}}, "b": {"p": {}}}
    result = applied(
        document,
        {"target": "$..p", "update": {"list": []}},
        {"target": "$.a.p.list", "update": "only here"},
    )
    assert result == {"a": {"p": {"list": ["only here"]}}, "b": {"p": {"list": []}}}


def test_remove_takes_every_match_out_of_arrays_and_objects() -> None:
    document: dict[str, Any] = {"required": ["a", "bad", "b", "worse"], "properties": {"a": {}, "bad": {}}}
    result = applied(
        document,
        {"target": "$.required[?@ == 'bad' || @ == 'worse']", "remove": True},
        {"target": "$.properties.bad", "remove": True},
    )
    assert result == {"required": ["a", "b"], "properties": {"a": {}}}


def test_actions_apply_in_order_to_a_copy() -> None:
    document = {"a": {"x": 1}}
    result = applied(document, {"target": "$.a", "update": {"x": 2}}, {"target": "$[?@.x == 2]", "update": {"seen": True}})
    assert result == {"a": {"x": 2, "seen": True}}
    assert document == {"a": {"x": 1}}


def test_an_action_that_matches_nothing_names_itself() -> None:
    stale = {"target": "$.components.schemas['gone']", "update": {"nullable": True}}
    with pytest.raises(CodegenError, match=r"test\.yaml: actions\[1\] \(\$\.components\.schemas\['gone'\]\): matches nothing"):
        applied({"a": {}}, {"target": "$.a", "update": {"x": 1}}, stale)


def test_an_action_that_changes_nothing_is_stale_too() -> None:
    with pytest.raises(CodegenError, match=r"actions\[0\] .*changes nothing"):
        applied({"a": {"enum": ["x"]}}, {"target": "$.a", "update": {"enum": ["x"]}})


def test_all_stale_actions_are_named_at_once() -> None:
    with pytest.raises(CodegenError) as caught:
        applied({"a": {}}, {"target": "$.x", "remove": True}, {"target": "$.y", "remove": True})
    assert [line.split(":")[1].split()[0] for line in str(caught.value).splitlines()] == ["actions[0]", "actions[1]"]


def test_stale_actions_are_returned_where_they_are_allowed() -> None:
    document, unmatched = apply(
        {"a": {}},
        overlay({"target": "$.x", "remove": True}, {"target": "$.a", "update": {"done": True}}),
        source_name="test.yaml",
        allow_unmatched=True,
    )
    assert document == {"a": {"done": True}}
    assert len(unmatched) == 1
    assert "actions[0] ($.x)" in unmatched[0]


@pytest.mark.parametrize(
    ("action", "problem"),
    [
        ({"update": {}}, "needs a target"),
        ({"target": "$.a"}, "needs update or remove"),
        ({"target": "$.a", "remove": False}, "needs update or remove"),
        ({"target": "$.a[", "remove": True}, "not a valid JSONPath"),
        ({"target": "$.a", "updates": {}}, "unknown key updates"),
        ({"target": "$.a.x", "update": {"y": 1}}, "needs an object or an array"),
        ({"target": "$", "remove": True}, "cannot be removed"),
    ],
)
def test_malformed_actions_are_refused(action: dict[str, Any], problem: str) -> None:
    with pytest.raises(CodegenError, match=rf"test\.yaml: actions\[0\].*{problem}"):
        applied({"a": {"x": 1}}, action)


def test_extensions_are_allowed_and_other_documents_are_not() -> None:
    action = {"target": "$.a", "update": {"x": 1}, "x-reason": "why", "x-source": "where"}
    assert applied({"a": {}}, action) == {"a": {"x": 1}}
    with pytest.raises(CodegenError, match=r"test\.yaml: not an OpenAPI Overlay 1 document"):
        apply({}, {"openapi": "3.0.3"}, source_name="test.yaml")


def test_a_reference_that_the_overlay_breaks_is_an_error() -> None:
    document: dict[str, Any] = {"components": {"schemas": {"a": {}}}, "use": {"$ref": "#/components/schemas/a"}}
    with pytest.raises(CodegenError, match=r"^/use: the reference '#/components/schemas/a' leads nowhere"):
        applied(document, {"target": "$.components.schemas.a", "remove": True})


def test_load_reports_what_is_no_overlay(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("a: [1", encoding="utf-8")
    with pytest.raises(CodegenError, match=r"broken\.yaml: not a YAML document"):
        load(path)
    path.write_text("- 1", encoding="utf-8")
    with pytest.raises(CodegenError, match=r"broken\.yaml: an overlay must be a mapping, not list"):
        load(path)
