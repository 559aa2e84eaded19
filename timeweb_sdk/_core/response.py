"""A reply with what surrounds the data."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Generic, TypeVar

from timeweb_sdk._core.model import DecodeIssue
from timeweb_sdk._core.secrets import sealed, shown
from timeweb_sdk.secrets import redact

T = TypeVar("T")


@dataclass(frozen=True, slots=True, repr=False)
class Response(Generic[T]):
    """What `with_response` gives: the data, and how it was obtained.

    As with models, what leaves by `repr` or pickle has stars in place of secrets.
    """

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
    body: Any = field(default=None, repr=False)
    """What came although the contract promises nothing, as JSON or text: whether a server went to quarantine, say."""

    def __repr__(self) -> str:
        data = f"<{len(self.data)} bytes>" if isinstance(self.data, (bytes, bytearray)) else repr(shown(self.data))
        rest = "".join(f", {each.name}={getattr(self, each.name)!r}" for each in fields(self)[1:] if each.repr)
        return f"{type(self).__name__}(data={data}{rest})"

    def __getstate__(self) -> list[Any]:
        headers: Any = self.headers
        kept = type(headers)(redact(dict(headers)))
        rest = [getattr(self, each.name) for each in fields(self)[2:-1]]
        return [sealed(self.data), kept, *rest, sealed(self.body)]
