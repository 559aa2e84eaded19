"""`isinstance` for containers whose items may be anything: says `Any` where the built-in leaves them unknown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from typing_extensions import TypeIs


def is_dict(value: object) -> TypeIs[dict[str, Any]]:
    """A dict; keys of JSON are strings."""
    return isinstance(value, dict)


def is_mapping(value: object) -> TypeIs[Mapping[Any, Any]]:
    """Any mapping."""
    return isinstance(value, Mapping)


def is_list(value: object) -> TypeIs[list[Any]]:
    """A list."""
    return isinstance(value, list)


def is_series(value: object) -> TypeIs[list[Any] | tuple[Any, ...] | set[Any] | frozenset[Any]]:
    """A list, tuple or set."""
    return isinstance(value, list | tuple | set | frozenset)
