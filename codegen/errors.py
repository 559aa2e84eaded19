"""The one error of the pipeline: what is wrong, and where in the contract."""

from __future__ import annotations

from collections.abc import Iterable

from codegen.tree import pointer


class CodegenError(Exception):
    """The contract cannot be processed; the message names the JSON pointer and the remedy."""


def at(parts: Iterable[str | int], problem: str) -> CodegenError:
    """Build the error for the node that ``parts`` lead to."""
    return CodegenError(f"{pointer(*parts) or '/'}: {problem}")
