"""What a ``number`` of the contract is: the vendor writes that for ids, counts, money and ratios alike.

Nobody can tell from the contract alone, so each is decided by a person and kept in ``openapi/numbers.lock``: JSON pointer ->
``integer``, ``decimal`` (money) or ``float`` (what is measured). A correction in ``openapi/overlay.yaml`` decides too.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from codegen.documents import read_lock, write_lock
from codegen.errors import CodegenError
from codegen.tree import Json, objects, pointer

_KINDS: dict[str, Json] = {
    "integer": {"type": "integer"},
    "decimal": {"type": "number", "format": "decimal"},
    "float": {"type": "number", "format": "double"},
}
_HINTS = (
    ("integer", re.compile(r"(^|_)ids?$|count|port|total")),
    ("decimal", re.compile("price|cost|fee|balance|amount|rate")),
)


class Numbers:
    """The lock, and which of its lines were needed in this build."""

    def __init__(self, lock: dict[str, str]) -> None:
        if wrong := {place: kind for place, kind in lock.items() if kind not in _KINDS}:
            raise CodegenError(f"openapi/numbers.lock: {wrong}: a number is one of {', '.join(_KINDS)}")
        self._lock = lock
        self.used: dict[str, str] = {}
        self.undecided: list[str] = []
        """One line per number that is in no lock, ready to be pasted there; until then it is an int or a float."""

    @classmethod
    def read(cls, path: Path) -> Numbers:
        return cls(read_lock(path))

    def write(self, path: Path) -> None:
        """Write the decisions in use: a place that left the contract leaves the lock."""
        write_lock(path, self.used)

    def decide(self, contract: Json) -> None:
        """Write what the lock says into ``contract`` and note what it does not say."""
        undecided = [(w, s) for w, s in objects(contract) if s.get("type") == "number" and "format" not in s]
        for where, schema in undecided:
            place = pointer(*where)
            kind = self._lock.get(place)
            if kind is not None:
                self.used[place] = kind
                schema.update(_KINDS[kind])
                continue
            name = [part for part in where if isinstance(part, str) and part not in {"items", "schema"}][-1]
            likely = [kind for kind, pattern in _HINTS if pattern.search(name)]
            self.undecided.append(f"{json.dumps(place)}: {json.dumps(likely[0] if likely else '|'.join(_KINDS))}")
