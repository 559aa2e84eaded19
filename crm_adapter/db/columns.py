"""Which attribute of the host's class is which column, and who owns it.

Ownership is data: the planner and the store look it up here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, fields as dataclass_fields
from functools import lru_cache
from typing import Any, Final

from crm_adapter.errors import MappingError

try:
    from sqlalchemy import BigInteger, Enum, Integer, SmallInteger, Table, inspect as sa_inspect
    from sqlalchemy.exc import NoInspectionAvailable
    from sqlalchemy.orm import Mapper

    from crm_adapter.db.dialects import as_stored
except ImportError as exc:  # pragma: no cover - exercised in a bare environment
    raise ImportError("crm_adapter needs the extra [crm]: pip install 'timeweb-sdk[crm]'") from exc

#: Written by people only; no sync path names these in an UPDATE.
HUMAN: Final = frozenset({
    "project_id", "client_id", "client_name", "client_company", "client_telegram_id", "client_price", "service_fee",
    "balance", "balance_last_updated", "start_date", "next_payment_date", "payment_period", "notes", "auto_sync",
})  # fmt: skip
#: Written by sync while the value is still the one that sync wrote last (``timeweb_server_state.sync_base``).
SHARED: Final = frozenset({"server_name", "cost_price", "status"})
#: Written by sync.
TIMEWEB: Final = frozenset({"configuration", "ip_address", "timeweb_id", "timeweb_status", "timeweb_preset_id", "timeweb_data"})
#: The six columns that a host adds for the integration.
INTEGRATION: Final = ("timeweb_id", "timeweb_status", "timeweb_preset_id", "timeweb_data", "auto_sync", "last_sync_at")

_OPTIONAL: Final = frozenset({
    "project_id", "client_id", "client_company", "client_telegram_id", "service_fee", "balance", "balance_last_updated",
    "notes", "created_at", "updated_at",
})  # fmt: skip
#: Texts of Timeweb whose length in the host's table is the host's choice.
_FITTED: Final = ("server_name", "configuration", "ip_address")
#: Words that sync writes itself.
_WORDS: Final = {"status": {"active", "suspended"}, "payment_period": {"monthly"}}


@dataclass(frozen=True, slots=True)
class FieldMap:
    """Attribute names of the host's mapped class; ``None`` says that the host has no such column (optional ones only)."""

    id: str = "id"
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


class Columns:
    """The host's table seen through a ``FieldMap``: logical name -> ``Column``."""

    def __init__(self, table: Table, by_name: dict[str, Any]) -> None:
        self.table = table
        self.by_name = by_name

    def __getitem__(self, name: str) -> Any:
        return self.by_name[name]

    def __contains__(self, name: str) -> bool:
        return name in self.by_name

    @property
    def lengths(self) -> dict[str, int]:
        """Characters that the host's columns for Timeweb's texts hold, where they are limited."""
        found = {name: getattr(self.by_name[name].type, "length", None) for name in _FITTED}
        return {name: length for name, length in found.items() if length}

    def holds(self, name: str, number: int) -> bool:
        """Whether a whole number fits the column: PostgreSQL raises for one that does not, SQLite takes anything."""
        kind = self.by_name[name].type if name in self.by_name else None
        bits = 64
        if isinstance(kind, SmallInteger):
            bits = 16
        elif isinstance(kind, Integer) and not isinstance(kind, BigInteger) and not getattr(kind, "unsigned", False):
            bits = 32
        return max(number, ~number).bit_length() < bits

    def select(self, *names: str) -> list[Any]:
        """Labelled columns for a SELECT."""
        return [as_stored(self.by_name[name]).label(name) for name in names if name in self.by_name]


def validate_mapping(model: type[Any], fields: FieldMap | None = None) -> Columns:
    """Check that every attribute of ``fields`` is a column of ``model`` and return them.

    Raises ``MappingError`` that names every mismatch at once.
    """
    found: Columns = _columns(model, fields or FieldMap())  # type: ignore[arg-type]
    return found


@lru_cache(maxsize=32)
def _columns(model: type[Any], fields: FieldMap) -> Columns:
    try:
        mapper: Mapper[Any] = sa_inspect(model)
    except NoInspectionAvailable:
        raise MappingError((f"{model!r} is not a class mapped by SQLAlchemy",)) from None
    problems: list[str] = []
    by_name: dict[str, Any] = {}
    for field in dataclass_fields(fields):
        attribute = getattr(fields, field.name)
        if attribute is None:
            if field.name not in _OPTIONAL:
                problems.append(f"FieldMap.{field.name} may not be None: the adapter needs this column")
            continue
        prop = mapper.column_attrs.get(attribute)
        if prop is None:
            remedy = "run `timeweb-crm migrate`" if field.name in INTEGRATION else f"set FieldMap({field.name}=...)"
            problems.append(f"{model.__name__} has no mapped column {attribute!r} for {field.name}; {remedy}")
            continue
        by_name[field.name] = prop.columns[0]
    problems += _unusable(model, by_name)
    table: Any = mapper.local_table
    is_table = isinstance(mapper.local_table, Table)
    if not is_table:
        problems.append(f"{model.__name__} is mapped to {table!r}, not to one table")
    elif len(table.primary_key.columns) != 1 or (
        "id" in by_name and by_name["id"] is not next(iter(table.primary_key.columns))
    ):
        problems.append(f"{model.__name__}.{fields.id} must be the table's only primary key column")
    else:
        known = set(by_name.values())
        problems += [
            f"{model.__name__}: column {column.name!r} is NOT NULL without a default and not in the FieldMap; "
            "an import could not fill it: give it a default"
            for column in table.columns
            if not (column.nullable or column in known or column.primary_key or column.default or column.server_default)
        ]
    if problems:
        raise MappingError(tuple(problems))
    return Columns(table, by_name)


def _unusable(model: type[Any], by_name: dict[str, Any]) -> list[str]:
    """Columns that would take what sync writes for something else."""
    problems: list[str] = []
    for name, words in _WORDS.items():
        kind = by_name[name].type if name in by_name else None
        if isinstance(kind, Enum) and (missing := words.difference(kind.enums)):
            problems.append(
                f"{model.__name__}: the Enum of {name} does not store {', '.join(sorted(missing))}; let it store these words, "
                "for a Python enum by values_callable=lambda kind: [item.value for item in kind]"
            )
    if "cost_price" in by_name and isinstance(by_name["cost_price"].type, Integer):
        problems.append(f"{model.__name__}: cost_price is an integer and would lose kopecks; make it Numeric(12, 2)")
    return problems
