"""The one error of the pipeline: what is wrong, and where in the contract."""

from __future__ import annotations

from collections.abc import Iterable


class CodegenError(Exception):
    """The contract cannot be processed; the message names the JSON pointer and the remedy."""


def pointer(*parts: str | int) -> str:
    """Join the parts into an RFC 6901 JSON pointer."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def at(parts: Iterable[str | int], problem: str) -> CodegenError:
    """Build the error for the node that ``parts`` lead to."""
    return CodegenError(f"{pointer(*parts) or '/'}: {problem}")
