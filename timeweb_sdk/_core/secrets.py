"""How secrets are kept out of sight inside the library; what counts as one stands in `timeweb_sdk.secrets`."""

import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from pydantic import SecretBytes, SecretStr

from timeweb_sdk._core.guards import is_array, is_mapping
from timeweb_sdk._core.types import NotGiven
from timeweb_sdk.secrets import STARS, is_secret_name, name_within, redact, scrub

T = TypeVar("T")


def mask(name: str, value: Any) -> Any:
    """Return `value` with everything secret in it wrapped in SecretStr; `name` is the field it came in."""
    if isinstance(value, str):
        return SecretStr(value) if value and is_secret_name(name) else value
    if is_mapping(value):
        name = "" if name == "envs" else name  # an application reads its own settings: those that are named like a secret are
        return {key: mask(name_within(name, str(key)), item) for key, item in value.items()}
    if is_array(value):
        return [mask(name, item) for item in value]
    return value


def sealed(value: Any, name: str = "") -> Any:
    """Return a copy of what a model holds that may leave the process: stars in place of secrets, whatever they stand in."""
    if isinstance(value, str):
        return STARS if value and is_secret_name(name) else scrub(value, named=False)
    if isinstance(value, (SecretStr, SecretBytes)):
        return SecretStr(STARS)
    if is_mapping(value):
        return {key: sealed(item, name_within(name, str(key))) for key, item in value.items()}
    if is_array(value):
        return [sealed(item, name) for item in value]
    return value


def shown(value: Any, name: str = "") -> Any:
    """Return what a repr may show of a value that came in the field `name`."""
    return redact(value, name) if isinstance(value, (str, dict, list)) else value


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


def scrub_reply(text: str, token: SecretStr, sent: Iterable[str] = ()) -> str:
    """Take secrets out of a text that the server wrote: error texts may echo the request. `sent` are the secrets in that."""
    for secret in sorted({token.get_secret_value(), *sent}, key=len, reverse=True):
        if len(secret) >= _LEAST_SECRET:
            text = text.replace(secret, STARS).replace(json.dumps(secret)[1:-1], STARS)
    return scrub(text)


_LEAST_SECRET = 4
"""Characters. Anything shorter is no secret, and replacing it would spoil the text."""


def forget_frames(error: BaseException) -> BaseException:
    """Drop what an error and its causes hold of a request: frames with the token or a body in their locals, and the request."""
    chain: list[BaseException | None] = [error]
    seen: set[int] = set()
    while chain:
        link = chain.pop()
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            link.__traceback__ = None
            if "_request" in vars(link):
                vars(link)["_request"] = None
            chain += [link.__cause__, link.__context__]
    return error
