"""Telling at run time what the vendor has deprecated; type checkers learn it from the decorator of the method."""

import inspect
import warnings
from pathlib import Path

from timeweb_sdk._core.operation import Operation, table

_PACKAGE = str(Path(__file__).parents[1])


def warn(operation: Operation) -> None:
    """Issue a DeprecationWarning at the line outside this package that made the call."""
    replacement = table().get(operation.replacement or "")
    remedy = f": use {replacement.attribute}" if replacement else " and has no replacement"
    warnings.warn(f"{operation.attribute} is deprecated by Timeweb{remedy}", DeprecationWarning, stacklevel=depth() + 1)


def depth() -> int:
    """Count the frames of this package up to the function that called this one, itself included."""
    depth, frame = 0, inspect.currentframe()
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        depth, frame = depth + 1, frame.f_back
    return depth - 1
