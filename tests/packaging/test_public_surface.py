"""The public surface is what was last reviewed; a change of it is a deliberate diff."""

from __future__ import annotations

import dataclasses
import difflib

from crm_adapter import results
from tests.packaging.surface import COMMITTED, hidden_types, surface


def test_surface_is_the_reviewed_one() -> None:
    committed = COMMITTED.read_text(encoding="utf-8").splitlines()
    changes = [line for line in difflib.unified_diff(committed, surface(), n=0, lineterm="") if line[:1] in "+-"][2:]
    assert not changes, "public surface changed; review it and run `nox -s surface -- --write`:\n" + "\n".join(changes[:40])


def test_every_type_in_a_public_signature_can_be_imported() -> None:
    """Of the CRM half: who annotates a function of their own with a result must find it in a public module."""
    assert [line for line in hidden_types() if line.startswith("crm_adapter")] == []


def test_the_fields_of_every_result_are_pinned() -> None:
    """A field that is lost is a changed line."""
    lines = COMMITTED.read_text(encoding="utf-8")
    for name in ("SyncReport", "EditResult", "ImportResult", "ServerSyncResult", "Totals", "Freshness", "OutboxEvent"):
        result = getattr(results, name)
        (line,) = (line for line in lines.splitlines() if line.startswith(f"crm_adapter.results.{name}("))
        assert all(f"{field.name}" in line for field in dataclasses.fields(result))
