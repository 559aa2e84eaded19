"""Which fields hold secrets, and how their values are kept out of sight."""

import json
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar, cast

from pydantic import SecretStr

from timeweb_sdk._core.guards import is_array, is_mapping
from timeweb_sdk._core.types import NotGiven

T = TypeVar("T")

_SECRET_NAME = re.compile(
    r"pass(?!ed|ive|port|enger|age|_through|through)|secret|private_?key|key_?data|api_?key|access_?key"
    r"|auth_?code|token|kube_?config|credential",
    re.IGNORECASE,
)
_NOT_SECRET = re.compile(
    r"^(is|has|can|use|needs?|should|require)_"
    r"|_(id|ids|count|method|policy|at|expires?|length|type|status|enabled|name)$"
    # Quantities, as language models are billed by.
    r"|^(max|min|total|used|free|remaining|input|output|ingoing|outgoing|prompt|completion)_tokens$"
    r"|^tokens?_(used|estimated|amount|packages)$"
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


@dataclass(slots=True)
class Hidden:
    """An argument that may hold secrets and therefore does not show in a traceback with locals."""

    value: Any = field(repr=False)


def hidden(value: T) -> T:
    """Hide an argument that is a secret, or may hold one; encoding a request reveals it."""
    if value is None or isinstance(value, (NotGiven, SecretStr)):
        return value
    return cast(T, SecretStr(value) if isinstance(value, str) else Hidden(value))


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


_STARS = "**********"
_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)", re.DOTALL)
_BEARER = re.compile(r"(bearer\s+)[\w.~+/=-]{8,}", re.IGNORECASE)
_USERINFO = re.compile(r"(://[^\s/:@]*+:)[^\s/@]++(?=@)")
_ELEMENT = re.compile(r"<(?P<name>[\w-]++)(?P<rest>[^<>]*>)[^<]*")
_NAME = re.compile(r"""(?<![\w-])(?P<name>[\w-]++)\\*["']?\s*[:=]\s*""")
# What may follow a name: a text in quotes, which may be escaped; a list or an object; else all up to a delimiter.
_VALUE = re.compile(
    r"""\\+(?P<quote>["']).*?(?:\\+(?P=quote)|\Z)|"(?:\\.|[^"\\])*+"?|'(?:\\.|[^'\\])*+'?|[\[{].*(?:[\]}]|\Z)|[^,;&}\]\n]*""",
    re.DOTALL,
)


def scrub(text: str, token: SecretStr, sent: Iterable[str] = ()) -> str:
    """Take secrets out of a text that the server wrote: error texts may echo the request. `sent` are the secrets in that."""
    for secret in sorted({token.get_secret_value(), *sent}, key=len, reverse=True):
        if len(secret) >= _LEAST_SECRET:
            text = text.replace(secret, _STARS).replace(json.dumps(secret)[1:-1], _STARS)
    text = _USERINFO.sub(rf"\1{_STARS}", _BEARER.sub(rf"\1{_STARS}", _PEM.sub(_STARS, text)))
    return _hide_values(_ELEMENT.sub(_hide_element, text))


_LEAST_SECRET = 4
"""Characters. Anything shorter is no secret, and replacing it would spoil the text."""


def _hide_element(match: re.Match[str]) -> str:
    shown = _STARS if is_secret_name(match["name"]) else match[0].rpartition(">")[2]
    return f"<{match['name']}{match['rest']}{shown}"


def _hide_values(text: str) -> str:
    """Hide what follows a name like `password` and a colon or an equals sign."""
    shown, at = "", 0
    for found in _NAME.finditer(text):
        # The value may be the rest of a long text: it is looked at only where it is hidden.
        if found.start() < at or not is_secret_name(found["name"]):
            continue
        value = _VALUE.match(text, found.end())
        if value and value[0]:
            shown += text[at : found.end()] + _STARS
            at = value.end()
    return shown + text[at:]


def redact(name: str, value: Any, hide: Callable[[str], str]) -> Any:
    """Return `value`, which came in the field `name`, as it may be shown and kept: its texts pass `hide`."""
    if is_mapping(value):
        return {hide(str(key)): redact(name if is_secret_name(name) else str(key), item, hide) for key, item in value.items()}
    if is_array(value):
        return [redact(name, item, hide) for item in value]
    if value is not None and not isinstance(value, bool) and is_secret_name(name):
        return _STARS
    return hide(value) if isinstance(value, str) else value


def forget_frames(error: BaseException) -> BaseException:
    """Drop the tracebacks of an error and its causes: their frames hold the token, or a body, in their locals."""
    chain: list[BaseException | None] = [error]
    seen: set[int] = set()
    while chain:
        link = chain.pop()
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            link.__traceback__ = None
            chain += [link.__cause__, link.__context__]
    return error
