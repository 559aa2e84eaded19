"""A reference that leads nowhere is an error of the contract, found before anything is generated from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from codegen.errors import at
from codegen.tree import Json, Where, follow, is_array, is_object

_VALUES = frozenset({"default", "enum", "example"})
"""Keys whose value is data, in which a property may be called ``$ref``."""


def check_refs(document: Json) -> None:
    """Raise CodegenError naming the JSON pointer of the first ``$ref`` that does not lead to a node of ``document``."""
    known: set[str] = set()
    for where, ref in _references(document, ()):
        if ref not in known:
            if not ref.startswith("#/"):
                raise at(where, f"cannot follow the reference {ref!r}: only references inside the document are supported")
            try:
                follow(document, ref)
            except LookupError:
                raise at(where, f"the reference {ref!r} leads nowhere") from None
            known.add(ref)


def _references(node: Any, where: Where) -> Iterator[tuple[Where, str]]:
    if is_object(node):
        ref = node.get("$ref")
        if isinstance(ref, str):
            yield where, ref
        for key, child in node.items():
            if key not in _VALUES or where[-1:] == ("properties",):
                yield from _references(child, (*where, key))
    elif is_array(node):
        for index, child in enumerate(node):
            yield from _references(child, (*where, index))
