"""Mapped classes as hosts have them: each works, or is refused by name before anything is read or written."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    column_property,
    mapped_column,
    relationship,
    sessionmaker,
    synonym,
)

from crm_adapter import (
    FieldMap,
    add_manual,
    import_servers,
    link,
    mark_paid,
    payment_reminders,
    sync_all,
    sync_server,
    totals,
    update_manual,
    validate_mapping,
)
from crm_adapter.db.tables import HostingServer
from crm_adapter.errors import MappingError
from crm_adapter.money import local_today
from crm_adapter.servers.listing import Filters, list_rows
from tests.crm.database import changed, events, rows
from tests.crm.fake_timeweb import client, world

Db = sessionmaker[Session]


class Base(DeclarativeBase):
    pass


class Columns:
    """Everything but a key."""

    client_name: Mapped[str] = mapped_column(sa.String(255))
    server_name: Mapped[str] = mapped_column(sa.String(255))
    configuration: Mapped[str | None] = mapped_column(sa.Text)
    ip_address: Mapped[str | None] = mapped_column(sa.String(50))
    cost_price: Mapped[Any] = mapped_column(sa.Numeric(12, 2), default=0)
    client_price: Mapped[Any] = mapped_column(sa.Numeric(12, 2), default=0)
    start_date: Mapped[datetime] = mapped_column(sa.DateTime)
    next_payment_date: Mapped[datetime] = mapped_column(sa.DateTime)
    payment_period: Mapped[str] = mapped_column(sa.String(20))
    status: Mapped[str] = mapped_column(sa.String(20))
    timeweb_id: Mapped[int | None] = mapped_column(sa.BigInteger, unique=True)
    timeweb_status: Mapped[str | None] = mapped_column(sa.String(50))
    timeweb_preset_id: Mapped[int | None]
    timeweb_data: Mapped[str | None] = mapped_column(sa.Text)
    auto_sync: Mapped[bool | None] = mapped_column(default=True)
    last_sync_at: Mapped[datetime | None] = mapped_column(sa.DateTime)


ABSENT: dict[str, Any] = dict.fromkeys((
    "project_id", "client_id", "client_company", "client_telegram_id", "service_fee", "balance", "balance_last_updated",
    "notes", "created_at", "updated_at",
))  # fmt: skip
FIELDS = FieldMap(**ABSENT)


class Asset(Columns, Base):
    __tablename__ = "assets"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(sa.String(20))
    __mapper_args__ = {"polymorphic_on": "kind"}  # noqa: RUF012 - SQLAlchemy's own protocol


class Machine(Asset):
    __mapper_args__ = {"polymorphic_identity": "server"}  # noqa: RUF012


class Colocated(Machine):
    __mapper_args__ = {"polymorphic_identity": "colocated"}  # noqa: RUF012


class Printer(Asset):
    __mapper_args__ = {"polymorphic_identity": "printer"}  # noqa: RUF012


class Deleted(Columns, Base):
    __tablename__ = "softly"
    id: Mapped[int] = mapped_column(primary_key=True)
    deleted_at: Mapped[datetime | None] = mapped_column(sa.DateTime)


_numbers = iter(range(41, 10_000))


class ByUuid(Columns, Base):
    __tablename__ = "by_uuid"
    uuid: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    number: Mapped[int] = mapped_column(unique=True, default=lambda: next(_numbers))


class Odd(Columns, Base):
    """Reserved words, capitals, Cyrillic; a computed column, a synonym, a counter of versions, a check."""

    __tablename__ = "Заказ order"
    key: Mapped[int] = mapped_column("select", sa.Integer, primary_key=True)
    price: Mapped[Any] = mapped_column("Цена", sa.Numeric(12, 2), sa.CheckConstraint('"Цена" >= 0'), default=0)
    label: Mapped[str] = mapped_column(sa.String(300), sa.Computed("server_name", persisted=True))
    version: Mapped[int] = mapped_column(sa.Integer)
    cost: Mapped[Any] = synonym("cost_price")
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


class Zoned(Columns, Base):
    __tablename__ = "zoned"
    id: Mapped[int] = mapped_column(primary_key=True)
    start_date: Mapped[datetime] = mapped_column(sa.DateTime(timezone=True))
    next_payment_date: Mapped[datetime] = mapped_column(sa.DateTime(timezone=True))


ODD = FieldMap(**ABSENT | {"id": "key", "client_price": "price", "cost_price": "cost"})
LIVING = FieldMap(**ABSENT, where=lambda server: server.deleted_at.is_(None))


@pytest.fixture
def host_db(database_url: str, request: pytest.FixtureRequest) -> Iterator[Db]:
    """The table of a class, on each database."""
    engine = sa.create_engine(database_url)
    table: Any = request.param.__table__
    if engine.dialect.name in {"mysql", "mariadb"}:
        sa.event.listen(
            engine, "connect", lambda connection, _: connection.query("SET sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES')")
        )
    table.create(engine)
    yield sessionmaker(engine)
    table.drop(engine)
    engine.dispose()


def problems(model: type[Any], fields: FieldMap = FIELDS) -> str:
    with pytest.raises(MappingError) as caught:
        validate_mapping(model, fields)
    return str(caught.value)


def typed_in(db: Db, model: type[Any], **values: Any) -> int:
    """A row as the host's own code writes it."""
    with db() as session, session.begin():
        row = model(
            **{
                "client_name": "Anna", "server_name": "old", "start_date": datetime(2026, 1, 1),
                "next_payment_date": datetime(2026, 3, 1), "payment_period": "monthly", "status": "active", "client_price": 900,
            } | values
        )  # fmt: skip
        session.add(row)
        session.flush()
        return row.id  # type: ignore[no-any-return]


@pytest.mark.parametrize("host_db", [Asset], indirect=True)
def test_rows_of_a_class_are_those_of_its_kind(host_db: Db) -> None:
    """Given single-table inheritance: an import is of the class, and another kind with the same address is left alone."""
    printer = typed_in(host_db, Printer, ip_address="203.0.113.1")
    colocated = typed_in(host_db, Colocated, ip_address="203.0.113.2")
    options: dict[str, Any] = {"model": Machine, "fields": FIELDS}
    report = sync_all(host_db, client(world(3)), **options)
    assert (report.created_count, report.linked_count) == (2, 1)
    assert sync_all(host_db, client(world(3)), **options).unchanged_count == 3
    with host_db() as session:
        assert sorted(type(each).__name__ for each in session.scalars(sa.select(Machine))) == [
            "Colocated",
            "Machine",
            "Machine",
        ]
        assert session.scalars(sa.select(Printer.timeweb_id)).all() == [None]
    assert totals(host_db, **options).servers == 3
    assert update_manual(host_db, printer, {"status": "closed"}, **options).code == "not_found"
    assert link(host_db, printer, 5, **options).code == "not_found"
    assert update_manual(host_db, colocated, {"client_price": 100}, **options).success
    assert "no polymorphic_identity" in problems(Asset)


@pytest.mark.parametrize("host_db", [Deleted], indirect=True)
def test_softly_deleted_rows_are_nowhere(host_db: Db) -> None:
    gone = datetime(2026, 2, 1)
    typed_in(host_db, Deleted, timeweb_id=1001, deleted_at=gone)
    hidden = typed_in(host_db, Deleted, ip_address="203.0.113.2", deleted_at=gone)
    typed_in(host_db, Deleted, ip_address="203.0.113.3")
    fake, options = world(3), dict[str, Any]({"model": Deleted, "fields": LIVING})
    report = sync_all(host_db, client(fake), **options)
    assert (report.created_count, report.linked_count, report.skipped_count, report.error_count) == (1, 1, 1, 0)
    assert [row["last_sync_at"] for row in rows(host_db, Deleted) if row["deleted_at"]] == [None, None]
    found = totals(host_db, today=date(2026, 3, 5), **options)
    assert (found.servers, found.overdue_count) == (2, 1)
    assert payment_reminders(host_db, today=date(2026, 3, 2), **options).overdue == 1
    with host_db() as session:
        listing = list_rows(session, validate_mapping(Deleted, LIVING), Filters(), today=date(2026, 3, 5))
        search = list_rows(session, validate_mapping(Deleted, LIVING), Filters(search="nobody"), today=date(2026, 3, 5))
    assert (listing.total, len(listing.rows), search.everything) == (2, 2, 2)
    assert [error.code for error in import_servers(host_db, client(fake), [1001], **options).errors] == ["hidden"]
    assert update_manual(host_db, hidden, {"client_name": "Boris"}, **options).code == "not_found"
    assert sync_server(host_db, client(fake), hidden, **options).code == "not_found"
    assert mark_paid(host_db, hidden, **options).code == "not_found"
    # Deleted between two runs: nothing more is written to it, nothing is made anew and nobody is told that it is gone.
    with host_db() as session, session.begin():
        session.execute(sa.update(Deleted).where(Deleted.timeweb_id == 1002).values(deleted_at=gone))
    before = [row for row in rows(host_db, Deleted) if row["timeweb_id"] == 1002]
    again = sync_all(host_db, client(fake), **options)
    assert (again.created_count, again.skipped_count, again.error_count) == (0, 2, 0)
    assert [row for row in rows(host_db, Deleted) if row["timeweb_id"] == 1002] == before
    assert events(host_db, "removed") == []


def test_a_condition_that_is_none_is_refused() -> None:
    assert "gave False" in problems(Deleted, FieldMap(**ABSENT, where=lambda server: server.deleted_at is None))
    assert "needs rows of zoned" in problems(Deleted, FieldMap(**ABSENT, where=lambda server: Zoned.id == server.id))
    assert "not a condition" in problems(Deleted, FieldMap(**ABSENT, where=lambda server: "deleted_at IS NULL"))
    exists = FieldMap(**ABSENT, where=lambda server: sa.exists().where(Zoned.id == server.id))
    assert len(validate_mapping(Deleted, exists).scope) == 1


@pytest.mark.parametrize("host_db", [Deleted], indirect=True)
def test_a_new_row_outside_of_the_condition_is_a_wrong_mapping(host_db: Db) -> None:
    fields = FieldMap(**ABSENT, where=lambda server: server.deleted_at.is_not(None))
    with pytest.raises(MappingError, match=r"does not satisfy FieldMap\.where"):
        sync_all(host_db, client(world(2)), model=Deleted, fields=fields)
    assert rows(host_db, Deleted) == []


@pytest.mark.parametrize("host_db", [ByUuid], indirect=True)
def test_a_key_that_is_no_number_needs_a_number_beside_it(host_db: Db) -> None:
    words = problems(ByUuid, FieldMap(**ABSENT | {"id": "uuid"}))
    assert "knows rows by whole numbers" in words and "FieldMap(id=...)" in words
    options: dict[str, Any] = {"model": ByUuid, "fields": FieldMap(**ABSENT | {"id": "number"})}
    assert sync_all(host_db, client(world(2)), **options).created_count == 2
    assert sync_all(host_db, client(world(2)), **options).unchanged_count == 2
    added = add_manual(host_db, {"server_name": "typed"}, **options)
    assert added.success and added.server is not None and added.server["id"] == added.crm_id
    assert update_manual(host_db, added.crm_id or 0, {"client_price": 5}, **options).success
    assert totals(host_db, **options).servers == 3


@pytest.mark.parametrize("host_db", [Odd], indirect=True)
def test_odd_names_computed_columns_synonyms_and_versions(host_db: Db) -> None:
    fake, options = world(2), dict[str, Any]({"model": Odd, "fields": ODD})
    sync_all(host_db, client(fake), **options)
    fake.servers_[0]["name"] = "renamed"
    second = sync_all(host_db, client(fake), **options)
    assert (1, "server_name", "web-1", "renamed") in changed(host_db, second.run_id)
    with host_db() as session, session.begin():
        row = session.scalars(sa.select(Odd).order_by(Odd.key)).first()
        assert row is not None and (row.version, row.label, row.cost) == (1, "renamed", 500)
        # A person's edit through the adapter is one that the host's own optimistic locking notices; a sync's is not.
        assert update_manual(host_db, row.key, {"client_price": 700}, **options).success
        row.status = "closed"
        with pytest.raises(sa.orm.exc.StaleDataError):
            session.flush()
        session.rollback()


def test_attributes_that_only_read_are_refused() -> None:
    class Other(DeclarativeBase):
        pass

    class Owner(Other):
        __tablename__ = "owners"
        id: Mapped[int] = mapped_column(primary_key=True)

    class Host(Columns, Other):
        __tablename__ = "hosts"
        id: Mapped[int] = mapped_column(primary_key=True)
        owner_id: Mapped[int | None] = mapped_column(sa.ForeignKey("owners.id"))
        owner: Mapped[Owner | None] = relationship()
        raw_cost: Mapped[float]
        gross: Mapped[float] = mapped_column(sa.Float, sa.Computed("raw_cost * 2"))
        shout: Mapped[str] = column_property(sa.func.upper("a"))

        @hybrid_property
        def net(self) -> float:
            return self.raw_cost

    words = problems(
        Host,
        FieldMap(**ABSENT | {"cost_price": "gross", "client_price": "net", "client_name": "shout", "status": "owner"}),
    )
    for said in ("gross (cost_price) is computed", "net (client_price) is a hybrid", "shout (client_name) is an expression"):
        assert said in words
    assert "owner (status) is made of other columns" in words


def test_tables_that_cannot_hold_a_server_are_refused() -> None:
    class Other(DeclarativeBase):
        pass

    class Parent(Other):
        __tablename__ = "parents"
        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[str] = mapped_column(sa.String(20))
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "parent"}  # noqa: RUF012

    class Child(Columns, Parent):
        __tablename__ = "children"
        id: Mapped[int] = mapped_column(sa.ForeignKey("parents.id"), primary_key=True)
        __mapper_args__ = {"polymorphic_identity": "child"}  # noqa: RUF012

    assert "joined-table inheritance" in problems(Child)

    class Pair(Columns, Other):
        __tablename__ = "pairs"
        id: Mapped[int] = mapped_column(primary_key=True)
        tenant: Mapped[int] = mapped_column(primary_key=True)

    assert "id alone is no key (that is id, tenant)" in problems(Pair)

    class Slug(Columns, Other):
        __tablename__ = "slugs"
        id: Mapped[str] = mapped_column(sa.String(40), primary_key=True)

    assert "id is VARCHAR(40)" in problems(Slug)

    class Words(Columns, Other):
        __tablename__ = "words"
        id: Mapped[int] = mapped_column(primary_key=True)
        timeweb_id: Mapped[str | None] = mapped_column(sa.String(40))  # type: ignore[assignment]
        next_payment_date: Mapped[str] = mapped_column(sa.String(10))  # type: ignore[assignment]
        last_sync_at: Mapped[date | None] = mapped_column(sa.Date)  # type: ignore[assignment]

    said = problems(Words)
    assert "timeweb_id is VARCHAR(40)" in said and "next_payment_date is VARCHAR(10)" in said and "last_sync_at is DATE" in said

    class Locked(Columns, Other):
        __tablename__ = "locked"
        id: Mapped[int] = mapped_column(primary_key=True)
        token: Mapped[str] = mapped_column(sa.String(32))
        __mapper_args__ = {"version_id_col": token, "version_id_generator": lambda version: uuid.uuid4().hex}  # noqa: RUF012

    assert "version_id_generator" in problems(Locked)
    assert "not an IANA time zone" in problems(HostingServer, FieldMap(zone="Mars/Phobos"))


@pytest.mark.parametrize("host_db", [Zoned], indirect=True)
@pytest.mark.parametrize(
    ("speaks", "zone"), [("UTC", "Europe/Moscow"), ("America/Los_Angeles", "Asia/Kamchatka"), ("Asia/Kamchatka", "UTC")]
)
def test_a_calendar_date_is_the_same_in_every_zone_of_the_connection(host_db: Db, speaks: str, zone: str) -> None:
    engine: Any = host_db.kw["bind"]
    if engine.dialect.name == "postgresql":
        sa.event.listen(engine, "connect", lambda connection, _: connection.execute(f"SET TIME ZONE '{speaks}'"))
    fields = FieldMap(**ABSENT, zone=zone)
    columns, options = validate_mapping(Zoned, fields), dict[str, Any]({"model": Zoned, "fields": fields})
    crm_id = add_manual(
        host_db,
        {"server_name": "typed", "client_name": "Anna", "client_price": 900, "next_payment_date": "2026-12-01"},
        **options,
    ).crm_id
    assert crm_id is not None
    for day, late in ((date(2026, 11, 30), 0), (date(2026, 12, 1), 0), (date(2026, 12, 2), 1)):
        with host_db() as session:
            view = list_rows(session, columns, Filters(view="overdue"), today=day)
        assert (totals(host_db, today=day, **options).overdue_count, view.total) == (late, late)
    with host_db() as session:
        (row,) = list_rows(session, columns, Filters(view="week"), today=date(2026, 12, 1)).rows
        stored = session.scalars(sa.select(Zoned.next_payment_date)).one()
        assert not list_rows(session, columns, Filters(view="week"), today=date(2026, 11, 24)).rows
    assert row.to_dict()["next_payment_date"] == "2026-12-01T00:00:00"
    if stored.tzinfo is not None:
        hours = {"UTC": 0, "Europe/Moscow": 3, "Asia/Kamchatka": 12}[zone]
        assert stored.astimezone(UTC) == datetime(2026, 12, 1, tzinfo=UTC) - timedelta(hours=hours)
    assert payment_reminders(host_db, today=date(2026, 12, 1), **options).due == 1
    assert payment_reminders(host_db, today=date(2026, 11, 29), **options).due == 0
    assert mark_paid(host_db, crm_id, expected_date=date(2026, 12, 1), **options).success
    assert update_manual(host_db, crm_id, {"next_payment_date": "2027-01-01"}, **options).changes == ()


@pytest.mark.parametrize("way", ["environment", "field map"])
def test_a_new_row_starts_on_the_day_of_the_people(db: Db, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """Given 16:00 UTC on 10 March: in Kamchatka it is 04:00 of the 11th, for the sync as for the page."""
    noon = datetime(2026, 3, 10, 16, tzinfo=UTC)
    monkeypatch.setattr("crm_adapter.db.columns.local_today", lambda zone: local_today(zone, noon))
    fields = None
    if way == "environment":
        monkeypatch.setenv("HOSTING_TZ", "Asia/Kamchatka")
    else:
        fields = FieldMap(zone="Asia/Kamchatka")
    sync_all(db, client(world(1)), fields=fields)
    import_servers(db, client(world(2)), [1002], fields=fields)
    crm_id = add_manual(db, {"server_name": "typed", "client_name": "Anna", "client_price": 900}, fields=fields).crm_id or 0
    assert {row["start_date"] for row in rows(db)} == {datetime(2026, 3, 11)}
    assert {row["next_payment_date"] for row in rows(db)} == {datetime(2026, 4, 11)}
    update_manual(db, crm_id, {"next_payment_date": "2026-03-11"}, fields=fields)
    assert (totals(db, fields=fields).overdue_count, payment_reminders(db, fields=fields).due) == (0, 1)
    update_manual(db, crm_id, {"next_payment_date": "2026-03-10"}, fields=fields)
    assert (totals(db, fields=fields).overdue_count, payment_reminders(db, fields=fields).overdue) == (1, 1)
