"""What a client is made of: token, address, HTTP client; from arguments or the environment."""

import os
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from timeweb_sdk._core.environment import fault_of_host
from timeweb_sdk.errors import ConfigurationError

_HOST = "https://api.timeweb.cloud"
_LIBRARIES = ("httpx", "httpx2")


def find_token(token: str | SecretStr | None) -> tuple[SecretStr | None, str]:
    """Return the token, or None, and where it came from; that there is none only the first call minds.

    The error never shows it. Whitespace and quotes around it are dropped: files, shells and `docker --env-file` leave them
    there. A blank token is none.
    """
    environment = ("TIMEWEB_API_TOKEN", "TIMEWEB_CLOUD_TOKEN")
    given = {name: os.environ.get(name) for name in environment} if token is None else {"the argument token": token}
    for source, value in given.items():
        found = _stripped(value)
        if found is not None:
            _check_token(source, found)
            return found, source
    return None, ""


def _stripped(token: str | SecretStr | None) -> SecretStr | None:
    text = token.get_secret_value() if isinstance(token, SecretStr) else "" if token is None else token
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers are not all type-checked
        raise ConfigurationError(f"token is a {type(text).__name__}: give a str or a SecretStr")
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip()
    return SecretStr(text) if text else None


def _check_token(source: str, token: SecretStr) -> None:
    fault = _fault_of(token.get_secret_value())
    if fault:
        raise ConfigurationError(f"{source} {fault}: give the token as the control panel shows it")


def _fault_of(token: str) -> str | None:
    if token.lower().startswith("bearer"):
        return 'begins with "Bearer", which is added here'
    if {*token} & {'"', "'"}:
        return "contains quotes"
    if any(character.isspace() for character in token):
        return "contains whitespace"
    if not (token.isascii() and token.isprintable()):
        return "contains characters that no token has"
    return None


def find_base_url(base_url: str | None) -> str:
    """Return the address with its scheme in small letters: whether certificates are checked is read from it."""
    source = "base_url" if base_url or not os.environ.get("TIMEWEB_BASE_URL") else "TIMEWEB_BASE_URL"
    url = (base_url or os.environ.get("TIMEWEB_BASE_URL") or _HOST).strip()
    if fault := _fault_of_address(url):
        raise ConfigurationError(
            f"{source} {_shown(url)!r} {fault}: give scheme and host, e.g. {_HOST} or http://127.0.0.1:8099"
        )
    scheme, _, rest = url.partition("://")
    return f"{scheme.lower()}://{rest.rstrip('/')}"


def _shown(url: str) -> str:
    """Return an address without user name and password."""
    scheme, mark, rest = url.rpartition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"


def _fault_of_address(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "has an impossible host or port"
    if parts.scheme not in ("http", "https"):
        return "is no address of http or https"
    if "@" in parts.netloc:
        return "holds a user name or password, which the API does not take"
    if not url.isprintable() or " " in url or parts.query or parts.fragment:
        return "holds more than an address"
    return "has an impossible port" if port == 0 else fault_of_host(parts.hostname)


def find_http_client(given: Any, kind: str) -> tuple[Any, str]:
    """Return the client that was passed in, or None, and the library to make one with."""
    if given is None or isinstance(given, str):
        library = given or os.environ.get("TIMEWEB_HTTP_CLIENT") or "httpx"
        if library not in _LIBRARIES:
            source = "http_client" if given else "TIMEWEB_HTTP_CLIENT"
            raise ConfigurationError(f"{source} {library!r}: give one of {', '.join(_LIBRARIES)}, or a client")
        return None, library
    is_client = hasattr(given, "build_request") and hasattr(given, "send")
    if not is_client or hasattr(given, "aclose") != (kind == "AsyncClient"):
        raise ConfigurationError(f"http_client is a {type(given).__name__}: give a {kind} of httpx or httpx2")
    return given, "httpx"
