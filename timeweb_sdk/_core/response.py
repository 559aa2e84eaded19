"""A reply with what surrounds the data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from timeweb_sdk._core.model import DecodeIssue

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Response(Generic[T]):
    """What `with_response` gives: the data, and how it was obtained."""

    data: T
    headers: Mapping[str, str] = field(repr=False)
    """Header names are case-insensitive."""
    status_code: int
    response_id: str | None
    """The API's id of this reply, which its support asks for."""
    attempts: int
    """How many requests were sent."""
    waited: float
    """Seconds spent in pacing and between attempts, not in requests."""
    total: int | None = None
    """How many items there are on all pages of a list, if the API says so."""
    decode_issues: tuple[DecodeIssue, ...] = ()
