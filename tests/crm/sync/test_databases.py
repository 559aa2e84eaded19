"""The same life on SQLite, PostgreSQL and MariaDB, sync and async, on our model and on a foreign mapped class."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Integer,
    MetaData,
    Numeric,
    String,
    Text,
    create_engine,
    func,
    make_url,
    select,
    text,
)
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from crm_adapter import FieldMap, aio, changes, import_servers, mark_paid, runs, sync_all, sync_server, totals, update_manual
from crm_adapter.db.mapper import validate_mapping
from crm_adapter.db.tables import AdapterBase, HostingServer
from crm_adapter.errors import MappingError
from tests.crm.database import async_engine, edit, events, rows, state, statements, typed
from tests.crm.fake_timeweb import client, cost, server, world
from timeweb_sdk import AsyncTimeweb, RateLimit
from timeweb_sdk.testing import Emulator, demo_state

ASYNC_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg", "mariadb": "mariadb+asyncmy"}


def test_the_same_life_on_each_database(real_db: sessionmaker[Session]) -> None:
    """Given a row typed by hand; when servers are linked, created, changed, removed and return; then each number is exact."""
    crm_id = typed(real_db, ip_address="203.0.113.1", server_name="Сайт 😀", client_name="Иванов", cost_price=0.0)
    fake = world(5, total=333.33, finances_={"monthly_cost": 1666.65, "monthly_fee": 1499.985})
    first = sync_all(real_db, client(fake))
    assert (first.status, first.created_count, first.linked_count) == ("success", 4, 1)
    assert [item["cost_price"] for item in rows(real_db)] == [300.0] * 5
    second = sync_all(real_db, client(fake))
    assert (second.unchanged_count, second.updated_count, changes(real_db, run_id=second.run_id or 0)) == (5, 0, [])
    fake.servers_[1] |= {"status": "off", "name": "имя 😀"}
    gone = fake.servers_.pop()
    third = sync_all(real_db, client(fake))
    assert (third.updated_count, third.missing_count, third.unchanged_count) == (1, 1, 3)
    fake.servers_.append(gone)
    assert sync_all(real_db, client(fake)).restored_count == 1
    assert sync_server(real_db, client(fake), crm_id).success
    assert import_servers(real_db, client(fake), [1003]).errors[0].code == "already_imported"
    assert update_manual(real_db, crm_id, {"client_price": "1 000,50", "notes": "ок"}, expected_version=0).edit_version == 1
    assert mark_paid(real_db, crm_id, expected_date=date(2026, 12, 1)).success
    summary = totals(real_db, today=date(2026, 11, 23))
    assert (summary.income_month, summary.cost_month, summary.profit_month) == (
        Decimal("1000.50"), Decimal("1500.00"), Decimal("700.50"),
    )  # fmt: skip
    assert [run.status for run in runs(real_db)] == ["success"] * 4
    linked = next(item for item in rows(real_db) if item["id"] == crm_id)
    assert (linked["server_name"], linked["client_name"], linked["timeweb_id"]) == ("Сайт 😀", "Иванов", 1001)
    assert len(events(real_db)) == len({event.dedupe_key for event in events(real_db)})


async def test_async_through_the_emulator(database_url: str) -> None:
    url = make_url(database_url)
    emulator = Emulator(demo_state())
    async with (
        async_engine(url.set(drivername=ASYNC_DRIVERS[url.get_backend_name()])) as engine,
        httpx.AsyncClient(transport=emulator.async_transport()) as http,
        AsyncTimeweb("emulator-token", http_client=http, rate_limit=RateLimit.off()) as timeweb,
    ):
        db = async_sessionmaker(engine)
        first = await aio.sync_all(db, timeweb)
        assert (first.status, first.created_count, first.api_calls) == ("success", 23, 4)
        for item in emulator.state["servers"]:
            item["disks"][0]["used"] += 512
        second = await aio.sync_all(db, timeweb)
        assert (second.unchanged_count, second.updated_count, second.api_calls) == (23, 0, 3)
        made = await aio.plan(db, timeweb)
        assert {item.action for item in made.servers} == {"unchanged"}
        assert (await aio.sync_server(db, timeweb, 1)).success
        assert (await aio.import_servers(db, timeweb, [4242])).errors[0].code == "not_found"
        assert (await aio.mark_paid(db, 1)).success
        assert (await aio.totals(db)).servers == 23
        assert len(await aio.changes(db, 1)) == 2


def test_a_database_rejects_one_row_and_takes_the_others(real_db: sessionmaker[Session], database_url: str) -> None:
    """A constraint of the host's that one server breaks."""
    undone = None
    if database_url.startswith("sqlite"):
        rule = (
            "CREATE TRIGGER no_evil BEFORE INSERT ON hosting_servers WHEN NEW.server_name = 'evil' "
            "BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    else:
        rule = "ALTER TABLE hosting_servers ADD CONSTRAINT no_evil CHECK (server_name <> 'evil')"
        undone = "ALTER TABLE hosting_servers DROP CONSTRAINT no_evil"
    with real_db() as session, session.begin():
        session.execute(text(rule))
    fake = world(3)
    fake.servers_[1]["name"] = "evil"
    try:
        report = sync_all(real_db, client(fake))
    finally:
        if undone is not None:
            with real_db() as session, session.begin():
                session.execute(text(undone))
    assert (report.status, report.created_count, report.error_count) == ("partial", 2, 1)
    # A duplicate key and a rejected row look alike; the row is not there, so it is not "already imported".
    assert (report.errors[0].server_id, report.errors[0].code) == (1002, "database_rejected")
    assert [item["timeweb_id"] for item in rows(real_db)] == [1001, 1003]


def test_no_transaction_is_open_while_timeweb_is_asked(real_db: sessionmaker[Session]) -> None:
    bound: Any = real_db.kw["bind"]
    fake, seen = world(2), []

    class Watching(type(fake)):  # type: ignore[misc]
        def called(self, name: str, argument: Any = None) -> Any:
            seen.append(bound.pool.checkedout())
            return super().called(name, argument)

    watching = Watching(fake.servers_, fake.costs)
    sync_all(real_db, client(watching))
    watching.servers_.pop()
    sync_all(real_db, client(watching))
    sync_server(real_db, client(watching), 1)
    assert len(seen) >= 10 and set(seen) == {0}


def test_statements_of_a_small_run_are_few(real_db: sessionmaker[Session]) -> None:
    fake = world(100)
    with statements(real_db) as first:
        sync_all(real_db, client(fake))
    with statements(real_db) as second:
        sync_all(real_db, client(fake))
    for seen, budget in ((first, 33), (second, 25)):
        # How long SQLite waits for its file is set in this process, without reading or writing it.
        asked = [statement for statement in seen if not statement.startswith("PRAGMA busy_timeout")]
        assert len(asked) <= budget, asked


# A foreign mapped class


class ForeignBase(DeclarativeBase):
    metadata = MetaData()


class Vps(ForeignBase):
    """Other names, NUMERIC money, DATE dates, instants with a zone, ``onupdate`` everywhere, no notes, no fee."""

    __tablename__ = "vps"

    pk: Mapped[int] = mapped_column(Integer, primary_key=True)
    project: Mapped[int | None] = mapped_column(Integer)
    customer: Mapped[str] = mapped_column(String(255))
    title: Mapped[str] = mapped_column(String(20))
    config: Mapped[str | None] = mapped_column(Text)
    ip: Mapped[str | None] = mapped_column(String(50))
    cost: Mapped[Decimal] = mapped_column(Numeric(12, 2))
    price: Mapped[Decimal] = mapped_column(Numeric(12, 2))
    since: Mapped[date] = mapped_column(Date)
    pay_on: Mapped[date] = mapped_column(Date)
    period: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20))
    tw_id: Mapped[int | None] = mapped_column(BigInteger, unique=True)
    tw_status: Mapped[str | None] = mapped_column(String(50))
    tw_preset: Mapped[int | None] = mapped_column(Integer)
    tw_data: Mapped[str | None] = mapped_column(Text)
    tw_auto: Mapped[bool | None] = mapped_column(Boolean)
    tw_synced: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    changed: Mapped[datetime | None] = mapped_column(DateTime(timezone=True), onupdate=func.now())
    touched: Mapped[int] = mapped_column(Integer, default=0, onupdate=99)


FOREIGN = FieldMap(
    id="pk", project_id="project", client_id=None, client_name="customer", client_company=None, client_telegram_id=None,
    server_name="title", configuration="config", ip_address="ip", cost_price="cost", client_price="price", service_fee=None,
    balance=None, balance_last_updated=None, start_date="since", next_payment_date="pay_on", payment_period="period",
    status="state", timeweb_id="tw_id", timeweb_status="tw_status", timeweb_preset_id="tw_preset", timeweb_data="tw_data",
    auto_sync="tw_auto", last_sync_at="tw_synced", notes=None, created_at=None, updated_at="changed",
)  # fmt: skip


@pytest.fixture
def foreign_db(database_url: str) -> Iterator[sessionmaker[Session]]:
    engine = create_engine(database_url)
    ForeignBase.metadata.create_all(engine)
    yield sessionmaker(engine)
    ForeignBase.metadata.drop_all(engine)
    engine.dispose()


def test_a_foreign_class_is_synced_like_our_own(foreign_db: sessionmaker[Session]) -> None:
    fake = world(3)
    fake.servers_[2]["name"] = "a name of more than twenty characters"
    options: dict[str, Any] = {"model": Vps, "fields": FOREIGN}
    assert sync_all(foreign_db, client(fake), **options).created_count == 3
    before = rows(foreign_db, Vps)
    assert before[0]["cost"] == Decimal("500.00")
    assert isinstance(before[0]["pay_on"], date) and before[0]["customer"] == "Не указан"
    assert sync_all(foreign_db, client(fake), **options).unchanged_count == 3
    after = rows(foreign_db, Vps)
    for old, new in zip(before, after, strict=True):
        assert {name for name in old if old[name] != new[name]} <= {"tw_synced"}
    fake.servers_[0]["ram"] = 4096
    assert sync_all(foreign_db, client(fake), **options).updated_count == 1
    assert [item["touched"] for item in rows(foreign_db, Vps)] == [0, 0, 0]
    assert update_manual(foreign_db, 1, {"client_price": 700}, **options).success
    assert mark_paid(foreign_db, 1, **options).success
    found = totals(foreign_db, **options)
    assert (found.profit_month, found.servers) == (Decimal("200.00"), 3)
    with foreign_db() as session:
        synced = session.scalar(select(Vps.tw_synced).limit(1))
    assert synced is not None
    moment = synced if synced.tzinfo else synced.replace(tzinfo=UTC)
    assert abs((datetime.now(UTC) - moment).total_seconds()) < 300


def test_every_mismatch_of_a_mapping_is_named_at_once() -> None:
    with pytest.raises(MappingError) as caught:
        validate_mapping(Vps, FieldMap(id="pk", notes=None, server_name="title"))
    assert {"client_name", "timeweb_id"} <= {problem.split("'")[1] for problem in caught.value.problems}
    assert "timeweb-crm migrate" in str(caught.value)
    with pytest.raises(MappingError, match="may not be None"):
        validate_mapping(HostingServer, FieldMap(status=None))  # type: ignore[arg-type]
    with pytest.raises(MappingError, match="not a class mapped"):
        validate_mapping(int)
    with pytest.raises(MappingError, match="'inn' is NOT NULL"):
        validate_mapping(Strict)
    validate_mapping(HostingServer)
    assert all(not table.foreign_keys for table in AdapterBase.metadata.tables.values())


class StrictBase(DeclarativeBase):
    metadata = MetaData()


class Strict(StrictBase):
    """Drop-in but for one column that nobody could fill."""

    __table__ = HostingServer.__table__.to_metadata(StrictBase.metadata)  # type: ignore[attr-defined]
    __table__.append_column(Column("inn", String(12), nullable=False))


def test_a_name_longer_than_the_hosts_column_is_cut_once(foreign_db: sessionmaker[Session]) -> None:
    fake = world(1)
    fake.servers_[0] = server(1, name="n" * 60)
    options: dict[str, Any] = {"model": Vps, "fields": FOREIGN}
    sync_all(foreign_db, client(fake), **options)
    assert rows(foreign_db, Vps)[0]["title"] == "n" * 20
    assert sync_all(foreign_db, client(fake), **options).unchanged_count == 1


def test_a_single_precision_column_is_never_taken_for_an_edit(real_db: sessionmaker[Session]) -> None:
    """Given the host's FLOAT (MariaDB) or REAL (PostgreSQL); prices it rounds stay sync's, a person's kopeck stays theirs."""
    single = {"mysql": "MODIFY cost_price FLOAT NOT NULL", "postgresql": "ALTER COLUMN cost_price TYPE REAL"}
    prices = [12345.67, 123456.78, 200000.01, 450.0]
    with real_db() as session, session.begin():
        if change := single.get(session.connection().dialect.name.replace("mariadb", "mysql")):
            session.execute(text(f"ALTER TABLE hosting_servers {change}"))
    fake = world(4)
    fake.costs = [cost(number, price) for number, price in enumerate(prices, start=1)]
    sync_all(real_db, client(fake))
    second = sync_all(real_db, client(fake))
    assert (second.unchanged_count, changes(real_db, run_id=second.run_id or 0)) == (4, [])
    assert [state(real_db, number).cost_source for number in (1, 2, 3, 4)] == ["services_cost"] * 4
    edit(real_db, 1, cost_price=12345.68)
    fake.costs = [cost(number, price * 2) for number, price in enumerate(prices, start=1)]
    third = sync_all(real_db, client(fake))
    logged = {(entry.field, entry.old, entry.new) for entry in changes(real_db, run_id=third.run_id or 0)}
    assert logged == {
        ("cost_price", "123456.78", "246913.56"),
        ("cost_price", "200000.01", "400000.02"),
        ("cost_price", "450.00", "900.00"),
    }
    assert state(real_db, 1).cost_source == "manual"
