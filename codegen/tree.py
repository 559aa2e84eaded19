"""Parsed JSON: tests that a type checker understands, and JSON pointers (RFC 6901) to places in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeGuard

Json = dict[str, Any]
Where = tuple[str | int, ...]
METHODS = ("get", "post", "put", "patch", "delete", "head", "options")
_DATA = frozenset({"default", "enum", "example"})
"""Keys whose value is data, in which a property may be called ``$ref`` or ``type``."""


def is_object(node: object) -> TypeGuard[Json]:
    """Tell whether ``node`` is a JSON object."""
    return isinstance(node, dict)


def is_array(node: object) -> TypeGuard[list[Any]]:
    """Tell whether ``node`` is a JSON array."""
    return isinstance(node, list)


def pointer(*parts: str | int) -> str:
    """Join the parts into a JSON pointer."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def parts_of(pointer: str) -> list[str]:
    """Split a JSON pointer, or a reference such as ``#/components/schemas/vds``, into its parts."""
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.partition("/")[2].split("/")]


def follow(document: Json, ref: str) -> tuple[Any, Where]:
    """Return the node that a reference inside ``document`` leads to, and its place; raises LookupError if there is none."""
    node: Any = document
    where: Where = ()
    for part in parts_of(ref):
        if is_object(node):
            node, where = node[part], (*where, part)
        elif is_array(node) and part.isdecimal():
            node, where = node[int(part)], (*where, int(part))
        else:
            raise KeyError(part)
    return node, where


def resolved(document: Json, node: Json, where: Where) -> tuple[Json, Where]:
    """Follow a chain of references that `codegen.check_refs` has seen; returns the node and its place."""
    while "$ref" in node:
        node, where = follow(document, node["$ref"])
    return node, where


def objects(node: Any, where: Where = ()) -> Iterator[tuple[Where, Json]]:
    """Yield every object of a document with its place; data is passed over."""
    if is_object(node):
        yield where, node
        for key, child in node.items():
            if key not in _DATA or where[-1:] == ("properties",):
                yield from objects(child, (*where, key))
    elif is_array(node):
        for index, child in enumerate(node):
            yield from objects(child, (*where, index))


def operations_of(document: Json) -> Iterator[tuple[Where, Json]]:
    """Yield every operation with its place: ``("paths", path, method)``."""
    for path, item in document.get("paths", {}).items():
        yield from ((("paths", path, method), item[method]) for method in METHODS if method in item)
