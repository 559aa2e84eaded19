"""One call, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from timeweb_sdk._core.operation import Operation
from timeweb_sdk._core.types import NOT_GIVEN


@dataclass(slots=True)
class Call:
    """An operation with its arguments. Only the operation shows in repr: arguments may hold passwords."""

    operation: Operation
    returns: Any = field(repr=False)
    """The type of the payload; None when there is nothing to return."""
    path: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    query: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    body: Any = field(default=NOT_GIVEN, repr=False)
    files: Any = field(default=NOT_GIVEN, repr=False)
    to: Any = field(default=NOT_GIVEN, repr=False)
    """The file that the reply goes into."""
    literal_path: str | None = None
    """The path itself, where there is no template to fill."""

    def written(self) -> str:
        """The call as its caller wrote it, apart from what is sent in the query or the body."""
        if self.literal_path is not None:
            return self.operation.id
        return f"{self.operation.attribute}({', '.join(_shown(value) for value in self.path.values())})"


def _shown(value: Any) -> str:
    """An id; what is none may be an object that holds passwords."""
    is_plain = value.bit_length() < 1000 if isinstance(value, int) else isinstance(value, (str, float)) or value is None
    return repr(value)[:100] if is_plain else f"<{type(value).__name__}>"
