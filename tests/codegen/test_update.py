"""Taking a new contract: what is stale drops out by itself."""

from __future__ import annotations

from pathlib import Path

from codegen.update import drop_stale
from tests.codegen.conftest import Run
from tests.codegen.contracts import contract, operation

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
