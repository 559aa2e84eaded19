"""What the library knows about every endpoint: `OPERATIONS`, by operation id."""

from collections.abc import Mapping
from types import MappingProxyType

from timeweb_sdk._core.operation import Operation, table

__all__ = ["OPERATIONS", "Operation"]

OPERATIONS: Mapping[str, Operation] = MappingProxyType(table())
