"""The one place where a reply of Timeweb becomes plain data, and where secrets are taken out of it.

Everything that plans, compares, stores, logs or shows a server starts from `plain` or `stable`. Coercions
are lenient, because the SDK decodes leniently: an odd value is None, never an exception.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, SecretBytes, SecretStr

from crm_adapter.narrow import is_dict, is_list, is_mapping, is_series
from timeweb_sdk.secrets import is_secret_name, scrub

_VOLATILE_KEY: Final = re.compile(
    r"^(used|usage|stats?|statistics?|uptime|avatar|avatar_(id|link)|.*_(usage|used)|used_.*)$", re.IGNORECASE
)
"""Moves between two readings of an unchanged server, or only decorates it."""
# As tuples: a union in `isinstance` is built anew at each of the million calls of a large run.
_EXACT: Final = (int, Decimal)
_NUMERIC: Final = (int, Decimal, float, str)
_SEALED: Final = (SecretStr, SecretBytes)
_MAX_DEPTH: Final = 12
_LARGEST: Final = Decimal(10) ** 20
""""1e999999" is a number too; nobody's server has that many megabytes."""


def plain(value: object) -> dict[str, Any]:
    """A model of the SDK or a dict of the API as a plain dict without secrets.

    Raises `TypeError` for anything else.
    """
    if isinstance(value, BaseModel):
        value = value.model_dump(by_alias=True, warnings=False)
    if not isinstance(value, Mapping):
        raise TypeError(f"expected a model of the SDK or a dict of the API, got {type(value).__name__}")
    return _clean(value, 0)  # type: ignore[no-any-return]


def stable(value: Mapping[str, Any]) -> dict[str, Any]:
    """The part of what `plain` gave that changes only when the server does; lists of objects in a fixed order."""
    return {key: _steady(item) for key, item in value.items() if not _key(key).moves}


def _steady(value: Any) -> Any:
    if is_dict(value):
        return stable(value)
    if not is_list(value):
        return value
    items = [_steady(item) for item in value]
    # The API promises no order of networks, addresses and disks; a reshuffle is no change.
    return sorted(items, key=repr) if len(items) > 1 and all(is_dict(item) for item in items) else items


def _clean(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        if not value.is_finite() or abs(value) > _LARGEST:
            return None
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, _SEALED) or depth > _MAX_DEPTH:
        return None
    if isinstance(value, BaseModel):
        value = value.model_dump(by_alias=True, warnings=False)
    if is_mapping(value):
        cleaned: dict[str, Any] = {}
        for key, item in value.items():
            name = _key(str(key))
            if not (name.secret or isinstance(item, _SEALED)):
                cleaned[name.text] = _clean(item, depth + 1)
        return cleaned
    if is_series(value):
        return [_clean(item, depth + 1) for item in value]
    return _text(str(value))


class _Key(NamedTuple):
    """How a key is stored, whether it names a secret, whether its value moves by itself."""

    text: str
    secret: bool
    moves: bool


@lru_cache(maxsize=4096)
def _key(key: str) -> _Key:
    return _Key(_text(key), is_secret_name(key), bool(_VOLATILE_KEY.match(key)))


def _text(value: str) -> str:
    """Without what looks like a secret, NUL (PostgreSQL refuses it) and lone surrogates (no database takes them)."""
    value = scrub(value.replace("\x00", ""), named=False)
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")


def as_dict(value: object) -> dict[str, Any]:
    """A dict, or an empty one."""
    return value if is_dict(value) else {}


def as_dicts(value: object) -> list[dict[str, Any]]:
    """The dicts of a list, or nothing."""
    return [item for item in value if is_dict(item)] if is_list(value) else []


def as_text(value: object, limit: int | None = None) -> str | None:
    """A string that is not blank, cut to `limit` characters."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value).strip()
    return text[:limit] or None


def as_bool(value: object) -> bool:
    """True for true, 1 and "true"."""
    return value is True or value == 1 or (isinstance(value, str) and value.strip().lower() in {"true", "1"})


def as_decimal(value: object) -> Decimal | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, _NUMERIC):
        return None
    try:
        number = Decimal(value) if isinstance(value, _EXACT) else Decimal(str(value).strip())
    except InvalidOperation:
        return None
    # copy_abs, because abs() rounds to the context and overflows on what is far too large.
    return number if number.is_finite() and number.copy_abs() <= _LARGEST else None


def as_int(value: object, *, bits: int = 64) -> int | None:
    """A whole number that fits a signed column of `bits`, or None."""
    number = value if isinstance(value, int) and not isinstance(value, bool) else as_decimal(value)
    if number is None or abs(number) >= 2 ** (bits - 1) or number != int(number):
        return None
    return int(number)
