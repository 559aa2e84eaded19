"""Rows as the page, the API, the CSV and the command line show them: one query, money worked out once.

Everything here takes an open `sqlalchemy.orm.Session` and only reads.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import InvalidRequestError

from crm_adapter.db.columns import Columns
from crm_adapter.db.dialects import exact_text, in_turns
from crm_adapter.db.rows import StoredRow, joined, read_rows, rows_of, select_rows
from crm_adapter.db.tables import TimewebServerState
from crm_adapter.money import LEAST_AMOUNT, MONTHS
from crm_adapter.servers.conditions import due, live, overdue, priced, problem, unpriced

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

PAGE_SIZE: Final = 100

VIEWS: Final = ("", "problems", "overdue", "week", "unpriced", "loss", "removed")
"""The quick filters of the page."""
SORTS: Final = ("attention", "name", "status", "configuration", "ip", "client", "project", "cost", "price", "margin", "date")

_STATE: Final = TimewebServerState.__table__.c


_ORDERING: Final = {"sort", "descending", "page", "size"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFilters:
    """What any list can be narrowed to, and how it is ordered. `size` 0 lists all on one page."""

    search: str = ""
    project: int | None = None
    account: str = ""
    client: str = ""
    """The exact name of a client."""
    view: str = ""
    sort: str = "attention"
    """`attention`: what somebody should look at first."""
    descending: bool = False
    page: int = 1
    size: int = PAGE_SIZE

    @property
    def is_narrowed(self) -> bool:
        """Whether anything may be hidden."""
        return any(getattr(self, item.name) != item.default for item in fields(self) if item.name not in _ORDERING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters(ListFilters):
    """Which rows to list."""

    status: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of rows; `total` counts all that match, `everything` all that exist where none matches."""

    rows: Sequence[StoredRow]
    total: int
    everything: int
    filters: Filters

    @property
    def pages(self) -> int:
        """How many pages there are, at least one."""
        return _pages(self.total, self.filters)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which rows are to be read, in order, however many they are; `total` counts all that match."""

    ids: Sequence[int]
    total: int
    filters: Filters

    @property
    def pages(self) -> int:
        """How many pages there are, at least one."""
        return _pages(self.total, self.filters)


def _pages(total: int, filters: Filters) -> int:
    return max(1, -(-total // filters.size)) if filters.size else 1


def choose_rows(session: Session, columns: Columns, filters: Filters, *, today: date) -> Choice:
    """One page of ids in the wished order, whose rows are read piece by piece."""
    conditions = (*columns.scope, *conditions_of(session, columns, filters, today))
    query = sa.select(columns["id"]).select_from(joined(columns)).where(*conditions).order_by(*_order(columns, filters, today))
    total = 0
    if filters.size:
        total = session.scalar(sa.select(sa.func.count()).select_from(joined(columns)).where(*conditions)) or 0
        filters = _within(filters, total)
        query = query.limit(filters.size).offset((filters.page - 1) * filters.size)
    ids = list(session.scalars(query, execution_options=in_turns(session)))
    return Choice(ids, total if filters.size else len(ids), filters if filters.size else replace(filters, page=1))


def read_chosen(session: Session, columns: Columns, ids: Sequence[int]) -> list[StoredRow]:
    """Rows in the order of their ids; those that are gone by now are left out."""
    found = {row.id: row for row in read_rows(session, columns, columns["id"].in_(ids))}
    return [found[number] for number in ids if number in found]


def _within(filters: Filters, total: int) -> Filters:
    """The same on a page that there is."""
    return replace(filters, page=min(max(filters.page, 1), _pages(total, filters)))


def list_rows(session: Session, columns: Columns, filters: Filters, *, today: date) -> Listing:
    """One page of rows in the wished order, in two statements."""
    query, conditions = select_rows(columns), conditions_of(session, columns, filters, today)
    matching = sa.select(sa.func.count()).select_from(joined(columns)).where(*columns.scope, *conditions)
    total = session.scalar(matching) or 0
    if not total:
        existing = sa.select(sa.func.count()).select_from(columns.table).where(*columns.scope)
        everything = session.scalar(existing) or 0 if conditions else 0
        return Listing([], 0, everything, replace(filters, page=1))
    if filters.size:
        filters = _within(filters, total)
        query = query.limit(filters.size).offset((filters.page - 1) * filters.size)
    query = query.where(*conditions).order_by(*_order(columns, filters, today))
    return Listing(list(rows_of(session.execute(query))), total, total, filters)


def projects(session: Session, columns: Columns, *, named_only: bool = False) -> dict[int, str]:
    """Projects by id; their names come from the table that the host's foreign key points to, when it has names.

    Without names: the ids that occur, or nothing with `named_only`.
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


def losing(columns: Columns) -> sa.ColumnElement[bool]:
    """Whether a live row costs more than its client pays, from half a kopeck on."""
    return sa.and_(live(columns), _income(columns) - _cost(columns) <= -float(LEAST_AMOUNT))


def _months(columns: Columns) -> sa.ColumnElement[Any]:
    return sa.case(MONTHS, value=columns["payment_period"], else_=None)


def _income(columns: Columns) -> sa.ColumnElement[Any]:
    fee = sa.func.coalesce(columns["service_fee"], 0) if "service_fee" in columns else sa.literal(0)
    return sa.case((priced(columns), (columns["client_price"] + fee) * 1.0 / _months(columns)), else_=None)


def _cost(columns: Columns) -> sa.ColumnElement[Any]:
    """`crm_adapter.money.known_cost` for an ORDER BY."""
    cost = columns["cost_price"]
    return sa.case((sa.or_(cost != 0, _STATE.cost_source != "unknown"), cost), else_=None)


def conditions_of(session: Session, columns: Columns, filters: Filters, today: date) -> list[sa.ColumnElement[bool]]:
    """What a row must be to be shown; empty when every row is."""
    found: list[sa.ColumnElement[bool]] = []
    if filters.search.strip():
        found.append(_matches(session, columns, filters.search))
    if filters.status:
        found.append(columns["status"] == filters.status)
    if filters.project is not None and "project_id" in columns:
        found.append(columns["project_id"] == filters.project)
    if filters.account:
        found.append(_STATE.account == filters.account)
    if filters.client:
        found.append(exact_text(columns["client_name"]) == filters.client)
    match filters.view:
        case "problems":
            found.append(problem(columns))
        case "overdue":
            found.append(overdue(columns, today))
        case "week":
            found.append(due(columns, today))
        case "unpriced":
            found.append(unpriced(columns))
        case "loss":
            found.append(losing(columns))
        case "removed":
            found.append(_STATE.removed_at.is_not(None))
        case _:
            pass
    return found


def _matches(session: Session, columns: Columns, text: str) -> sa.ColumnElement[bool]:
    names = ("server_name", "ip_address", "client_name", "client_company", "configuration", "notes", "timeweb_id")
    haystack = [
        sa.cast(columns[name], sa.String) if name == "timeweb_id" else columns[name] for name in names if name in columns
    ]
    return contains(session, haystack, text)


def contains(session: Session, haystack: Sequence[Any], text: str) -> sa.ColumnElement[bool]:
    """Whether one of the columns holds what somebody looks for, in whatever case."""
    text = text.strip()
    if session.get_bind().dialect.name == "sqlite":
        _teach_to_fold(session)
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
            (problem(columns), 0),
            (overdue(columns, today), 1),
            (due(columns, today), 2),
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
