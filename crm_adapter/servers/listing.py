"""Rows as the page, the API, the CSV and the command line show them: one query, money worked out once.

Everything here takes an open :class:`~sqlalchemy.orm.Session` and only reads.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import InvalidRequestError

from crm_adapter.db.columns import Columns
from crm_adapter.db.tables import UNKNOWN_CLIENT, TimewebServerState
from crm_adapter.money import MONTHS, as_midnight, known_cost, margin, monthly_income, percent, to_money
from crm_adapter.results import Totals, to_plain
from crm_adapter.servers.totals import account_money, sum_up
from crm_adapter.sync.mapping import PROBLEM_STATUSES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import Session

PAGE_SIZE: Final = 100

#: The quick filters of the page: key -> caption.
VIEWS: Final = {
    "": "Все",
    "problems": "Проблемы",
    "overdue": "Просрочены",
    "week": "На этой неделе",
    "unpriced": "Без цены",
    "removed": "Удалены",
}
SORTS: Final = ("attention", "name", "status", "configuration", "ip", "client", "project", "cost", "price", "margin", "date")

_STATE: Final = TimewebServerState.__table__.c
_STATE_COLUMNS: Final = (
    "account", "location", "ip_all", "cost_gross", "cost_source", "cost_stale", "cost_components", "missing_since",
    "removed_at", "edit_version",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One server.  Money is RUB; an unknown amount is None, never 0.

    Equal rows have equal hashes: the page remembers how it drew them.
    """

    id: int
    project_id: int | None
    client_id: int | None
    client_name: str
    client_company: str | None
    client_telegram_id: int | None
    server_name: str
    configuration: str | None
    ip_address: str | None
    cost_price: Decimal | None
    client_price: Decimal | None
    service_fee: Decimal | None
    balance: Decimal | None
    balance_last_updated: datetime | None
    start_date: datetime | None
    next_payment_date: datetime | None
    payment_period: str
    status: str
    timeweb_id: int | None
    timeweb_status: str | None
    timeweb_preset_id: int | None
    auto_sync: bool
    last_sync_at: datetime | None
    notes: str | None
    created_at: datetime | None
    updated_at: datetime | None
    account: str | None
    location: str | None
    ip_all: tuple[str, ...]
    cost_gross: Decimal | None
    cost_source: str
    cost_stale: bool
    cost_components: tuple[Mapping[str, Any], ...] = field(hash=False)
    missing_since: datetime | None
    removed_at: datetime | None
    edit_version: int

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

    @property
    def is_billable(self) -> bool:
        """Whether anybody owes anything for it: a client and a price are set, and it is in use."""
        known = self.client_name not in {"", UNKNOWN_CLIENT} or self.client_id is not None
        return bool(self.client_price) and known and self.status in {"active", "overdue"} and self.removed_at is None

    def days_to_payment(self, today: date) -> int | None:
        """Days until the next payment, negative when it is late; None when nothing is owed."""
        if not self.is_billable or self.next_payment_date is None:
            return None
        return (self.next_payment_date.date() - today).days

    @property
    def is_problem(self) -> bool:
        """Whether something is broken on Timeweb's side."""
        gone = self.missing_since is not None or self.removed_at is not None
        return self.status != "closed" and (gone or self.timeweb_status in PROBLEM_STATUSES)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types: the columns, what we know beside them, and the three sums."""
        plain: dict[str, Any] = {item.name: to_plain(getattr(self, item.name)) for item in fields(self)}
        # A price that is not set is 0, as the column says; only a cost can be unknown.
        plain["client_price"] = plain["client_price"] or 0
        sums = {"total_price": self.total_price, "profit_amount": self.profit_amount, "profit_percent": self.profit_percent}
        plain.update(to_plain(sums))
        return plain


@dataclass(frozen=True, slots=True)
class Filters:
    """What to list.  ``size`` 0 lists all rows on one page."""

    search: str = ""
    status: str = ""
    project: int | None = None
    account: str = ""
    view: str = ""
    sort: str = "attention"
    descending: bool = False
    page: int = 1
    size: int = PAGE_SIZE

    @property
    def is_narrowed(self) -> bool:
        """Whether rows may be hidden."""
        return bool(self.search or self.status or self.project is not None or self.account or self.view)


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of rows; ``total`` counts all that match, ``everything`` all that exist where none matches."""

    rows: Sequence[Row]
    total: int
    everything: int
    filters: Filters

    @property
    def pages(self) -> int:
        """How many pages there are, at least one."""
        return max(1, -(-self.total // self.filters.size)) if self.filters.size else 1


def list_rows(session: Session, columns: Columns, filters: Filters, *, today: date) -> Listing:
    """One page of rows in the wished order, in two statements."""
    query, dialect = _select(columns), session.get_bind().dialect.name
    if dialect == "sqlite" and filters.search.strip():
        _teach_to_fold(session)
    conditions = _conditions(columns, filters, today, dialect)
    matching = sa.select(sa.func.count()).select_from(_joined(columns)).where(*columns.scope, *conditions)
    total = session.scalar(matching) or 0
    if not total:
        existing = sa.select(sa.func.count()).select_from(columns.table).where(*columns.scope)
        everything = session.scalar(existing) or 0 if conditions else 0
        return Listing([], 0, everything, replace(filters, page=1))
    if filters.size:
        last = max(1, -(-total // filters.size))
        filters = replace(filters, page=min(max(filters.page, 1), last))
        query = query.limit(filters.size).offset((filters.page - 1) * filters.size)
    query = query.where(*conditions).order_by(*_order(columns, filters, today))
    return Listing([_row(record) for record in session.execute(query).mappings()], total, total, filters)


def read_totals(session: Session, columns: Columns, today: date) -> Totals:
    """What :func:`crm_adapter.totals` gives, from only the columns that it sums up; in two statements."""
    names = (
        "status", "client_price", "service_fee", "payment_period", "cost_price", "client_name", "client_id",
        "next_payment_date",
    )  # fmt: skip
    wanted: list[Any] = [*columns.select(*names)]
    wanted += [_STATE[name].label(f"state_{name}") for name in ("removed_at", "cost_source")]
    rows: Any = session.execute(sa.select(*wanted).select_from(_joined(columns)).where(*columns.scope)).mappings()
    return sum_up(rows, account_money(session), today)


def get_row(session: Session, columns: Columns, row_id: int) -> Row | None:
    """One row, None when there is no such id."""
    if not columns.holds("id", row_id):
        return None
    record = session.execute(_select(columns).where(columns["id"] == row_id)).mappings().first()
    return None if record is None else _row(record)


def projects(session: Session, columns: Columns, *, named_only: bool = False) -> dict[int, str]:
    """Projects by id; their names come from the table that the host's foreign key points to, when it has names.

    Without names: the ids that occur, or nothing with ``named_only``.
    """
    if "project_id" not in columns:
        return {}
    column = columns["project_id"]
    target = next((key.column for key in column.foreign_keys if _resolves(key)), None)
    name = None if target is None else next((target.table.c[key] for key in ("name", "title") if key in target.table.c), None)
    if target is None or name is None:
        if named_only:
            return {}
        ids = session.scalars(sa.select(column).where(column.is_not(None), *columns.scope).distinct().order_by(column))
        return {number: f"№ {number}" for number in ids}
    return {number: str(text) for number, text in session.execute(sa.select(target, name).order_by(name).limit(500))}


def _resolves(key: sa.ForeignKey) -> bool:
    try:
        _ = key.column
    except InvalidRequestError:
        return False
    return True


def _joined(columns: Columns) -> sa.FromClause:
    # SQLite hands out the id of a deleted row again: a state of another server is a leftover and says nothing.
    unlinked = sa.and_(_STATE.timeweb_id.is_(None), columns["timeweb_id"].is_(None))
    same = sa.or_(_STATE.timeweb_id == columns["timeweb_id"], unlinked)
    return columns.table.outerjoin(TimewebServerState.__table__, sa.and_(_STATE.server_id == columns["id"], same))


def _select(columns: Columns) -> sa.Select[Any]:
    host = [item.name for item in fields(Row) if item.name in columns]
    wanted: list[Any] = [*columns.select(*host), *(_STATE[name] for name in _STATE_COLUMNS)]
    query: Any = sa.select(*wanted).select_from(_joined(columns)).where(*columns.scope)
    return query  # type: ignore[no-any-return]


def _row(record: sa.RowMapping) -> Row:
    values: dict[str, Any] = {item.name: record.get(item.name) for item in fields(Row)}
    cost, source = known_cost(values["cost_price"], values["cost_source"]), values["cost_source"]
    if source in {None, "unknown"}:
        source = "unknown" if cost is None else "manual"
    for name in ("client_price", "service_fee", "balance", "cost_gross"):
        values[name] = None if values[name] is None else to_money(values[name])
    # The host's column is NOT NULL, so "not set" is stored as 0 there.
    values["client_price"] = values["client_price"] or None
    values.update(
        cost_price=cost,
        cost_source=source,
        cost_stale=bool(values["cost_stale"]),
        auto_sync=bool(values["auto_sync"]),
        edit_version=values["edit_version"] or 0,
        client_name=values["client_name"] or "",
        payment_period=values["payment_period"] or "",
        ip_all=tuple(_json_list(values["ip_all"])),
        cost_components=tuple(_json_list(values["cost_components"])),
    )
    return Row(**values)


def _json_list(text: str | None) -> list[Any]:
    value: Any = json.loads(text) if text else []
    return list(value) if isinstance(value, list) else []  # pyright: ignore[reportUnknownArgumentType]


def _months(columns: Columns) -> sa.ColumnElement[Any]:
    return sa.case(MONTHS, value=columns["payment_period"], else_=None)


def _income(columns: Columns) -> sa.ColumnElement[Any]:
    fee = sa.func.coalesce(columns["service_fee"], 0) if "service_fee" in columns else sa.literal(0)
    price = columns["client_price"]
    return sa.case((price > 0, (price + fee) * 1.0 / _months(columns)), else_=None)


def _cost(columns: Columns) -> sa.ColumnElement[Any]:
    """:func:`crm_adapter.money.known_cost` for an ORDER BY."""
    cost = columns["cost_price"]
    return sa.case((sa.or_(cost != 0, _STATE.cost_source != "unknown"), cost), else_=None)


def _is_billable(columns: Columns) -> sa.ColumnElement[bool]:
    named = columns["client_name"].not_in(["", UNKNOWN_CLIENT])
    known = sa.or_(named, columns["client_id"].is_not(None)) if "client_id" in columns else named
    return sa.and_(
        columns["client_price"] > 0, known, columns["status"].in_(["active", "overdue"]), _STATE.removed_at.is_(None)
    )


def _is_problem(columns: Columns) -> sa.ColumnElement[bool]:
    gone = sa.or_(_STATE.missing_since.is_not(None), _STATE.removed_at.is_not(None))
    return sa.and_(columns["status"] != "closed", sa.or_(gone, columns["timeweb_status"].in_(sorted(PROBLEM_STATUSES))))


def _is_overdue(columns: Columns, today: date) -> sa.ColumnElement[bool]:
    late = columns.shown("next_payment_date") < as_midnight(today)
    return sa.and_(_is_billable(columns), sa.or_(columns["status"] == "overdue", late))


def _is_due(columns: Columns, today: date) -> sa.ColumnElement[bool]:
    due = columns.shown("next_payment_date")
    week = sa.and_(due >= as_midnight(today), due < as_midnight(today + timedelta(days=7)))
    return sa.and_(_is_billable(columns), week)


def _conditions(columns: Columns, filters: Filters, today: date, dialect: str) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if filters.search.strip():
        found.append(_matches(columns, filters.search.strip(), dialect))
    if filters.status:
        found.append(columns["status"] == filters.status)
    if filters.project is not None and "project_id" in columns:
        found.append(columns["project_id"] == filters.project)
    if filters.account:
        found.append(_STATE.account == filters.account)
    match filters.view:
        case "problems":
            found.append(_is_problem(columns))
        case "overdue":
            found.append(_is_overdue(columns, today))
        case "week":
            found.append(_is_due(columns, today))
        case "unpriced":
            found += [columns["client_price"] == 0, columns["status"] != "closed", _STATE.removed_at.is_(None)]
        case "removed":
            found.append(_STATE.removed_at.is_not(None))
        case _:
            pass
    return found


def _matches(columns: Columns, text: str, dialect: str) -> sa.ColumnElement[bool]:
    names = ("server_name", "ip_address", "client_name", "client_company", "configuration", "notes", "timeweb_id")
    haystack = [
        sa.cast(columns[name], sa.String) if name == "timeweb_id" else columns[name] for name in names if name in columns
    ]
    if dialect == "sqlite":
        folded = text.casefold()
        return sa.or_(*(sa.func.instr(sa.func.hosting_fold(column), folded) > 0 for column in haystack))
    return sa.or_(*(column.icontains(text, autoescape=True) for column in haystack))


def _teach_to_fold(session: Session) -> None:
    """SQLite folds the case of ASCII only, and the studio's clients are Cyrillic."""
    connection: Any = session.connection().connection
    connection.create_function("hosting_fold", 1, _fold)


def _fold(value: object) -> str | None:
    return None if value is None else str(value).casefold()


def _order(columns: Columns, filters: Filters, today: date) -> list[sa.ColumnElement[Any]]:
    """By the wished column, unknown values last in either direction, then by name and id so that pages do not overlap."""
    if filters.sort == "attention":
        rank = sa.case(
            (_is_problem(columns), 0),
            (_is_overdue(columns, today), 1),
            (_is_due(columns, today), 2),
            (columns["status"] == "closed", 4),
            else_=3,
        )
        return [rank, columns["server_name"], columns["id"]]
    key: sa.ColumnElement[Any] = {
        "status": columns["status"],
        "configuration": columns["configuration"],
        "ip": columns["ip_address"],
        "client": columns["client_name"],
        "project": columns["project_id"] if "project_id" in columns else columns["id"],
        "cost": _cost(columns),
        "price": _income(columns),
        "margin": _income(columns) - _cost(columns),
        "date": columns["next_payment_date"],
    }.get(filters.sort, columns["server_name"])
    unknown_last = sa.case((key.is_(None), 1), else_=0)
    return [unknown_last, key.desc() if filters.descending else key.asc(), columns["server_name"], columns["id"]]
