"""The findings of `python -m timeweb_sdk doctor`."""

import platform
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal
from urllib.parse import urlsplit

from timeweb_sdk._core import clock
from timeweb_sdk._core.credentials import NO_TOKEN
from timeweb_sdk._core.environment import find_proxy
from timeweb_sdk._core.settings import is_loopback, is_timeweb
from timeweb_sdk._core.version import VERSION
from timeweb_sdk.client import Timeweb
from timeweb_sdk.errors import ConfigurationError, ForbiddenError, TimewebError

_LIBRARIES = ("httpx", "httpx2", "pydantic", "tenacity", "redis")
_LARGEST_SKEW = 60.0
"""Seconds: more spoils what is computed from the API's dates."""
_AREAS: dict[str, Callable[[Timeweb], object]] = {
    "servers": lambda tw: tw.servers.list(limit=1),
    "projects": lambda tw: tw.projects.list(),
    "domains": lambda tw: tw.domains.list(limit=1),
    "databases": lambda tw: tw.databases.list(limit=1),
    "costs": lambda tw: tw.account.services.cost.list(),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor."""

    subject: str
    state: Literal["good", "warn", "bad"]
    message: str


def examine(profile: str | None = None) -> list[Finding]:
    """Look at what a client made here would use, and ask the account."""
    return [*_examine(profile)]


def _examine(profile: str | None) -> Iterator[Finding]:
    yield Finding("versions", "good", _versions())
    try:
        client = Timeweb.from_profile(profile, max_retries=1) if profile else Timeweb(max_retries=1)
    except ConfigurationError as error:
        yield Finding("settings", "bad", error.message)
        return
    with client:
        url = client.base_url
        yield from _way(url)
        if not client.token_fingerprint:
            yield Finding("token", "bad", NO_TOKEN)
            return
        yield Finding("token", "good", f"from {client.token_source}, fingerprint {client.token_fingerprint}")
        yield from _account(client)


def _versions() -> str:
    found = [f"timeweb-sdk {VERSION}", f"Python {platform.python_version()}"]
    for name in _LIBRARIES:
        with suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return ", ".join(found)


def _way(url: str) -> Iterator[Finding]:
    if is_timeweb(url):
        yield Finding("address", "good", url)
    elif url.startswith("http:") and not is_loopback(url):
        yield Finding("address", "warn", f"{url}, which is not Timeweb's, and the token goes there unencrypted")
    else:
        yield Finding("address", "warn", f"{url}, which is not Timeweb's: right for an emulator or a gateway of yours")
    try:
        proxy = find_proxy(url)
    except ConfigurationError as error:
        yield Finding("proxy", "bad", error.message)
        return
    if proxy is not None:
        parts = urlsplit(proxy)
        proxy = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    yield Finding("proxy", "good", proxy or "none")


def _account(client: Timeweb) -> Iterator[Finding]:
    try:
        response = client.account.status.with_response.get()
    except TimewebError as error:
        yield Finding("account", "bad", f"{type(error).__name__}: {error}")
        return
    status: Any = response.data  # of a reply that differs from the contract anything may be missing
    name = getattr(status, "login", None) or getattr(getattr(status, "company_info", None), "name", None)
    if any(getattr(status, flag, False) for flag in ("is_blocked", "is_permanent_blocked")):
        yield Finding("account", "warn", f"{name}, which is blocked")
    else:
        yield Finding("account", "good" if name else "warn", name or "the API does not tell its name")
    yield from _clock(response.headers.get("date"))
    yield _rights(client)
    yield _money(client)
    limits = sorted((key, value) for key, value in response.headers.items() if "ratelimit" in key.lower())
    told = ", ".join(f"{key}: {value}" for key, value in limits) or "the API tells none"
    yield Finding("limits", "good", f"documented are 20 requests per second, which clients keep to; {told}")


def _clock(date: str | None) -> Iterator[Finding]:
    try:
        there = parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        yield Finding("clock", "warn", "the API does not tell its time")
        return
    skew = clock.current().time() - there
    if abs(skew) > _LARGEST_SKEW:
        yield Finding("clock", "warn", f"this machine is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}: set its clock")
    else:
        yield Finding("clock", "good", "agrees with the API's")


def _rights(client: Timeweb) -> Finding:
    found: dict[str, list[str]] = {"read": [], "refused": [], "failed": []}
    for area, look in _AREAS.items():
        try:
            look(client)
        except ForbiddenError:
            found["refused"].append(area)
        except TimewebError as error:
            found["failed"].append(f"{area} ({type(error).__name__})")
        else:
            found["read"].append(area)
    told = "; ".join(f"{kind}: {', '.join(areas)}" for kind, areas in found.items() if areas)
    return Finding(
        "rights", "warn" if found["refused"] or found["failed"] else "good", f"{told}; what may be changed is not tried"
    )


def _money(client: Timeweb) -> Finding:
    try:
        finances: Any = client.account.finances.get()
    except TimewebError as error:
        return Finding("balance", "warn", f"{type(error).__name__}: {error}")
    balance, left = getattr(finances, "balance", None), getattr(finances, "hours_left", None)
    hours = "" if left is None else f", enough for {left} hours"
    state: Literal["good", "warn"] = "good" if isinstance(balance, Decimal) and balance > 0 else "warn"
    return Finding("balance", state, f"{balance} {getattr(finances, 'currency', '')}{hours}")
