"""Ways in which people sync, and a signal right after the claim; a module of its own, which the fork server imports once."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import aio, ensure_fresh, sync_all
from crm_adapter.cli import app, commands, jobs, main, serve  # noqa: F401  # imported before a child is born
from crm_adapter.settings import load_settings
from crm_adapter.wiring import build_clients, open_engine
from timeweb_sdk import AsyncTimeweb, Timeweb


def kill_after_claim(number: int) -> None:
    """Send the signal from within the commit that claimed the lease."""
    path = str(load_settings().database_url.database)
    sent: list[int] = []

    def committed(_session: Session) -> None:
        with closing(sqlite3.connect(path)) as database:
            held = database.execute("SELECT owner FROM timeweb_sync_lease WHERE owner IS NOT NULL").fetchall()
        if held and not sent:
            sent.append(number)
            os.kill(os.getpid(), number)

    event.listen(Session, "after_commit", committed)


def script(*, fresh: bool) -> None:
    settings = load_settings()
    db, clients = sessionmaker(open_engine(settings)), build_clients(settings, Timeweb)
    if fresh:
        ensure_fresh(db, clients, runner=lambda leases: sync_all(db, clients, leases=leases))
    else:
        sync_all(db, clients)


async def script_of_asyncio(*, fresh: bool) -> None:
    settings = load_settings()
    db = async_sessionmaker(create_async_engine(settings.async_database_url))
    clients: Any = build_clients(settings, AsyncTimeweb)
    if fresh:
        await aio.ensure_fresh(db, clients, runner=lambda leases: aio.sync_all(db, clients, leases=leases))
    else:
        await aio.sync_all(db, clients)


def run(way: str, number: int) -> int:
    """Sync in this way; the signal 0 leaves it to the parent to send one."""
    if number:
        kill_after_claim(number)
    match way:
        case "sync":
            return main(["sync", "--json"])
        case "stale":
            return main(["sync", "--json", "--if-stale", "60"])
        case "worker":
            return main(["worker"])
        case "script" | "script-fresh":
            script(fresh=way.endswith("fresh"))
        case _:
            asyncio.run(script_of_asyncio(fresh=way.endswith("fresh")))
    return 0
