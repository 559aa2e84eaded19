"""The section as an application of its own, for one person at one machine: `timeweb-crm serve`."""

from __future__ import annotations

import getpass
import hashlib
import ipaddress
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from crm_adapter.text import page as words
from crm_adapter.web.errors import HostingError
from crm_adapter.web.router import create_hosting_router
from crm_adapter.web.security import CONTENT_SECURITY_POLICY

PREFIX = "/hosting"


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine and nobody else."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def create_app(
    db: Any, timeweb: Any, *, link: str | None = None, close: Callable[[], Awaitable[None]] | None = None, **options: Any
) -> FastAPI:
    """The page under `/hosting`, for browsers on this machine only.

    `link` is the secret of the address that `serve` prints: other users of the machine do not know it, so the change log names
    the login of the operating system. None asks nobody, for pages behind a login of somebody else, and names nobody. `close` is
    awaited when the server stops.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        yield
        if close is not None:
            await close()

    app = FastAPI(title=words.TITLE, lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    if link is not None:
        options = {"actor": _login, **options}
    guards = [Depends(_only_here)] if link is None else [Depends(_only_here), Depends(_holds(link))]
    app.include_router(create_hosting_router(db, timeweb, dependencies=guards, prefix=PREFIX, **options))

    @app.get("/", dependencies=[Depends(_only_here)])
    async def root() -> RedirectResponse:
        return RedirectResponse(PREFIX, 307)

    @app.middleware("http")
    async def headers(request: Request, handle: Callable[[Request], Awaitable[Response]]) -> Response:
        response = _let_in(request, link) or await handle(request)
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    return app


def _login() -> str | None:
    """The login of the operating system; None where it has none, as in a container of an unnamed user."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return None


def _cookie_of(link: str) -> str:
    """The name tells servers on one machine apart: browsers send cookies to every port."""
    return f"hosting_{hashlib.sha256(link.encode()).hexdigest()[:8]}"


def _let_in(request: Request, link: str | None) -> Response | None:
    """Trade the printed address for a cookie, so that the secret leaves the address bar and the history at once."""
    given = request.query_params.get("link")
    if link is None or given is None or not secrets.compare_digest(given.encode(), link.encode()):
        return None
    response = RedirectResponse(request.url.path, 303)
    response.set_cookie(_cookie_of(link), link, httponly=True, samesite="strict")
    return response


def _holds(link: str) -> Callable[[Request], Awaitable[None]]:
    """A dependency: the cookie of the link, or for programs the link as a bearer token."""

    async def check(request: Request) -> None:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        shown = (request.cookies.get(_cookie_of(link), ""), bearer)
        if not any(secrets.compare_digest(value.encode(), link.encode()) for value in shown):
            raise HostingError(403, "no_link", words.OPEN_BY_LINK)

    return check


async def _only_here(request: Request) -> None:
    """Without a login only this machine may ask, and only by a name of this machine.

    The second half keeps out other sites that point a name of theirs at 127.0.0.1.
    """
    peer = request.client.host if request.client else ""
    name = request.url.hostname or ""
    if not (is_loopback(peer) and is_loopback(name)):
        raise HTTPException(403, "only from this machine")
