"""A worker process of the host, as a server of applications starts several."""

from __future__ import annotations

import asyncio
import socket

import sqlalchemy as sa
import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from crm_adapter.web import create_hosting_router
from timeweb_sdk import AsyncTimeweb, RateLimit


def require_admin(authorization: str = Header(default="")) -> str:
    """The host's own login, as far as tests need one."""
    if authorization != "Bearer admin":
        raise HTTPException(401, "log in")
    return "admin"


def work(url: sa.URL, timeweb: str, token: str, listening: socket.socket) -> None:
    """Serve the section until the process ends."""
    engine = create_async_engine(url)
    client = AsyncTimeweb(token, base_url=timeweb, rate_limit=RateLimit.off())
    app = FastAPI()
    db = async_sessionmaker(engine, expire_on_commit=False)
    app.include_router(create_hosting_router(db, client, dependencies=[Depends(require_admin)]))
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    asyncio.run(uvicorn.Server(config).serve(sockets=[listening]))
