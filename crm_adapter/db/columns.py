"""Which attribute of the host's class is which column, and who owns it.

Ownership is data: the planner and the store look it up here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from crm_adapter.money import local_today
from crm_adapter.results import OnChange

try:
    from sqlalchemy import BigInteger, Column, Integer, SmallInteger, Table, TypeDecorator, type_coerce
    from sqlalchemy.types import DateTime

    from crm_adapter.db.dialects import as_stored
    from crm_adapter.settings import hosting_zone
except ImportError as exc:  # pragma: no cover - exercised in a bare environment
    raise ImportError("crm_adapter needs the extra [crm]: pip install 'timeweb-sdk[crm]'") from exc

HUMAN: Final = frozenset(
    {
        "project_id",
        "client_id",
        "client_name",
        "client_company",
        "client_telegram_id",
        "client_price",
        "service_fee",
        "balance",
        "balance_last_updated",
        "start_date",
        "next_payment_date",
        "payment_period",
        "notes",
        "auto_sync",
    }
)
"""Written by people only; no sync path names these in an UPDATE."""
SHARED: Final = frozenset({"server_name", "cost_price", "status"})
"""Written by sync while the value is still the one that sync wrote last (`timeweb_server_state.sync_base`)."""
TIMEWEB: Final = frozenset({"configuration", "ip_address", "timeweb_id", "timeweb_status", "timeweb_preset_id", "timeweb_data"})
"""Written by sync."""
INTEGRATION: Final = ("timeweb_id", "timeweb_status", "timeweb_preset_id", "timeweb_data", "auto_sync", "last_sync_at")
"""The six columns that a host adds for the integration."""

CALENDAR: Final = frozenset({"start_date", "next_payment_date"})
"""Days that the host writes as midnights; never instants."""
_FITTED: Final = ("server_name", "configuration", "ip_address")
"""Texts of Timeweb whose length in the host's table is the host's choice."""


@dataclass(frozen=True, slots=True)
class FieldMap:
    """How the host's mapped class is to be read: which attribute is what, which rows exist, in which zone days begin.

    `None` for an attribute says that the host has no such column (optional ones only).
    """

    id: str = "id"
    """A whole number that the database gives each row: the primary key, or another unique column where that is no number."""
    project_id: str | None = "project_id"
    client_id: str | None = "client_id"
    client_name: str = "client_name"
    client_company: str | None = "client_company"
    client_telegram_id: str | None = "client_telegram_id"
    server_name: str = "server_name"
    configuration: str = "configuration"
    ip_address: str = "ip_address"
    cost_price: str = "cost_price"
    client_price: str = "client_price"
    service_fee: str | None = "service_fee"
    balance: str | None = "balance"
    balance_last_updated: str | None = "balance_last_updated"
    start_date: str = "start_date"
    next_payment_date: str = "next_payment_date"
    payment_period: str = "payment_period"
    status: str = "status"
    timeweb_id: str = "timeweb_id"
    timeweb_status: str = "timeweb_status"
    timeweb_preset_id: str = "timeweb_preset_id"
    timeweb_data: str = "timeweb_data"
    auto_sync: str = "auto_sync"
    last_sync_at: str = "last_sync_at"
    notes: str | None = "notes"
    created_at: str | None = "created_at"
    updated_at: str | None = "updated_at"
    where: Callable[[Any], Any] | None = None
    """Which rows exist: `lambda server: server.deleted_at.is_(None)` for a host that deletes softly.

    It is called with the mapped class and returns a condition on its table. Rows outside of it are in no list, total,
    reminder or match, and no sync writes them.
    """
    zone: str | None = None
    """IANA name of the zone in which calendar dates are meant and "today" begins; None: `HOSTING_TZ`."""
    on_change: OnChange | None = None
    """Called inside the transaction of every change of a row, with its connection: what the host writes by it is committed
    or rolled back together with the change. What it raises rolls both back and reaches whoever asked for the change.
    """


COLUMN_FIELDS: Final = tuple(name for name in FieldMap.__dataclass_fields__ if name not in {"where", "zone", "on_change"})
"""Names of the attributes of a `FieldMap` that stand for columns."""


class LocalMidnight(TypeDecorator[datetime]):
    """A calendar date kept with a zone (TIMESTAMPTZ): midnight of `zone`, whatever zone the connection speaks.

    In Python it is a naive midnight, as in the columns of hosts that keep no zone.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def __init__(self, zone: str) -> None:
        super().__init__()
        self.zone = zone

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        """Say which midnight it is."""
        return value.replace(tzinfo=ZoneInfo(self.zone)) if value is not None and value.tzinfo is None else value

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        """The moment on the host's clock."""
        if value is None or value.tzinfo is None:
            return value
        return value.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None)


@dataclass(frozen=True, eq=False)
class Columns:
    """The host's table seen through a `FieldMap`: logical name -> `Column`."""

    table: Table
    by_name: dict[str, Column[Any]]
    zone: str
    """In which calendar dates are meant."""
    scope: tuple[Any, ...] = ()
    """Conditions that every row satisfies that exists for us; each SELECT and UPDATE of the table has them."""
    given: tuple[tuple[str, Callable[[], Any]], ...] = ()
    """Columns of the host's mapper (kind, version) -> what an INSERT puts there."""
    on_change: OnChange | None = None
    """The host's own bookkeeping, told of every change inside its transaction."""
    version: Column[Any] | None = None
    """Counts the writes of people, where the host's mapper locks optimistically by a counter."""

    def __getitem__(self, name: str) -> Any:
        return self.by_name[name]

    def __contains__(self, name: str) -> bool:
        return name in self.by_name

    @property
    def lengths(self) -> dict[str, int]:
        """Characters that the host's columns for Timeweb's texts hold, where they are limited."""
        found = {name: getattr(self.by_name[name].type, "length", None) for name in _FITTED}
        return {name: length for name, length in found.items() if length}

    def today(self) -> date:
        """The host's calendar date of now."""
        return local_today(self.zone)

    def holds(self, name: str, number: int) -> bool:
        """Whether a whole number fits the column: PostgreSQL raises for one that does not, SQLite takes anything."""
        kind = self.by_name[name].type if name in self.by_name else None
        bits = 64
        if isinstance(kind, SmallInteger):
            bits = 16
        elif isinstance(kind, Integer) and not isinstance(kind, BigInteger) and not getattr(kind, "unsigned", False):
            bits = 32
        return max(number, ~number).bit_length() < bits

    def shown(self, name: str) -> Any:
        """The column for comparisons and a SELECT: a calendar date is a naive midnight whatever the host's type."""
        column = self.by_name[name]
        if name in CALENDAR and getattr(column.type, "timezone", False):
            return type_coerce(column, LocalMidnight(self.zone))
        return as_stored(column)

    def select(self, *names: str) -> list[Any]:
        """Labelled columns for a SELECT."""
        return [self.shown(name).label(name) for name in names if name in self.by_name]

    def bind(self, name: str, value: Any) -> Any:
        """A value in the type of the host's column: Float or Numeric, Date or DateTime, with or without a zone."""
        column = self.by_name[name]
        try:
            kind = column.type.python_type
        except NotImplementedError:
            return value
        if isinstance(value, Decimal):
            if kind is int:
                return int(value.to_integral_value(ROUND_HALF_UP))
            return float(value) if kind is float else value
        if isinstance(value, datetime):
            if kind is date:
                return value.date()
            if not getattr(column.type, "timezone", False):
                return value
            return value.replace(tzinfo=ZoneInfo(self.zone) if name in CALENDAR else UTC)
        length = getattr(column.type, "length", None)
        return value[:length] if isinstance(value, str) and length else value

    def new_row(self, values: dict[str, Any]) -> dict[str, Any]:
        """Logical names -> keys of the table's columns for an INSERT; what the host lacks is left out."""
        named = {self.by_name[name].key: self.bind(name, value) for name, value in values.items() if name in self.by_name}
        return {key: give() for key, give in self.given} | named


def in_zone(fields: FieldMap | None, zone: str | None) -> FieldMap:
    """The field map with a zone for calendar dates: its own, else the given one, else `HOSTING_TZ`."""
    fields = fields or FieldMap()
    return fields if fields.zone is not None else replace(fields, zone=zone or hosting_zone())
