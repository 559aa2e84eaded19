"""The section as an application of its own, for one person at one machine: ``timeweb-crm serve``."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

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


def create_app(db: Any, timeweb: Any, *, close: Callable[[], Awaitable[None]] | None = None, **options: Any) -> FastAPI:
    """The page under ``/hosting``, for browsers on this machine only.  ``close`` is awaited when the server stops."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        yield
        if close is not None:
            await close()

    app = FastAPI(title="Хостинг", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(create_hosting_router(db, timeweb, dependencies=[Depends(_only_here)], prefix=PREFIX, **options))

    @app.get("/", dependencies=[Depends(_only_here)])
    async def root() -> RedirectResponse:
        return RedirectResponse(PREFIX, 307)

    @app.middleware("http")
    async def headers(request: Request, handle: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await handle(request)
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    return app


async def _only_here(request: Request) -> None:
    """Without a login only this machine may ask, and only by a name of this machine.

    The second half keeps out other sites that point a name of theirs at 127.0.0.1.
    """
    peer = request.client.host if request.client else ""
    name = request.url.hostname or ""
    if not (is_loopback(peer) and is_loopback(name)):
        raise HTTPException(403, "only from this machine")
