"""The operation table, loaded with the first call."""

from functools import lru_cache

from timeweb_sdk._core.operation import Operation


@lru_cache(maxsize=1)
def table() -> dict[str, Operation]:
    from timeweb_sdk._generated.operation_table import TABLE

    return TABLE


def operation(operation_id: str) -> Operation:
    return table()[operation_id]
