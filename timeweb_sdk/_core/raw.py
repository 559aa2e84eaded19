"""Calls to paths that the contract does not know."""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from timeweb_sdk._core.call import Call
from timeweb_sdk._core.guards import is_mapping
from timeweb_sdk._core.operation import Operation, table
from timeweb_sdk._core.request import UNSPEAKABLE
from timeweb_sdk._core.responses import RawBody
from timeweb_sdk._core.types import NOT_GIVEN
from timeweb_sdk.errors import ConfigurationError

_METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
_UNSENT = ("POST", "PATCH")


@dataclass(slots=True)
class RawArguments:
    """What goes with a path. It may hold passwords and does not show."""

    query: Any = field(repr=False)
    body: Any = field(repr=False)
    content: Any = field(default=NOT_GIVEN, repr=False)
    to: Any = NOT_GIVEN


def raw_call(method: str, path: str, given: RawArguments) -> Call:
    """Build a call to any path of the API; raises ConfigurationError for what is no path of it."""
    if str(method).upper() not in _METHODS:
        raise ConfigurationError(f"method {method!r}: give one of {', '.join(_METHODS)}")
    if not _is_path(path):
        raise ConfigurationError(f"path {path!r}: give a path of the API, from its first slash on, e.g. /api/v1/servers")
    if not is_mapping(given.query):
        raise ConfigurationError(f"query is a {type(given.query).__name__}: give a dict")
    method, parts = method.upper(), urlsplit(path)
    operation = Operation(
        id=f"{method} {parts.path}",
        method=method,
        path=_template(method, parts.path),
        attribute="request",
        tag="",
        source="overlay",
        retry="unsent" if method in _UNSENT else "safe",
        body="json" if given.content is NOT_GIVEN else "binary",
    )
    if NOT_GIVEN not in (given.content, given.body):
        raise ConfigurationError("json and content: give one of them, a request has one body")
    body = given.body if given.content is NOT_GIVEN else given.content
    # As lists: a name may occur several times, and without a value.
    in_path: dict[str, list[str]] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        in_path.setdefault(name, []).append(value)
    return Call(operation, RawBody, query={**in_path, **given.query}, body=body, to=given.to, literal_path=parts.path)


def _is_path(path: Any) -> bool:
    """Tell whether a path may be sent as it stands: what `urlsplit` would drop from it, and ways out of it, may not."""
    if not isinstance(path, str) or not path.startswith("/") or path.startswith("//") or "#" in path:
        return False
    # Servers may decode a slash before they resolve the dots around it.
    return UNSPEAKABLE.search(path) is None and not {".", ".."} & {*unquote(path.partition("?")[0]).split("/")}


@lru_cache(maxsize=1024)
def _template(method: str, path: str) -> str:
    """Return the path with placeholders, so that calls of one shape share a limit: of a known endpoint its own template."""
    segments = path.split("/")
    for operation in table().values():
        known = operation.path.split("/")
        same_shape = operation.method == method and len(known) == len(segments)
        if same_shape and all(one.startswith("{") or one == other for one, other in zip(known, segments, strict=True)):
            return operation.path
    words = _words()
    return "/".join("{}" if _NOT_OF_A_WORD.search(segment) and segment not in words else segment for segment in segments)


@lru_cache(maxsize=1)
def _words() -> frozenset[str]:
    """Return what stands for itself in the paths of the API, such as `v1` and `k8s`."""
    return frozenset(segment for operation in table().values() for segment in operation.path.split("/"))


_NOT_OF_A_WORD = re.compile(r"[^a-z_-]")
"""Digits, dots, capitals: ids, names of domains."""
