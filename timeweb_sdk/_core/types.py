"""Small types that signatures of the public surface are made of."""

from enum import Enum
from typing import BinaryIO, Final, Literal, TypeAlias


class NotGiven(Enum):
    """The type of `NOT_GIVEN`: an argument that was left out, as opposed to None, which is sent as null."""

    NOT_GIVEN = "NOT_GIVEN"

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "NOT_GIVEN"


NOT_GIVEN: Final = NotGiven.NOT_GIVEN

Delivery = Literal["not_sent", "unknown", "answered"]
"""What is known about a request: it never left, it may have arrived, or the server replied to it."""

FileContent: TypeAlias = bytes | BinaryIO | tuple[str, bytes | BinaryIO]
"""A file to upload: its bytes, a file opened in binary mode, or in a form a pair of a file name and either."""
