"""The public surface is what was last reviewed; a change of it is a deliberate diff."""

from __future__ import annotations

import difflib

from tests.packaging.surface import COMMITTED, surface


def test_surface_is_the_reviewed_one() -> None:
    committed = COMMITTED.read_text(encoding="utf-8").splitlines()
    changes = [line for line in difflib.unified_diff(committed, surface(), n=0, lineterm="") if line[:1] in "+-"][2:]
    assert not changes, "public surface changed; review it and run `nox -s surface -- --write`:\n" + "\n".join(changes[:40])
