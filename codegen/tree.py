"""Parsed JSON, with tests that a type checker understands."""

from __future__ import annotations

from typing import Any, TypeGuard

Json = dict[str, Any]
Where = tuple[str | int, ...]


def is_object(node: object) -> TypeGuard[Json]:
    """Tell whether ``node`` is a JSON object."""
    return isinstance(node, dict)


def is_array(node: object) -> TypeGuard[list[Any]]:
    """Tell whether ``node`` is a JSON array."""
    return isinstance(node, list)
