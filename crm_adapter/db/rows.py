"""The one way to read a row: the host's columns with our state beside them.

Who decides what to write takes the row from `lock`, and from nothing else. It locks in one statement and reads in the
next: a statement that waits for a lock goes on, under READ COMMITTED, with the locked table as it is now and with every
joined table as it was before the wait, so a row and a state that it read together may never have stood side by side.

Our state belongs to the row beside which it stands only while both name the same server (`is_leftover`): people delete
rows of the host's table past us, and SQLite gives their ids out again.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from decimal import Decimal
from sys import intern
from typing import Any, Final, cast

from sqlalchemy import FromClause, Result, Select, Table, and_, or_, select
from sqlalchemy.orm import Session

from crm_adapter.db.columns import Columns
from crm_adapter.db.dialects import in_pieces, in_turns, upsert
from crm_adapter.db.tables import TimewebServerState
from crm_adapter.money import known_cost, margin, money_or_none, monthly_income, percent, to_money
from crm_adapter.payload import as_dict, as_text
from crm_adapter.results import to_plain

CREATED_AT: Final = "created_at"
"""Beside the shared columns in `sync_base` of a row without a server: when the host created the row, as text."""
SINGLE_IS_COARSE: Final = 2**17
"""From here on neighbours in single precision are further apart than a kopeck."""
STATES: Final[Table] = cast(Table, TimewebServerState.__table__)


@dataclass(frozen=True, slots=True)
class State:
    """`timeweb_server_state` of one row."""

    timeweb_id: int | None = None
    account: str | None = None
    listed_by: str | None = None
    configurator_id: int | None = None
    project_id: int | None = None
    location: str | None = None
    ip_all: str | None = None
    cost_gross: Decimal | None = None
    cost_source: str = "unknown"
    cost_stale: bool = False
    cost_components: str | None = None
    currency: str | None = None
    sync_base: str = "{}"
    fingerprint: str | None = None
    missing_since: datetime | None = None
    removed_at: datetime | None = None
    problem_runs: int = 0
    unlinked_from: int | None = None
    edit_version: int = 0
    payment_anchor_day: int | None = None

    @property
    def base(self) -> dict[str, Any]:
        """Shared column -> value that sync last wrote."""
        try:
            return as_dict(json.loads(self.sync_base))
        except ValueError:
            return {}

    def is_leftover(self, timeweb_id: int | None, created_at: object) -> bool:
        """Whether it was left behind by another row of the same id: of another server, or created at another moment."""
        if self.timeweb_id != timeweb_id:
            return True
        born = self.base.get(CREATED_AT) if timeweb_id is None else None
        return born is not None and born != created_at_text(created_at)


_STATE_COLUMNS: Final = tuple(item.name for item in fields(State))
_REPEATED: Final = ("account", "listed_by", "cost_source")
"""Texts that all rows of an account share; a driver makes a new one for each."""


@dataclass(frozen=True, slots=True)
class StoredRow:
    """One row. Money is RUB; an unknown amount is None, never 0. A column that was not read, or not mapped, is None.

    Equal rows have equal hashes: the page remembers how it drew them.
    """

    id: int
    timeweb_id: int | None = None
    server_name: str = ""
    configuration: str | None = None
    ip_address: str | None = None
    cost_price: Decimal | None = None
    """Per month, net; None where nobody knows it, whatever stands for it in the host's column."""
    status: str = ""
    timeweb_status: str | None = None
    timeweb_preset_id: int | None = None
    auto_sync: bool = True
    client_price: Decimal | None = None
    """Per payment period; None where none is set, which the host's column says by 0."""
    service_fee: Decimal | None = None
    payment_period: str = ""
    project_id: int | None = None
    client_id: int | None = None
    client_name: str = ""
    client_company: str | None = None
    client_telegram_id: int | None = None
    balance: Decimal | None = None
    balance_last_updated: datetime | None = None
    start_date: datetime | None = None
    next_payment_date: datetime | None = None
    last_sync_at: datetime | None = None
    notes: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    state: State | None = None
    """None: nothing of ours; a state without a fingerprint is of a row that sync has never written."""
    stored_cost: Decimal | None = field(default=None, repr=False)
    """What stands in the host's column of the cost."""

    @property
    def account(self) -> str | None:
        """The Timeweb account that has the server."""
        return self.state.account if self.state else None

    @property
    def location(self) -> str | None:
        """Where Timeweb runs the server."""
        return self.state.location if self.state else None

    @property
    def ip_all(self) -> tuple[str, ...]:
        """All addresses of the server."""
        return tuple(_json_list(self.state.ip_all)) if self.state else ()

    @property
    def cost_gross(self) -> Decimal | None:
        """The cost per month before the account's discount."""
        return self.state.cost_gross if self.state else None

    @property
    def cost_source(self) -> str:
        """`services_cost`, `preset`, `manual` or `unknown`."""
        source = self.state.cost_source if self.state else "unknown"
        if source == "unknown":
            return "unknown" if self.cost_price is None else "manual"
        return source

    @property
    def cost_stale(self) -> bool:
        """Whether the cost is the last one known, because Timeweb no longer tells it."""
        return bool(self.state and self.state.cost_stale)

    @property
    def cost_components(self) -> tuple[Mapping[str, Any], ...]:
        """What the cost is made of: type and RUB per month."""
        return tuple(_json_list(self.state.cost_components)) if self.state else ()

    @property
    def missing_since(self) -> datetime | None:
        """Since when no listing has shown the server."""
        return self.state.missing_since if self.state else None

    @property
    def removed_at(self) -> datetime | None:
        """When the server was found to be gone for good."""
        return self.state.removed_at if self.state else None

    @property
    def edit_version(self) -> int:
        """Counts the edits of humans."""
        return self.state.edit_version if self.state else 0

    @property
    def total_price(self) -> Decimal | None:
        """What the client pays per payment period."""
        return None if self.client_price is None else to_money(self.client_price + (self.service_fee or 0))

    @property
    def income_month(self) -> Decimal | None:
        """What the client pays, per month."""
        return monthly_income(self.client_price, self.service_fee, self.payment_period)

    @property
    def profit_amount(self) -> Decimal | None:
        """The margin per month."""
        return margin(self.income_month, self.cost_price)

    @property
    def profit_percent(self) -> Decimal | None:
        """The margin in percent of the income."""
        return percent(self.profit_amount, self.income_month)

    def stored(self, column: str) -> Any:
        """A column's value as the host's table has it."""
        return self.stored_cost if column == "cost_price" else getattr(self, column, None)

    def values(self) -> dict[str, Any]:
        """The columns, what we know beside them, and the three sums."""
        found = {name: getattr(self, name) for name in _SHOWN}
        # A price that is not set is 0, as the column says; only a cost can be unknown.
        return found | {"client_price": self.client_price or Decimal(0)}

    def to_dict(self) -> dict[str, Any]:
        """`values` as plain JSON types."""
        return cast("dict[str, Any]", to_plain(self.values()))


_HOST_COLUMNS: Final = tuple(item.name for item in fields(StoredRow) if item.name not in {"state", "stored_cost"})
_SHOWN: Final = (
    *_HOST_COLUMNS,
    "account",
    "location",
    "ip_all",
    "cost_gross",
    "cost_source",
    "cost_stale",
    "cost_components",
    "missing_since",
    "removed_at",
    "edit_version",
    "total_price",
    "profit_amount",
    "profit_percent",
)
DECISIVE: Final = (
    "id",
    "timeweb_id",
    "server_name",
    "configuration",
    "ip_address",
    "cost_price",
    "status",
    "timeweb_status",
    "timeweb_preset_id",
    "auto_sync",
    "client_price",
    "service_fee",
    "payment_period",
    "created_at",
    "last_sync_at",
)
"""What a sync decides on; people's texts stay in the database."""


def is_unlinked(columns: Columns) -> Any:
    """Rows that are tied to no server; 0 and less, which old code wrote for "none", are no number."""
    return or_(columns["timeweb_id"].is_(None), columns["timeweb_id"] < 1)


def joined(columns: Columns) -> FromClause:
    """The host's table with our states; a state of another server is a leftover and is left out."""
    unlinked = and_(STATES.c.timeweb_id.is_(None), is_unlinked(columns))
    same = or_(STATES.c.timeweb_id == columns["timeweb_id"], unlinked)
    return columns.table.outerjoin(STATES, and_(STATES.c.server_id == columns["id"], same))


def select_rows(
    columns: Columns,
    names: Iterable[str] = _HOST_COLUMNS,
    state_names: Iterable[str] = _STATE_COLUMNS,
    *,
    linked_only: bool = False,
) -> Select[Any]:
    """THE select of rows; what it gives becomes a row by `row_of`. The names narrow what is read of either table.

    `linked_only` promises a condition that only rows with a server meet: their number alone tells a leftover.
    """
    born, base = ((), ()) if linked_only else (("created_at",), ("sync_base",))
    wanted = dict.fromkeys(("id", "timeweb_id", *names, *born))
    beside = dict.fromkeys(("server_id", "timeweb_id", *base, *state_names))
    state = [STATES.c[name].label(f"state_{name}") for name in beside]
    found: Any = select(*columns.select(*wanted), *state).select_from(joined(columns)).where(*columns.scope)
    return found  # type: ignore[no-any-return]


def read_rows(
    session: Session,
    columns: Columns,
    *conditions: Any,
    names: Iterable[str] = _HOST_COLUMNS,
    state_names: Iterable[str] = _STATE_COLUMNS,
) -> list[StoredRow]:
    """Rows in the order of their ids, to be looked at: nothing may be decided on them that is written."""
    return list(each_row(session, columns, *conditions, names=names, state_names=state_names))


def each_row(
    session: Session,
    columns: Columns,
    *conditions: Any,
    names: Iterable[str] = _HOST_COLUMNS,
    state_names: Iterable[str] = _STATE_COLUMNS,
) -> Iterator[StoredRow]:
    """The same one after another, as the database gives them: an event loop has its turn in between."""
    statement = select_rows(columns, names, state_names).where(*conditions).order_by(columns["id"])
    return rows_of(session.execute(statement, execution_options=in_turns(session)))


def read_row(session: Session, columns: Columns, row_id: int) -> StoredRow | None:
    """One row to look at, None when there is none."""
    if not columns.holds("id", row_id):
        return None
    return next(iter(read_rows(session, columns, columns["id"] == row_id)), None)


def read_whole(session: Session, columns: Columns, row_ids: Iterable[int]) -> dict[int, StoredRow]:
    """Rows by id, as far as a sync decides on them."""
    found = (read_rows(session, columns, columns["id"].in_(ids), names=DECISIVE) for ids in in_pieces(row_ids))
    return {row.id: row for rows in found for row in rows}


def lock(
    session: Session, columns: Columns, row_ids: Iterable[int], *, names: Iterable[str] = _HOST_COLUMNS
) -> dict[int, StoredRow]:
    """Rows by id as they are now; until the transaction ends nobody else can write them, nor their states.

    On SQLite `begin_write` comes before. The rows are locked in the order of their ids, so that two who lock several do
    not wait for each other.
    """
    key = columns["id"]
    mine = key.in_([row_id for row_id in row_ids if columns.holds("id", row_id)])
    statement = select_rows(columns, names).where(mine)
    dialect = session.connection().dialect.name
    if dialect != "sqlite":  # there, whoever writes has the whole database
        session.execute(select(key).where(mine, *columns.scope).order_by(key).with_for_update()).all()
    if dialect in {"mysql", "mariadb"}:
        # REPEATABLE READ: a plain SELECT would show the rows as they were at the transaction's first.
        statement = statement.with_for_update()
    return {row.id: row for row in rows_of(session.execute(statement))}


def write_states(session: Session, rows: Iterable[StoredRow]) -> None:
    """Write the states of locked (or new) rows whole: what a deleted row left behind goes with it."""
    records = [
        {"server_id": row.id, **{name: getattr(row.state, name) for name in _STATE_COLUMNS}}
        for row in rows
        if row.state is not None
    ]
    if records:
        session.execute(upsert(session, STATES, key="server_id", columns=_STATE_COLUMNS), records)


def with_values(row: StoredRow, values: Mapping[str, Any]) -> StoredRow:
    """The row after its columns were written; the values are as the database was given them."""
    stored = {name: row.stored(name) for name in _HOST_COLUMNS}
    known = {name: value for name, value in values.items() if name in stored}
    return _row(stored | known, row.state)


def with_state(row: StoredRow, state: State) -> StoredRow:
    """The row with another state: whether an amount is known depends on it."""
    return _row({name: row.stored(name) for name in _HOST_COLUMNS}, state)


def rows_of(result: Result[Any]) -> Iterator[StoredRow]:
    """What a `select_rows` has found."""
    names = tuple(result.keys())
    return (row_of(dict(zip(names, record, strict=True))) for record in result)


def row_of(values: Mapping[str, Any]) -> StoredRow:
    """A record of `select_rows` as a row."""
    return _row(values, _state_of(values))


def _row(values: Mapping[str, Any], state: State | None) -> StoredRow:
    """Floats of the host become money, and what says nothing becomes none."""
    found: dict[str, Any] = {name: values[name] for name in _HOST_COLUMNS if name in values}
    if "timeweb_id" in found:
        found["timeweb_id"] = _linked_id(found["timeweb_id"])
    for name in ("service_fee", "balance"):
        if name in found:
            found[name] = money_or_none(found[name])
    if "client_price" in found:
        found["client_price"] = money_or_none(found["client_price"]) or None
    if "cost_price" in found:
        found["stored_cost"] = _stored_cost(found["cost_price"], state)
        found["cost_price"] = known_cost(found["stored_cost"], state.cost_source if state else None)
    for name in ("server_name", "status", "payment_period", "client_name"):
        if name in found:
            found[name] = found[name] or ""
    if "ip_address" in found:
        found["ip_address"] = as_text(found["ip_address"])
    if "auto_sync" in found:
        found["auto_sync"] = found["auto_sync"] is not False and found["auto_sync"] != 0
    return StoredRow(**found, state=state)


def created_at_text(created_at: object) -> str:
    """The moment of a row's creation, the same text whatever zone the connection speaks."""
    if isinstance(created_at, datetime) and created_at.tzinfo is not None:
        created_at = created_at.astimezone(UTC).replace(tzinfo=None)
    return str(created_at)


def shared_value(column: str, value: Any) -> Any:
    """A shared column's value as `sync_base` keeps it (JSON): money as text with two decimals."""
    if column == "cost_price":
        amount = money_or_none(value)
        return None if amount is None else str(amount)
    return value


def _linked_id(stored: int | None) -> int | None:
    return stored if stored is not None and stored > 0 else None


def _state_of(values: Mapping[str, Any]) -> State | None:
    if values.get("state_server_id") is None:
        return None
    found = {name: values[f"state_{name}"] for name in _STATE_COLUMNS if f"state_{name}" in values}
    for name in _REPEATED:
        if (text := found.get(name)) is not None:
            found[name] = intern(text)
    state = State(**found)
    return None if state.is_leftover(_linked_id(values["timeweb_id"]), values.get("created_at")) else state


def _stored_cost(value: Any, state: State | None) -> Decimal | None:
    """The cost in a row; what a single-precision column made of the value that sync wrote is that value and no edit."""
    amount = money_or_none(value)
    if amount is None or state is None or abs(amount) < SINGLE_IS_COARSE:
        return amount
    written = money_or_none(state.base.get("cost_price"))
    if written is not None and struct.unpack("f", struct.pack("f", written))[0] == float(value):
        return written
    return amount


def _json_list(text: str | None) -> list[Any]:
    value: Any = json.loads(text) if text else []
    return list(value) if isinstance(value, list) else []  # pyright: ignore[reportUnknownArgumentType]
