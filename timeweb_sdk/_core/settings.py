"""What a client is made of: address and HTTP client, from arguments or the environment."""

import logging
import os
from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote, urlsplit

from timeweb_sdk._core.environment import fault_of_host
from timeweb_sdk._core.version import USER_AGENT
from timeweb_sdk.errors import ConfigurationError

_log = logging.getLogger("timeweb_sdk")
_HOST = "https://api.timeweb.cloud"
_TIMEWEB = ("api.timeweb.cloud", "timeweb.cloud")
"""Hosts that the vendor's own clients send a token to."""
_LIBRARIES = ("httpx", "httpx2")


def find_base_url(base_url: str | None, allow_http: bool | None = None) -> str:
    """Return the address with its scheme in small letters: whether certificates are checked is read from it."""
    given: Any = base_url
    if not (given is None or isinstance(given, str)):
        raise ConfigurationError(f"base_url is a {type(given).__name__}: give a str such as {_HOST}")
    source = "base_url" if base_url or not os.environ.get("TIMEWEB_BASE_URL") else "TIMEWEB_BASE_URL"
    url = (base_url or os.environ.get("TIMEWEB_BASE_URL") or _HOST).strip()
    if fault := _fault_of_address(url):
        raise ConfigurationError(
            f"{source} {_shown(url)!r} {fault}: give scheme and host, e.g. {_HOST} or http://127.0.0.1:8099"
        )
    scheme, _, rest = url.partition("://")
    url = f"{scheme.lower()}://{rest.rstrip('/')}"
    if scheme.lower() == "http" and not is_loopback(url) and not _allows_http(allow_http):
        raise ConfigurationError(
            f"{source} {url!r} would send the token unencrypted: give https, or allow it with allow_http=True or "
            "TIMEWEB_ALLOW_HTTP=1 where the way there is yours alone"
        )
    _name_host(url, from_environment=source == "TIMEWEB_BASE_URL")
    return url


def is_timeweb(url: str) -> bool:
    """Tell whether an address is one of Timeweb's own."""
    return urlsplit(url).hostname in _TIMEWEB


def is_loopback(url: str) -> bool:
    """Tell whether an address is on this machine, which nothing on the way can listen to."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.rstrip(".") == "localhost"


def _allows_http(given: bool | None) -> bool:
    if given is not None:
        return given
    value = os.environ.get("TIMEWEB_ALLOW_HTTP", "").strip().lower()
    if value not in _YES | _NO:
        raise ConfigurationError(f"TIMEWEB_ALLOW_HTTP={value!r}: give 1 or 0")
    return value in _YES


_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"", "0", "false", "no", "off"})
_named: set[str] = set()


def _name_host(url: str, *, from_environment: bool) -> None:
    """Log, once for each, where calls go if not to Timeweb: nobody sees what a variable of the environment says."""
    if is_timeweb(url) or url in _named:
        return
    _named.add(url)
    level = logging.WARNING if from_environment and not is_loopback(url) else logging.INFO
    source = "TIMEWEB_BASE_URL" if from_environment else "base_url"
    _log.log(level, "calls go to %s, which is not Timeweb's own host, because %s says so", url, source)


def _shown(url: str) -> str:
    """Return an address without user name and password."""
    scheme, mark, rest = url.rpartition("://")
    return f"{scheme}{mark}{unquote(rest).rpartition('@')[2]}"


def _fault_of_address(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "has an impossible host or port"
    if parts.scheme not in ("http", "https"):
        return "is no address of http or https"
    if "@" in unquote(parts.netloc) or "\\" in url:
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


def find_user_agent(application: str | None) -> str:
    """Return the name that the API sees: the application's, if it gave one, before ours."""
    if application is None:
        return USER_AGENT
    given: Any = application
    if not isinstance(given, str) or not application.strip() or not application.isascii() or not application.isprintable():
        raise ConfigurationError(f"application={application!r}: give a name in ASCII, e.g. billing/2.1")
    return f"{application.strip()} {USER_AGENT}"
