"""Small types that signatures of the public surface are made of."""

import os
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

_Readable: TypeAlias = bytes | BinaryIO | os.PathLike[str]
FileContent: TypeAlias = _Readable | tuple[str, _Readable]
"""A file to upload: its path, a file opened in binary mode (sent from where it stands), or bytes.

In a form also a pair of a file name and one of these. Files are sent in pieces and never held in memory.
"""

FileTarget: TypeAlias = BinaryIO | os.PathLike[str]
"""Where a download goes: a path, at which the file appears when it is whole, or a file opened in binary mode."""
