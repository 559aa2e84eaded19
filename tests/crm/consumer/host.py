"""A CRM that was there before: its own table with Float money, its payments, its router. The front end is in `replay`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException
from sqlalchemy import BigInteger, String, Text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from crm_adapter import migrations
from crm_adapter.web import create_hosting_router
from timeweb_sdk import AsyncTimeweb, RateLimit
from timeweb_sdk.testing import Emulator, demo_state

TOKEN = "token-of-the-studio"


class Base(DeclarativeBase):
    """Of the CRM."""


class HostingServer(Base):
    """As the CRM has it, with the six columns of the integration."""

    __tablename__ = "hosting_servers"

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int | None]
    client_id: Mapped[int | None]
    client_name: Mapped[str] = mapped_column(String(255))
    client_company: Mapped[str | None] = mapped_column(String(255))
    client_telegram_id: Mapped[int | None] = mapped_column(BigInteger)
    server_name: Mapped[str] = mapped_column(String(255))
    configuration: Mapped[str | None] = mapped_column(Text)
    ip_address: Mapped[str | None] = mapped_column(String(50))
    cost_price: Mapped[float] = mapped_column(default=0)
    client_price: Mapped[float] = mapped_column(default=0)
    service_fee: Mapped[float | None] = mapped_column(default=0)
    balance: Mapped[float | None]
    balance_last_updated: Mapped[datetime | None]
    start_date: Mapped[datetime]
    next_payment_date: Mapped[datetime]
    payment_period: Mapped[str] = mapped_column(String(20), default="monthly")
    status: Mapped[str] = mapped_column(String(20), default="active")
    notes: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime | None] = mapped_column(default=datetime.utcnow)
    updated_at: Mapped[datetime | None] = mapped_column(default=datetime.utcnow)
    timeweb_id: Mapped[int | None] = mapped_column(BigInteger, unique=True)
    timeweb_status: Mapped[str | None] = mapped_column(String(50))
    timeweb_preset_id: Mapped[int | None]
    timeweb_data: Mapped[str | None] = mapped_column(Text)
    auto_sync: Mapped[bool | None] = mapped_column(default=True)
    last_sync_at: Mapped[datetime | None]


class HostingPayment(Base):
    """What a client was to pay, and paid."""

    __tablename__ = "hosting_payments"

    id: Mapped[int] = mapped_column(primary_key=True)
    server_id: Mapped[int] = mapped_column(sa.ForeignKey("hosting_servers.id"))
    amount: Mapped[float]
    payment_date: Mapped[datetime | None]
    expected_date: Mapped[datetime]
    period_start: Mapped[datetime]
    period_end: Mapped[datetime]
    status: Mapped[str] = mapped_column(String(20), default="pending")
    payment_method: Mapped[str | None] = mapped_column(String(50))
    notes: Mapped[str | None] = mapped_column(Text)


def payments_of(connection: sa.Connection, row_id: int) -> list[dict[str, Any]]:
    """The host's own bookkeeping, as its front end reads it."""
    table = HostingPayment.__table__
    query = sa.select(table).where(table.c.server_id == row_id).order_by(table.c.expected_date.desc())
    return [dict(row) for row in connection.execute(query).mappings()]


def require_admin(authorization: str = Header(default="")) -> str:
    """The login of the CRM."""
    if authorization != "Bearer admin":
        raise HTTPException(401, "log in")
    return "admin"


def own_router() -> APIRouter:
    """The calls that stay the CRM's, and one that the integration replaces."""
    api = APIRouter(prefix="/admin/hosting/api", dependencies=[Depends(require_admin)])

    @api.get("/calendar")
    async def calendar() -> dict[str, Any]:
        return {"success": True, "calendar": []}

    @api.post("/server/{server_id}/sync")
    async def sync(server_id: int) -> dict[str, Any]:
        return {"success": True, "message": "by the old code"}

    return api


class Host:
    """One installation: a database in a file, an emulated account, an application."""

    def __init__(self, folder: Path) -> None:
        self.emulator = Emulator(demo_state(), token=TOKEN, rate_limit=False)
        self.path = folder / "crm.sqlite3"
        engine = sa.create_engine(f"sqlite:///{self.path}")
        Base.metadata.create_all(engine)
        migrations.upgrade(engine)
        engine.dispose()

    def app(self, *first: APIRouter, after: Callable[[], APIRouter] | None = None, **options: Any) -> FastAPI:
        """The application; routers of the CRM come `first` or `after` ours."""
        engine = create_async_engine(f"sqlite+aiosqlite:///{self.path}")
        http = self.emulator.async_http_client()
        timeweb = AsyncTimeweb(TOKEN, http_client=http, rate_limit=RateLimit.off(), max_retries=0)

        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            yield
            await timeweb.aclose()
            await engine.dispose()

        app = FastAPI(lifespan=lifespan)
        settings: dict[str, Any] = {"dependencies": [Depends(require_admin)], "actor": require_admin, "model": HostingServer}
        for router in first:
            app.include_router(router)
        sessions = async_sessionmaker(engine, expire_on_commit=False)
        app.include_router(create_hosting_router(sessions, timeweb, **(settings | {"parts": ("timeweb", "crm")} | options)))
        if after is not None:
            app.include_router(after())
        return app

    def execute(self, statement: str, **values: Any) -> None:
        engine = sa.create_engine(f"sqlite:///{self.path}")
        with engine.begin() as connection:
            connection.execute(sa.text(statement), values)
        engine.dispose()

    def query(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        engine = sa.create_engine(f"sqlite:///{self.path}")
        with engine.connect() as connection:
            rows = [tuple(row) for row in connection.execute(sa.text(statement), values)]
        engine.dispose()
        return rows
