"""Tables of hosts that differ from the drop-in one: enums, short and integer columns, databases without emoji."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import BigInteger, Boolean, DateTime, Enum, Float, Integer, String, Text, create_engine, delete, make_url, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from crm_adapter import FieldMap, migrations, sync_all, totals, update_manual
from crm_adapter.db.mapper import validate_mapping
from crm_adapter.db.tables import AdapterBase, ChangeLog
from crm_adapter.errors import MappingError
from crm_adapter.money import local_today
from crm_adapter.servers.listing import Filters, list_rows
from crm_adapter.web import charts
from tests.crm.database import changed, events, rows
from tests.crm.fake_timeweb import client, server, world

Db = sessionmaker[Session]
NARROW = FieldMap(
    project_id=None, client_id=None, client_company=None, client_telegram_id=None, service_fee=None, balance=None,
    balance_last_updated=None, notes=None, updated_at=None,
)  # fmt: skip


class Status(enum.Enum):
    """As CRMs declare it; the words stand in the database."""

    ACTIVE = "active"
    OVERDUE = "overdue"
    SUSPENDED = "suspended"
    CLOSED = "closed"


class _Host:
    """The columns that are the same in all of the hosts here."""

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    client_name: Mapped[str] = mapped_column(String(255))
    server_name: Mapped[str] = mapped_column(String(255))
    client_price: Mapped[int] = mapped_column(Integer)
    start_date: Mapped[datetime] = mapped_column(DateTime)
    next_payment_date: Mapped[datetime] = mapped_column(DateTime)
    payment_period: Mapped[str] = mapped_column(String(20))
    timeweb_id: Mapped[int | None] = mapped_column(BigInteger, unique=True)
    timeweb_status: Mapped[str | None] = mapped_column(String(50))
    timeweb_preset_id: Mapped[int | None] = mapped_column(Integer)
    timeweb_data: Mapped[str | None] = mapped_column(Text)
    auto_sync: Mapped[bool | None] = mapped_column(Boolean)
    last_sync_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class Base(DeclarativeBase):
    pass


class Host(_Host, Base):
    """A Python enum, roubles without kopecks, columns that are too short for what Timeweb may say."""

    __tablename__ = "hosting_servers_of_an_old_crm"

    configuration: Mapped[str | None] = mapped_column(String(20))
    ip_address: Mapped[str | None] = mapped_column(String(15))
    cost_price: Mapped[float] = mapped_column(Float)
    status: Mapped[Status] = mapped_column(Enum(Status, values_callable=lambda kind: [item.value for item in kind]))


class Names(_Host, Base):
    """What no sync could write: an enum that stores the names of its members, a cost without kopecks."""

    __tablename__ = "names"

    configuration: Mapped[str | None] = mapped_column(Text)
    ip_address: Mapped[str | None] = mapped_column(String(50))
    cost_price: Mapped[int] = mapped_column(Integer)
    status: Mapped[Status] = mapped_column(Enum(Status))


OPTIONS: dict[str, Any] = {"model": Host, "fields": NARROW}


@pytest.fixture
def host_db(database_url: str) -> Iterator[Db]:
    engine = create_engine(database_url)
    Host.metadata.tables[Host.__tablename__].create(engine)
    yield sessionmaker(engine)
    Host.metadata.drop_all(engine)
    engine.dispose()


def test_a_python_enum_is_read_and_written_by_its_words(host_db: Db) -> None:
    fake = world(3)
    sync_all(host_db, client(fake), **OPTIONS)
    fake.servers_[0]["status"] = "no_paid"
    second = sync_all(host_db, client(fake), **OPTIONS)
    assert (1, "status", "active", "suspended") in changed(host_db, second.run_id)
    assert [item["status"] for item in rows(host_db, Host)] == [Status.SUSPENDED, Status.ACTIVE, Status.ACTIVE]
    assert update_manual(host_db, 2, {"status": "closed", "client_price": "99,50"}, **OPTIONS).success
    assert (totals(host_db, **OPTIONS).servers, rows(host_db, Host)[1]["client_price"]) == (2, 100)
    with host_db() as session:
        found = list_rows(session, validate_mapping(Host, NARROW), Filters(status="closed"), today=local_today()).rows
    assert [(row.id, row.to_dict()["status"]) for row in found] == [(2, "closed")]


def test_a_short_column_is_no_news_at_every_run_and_holds_no_half_address(host_db: Db) -> None:
    fake = world(2)
    long = [{"type": "public", "ips": [{"ip": "2001:db8:1111:2222:3333::1", "is_main": True}]}]
    fake.servers_[0] = server(1, networks=long)
    sync_all(host_db, client(fake), **OPTIONS)
    second = sync_all(host_db, client(fake), **OPTIONS)
    assert (second.unchanged_count, changed(host_db, second.run_id)) == (2, [])
    first = rows(host_db, Host)[0]
    assert (first["configuration"], first["ip_address"]) == ("2 CPU / 2GB RAM / 25", None)
    fake.servers_[1]["networks"] = long
    sync_all(host_db, client(fake), **OPTIONS)
    assert rows(host_db, Host)[1]["ip_address"] == "203.0.113.2"
    assert events(host_db, "ip_changed") == []


def test_moments_with_a_zone_are_charted(host_db: Db) -> None:
    sync_all(host_db, client(world(1)), **OPTIONS)
    with host_db() as session, session.begin():
        session.execute(delete(ChangeLog))  # a row that was there before the adapter is in no log
        months = charts.months(session, validate_mapping(Host, NARROW), local_today(), ZoneInfo("Europe/Moscow"))
    assert [month.cost for month in months] == [500]


def test_columns_that_would_change_what_sync_writes_are_named() -> None:
    with pytest.raises(MappingError) as caught:
        validate_mapping(Names, NARROW)
    assert "values_callable" in str(caught.value) and "Numeric(12, 2)" in str(caught.value)
    validate_mapping(Host, NARROW)


@pytest.mark.parametrize("charset", ["utf8mb3", "latin1"])
def test_an_old_database_refuses_a_name_and_nothing_else(mariadb_url: str, charset: str) -> None:
    """Given a database whose text holds no emoji (or no Cyrillic); the run ends, the other servers are there."""
    name = f"crm_test_{uuid.uuid4().hex[:12]}"
    admin = create_engine(mariadb_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} CHARACTER SET {charset}"))
    engine = create_engine(make_url(mariadb_url).set(database=name))
    try:
        migrations.upgrade(engine)
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE hosting_servers MODIFY client_name VARCHAR(255) CHARACTER SET utf8mb4"))
        db, fake = sessionmaker(engine), world(2)
        sync_all(db, client(fake))
        fake.servers_ += [server(3, name="магазин 🚀")]
        # The second keeps the name that a person gave it; its description must not be refused for Timeweb's.
        assert update_manual(db, 2, {"server_name": "shop"}).success
        fake.servers_[1] |= {"name": "магазин 🚀", "status": "off"}
        report = sync_all(db, client(fake))
        assert (report.status, [error.code for error in report.errors]) == ("partial", ["database_rejected"])
        assert [(item["server_name"], item["timeweb_status"]) for item in rows(db)] == [("web-1", "on"), ("shop", "off")]
        AdapterBase.metadata.drop_all(engine)
    finally:
        engine.dispose()
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name}"))
        admin.dispose()
