"""From arguments to the request on the wire."""

import json
import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import PurePath
from typing import Any, TypeGuard, cast
from urllib.parse import quote
from uuid import UUID

from pydantic import BaseModel, SecretBytes, SecretStr

from timeweb_sdk._core.call import Call
from timeweb_sdk._core.guards import is_collection, is_mapping
from timeweb_sdk._core.secrets import Content, Hidden, forget_frames
from timeweb_sdk._core.streams import Source, Target, Transfer
from timeweb_sdk._core.types import NOT_GIVEN
from timeweb_sdk.errors import ConfigurationError, TimewebError
from timeweb_sdk.secrets import is_secret_name, name_within

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
UNSPEAKABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters and halves of surrogate pairs."""
_AS_TEXT = (UUID, IPv4Address, IPv6Address, IPv4Network, IPv6Network, IPv4Interface, IPv6Interface, PurePath)


@dataclass(slots=True)
class Request:
    """What is sent, apart from the token, which only the transport adds."""

    method: str
    path: str
    params: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]], repr=False)
    content: Content | None = field(default=None, repr=False)
    content_type: str | None = None
    fields: dict[str, Any] | None = field(default=None, repr=False)
    """The plain fields of a multipart form."""
    files: Any = field(default=None, repr=False)
    transfer: Transfer = field(default_factory=Transfer, repr=False)
    """What is sent from files, or written to one."""


def build(call: Call) -> Request:
    """Encode the arguments; raises ConfigurationError, which names the argument but never shows a body."""
    try:
        request = _build(call)
        if call.to is not NOT_GIVEN:
            request.transfer.target = Target(call.to)
        return request
    except Exception as error:
        fault = forget_frames(error)
    if isinstance(fault, TimewebError):
        raise fault
    # The last: what cannot be decoded may be a secret, and the error holds it.
    cause = None if isinstance(fault, UnicodeError) else fault
    raise ConfigurationError(f"an argument raised {type(fault).__name__} when it was read: give plain data") from cause


def _build(call: Call) -> Request:
    path = call.literal_path or fill_path(call.operation.path, call.path)
    params = encode_query(call.query) if call.query else []
    body = call.body
    if call.files is not NOT_GIVEN:
        fields = None if body is NOT_GIVEN else {name: _text(name, item) for name, item in body.items() if not _is_absent(item)}
        parts = _parts(call.files)
        sources = [part for _, part in parts if isinstance(part, Source)]
        sources += [part[1] for _, part in parts if isinstance(part, tuple) and isinstance(part[1], Source)]
        return Request(call.operation.method, path, params, fields=fields, files=parts, transfer=Transfer(sources=sources))
    if body is NOT_GIVEN:
        return Request(call.operation.method, path, params)
    if call.operation.body == "binary":
        given = _file(body, "body")
        content, sources = (None, [given]) if isinstance(given, Source) else (given, [])
        return Request(
            call.operation.method, path, params, content, "application/octet-stream", transfer=Transfer(sources=sources)
        )
    return Request(call.operation.method, path, params, _json_content(body), "application/json")


def _json_content(body: Any) -> Content:
    try:
        return Content(to_json(body).encode())
    except UnicodeEncodeError:
        fault = "holds half of a surrogate pair, which UTF-8 cannot carry: give whole characters"
    except RecursionError:
        fault = "is nested too deeply or holds itself: give an object with an end"
    # Out here the error has no context, which would hold the body.
    raise ConfigurationError(f"body {fault}")


def _is_absent(value: Any) -> bool:
    return value is None or value is NOT_GIVEN


def secrets_of(call: Call) -> set[str]:
    """Return the secrets that a call sends: what is a SecretStr, or text in a field of a secret's name."""
    found = {*_secrets_in("", call.query)}
    return found if call.body is NOT_GIVEN else found | {*_secrets_in("", call.body)}


def _secrets_in(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, Hidden):
        value = value.value
    if isinstance(value, BaseModel):
        value = _by_alias(value)
    if isinstance(value, str) and is_secret_name(name):
        yield value
    elif isinstance(value, (SecretStr, SecretBytes)):
        yield _simplify(value)
    elif is_mapping(value):
        for key, item in value.items():
            yield from _secrets_in(name_within(name, str(key)), item)
    elif is_collection(value):
        for item in value:
            yield from _secrets_in(name, item)


def _parts(files: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Give each file of a list a part of its own under the list's name."""
    return [(name, _part(name, file)) for name, value in files.items() for file in (value if _is_several(value) else [value])]


def _part(name: str, file: Any) -> Any:
    if not is_collection(file):
        return _file(file, name)
    title, content, *rest = file
    return (title, _file(content, f"{name} ({title})"), *rest)


def _is_several(value: Any) -> TypeGuard[Collection[Any]]:
    """Tell several files from one that goes with its name: `("notes.txt", b"...")`."""
    return is_collection(value) and not any(isinstance(part, str) for part in value)


def fill_path(template: str, values: Mapping[str, Any]) -> str:
    """Put the values into the template, percent-encoded, so that none of them can reach another path."""
    parts = _parts_of(template)
    if len(parts) == 1:
        return template
    return "".join(_segment(template, part, values.get(part)) if number % 2 else part for number, part in enumerate(parts))


@lru_cache(maxsize=1024)
def _parts_of(template: str) -> list[str]:
    """Split a template into what stands between the placeholders and, at every odd place, their names."""
    return _PLACEHOLDER.split(template)


def _segment(template: str, name: str, value: Any) -> str:
    if value.__class__ is int and value >= 0:
        return str(value)
    text = _id_of(value)
    # Servers may decode a slash before they resolve the dots around it.
    if not text.strip() or UNSPEAKABLE.search(text) or {".", ".."} & {*text.split("/")}:
        shown = (
            f"={value!r}" if _is_absent(value) or isinstance(value, (str, int, float)) else f" is a {type(value).__name__} and"
        )
        raise ConfigurationError(f"{name}{shown} cannot be part of {template}: give the id")
    return quote(text, safe=":,@")


def _id_of(value: Any) -> str:
    """Write an id; an empty text for what is none. An object must not do: the text of one may hold passwords."""
    value = _simplify(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int):
        return "" if isinstance(value, bool) or value < 0 else str(value)
    return value if isinstance(value, str) else ""


def encode_query(query: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Flatten to pairs: what is absent or None is left out, a list repeats its name."""
    pairs: list[tuple[str, str]] = []
    for name, value in query.items():
        if _is_absent(value):
            continue
        items = value if is_collection(value) else [value]
        key = _text("a name in the query", name)
        pairs.extend((key, _text(key, item)) for item in items if not _is_absent(item))
    return pairs


def to_json(value: Any, where: str = "body") -> str:
    """Write JSON. Unlike the standard encoder: Decimal exactly, dates in UTC, models by alias, secrets revealed."""
    value = _simplify(value)
    if value is None or isinstance(value, (str, bool)):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, (float, Decimal)):
        if not math.isfinite(value):
            raise ConfigurationError(f"{where} is {value}, which JSON cannot carry: give a finite number")
        return format(value, "f") if isinstance(value, Decimal) else float.__repr__(value)
    if is_mapping(value):
        items = value.items()
        pairs = (
            f"{json.dumps(_text(f'a key of {where}', key))}:{to_json(item, f'{where}.{key}')}"
            for key, item in items
            if item is not NOT_GIVEN
        )
        return "{" + ",".join(pairs) + "}"
    if is_collection(value):
        return "[" + ",".join(to_json(item, f"{where}.{number}") for number, item in enumerate(value)) + "]"
    raise ConfigurationError(
        f"{where} is a {type(value).__name__}, which JSON cannot carry: give a str, number, list, dict or model"
    )


def _simplify(value: Any) -> Any:
    """Turn what has one obvious JSON form into it."""
    if isinstance(value, Hidden):
        value = value.value
    if isinstance(value, BaseModel):
        return _by_alias(value)
    if isinstance(value, Enum) and value is not NOT_GIVEN:
        return value.value
    if isinstance(value, (SecretStr, SecretBytes)):
        secret = value.get_secret_value()
        return secret.decode() if isinstance(secret, bytes) else secret
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, _AS_TEXT):
        return str(value)
    return value


def _by_alias(model: BaseModel) -> dict[str, Any]:
    """Return the fields that were set, by their wire names; `model_dump` would hide the secrets."""
    fields = type(model).model_fields
    set_fields = {(fields[name].alias or name): getattr(model, name) for name in model.model_fields_set if name in fields}
    return set_fields | (model.__pydantic_extra__ or {})


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with a Z; a naive moment counts as UTC."""
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return aware.isoformat().replace("+00:00", "Z")


def _text(name: str, value: Any) -> str:
    """Write the value `name` of a query or a form."""
    if value.__class__ in (int, str):
        return str(value)
    value = _simplify(value)
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, (int, float, Decimal)) and math.isfinite(value):
        return format(value, "f") if isinstance(value, Decimal) else str(value)
    if is_collection(value):
        return ",".join(_text(name, item) for item in value)
    if is_mapping(value):
        return to_json(value, name)
    raise ConfigurationError(f"{name} is a {type(value).__name__}: give a str, a finite number, a date or a list of them")


def _file(given: Any, where: str) -> Content | Source:
    if isinstance(given, (bytes, bytearray, memoryview)):
        return Content(cast(bytes, given))
    if hasattr(given, "__fspath__") or hasattr(given, "read"):
        return Source(given, where)
    raise ConfigurationError(f"{where} is a {type(given).__name__}: give a path, a file opened in binary mode, or bytes")
