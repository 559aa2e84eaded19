"""Who may change something: the host's own pages, and programs that send no browser headers."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fastapi import Request

from crm_adapter.web.errors import HostingError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

CONTENT_SECURITY_POLICY = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"


def same_origin(trusted_origins: Collection[str]) -> Callable[[Request], Awaitable[None]]:
    """A dependency that refuses unsafe methods from other sites.

    Browsers say where a request comes from in ``Sec-Fetch-Site``, older ones only in ``Origin``.  A client that sends
    neither is no browser, so no visitor's cookies can be abused through it.
    """
    trusted = {origin.rstrip("/").lower() for origin in trusted_origins}

    async def check(request: Request) -> None:
        if request.method in _SAFE_METHODS or _is_allowed(request, trusted):
            return
        raise HostingError(403, "cross_origin", "Запрос с другого сайта отклонён")

    return check


def _is_allowed(request: Request, trusted: Collection[str]) -> bool:
    origin = request.headers.get("origin")
    if origin is not None and origin.rstrip("/").lower() in trusted:
        return True
    if (site := request.headers.get("sec-fetch-site")) is not None:
        # "none" is a person's own doing, such as a reload from the address bar.
        return site in {"same-origin", "none"}
    if origin is None:
        return True
    # Hosts only: behind a proxy that ends TLS the scheme that we see is not the browser's.
    return urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower() != ""
