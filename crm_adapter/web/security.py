"""Who may change something: the host's own pages, and programs that send no browser headers."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fastapi import Request

from crm_adapter.text.messages import CROSS_ORIGIN
from crm_adapter.web.errors import HostingError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN = frozenset({"same-origin", "none"})

CONTENT_SECURITY_POLICY = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"


def same_origin(trusted_origins: Collection[str]) -> Callable[[Request], Awaitable[None]]:
    """A dependency that refuses unsafe methods from other sites.

    Browsers say where a request comes from in `Sec-Fetch-Site`, older ones only in `Origin`. A client that sends
    neither is no browser, so no visitor's cookies can be abused through it.
    """
    trusted = {origin.rstrip("/").lower() for origin in trusted_origins}

    async def check(request: Request) -> None:
        if request.method in _SAFE_METHODS or _is_allowed(request, trusted):
            return
        raise HostingError(403, "cross_origin", CROSS_ORIGIN)

    return check


def _is_allowed(request: Request, trusted: Collection[str]) -> bool:
    origin = request.headers.get("origin")
    if origin is not None and origin.rstrip("/").lower() in trusted:
        return True
    if (site := request.headers.get("sec-fetch-site")) is not None:
        # "none" is a person's own doing, such as a reload from the address bar.
        return site in _OWN
    return origin is None or _is_host(origin, request)


def is_from_another_site(request: Request) -> bool:
    """Whether another site made a browser send this request, by an image tag, a frame, a link.

    Browsers without `Sec-Fetch-Site` (before 2023) are believed where they name a page of ours as the one they come from;
    what is no browser carries no visitor's cookies.
    """
    if (site := request.headers.get("sec-fetch-site")) is not None:
        return site not in _OWN
    if "mozilla/" not in request.headers.get("user-agent", "").lower():
        return False
    return not _is_host(request.headers.get("referer", ""), request)


async def own_site(request: Request) -> None:
    """A dependency for what asks Timeweb though it changes nothing; raises HostingError 403 for other sites."""
    if is_from_another_site(request):
        raise HostingError(403, "cross_origin", CROSS_ORIGIN)


def _is_host(address: str, request: Request) -> bool:
    """Whether an address is of our host. Hosts only: behind a proxy that ends TLS our scheme is not the browser's."""
    try:
        host = urlsplit(address).netloc.lower()
    except ValueError:  # http://[bad
        return False
    return host == request.headers.get("host", "").lower() != ""


def frame_headers(trusted_origins: Collection[str]) -> dict[str, str]:
    """Who may show our pages in a frame, where people could be tricked into clicking: the host, and whom it trusts."""
    ancestors = " ".join(["'self'", *sorted(origin.rstrip("/") for origin in trusted_origins)])
    policy = {"Content-Security-Policy": f"frame-ancestors {ancestors}"}
    # The older header cannot name sites; where it stands beside the newer one browsers pass it over.
    return policy if trusted_origins else {**policy, "X-Frame-Options": "SAMEORIGIN"}
