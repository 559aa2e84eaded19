"""Tables: the host's `hosting_servers` (drop-in) and, on a metadata of their own, the tables of the adapter.

`HostingServer` is for installations that have no such table yet; a CRM with its own mapped class passes that one and
a `crm_adapter.db.columns.FieldMap`. `AdapterBase.metadata` holds everything else of ours, so it can be created
beside any host: nothing in it refers to a host table by foreign key, because the host's name for it is unknown.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

try:
    from sqlalchemy import (
        BigInteger,
        Boolean,
        Date,
        DateTime,
        Double,
        Float,
        Index,
        Integer,
        MetaData,
        Numeric,
        String,
        Text,
        TypeDecorator,
        and_,
    )
    from sqlalchemy.dialects.mysql import DATETIME, MEDIUMTEXT, VARCHAR
    from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
except ImportError as exc:  # pragma: no cover - exercised in a bare environment
    raise ImportError("crm_adapter needs the extra [crm]: pip install 'timeweb-sdk[crm]'") from exc

from crm_adapter.text.labels import UNKNOWN_CLIENT

LongText = Text().with_variant(MEDIUMTEXT(charset="utf8mb4"), "mysql", "mariadb")
"""Raw JSON of a server or of a run outgrows MariaDB's TEXT (65 535 bytes), and old databases there take no emoji."""
Instant = DateTime().with_variant(DATETIME(fsp=6), "mysql", "mariadb")
"""Order of change rows and outbox events within a second matters; MariaDB's DATETIME keeps no fraction by default."""
HostAmount = Float().with_variant(Double(), "mysql", "mariadb")
"""MariaDB's FLOAT is single precision and rounds 12345.67; the others' Float is a double."""
AutoId = BigInteger().with_variant(Integer(), "sqlite")
"""A BigInteger primary key does not autoincrement on SQLite."""


def _key(length: int) -> Any:
    """Text that is compared by its bytes; MariaDB's usual collations take «ё» for «е», and «A» for «a»."""
    exact = VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return String(length).with_variant(exact, "mysql", "mariadb")


def utcnow() -> datetime:
    """Now as a naive UTC instant, the form of every `*_at` column."""
    return datetime.now(UTC).replace(tzinfo=None)


def today_midnight() -> datetime:
    """The host's calendar dates are naive midnights; used only where the writer gave no start date."""
    return utcnow().replace(hour=0, minute=0, second=0, microsecond=0)


class Money(TypeDecorator[Decimal]):
    """RUB with two decimals: `NUMERIC(12,2)` everywhere, always a quantised `Decimal` in Python."""

    impl = Numeric
    cache_ok = True

    def __init__(self) -> None:
        super().__init__(12, 2)

    def load_dialect_impl(self, dialect: Any) -> Any:
        # SQLite has no decimal storage; a float holds 12 digits exactly and is quantised on the way out.
        return dialect.type_descriptor(Numeric(12, 2, asdecimal=dialect.name != "sqlite"))

    def process_bind_param(self, value: Decimal | None, dialect: Any) -> Any:
        """Quantise, half up."""
        if value is None:
            return None
        exact = Decimal(value).quantize(Decimal("0.01"), ROUND_HALF_UP)
        return float(exact) if dialect.name == "sqlite" else exact

    def process_result_value(self, value: Any, dialect: Any) -> Decimal | None:
        """Return a Decimal whatever the driver gave."""
        return None if value is None else Decimal(str(value)).quantize(Decimal("0.01"), ROUND_HALF_UP)


class HostBase(DeclarativeBase):
    """Metadata of the host's side: only `HostingServer`."""

    metadata = MetaData()


class AdapterBase(DeclarativeBase):
    """Metadata of the adapter's own tables."""

    metadata = MetaData()
    # Whatever the server's defaults are: MyISAM would store a change without its log.
    __table_args__ = {  # noqa: RUF012 - SQLAlchemy's own protocol
        "mysql_charset": "utf8mb4",
        "mysql_engine": "InnoDB",
        "mariadb_charset": "utf8mb4",
        "mariadb_engine": "InnoDB",
    }


class HostingServer(HostBase):
    """The CRM's table, drop-in. Which column belongs to whom: `crm_adapter.db.columns`."""

    __tablename__ = "hosting_servers"
    __table_args__ = (
        Index("uq_hosting_servers_timeweb_id", "timeweb_id", unique=True),
        {"mysql_engine": "InnoDB", "mariadb_engine": "InnoDB"},
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    project_id: Mapped[int | None] = mapped_column(Integer)
    client_id: Mapped[int | None] = mapped_column(Integer)
    client_name: Mapped[str] = mapped_column(String(255), default=UNKNOWN_CLIENT)
    client_company: Mapped[str | None] = mapped_column(String(255))
    client_telegram_id: Mapped[int | None] = mapped_column(BigInteger)
    server_name: Mapped[str] = mapped_column(String(255))
    configuration: Mapped[str | None] = mapped_column(Text)
    ip_address: Mapped[str | None] = mapped_column(String(50))
    cost_price: Mapped[float] = mapped_column(HostAmount, default=0)
    client_price: Mapped[float] = mapped_column(HostAmount, default=0)
    service_fee: Mapped[float | None] = mapped_column(HostAmount, default=0)
    balance: Mapped[float | None] = mapped_column(HostAmount, default=0)
    balance_last_updated: Mapped[datetime | None] = mapped_column(DateTime)
    start_date: Mapped[datetime] = mapped_column(DateTime, default=today_midnight)
    next_payment_date: Mapped[datetime] = mapped_column(DateTime)
    payment_period: Mapped[str] = mapped_column(String(20), default="monthly")
    status: Mapped[str] = mapped_column(String(20), default="active")
    notes: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime | None] = mapped_column(DateTime, default=utcnow)
    updated_at: Mapped[datetime | None] = mapped_column(DateTime, default=utcnow, onupdate=utcnow)
    # The six columns of the integration.
    timeweb_id: Mapped[int | None] = mapped_column(BigInteger)
    timeweb_status: Mapped[str | None] = mapped_column(String(50))
    timeweb_preset_id: Mapped[int | None] = mapped_column(Integer)
    timeweb_data: Mapped[str | None] = mapped_column(LongText)
    auto_sync: Mapped[bool | None] = mapped_column(Boolean, default=True)
    last_sync_at: Mapped[datetime | None] = mapped_column(DateTime)


def _index_where(name: str, where: Any, *columns: Any) -> None:
    """An index of few rows; a whole one on MariaDB, which has no partial indexes."""
    Index(name, *columns, postgresql_where=where, sqlite_where=where)


class TimewebServerState(AdapterBase):
    """What sync knows about one row of the host, 1:1 by the row's id.

    `timeweb_id` repeats the host's value: SQLite hands out the id of a deleted row again, and a state whose
    `timeweb_id` is not the row's is a leftover of that row.
    """

    __tablename__ = "timeweb_server_state"

    server_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    timeweb_id: Mapped[int | None] = mapped_column(BigInteger, index=True)
    account: Mapped[str | None] = mapped_column(_key(100), index=True)
    listed_by: Mapped[str | None] = mapped_column(_key(100), doc="another account whose listing shows the server")
    configurator_id: Mapped[int | None] = mapped_column(BigInteger)
    project_id: Mapped[int | None] = mapped_column(BigInteger, doc="Timeweb's project, not the CRM's")
    location: Mapped[str | None] = mapped_column(String(50))
    ip_all: Mapped[str | None] = mapped_column(LongText, doc="JSON list of every address")
    cost_gross: Mapped[Decimal | None] = mapped_column(Money, doc="RUB per month before the account's discount")
    cost_source: Mapped[str] = mapped_column(String(20), default="unknown", doc="services_cost, preset, manual, unknown")
    cost_stale: Mapped[bool] = mapped_column(Boolean, default=False)
    cost_components: Mapped[str | None] = mapped_column(LongText, doc="JSON list of {type, cost}")
    currency: Mapped[str | None] = mapped_column(String(3))
    sync_base: Mapped[str] = mapped_column(Text, default="{}", doc="JSON: shared column -> value that sync last wrote")
    fingerprint: Mapped[str | None] = mapped_column(String(64))
    missing_since: Mapped[datetime | None] = mapped_column(Instant)
    removed_at: Mapped[datetime | None] = mapped_column(Instant)
    problem_runs: Mapped[int] = mapped_column(Integer, default=0, doc="0 none, 1 seen once (debounce), 2 reported")
    unlinked_from: Mapped[int | None] = mapped_column(BigInteger, doc="timeweb_id that a human took off this row")
    edit_version: Mapped[int] = mapped_column(Integer, default=0, doc="counts edits by humans only")
    payment_anchor_day: Mapped[int | None] = mapped_column(Integer, doc="day of month that payments return to")


_index_where("ix_timeweb_server_state_listed_by", TimewebServerState.listed_by.is_not(None), TimewebServerState.listed_by)


class AccountState(AdapterBase):
    """One Timeweb account: identity, money, caches and how its last runs went."""

    __tablename__ = "timeweb_account_state"

    account: Mapped[str] = mapped_column(_key(100), primary_key=True)
    account_id: Mapped[str | None] = mapped_column(_key(100), doc="Timeweb's own id of the account")
    identity_checked_at: Mapped[datetime | None] = mapped_column(Instant)
    token_fingerprint: Mapped[str | None] = mapped_column(String(64))
    balance: Mapped[Decimal | None] = mapped_column(Money)
    currency: Mapped[str | None] = mapped_column(String(3))
    monthly_cost: Mapped[Decimal | None] = mapped_column(Money, doc="RUB per month, list price of all services")
    monthly_fee: Mapped[Decimal | None] = mapped_column(Money, doc="RUB per month after discounts")
    hours_left: Mapped[int | None] = mapped_column(Integer)
    finances_at: Mapped[datetime | None] = mapped_column(Instant)
    cost_basis: Mapped[str | None] = mapped_column(String(10), doc="gross or net: what the rows of the cost list are")
    cost_factor: Mapped[str | None] = mapped_column(String(40), doc="decimal; net = gross x factor")
    other_costs: Mapped[Decimal | None] = mapped_column(Money, doc="RUB per month net: the sum of the account's services")
    services_at: Mapped[datetime | None] = mapped_column(Instant, doc="when the last complete list of services came")
    presets: Mapped[str | None] = mapped_column(LongText, doc="JSON: preset id -> RUB per month")
    presets_at: Mapped[datetime | None] = mapped_column(Instant)
    servers_total: Mapped[int | None] = mapped_column(Integer)
    last_attempt_at: Mapped[datetime | None] = mapped_column(Instant)
    last_success_at: Mapped[datetime | None] = mapped_column(Instant, doc="last run that wrote fresh data (success or partial)")
    listed_at: Mapped[datetime | None] = mapped_column(Instant, doc="when the last run began whose listing was complete")
    last_status: Mapped[str | None] = mapped_column(String(20))
    error_code: Mapped[str | None] = mapped_column(String(50))
    failures: Mapped[int] = mapped_column(Integer, default=0)
    retry_at: Mapped[datetime | None] = mapped_column(Instant, doc="no automatic run before this instant")
    balance_alerted: Mapped[bool] = mapped_column(Boolean, default=False, doc="told that it ends within 72 hours")
    balance_week_told: Mapped[bool | None] = mapped_column(Boolean, default=False, doc="told that it ends within 7 days")


class SyncLease(AdapterBase):
    """Who syncs an account now; the instants are the database's own clock in milliseconds."""

    __tablename__ = "timeweb_sync_lease"

    account: Mapped[str] = mapped_column(_key(100), primary_key=True)
    owner: Mapped[str | None] = mapped_column(_key(64))
    run_id: Mapped[int | None] = mapped_column(BigInteger)
    expires_ms: Mapped[int] = mapped_column(BigInteger, default=0)
    progress: Mapped[int] = mapped_column(Integer, default=0, doc="rows applied so far; rides on the renewal")
    total: Mapped[int] = mapped_column(Integer, default=0, doc="rows to apply")
    queued_ms: Mapped[int | None] = mapped_column(BigInteger, doc="until then a message that asks for a sync is on its way")


class SyncRun(AdapterBase):
    """One call of `sync_all` (all of its accounts). Imports and single syncs are in the change log alone."""

    __tablename__ = "timeweb_sync_run"

    id: Mapped[int] = mapped_column(AutoId, primary_key=True)
    kind: Mapped[str] = mapped_column(String(20), default="sync")
    actor: Mapped[str | None] = mapped_column(String(255))
    status: Mapped[str] = mapped_column(String(20), doc="running, success, partial, failed, skipped, interrupted, crashed")
    error_code: Mapped[str | None] = mapped_column(String(50))
    started_at: Mapped[datetime] = mapped_column(Instant, index=True)
    finished_at: Mapped[datetime | None] = mapped_column(Instant)
    report: Mapped[str | None] = mapped_column(LongText, doc="JSON of SyncReport.to_dict() when finished")


_index_where("ix_timeweb_sync_run_open", SyncRun.finished_at.is_(None), SyncRun.finished_at, SyncRun.id)


class ChangeLog(AdapterBase):
    """Append-only: one row per changed value, written in the transaction of the change."""

    __tablename__ = "timeweb_change_log"

    id: Mapped[int] = mapped_column(AutoId, primary_key=True)
    at: Mapped[datetime] = mapped_column(Instant, index=True)
    server_id: Mapped[int] = mapped_column(BigInteger, index=True, doc="0 where a service changed")
    service_id: Mapped[int | None] = mapped_column(BigInteger, index=True, doc="id in timeweb_service")
    timeweb_id: Mapped[int | None] = mapped_column(BigInteger)
    account: Mapped[str | None] = mapped_column(_key(100))
    run_id: Mapped[int | None] = mapped_column(BigInteger, index=True)
    actor: Mapped[str | None] = mapped_column(String(255))
    field: Mapped[str] = mapped_column(String(64), doc="logical column name, or created, removed, restored")
    old: Mapped[str | None] = mapped_column(LongText)
    new: Mapped[str | None] = mapped_column(LongText)


class EventOutbox(AdapterBase):
    """Events waiting for the notifier; written in the transaction of what they tell."""

    __tablename__ = "timeweb_event_outbox"

    id: Mapped[int] = mapped_column(AutoId, primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    dedupe_key: Mapped[str] = mapped_column(_key(190), unique=True)
    account: Mapped[str | None] = mapped_column(_key(100))
    server_id: Mapped[int | None] = mapped_column(BigInteger)
    run_id: Mapped[int | None] = mapped_column(BigInteger)
    payload: Mapped[str] = mapped_column(LongText, doc="JSON object, redacted")
    created_at: Mapped[datetime] = mapped_column(Instant)
    next_try_at: Mapped[datetime] = mapped_column(Instant, index=True)
    tries: Mapped[int] = mapped_column(Integer, default=0)
    claimed_by: Mapped[str | None] = mapped_column(_key(64))
    sent_at: Mapped[datetime | None] = mapped_column(Instant)
    dead_at: Mapped[datetime | None] = mapped_column(Instant, doc="given up after 8 tries; shown on the page")
    last_error: Mapped[str | None] = mapped_column(String(255), doc="class of the exception, never its text")
    taken_by: Mapped[str | None] = mapped_column(LongText, doc="JSON list: sinks that a retry leaves out")


_index_where(
    "ix_timeweb_event_outbox_waiting",
    and_(EventOutbox.sent_at.is_(None), EventOutbox.dead_at.is_(None)),
    EventOutbox.sent_at,
    EventOutbox.dead_at,
    EventOutbox.id,
)
_index_where("ix_timeweb_event_outbox_dead", EventOutbox.dead_at.is_not(None), EventOutbox.dead_at, EventOutbox.id)
_index_where("ix_timeweb_event_outbox_claimed", EventOutbox.claimed_by.is_not(None), EventOutbox.claimed_by)


class MonthEnd(AdapterBase):
    """What was earned and spent at the end of a month that is over: the chart needs no older changes than these."""

    __tablename__ = "timeweb_month_end"

    month: Mapped[date] = mapped_column(Date, primary_key=True, doc="its first day")
    income: Mapped[Decimal | None] = mapped_column(Money, doc="RUB per month, as the other two")
    cost: Mapped[Decimal | None] = mapped_column(Money)
    margin: Mapped[Decimal | None] = mapped_column(Money)


class Service(AdapterBase):
    """A paid service of an account that is no server of the CRM: Timeweb's columns are sync's, the owner is people's."""

    __tablename__ = "timeweb_service"

    id: Mapped[int] = mapped_column(AutoId, primary_key=True)
    account: Mapped[str] = mapped_column(_key(100))
    type: Mapped[str] = mapped_column(_key(50), doc="as Timeweb calls it, known to us or not")
    service_id: Mapped[str] = mapped_column(_key(100), doc="Timeweb's: a number, a UUID, or nothing")
    name: Mapped[str | None] = mapped_column(String(255))
    project_id: Mapped[int | None] = mapped_column(BigInteger, doc="Timeweb's project")
    cost_gross: Mapped[Decimal] = mapped_column(Money, doc="RUB per month before the account's discount")
    cost_net: Mapped[Decimal] = mapped_column(Money, doc="RUB per month")
    parts: Mapped[str | None] = mapped_column(LongText, doc="JSON list of {type, cost}, gross")
    first_seen_at: Mapped[datetime] = mapped_column(Instant)
    last_seen_at: Mapped[datetime] = mapped_column(Instant, doc="to the hour, so that a run does not write every row")
    gone_since: Mapped[datetime | None] = mapped_column(Instant, doc="when a complete list first lacked it")
    told_unowned: Mapped[bool] = mapped_column(Boolean, default=False, doc="people were told that it is nobody's")
    server_id: Mapped[int | None] = mapped_column(BigInteger, index=True, doc="the host's row that it belongs to")
    server_born: Mapped[str | None] = mapped_column(String(40), doc="when that row was created: SQLite gives ids out again")
    client_name: Mapped[str | None] = mapped_column(String(255), doc="the client that it belongs to, where no server has it")


Index("uq_timeweb_service", Service.account, Service.type, Service.service_id, unique=True)


class ServiceMonth(AdapterBase):
    """What a service cost at the end of a month that is over, and whose it was then."""

    __tablename__ = "timeweb_service_month"

    month: Mapped[date] = mapped_column(Date, primary_key=True, doc="its first day")
    service: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False, doc="id in timeweb_service")
    cost_net: Mapped[Decimal] = mapped_column(Money, doc="RUB per month")
    client_name: Mapped[str | None] = mapped_column(String(255), doc="its own, or that of its server")


def create_all(connection: Any, *, host: bool = True) -> None:
    """Create absent tables without a migration history (tests, the demo); production uses `timeweb-crm migrate`."""
    if host:
        HostBase.metadata.create_all(connection)
    AdapterBase.metadata.create_all(connection)
