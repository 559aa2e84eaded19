"""What decoded or passed data may look like, told in a way that type checkers follow."""

from collections.abc import Collection, Mapping, Sequence, Set
from typing import Any, TypeGuard


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def is_array(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def is_mapping(value: Any) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def is_collection(value: Any) -> TypeGuard[Collection[Any]]:
    """Tell whether the value is a list, a tuple, a set and the like, but neither text nor bytes."""
    return isinstance(value, (Sequence, Set)) and not isinstance(value, (str, bytes, bytearray, memoryview))
