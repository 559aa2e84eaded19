"""References are checked before anything is generated: each leads somewhere, none back to itself, no expansion explodes.

A schema may refer to itself through a property, which is a class that holds itself. Through ``allOf``, ``oneOf`` or ``items``
alone it has no end.
"""

from __future__ import annotations

from collections.abc import Iterator

from codegen.errors import Problems
from codegen.tree import Json, Where, follow, is_object, objects

_MOST = 200_000
"""Nodes that all schemas may have when every reference is written out; the vendor's have 6,540."""


def check_refs(document: Json, problems: Problems) -> None:
    """Note the JSON pointers of all references that do not lead to a node of ``document``."""
    before = len(problems.found)
    for where, ref in _references(document):
        if not ref.startswith("#/"):
            problems.add_at(where, f"cannot follow the reference {ref!r}: only references inside the document are supported")
            continue
        try:
            target, _ = follow(document, ref)
        except LookupError:
            problems.add_at(where, f"the reference {ref!r} leads nowhere")
            continue
        if not is_object(target):
            problems.add_at(where, f"the reference {ref!r} does not lead to an object")
    if len(problems.found) > before:
        return  # what leads nowhere has no size
    sizes, total = _Sizes(document, problems), 0
    for where, ref in _references(document):
        total += sizes.of_ref(ref, where)
        if total > _MOST:
            problems.add_at(where, f"the schemas have more than {_MOST:,} parts when every reference is written out")
            break


def _references(document: Json) -> Iterator[tuple[Where, str]]:
    yield from ((where, node["$ref"]) for where, node in objects(document) if isinstance(node.get("$ref"), str))


class _Sizes:
    """How many nodes a reference stands for, if what it mentions is written out up to the properties of objects."""

    def __init__(self, document: Json, problems: Problems) -> None:
        self._document = document
        self._problems = problems
        self._known: dict[str, int | None] = {}
        """``None`` while the size is being found, so that a circle is seen."""

    def of_ref(self, ref: str, where: Where) -> int:
        size = self._known.get(ref, 0)
        if size is None:
            self._problems.add_at(where, f"the reference {ref!r} leads back to itself")
            return 1
        if not size:
            self._known[ref] = None
            target, place = follow(self._document, ref)
            self._known[ref] = size = self._of(target, place)
        return size

    def _of(self, node: Json, where: Where) -> int:
        if "$ref" in node:
            return self.of_ref(str(node["$ref"]), where)
        size = 1 + len(node.get("properties", ()))
        for key in ("allOf", "oneOf", "anyOf"):
            size += sum(self._of(part, (*where, key, i)) for i, part in enumerate(node.get(key, ())))
        for key in ("items", "additionalProperties"):
            if is_object(child := node.get(key)):
                size += self._of(child, (*where, key))
        return size
