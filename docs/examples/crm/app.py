"""A small CRM that mounts the «Хостинг» section behind its own login.

Try it without a Timeweb account:

    python -m timeweb_sdk.testing --scenario demo --token demo --port 8099 &
    TIMEWEB_API_TOKEN=demo TIMEWEB_BASE_URL=http://127.0.0.1:8099 CRM_PASSWORD=secret uvicorn app:app --port 8000

Then open http://127.0.0.1:8000/admin/hosting.
"""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from fastapi import Cookie, Depends, FastAPI, Form, HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from fastapi.templating import Jinja2Templates
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from crm_adapter import migrations
from crm_adapter.settings import load_settings
from crm_adapter.web import create_hosting_router
from crm_adapter.wiring import AccountClients
from timeweb_sdk import AsyncTimeweb

HERE = Path(__file__).parent
templates = Jinja2Templates(HERE / "templates")
settings = load_settings()
engine = create_async_engine(settings.async_database_url)
timeweb = AccountClients(AsyncTimeweb)

#: Who is logged in, by the value of the cookie.  A real CRM keeps this where all its workers see it.
sessions: dict[str, str] = {}


def require_login(crm_session: Annotated[str, Cookie()] = "") -> str:
    """Return the person behind the session; without one the browser is sent to the login form."""
    if crm_session not in sessions:
        raise HTTPException(303, headers={"Location": "/login"})
    return sessions[crm_session]


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    """Prepare the database, and close what was opened."""
    setup = create_engine(settings.database_url)
    migrations.upgrade(setup)
    setup.dispose()
    yield
    for client in timeweb.drain():
        await client.aclose()
    await engine.dispose()


def background_runner() -> object:
    """With a queue, background syncs are the workers' work; without one this process does them."""
    if not os.environ.get("CELERY_BROKER_URL"):
        return None
    from crm_adapter.tasks import (
        app as _configured,  # noqa: F401 - connects the tasks to the broker
        sync_all_accounts,
    )

    return sync_all_accounts.delay


app = FastAPI(lifespan=lifespan)
app.include_router(
    create_hosting_router(
        async_sessionmaker(engine, expire_on_commit=False),
        timeweb,
        dependencies=[Depends(require_login)],
        actor=require_login,
        base_template=templates.get_template("base.html"),
        runner=background_runner(),  # type: ignore[arg-type]
        stale_after=settings.timeweb_sync_stale_after,
        import_new=settings.timeweb_auto_import,
        link_policy=settings.timeweb_link_policy,
    )
)


@app.get("/login")
def login_form(request: Request) -> Response:
    """Ask for a name and the password."""
    return templates.TemplateResponse(request, "login.html", {"wrong": False})


@app.post("/login")
def login(request: Request, name: Annotated[str, Form()], password: Annotated[str, Form()]) -> Response:
    """Start a session.  The cookie is out of reach of scripts and of other sites."""
    if not hmac.compare_digest(password.encode(), os.environ["CRM_PASSWORD"].encode()):
        return templates.TemplateResponse(request, "login.html", {"wrong": True}, status_code=401)
    token = secrets.token_urlsafe(32)
    sessions[token] = name
    response = RedirectResponse("/admin/hosting", 303)
    response.set_cookie("crm_session", token, httponly=True, samesite="lax", secure=request.url.scheme == "https")
    return response
