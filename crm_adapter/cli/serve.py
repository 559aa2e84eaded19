"""`timeweb-crm serve`: the page on this machine."""

from __future__ import annotations

import asyncio
import secrets
import socket
from contextlib import nullcontext
from typing import TYPE_CHECKING

import sqlalchemy as sa
import uvicorn
from sqlalchemy.ext.asyncio import async_sessionmaker

from crm_adapter import migrations
from crm_adapter.cli.output import DONE, CommandError, Output
from crm_adapter.cli.runtime import engine_of, missing_schema
from crm_adapter.jobs.jobs import Jobs
from crm_adapter.jobs.scheduler import Scheduler
from crm_adapter.text import command as words
from crm_adapter.text.messages import foreign_host
from crm_adapter.web.standalone import PREFIX, create_app, is_loopback
from crm_adapter.wiring import AccountClients, open_async_engine
from timeweb_sdk import AsyncTimeweb

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import FastAPI

    from crm_adapter.settings import Settings


def run(
    settings: Settings,
    host: str,
    port: int,
    output: Output,
    *,
    reload: Callable[[], Settings] | None = None,
    jobs: bool = False,
    link: bool = True,
    demo: bool = False,
) -> int:
    """Serve until interrupted. An address that others can reach is refused: the page has no login of its own.

    Whoever opens the printed address is let in, as long as the command runs; other users of the machine do not know it.
    `link=False` asks nobody, for a page behind somebody else's login.

    `reload` reads the settings again, so that a token replaced in `.env` is used. `jobs` runs the schedule in a
    thread beside the page: sync, notifications and reminders in one process. With `demo` the account is an emulator of
    this command, and nobody is warned that it is not Timeweb.
    """
    if not is_loopback(host):
        raise CommandError(
            "not_loopback",
            words.not_loopback(host),
            hint=words.LOOPBACK_HINT,
        )
    _prepare(settings)
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise CommandError("port_taken", words.port_taken(port, error.strerror), hint=words.ANOTHER_PORT) from error
    shown = f"[{host}]" if ":" in host else host
    secret = secrets.token_urlsafe(24) if link else None
    url = f"http://{shown}:{listening.getsockname()[1]}{PREFIX}" + (f"?link={secret}" if secret else "")
    elsewhere = None if demo else settings.foreign_host
    where = [] if elsewhere is None else [words.attention(foreign_host(elsewhere))]
    output.result({"success": True, "url": url}, words.page_at(url), *where, words.STOP)
    app = build_app(settings, reload, link=secret)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5, server_header=False))
    with Scheduler(Jobs(reload or (lambda: settings))) if jobs else nullcontext():
        asyncio.run(server.serve(sockets=[listening]))
    return DONE


def build_app(settings: Settings, load: Callable[[], Settings] | None = None, *, link: str | None = None) -> FastAPI:
    """The application on the configured database; `load` reads the settings again, so that tokens may rotate."""
    engine = open_async_engine(settings)
    timeweb = AccountClients(AsyncTimeweb, load or (lambda: settings))

    async def close() -> None:
        for client in timeweb.drain():
            await client.aclose()
        await engine.dispose()

    return create_app(
        async_sessionmaker(engine, expire_on_commit=False),
        timeweb,
        link=link,
        close=close,
        zone=settings.hosting_tz,
        stale_after=settings.timeweb_sync_stale_after,
        import_new=settings.timeweb_auto_import,
        link_policy=settings.timeweb_link_policy,
    )


def _prepare(settings: Settings) -> None:
    """A database of our own is set up at once; somebody else's is migrated only when asked."""
    engine = engine_of(settings)
    try:
        fresh = not sa.inspect(engine).get_table_names()
        if fresh:
            migrations.upgrade(engine)
        elif missing := missing_schema(engine):
            raise CommandError("not_migrated", words.not_migrated(missing), hint=words.MIGRATE)
    finally:
        engine.dispose()
