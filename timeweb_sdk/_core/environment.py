"""What the environment says about the way to the API: proxies and certificates.

The HTTP library reads the same variables, but fails on some of their values with errors of any kind, late, and differently
for threads and tasks. A client of ours talks to one host alone, so what holds for that is worked out here.
"""

import logging
import os
import re
import ssl
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import SplitResult, urlsplit

from timeweb_sdk.errors import ConfigurationError

_log = logging.getLogger("timeweb_sdk")
_HOST = re.compile(rb"[\w.-]+")
_PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")


def fault_of_host(host: str | None) -> str | None:
    """Return what is wrong with the name of a host; None if nothing can be seen."""
    if not host:
        return "names no host"
    if ":" in host:  # the parser of addresses has seen to what stands in brackets
        return None
    try:
        encoded = host.encode("idna")
        encoded.decode("idna")
    except UnicodeError:
        return "names a host that cannot be: a part of the name is empty, longer than 63 characters or not allowed"
    if not _HOST.fullmatch(encoded):
        return "names a host with a character that no name has"
    return "names a host of more than 253 characters" if len(encoded.rstrip(b".")) > 253 else None


def find_proxy(base_url: str) -> str | None:
    """Return the address of the proxy to use for `base_url`; raises ConfigurationError that names the variable."""
    from urllib.request import getproxies

    proxies = getproxies()
    target = urlsplit(base_url)
    scheme = target.scheme if proxies.get(target.scheme) else "all"
    proxy = proxies.get(scheme)
    if not proxy or _is_exempt(proxies.get("no", ""), target):
        return None
    variable = _variable(f"{scheme}_proxy")
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    fault = _fault_of_proxy(proxy)
    if fault:
        raise ConfigurationError(f"{variable} {fault}: give e.g. http://127.0.0.1:3128, or unset it")
    return proxy


def _fault_of_proxy(proxy: str) -> str | None:
    try:
        parts = urlsplit(proxy)
        port = parts.port
    except ValueError:
        return "names a proxy with an impossible host or port"
    if not proxy.isprintable():
        return "names a proxy with a character that no address has"
    if parts.scheme.lower() not in _PROXY_SCHEMES:
        return f"names a proxy of the kind {parts.scheme!r}, and there are {', '.join(_PROXY_SCHEMES)}"
    if parts.scheme.lower().startswith("socks") and find_spec("socksio") is None:
        return "names a SOCKS proxy, which needs a package: pip install socksio"
    return "names a proxy with an impossible host or port" if port == 0 else fault_of_host(parts.hostname)


def _variable(name: str) -> str:
    """Return the variable as it is spelt in this environment."""
    spelt = [variable for variable in os.environ if variable.lower() == name]
    return spelt[0] if spelt else f"the proxy of this system ({name.upper()})"


def _is_exempt(no_proxy: str, target: SplitResult) -> bool:
    entries = [entry.strip().lower() for entry in no_proxy.split(",")]
    return True in [_exempts(entry, target) for entry in entries if entry]  # all of them: each that is left out is told


def _exempts(entry: str, target: SplitResult) -> bool:
    """Tell whether an entry of NO_PROXY means this host: a name with all below it, an address, a network or `*`."""
    host, entry = target.hostname or "", entry.rpartition("://")[2]
    name, mark, port = entry.rpartition(":")
    if not mark or (":" in name and not name.endswith("]")):  # no port, but perhaps an address of IPv6
        name, port = entry, ""
    if port and port != str(target.port or {"http": 80, "https": 443}[target.scheme]):
        return False
    if "/" in name:
        return _is_in_network(name, host)
    if name == "*":
        return True
    name = name.strip("[]").removeprefix("*").removeprefix(".")
    if not name:
        return _leave_out(entry, host)
    is_name = not host.rpartition(".")[2].isdigit()
    return host == name or (is_name and host.endswith(f".{name}"))


def _is_in_network(network: str, host: str) -> bool:
    try:
        if ip_address(host) in ip_network(network, strict=False):
            return True
    except ValueError:
        pass
    return _leave_out(network, host)


def _leave_out(entry: str, host: str) -> bool:
    _log.warning("the entry %r of NO_PROXY says nothing about %s and is left out: name the host there", entry, host)
    return False


_contexts: dict[tuple[str | None, ...], ssl.SSLContext] = {}


def ssl_context(library: Any) -> ssl.SSLContext:
    """Return the context that all clients of the process share; loading the certificates takes some 20 ms.

    Raises ConfigurationError that names the variable.
    """
    given = {name: os.environ.get(name) or None for name in _CERTIFICATES}
    key = tuple(given.values())
    context = _contexts.get(key)
    if context is None:
        fault = _fault_of_certificates(given)
        if fault is None:
            try:
                context = _contexts[key] = library.create_ssl_context()
            except (OSError, ValueError) as error:  # an SSLError is an OSError
                named = ", ".join(name for name, value in given.items() if value) or "the package certifi"
                fault = f"{named}: the certificates cannot be loaded ({type(error).__name__})"
        if context is None:
            raise ConfigurationError(f"{fault}: give a file of PEM certificates that can be read, or unset the variable")
    return context


def _fault_of_certificates(given: dict[str, str | None]) -> str | None:
    file, folder = given["SSL_CERT_FILE"], given["SSL_CERT_DIR"]
    if file and not os.path.isfile(file):  # noqa: PTH113
        return f"SSL_CERT_FILE={file!r} is no file"
    if folder and not file and not os.path.isdir(folder):  # noqa: PTH112
        return f"SSL_CERT_DIR={folder!r} is no folder"
    return None
