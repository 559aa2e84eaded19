"""Databases with the adapter's tables, and shorthand for reading what a sync did to them."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Dialect, Engine, MetaData, create_engine, event, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import NullPool, StaticPool

from crm_adapter import sync_all
from crm_adapter.db.tables import AdapterBase, ChangeLog, EventOutbox, HostBase, HostingServer, TimewebServerState, create_all
from crm_adapter.jobs.jobs import Jobs
from crm_adapter.results import SyncReport
from tests.crm.fake_timeweb import FakeTimeweb, Json, client

_opened: list[Engine | Jobs] = []
_Kept = TypeVar("_Kept", Engine, Jobs)


def kept(opened: _Kept) -> _Kept:
    """What is closed when the test is over, however it ends."""
    _opened.append(opened)
    return opened


@asynccontextmanager
async def async_engine(url: URL | str, **options: Any) -> AsyncIterator[AsyncEngine]:
    """The same for asyncio, whose engines are disposed on their loop."""
    engine = create_async_engine(url, **options)
    try:
        yield engine
    finally:
        await engine.dispose()


def close_kept() -> None:
    """Close all that was kept since the last call."""
    while _opened:
        opened = _opened.pop()
        opened.close() if isinstance(opened, Jobs) else opened.dispose()


COMPILED: dict[str, tuple[Dialect, dict[Any, Any]]] = {}
"""By kind of database: what statements were compiled for, and what became of them."""


def share_compiled(engine: Engine) -> None:
    """Let an engine that has connected take what the engines of other tests have compiled; that is a quarter of the work."""
    dialect, compiled = COMPILED.setdefault(engine.dialect.name, (engine.dialect, {}))
    engine.dialect = dialect
    engine.update_execution_options(compiled_cache=compiled)


@cache
def sqlite_image() -> bytes:
    """A file of SQLite with all tables and no rows: making the tables takes twenty times as long as copying them."""
    with closing(sqlite3.connect(":memory:")) as made:
        with create_engine("sqlite://", creator=lambda: made, poolclass=StaticPool).begin() as connection:
            create_all(connection)
        return made.serialize()


def memory_database() -> sessionmaker[Session]:
    """An empty SQLite in memory, one connection."""
    engine = kept(create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}))
    with closing(engine.raw_connection()) as connection:
        made = connection.driver_connection
        assert isinstance(made, sqlite3.Connection)
        made.deserialize(sqlite_image())
    share_compiled(engine)
    return sessionmaker(engine)


def file_database(folder: str | Path) -> sessionmaker[Session]:
    """An empty SQLite in a file, for threads."""
    path = Path(folder, "crm.sqlite3")
    path.write_bytes(sqlite_image())
    return sessionmaker(create_engine(f"sqlite:///{path}", poolclass=NullPool))


def engine_of(db: sessionmaker[Session]) -> Engine:
    bound = db.kw["bind"]
    assert isinstance(bound, Engine)
    return bound


def rows(db: sessionmaker[Session], model: type[Any] = HostingServer) -> list[Json]:
    """All host rows as dicts, by id."""
    table = model.__table__
    with db() as session:
        return [dict(record) for record in session.execute(select(table).order_by(*table.primary_key)).mappings()]


def row(db: sessionmaker[Session], timeweb_id: int) -> Json:
    (found,) = [item for item in rows(db) if item["timeweb_id"] == timeweb_id]
    return found


def state(db: sessionmaker[Session], crm_id: int) -> TimewebServerState:
    with db() as session:
        found = session.get(TimewebServerState, crm_id)
        assert found is not None
        return found


def changed(db: sessionmaker[Session], run_id: int | None = None) -> list[tuple[int, str, str | None, str | None]]:
    """The change log of rows: (server id, field, old, new), oldest first."""
    with db() as session:
        statement = select(ChangeLog).where(ChangeLog.service_id.is_(None)).order_by(ChangeLog.id)
        if run_id is not None:
            statement = statement.where(ChangeLog.run_id == run_id)
        return [(entry.server_id, entry.field, entry.old, entry.new) for entry in session.scalars(statement)]


def events(db: sessionmaker[Session], kind: str | None = None) -> list[EventOutbox]:
    with db() as session:
        statement = select(EventOutbox).order_by(EventOutbox.id)
        return list(session.scalars(statement if kind is None else statement.where(EventOutbox.kind == kind)))


def edit(db: sessionmaker[Session], crm_id: int, **values: Any) -> None:
    """Change a row as the host's own code would, past the adapter."""
    with db() as session, session.begin():
        session.execute(update(HostingServer).where(HostingServer.id == crm_id).values(**values))


def typed(db: sessionmaker[Session], **values: Any) -> int:
    """A row typed by hand, past the adapter."""
    from datetime import datetime

    defaults: Json = {"server_name": "old-vps", "next_payment_date": datetime(2026, 12, 1), "client_price": 900}
    with db() as session, session.begin():
        item = HostingServer(**(defaults | values))
        session.add(item)
        session.flush()
        return item.id


def everything(db: sessionmaker[Session]) -> str:
    """All text of all tables, to search for what must not be there."""
    found: list[str] = []
    metadata: list[MetaData] = [HostBase.metadata, AdapterBase.metadata]
    with db() as session:
        for tables in metadata:
            for table in tables.sorted_tables:
                found += [str(tuple(record)) for record in session.execute(select(table))]
    return "\n".join(found)


@contextmanager
def statements(db: sessionmaker[Session]) -> Iterator[list[str]]:
    """Statements as the cursor gets them."""
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        seen.append(statement)

    engine = engine_of(db)
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


def counts(report: SyncReport) -> dict[str, int]:
    """The counts that are not zero."""
    data = report.to_dict()
    names = ("created", "updated", "unchanged", "linked", "missing", "restored", "skipped", "error")
    return {name: data[f"{name}_count"] for name in names if data[f"{name}_count"]}


def sync(db: sessionmaker[Session], fake: FakeTimeweb, **options: Any) -> SyncReport:
    return sync_all(db, client(fake), **options)
