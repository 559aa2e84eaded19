"""The one error of the pipeline: what is wrong, and where in the contract."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field

from codegen.tree import pointer


class CodegenError(Exception):
    """The contract cannot be processed; the message names the JSON pointer and the remedy."""


def at(parts: Iterable[str | int], problem: str) -> CodegenError:
    """Build the error for the node that ``parts`` lead to."""
    return CodegenError(f"{pointer(*parts) or '/'}: {problem}")


@dataclass
class Problems:
    """Everything that is wrong with one contract, so that a person reads it in one list and not one run after another."""

    found: list[str] = field(default_factory=list[str])

    @contextmanager
    def collected(self) -> Generator[None]:
        """Note an error instead of letting it end the run."""
        try:
            yield
        except CodegenError as error:
            self.add(str(error))

    def add(self, *problems: str) -> None:
        self.found += [problem for problem in problems if problem not in self.found]

    def add_at(self, parts: Iterable[str | int], problem: str) -> None:
        self.add(str(at(parts, problem)))

    def raise_any(self) -> None:
        """Raise one CodegenError with a line per problem, if there is any."""
        if self.found:
            raise CodegenError("\n".join(self.found))
