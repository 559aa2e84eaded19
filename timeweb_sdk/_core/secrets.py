"""Which fields hold secrets, and how their values are kept out of sight."""

import re
import threading
from functools import lru_cache
from typing import Any

from pydantic import SecretStr

from timeweb_sdk._core.shapes import is_array, is_mapping

_SECRET_NAME = re.compile(
    r"pass(?!ed|ive|port|enger|age|_through|through)|secret|private_?key|api_?key|access_?key|token|kube_?config|credential",
    re.IGNORECASE,
)
_NOT_SECRET = re.compile(
    r"^(is|has|can|use|needs?|should|require)_"
    r"|_(id|ids|count|method|policy|at|expires?|length|type|status|enabled|name)$"
    # Quantities, as language models are billed by.
    r"|^(max|min|total|used|free|remaining|input|output|prompt|completion)_tokens$"
)


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Tell whether a field of this name holds a secret: `root_pass` does, `is_password_set` does not."""
    name = name.replace("-", "_")
    return _SECRET_NAME.search(name) is not None and _NOT_SECRET.search(name) is None


def mask(name: str, value: Any) -> Any:
    """Return `value` with everything secret in it wrapped in SecretStr; `name` is the field it came in."""
    if isinstance(value, str):
        return SecretStr(value) if value and is_secret_name(name) else value
    if is_mapping(value):
        secret = is_secret_name(name)
        return {key: mask(name if secret else str(key), item) for key, item in value.items()}
    if is_array(value):
        return [mask(name, item) for item in value]
    return value


class _Current(threading.local):
    """The name of the unknown field whose value pydantic validates next in this thread."""

    name = ""


_current = _Current()


def remember_extra_name(name: str) -> str:
    _current.name = name
    return name


def mask_extra_value(value: Any) -> Any:
    """Mask the value of the unknown field that was named last; pydantic hands over the name first, then the value."""
    if value.__class__ in (int, bool, float) or value is None:
        return value
    return mask(_current.name, value)


class Content(bytes):
    """A body. It may hold passwords, so its repr does not show it: tracebacks with locals print every variable."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"


_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)", re.DOTALL)
_BEARER = re.compile(r"(bearer\s+)[\w.~+/=-]{8,}", re.IGNORECASE)
_PAIR = re.compile(r"""(?P<name>[\w-]+)(?P<sep>["']?\s*[:=]\s*["']?)(?P<value>[^\s"',;&}]+)""")


def scrub(text: str, token: SecretStr) -> str:
    """Take secrets out of a text that the server wrote: error texts may echo the request."""
    text = text.replace(token.get_secret_value(), "**********")
    text = _BEARER.sub(r"\1**********", _PEM.sub("**********", text))
    return _PAIR.sub(_hide_value, text)


def _hide_value(match: re.Match[str]) -> str:
    shown = match["value"] if not is_secret_name(match["name"]) else "**********"
    return f"{match['name']}{match['sep']}{shown}"
