"""A host's own mapped class: other names, fewer columns, projects with titles, its own person at work."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from crm_adapter import FieldMap, MappingError, migrations
from crm_adapter.web import create_hosting_router
from tests.crm.web.conftest import PREFIX, TOKEN, Section
from tests.crm.web.worker import require_admin
from timeweb_sdk.testing import Emulator, demo_state


class Base(DeclarativeBase):
    pass


class Project(Base):
    __tablename__ = "crm_projects"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(sa.String(100))


class Box(Base):
    """What this CRM calls a server; it knows no fee, no balance and no company."""

    __tablename__ = "boxes"
    pk: Mapped[int] = mapped_column(primary_key=True)
    project: Mapped[int | None] = mapped_column(sa.ForeignKey("crm_projects.id"))
    customer: Mapped[str] = mapped_column(sa.String(255))
    title: Mapped[str] = mapped_column(sa.String(255))
    specs: Mapped[str | None] = mapped_column(sa.Text)
    ip: Mapped[str | None] = mapped_column(sa.String(50))
    cost: Mapped[float] = mapped_column(default=0)
    price: Mapped[float] = mapped_column(default=0)
    since: Mapped[datetime]
    due: Mapped[datetime]
    period: Mapped[str] = mapped_column(sa.String(20))
    state: Mapped[str] = mapped_column(sa.String(20))
    timeweb_id: Mapped[int | None] = mapped_column(sa.BigInteger, unique=True)
    timeweb_status: Mapped[str | None] = mapped_column(sa.String(50))
    timeweb_preset_id: Mapped[int | None]
    timeweb_data: Mapped[str | None] = mapped_column(sa.Text)
    auto_sync: Mapped[bool | None] = mapped_column(default=True)
    last_sync_at: Mapped[datetime | None]


FIELDS = FieldMap(
    id="pk", project_id="project", client_id=None, client_name="customer", client_company=None, client_telegram_id=None,
    server_name="title", configuration="specs", ip_address="ip", cost_price="cost", client_price="price", service_fee=None,
    balance=None, balance_last_updated=None, start_date="since", next_payment_date="due", payment_period="period",
    status="state", notes=None, created_at=None, updated_at=None,
)  # fmt: skip


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    url = sa.make_url(f"sqlite+aiosqlite:///{tmp_path / 'crm.sqlite3'}")
    section = Section(url, Emulator(demo_state(), token=TOKEN, rate_limit=False))
    with section.engine() as setup:
        Base.metadata.create_all(setup)
        migrations.upgrade(setup, table="boxes")
    section.execute("INSERT INTO crm_projects VALUES (5, 'Сайт цветов')")
    engine = create_async_engine(url)
    app = FastAPI()
    app.include_router(
        create_hosting_router(
            async_sessionmaker(engine, expire_on_commit=False),
            section.client(),
            dependencies=[require_admin],
            actor=lambda request: f"user {request.headers['x-user']}",
            model=Box,
            fields=FIELDS,
        )
    )
    headers = {"Authorization": "Bearer admin", "X-User": "7"}
    with TestClient(app, base_url="https://crm.example.com", headers=headers) as client:
        yield client
        client.portal.call(engine.dispose)  # type: ignore[union-attr]


def test_the_section_works_on_the_hosts_class(client: TestClient) -> None:
    assert client.post(f"{PREFIX}/api/timeweb/sync-all").json()["created_count"] == 23
    rows = client.get(f"{PREFIX}/api/servers?q=gitlab&sort=margin").json()["servers"]
    assert (rows[0]["server_name"], rows[0]["service_fee"]) == ("gitlab", None)
    number = rows[0]["id"]
    edit = {"project_id": 5, "client_price": "2000", "client_name": "Анна"}
    reply = client.patch(f"{PREFIX}/api/server/{number}", json=edit)
    assert reply.status_code == 200, reply.text
    assert reply.json()["server"]["total_price"] == 2000
    for path in ("", "?project=5&sort=project", f"/servers/{number}/edit", "/dynamics", "/new"):
        page = client.get(f"{PREFIX}{path}")
        assert page.status_code == 200
    assert "Сайт цветов" in client.get(PREFIX).text
    assert "user 7" in client.get(f"{PREFIX}/servers/{number}/history").text
    assert client.get(f"{PREFIX}/export.csv").status_code == 200
    assert client.get(f"{PREFIX}/api/stats").json()["priced_count"] == 1


def test_a_mapping_that_does_not_fit_is_told_when_the_router_is_built() -> None:
    with pytest.raises(MappingError, match="client_name"):
        create_hosting_router(async_sessionmaker(), None, dependencies=[require_admin], model=Box)


async def test_the_actor_may_be_asynchronous(client: TestClient) -> None:
    from crm_adapter.web.router import _takes_request

    async def name(request):  # type: ignore[no-untyped-def]
        return f"user {request}"

    async def annotated(request: Request) -> str:
        return str(request)

    assert await _takes_request(name)("9") == "user 9"
    assert _takes_request(annotated) is annotated
