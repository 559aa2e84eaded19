"""What people ask of a row, each question once in Python and once in SQL: who must pay, what is broken, what has no price.

The two forms agree for every row that a host's table can hold; a test compares them on odd ones. So texts are compared
exactly (`exact_text`: MariaDB's collations hold «не указан» and «Не указан» equal), an amount is one from half a kopeck
on, and a payment date is a calendar day whatever time of day the column holds.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from crm_adapter.db.columns import Columns
from crm_adapter.db.dialects import calendar_day, exact_text
from crm_adapter.db.rows import StoredRow
from crm_adapter.db.tables import TimewebServerState
from crm_adapter.money import LEAST_AMOUNT, MONTHS, TOO_MUCH, as_midnight
from crm_adapter.sync.mapping import PROBLEM_STATUSES
from crm_adapter.text.labels import UNKNOWN_CLIENT

Condition = sa.ColumnElement[bool]

_STATE: Final = TimewebServerState.__table__.c
_BLANKS: Final = (" ", "\t", "\n", "\r", "\u00a0")
"""A client named by nothing but these is nobody."""
_NOBODY: Final = frozenset({"", UNKNOWN_CLIENT.replace(" ", "")})
_IN_USE: Final = ("active", "overdue")
"""Statuses in which a client pays."""
_WEEK: Final = 7
"""Days that «На этой неделе» looks ahead."""


def is_live(row: StoredRow) -> bool:
    """Whether it counts in the sums: neither closed nor gone from Timeweb."""
    return row.status != "closed" and row.removed_at is None


def live(columns: Columns) -> Condition:
    """`is_live` in SQL."""
    return sa.and_(exactly(columns["status"]) != "closed", _STATE.removed_at.is_(None))


def has_client(row: StoredRow) -> bool:
    """Whether anybody is named who could pay."""
    name = row.client_name
    for blank in _BLANKS:
        name = name.replace(blank, "")
    return name not in _NOBODY or row.client_id is not None


def client_known(columns: Columns) -> Condition:
    """`has_client` in SQL."""
    name: Any = sa.func.coalesce(columns["client_name"], "")
    for blank in _BLANKS:
        name = sa.func.replace(name, blank, "")
    named = exact_text(name).not_in(sorted(_NOBODY))
    return sa.or_(named, columns["client_id"].is_not(None)) if "client_id" in columns else named


def is_priced(row: StoredRow) -> bool:
    """Whether the client's price is set."""
    return row.client_price is not None and row.client_price > 0


def priced(columns: Columns) -> Condition:
    """`is_priced` in SQL."""
    price = columns["client_price"]
    least, too_much = (sa.literal(float(amount), sa.Float()) for amount in (LEAST_AMOUNT, TOO_MUCH))
    return sa.and_(price.is_not(None), price >= least, price < too_much)


def is_unpriced(row: StoredRow) -> bool:
    """Whether a live row's income is unknown: no price, or a period that nobody knows."""
    return is_live(row) and row.income_month is None


def unpriced(columns: Columns) -> Condition:
    """`is_unpriced` in SQL."""
    known = sa.and_(priced(columns), exactly(columns["payment_period"]).in_(list(MONTHS)))
    return sa.and_(live(columns), sa.not_(known))


def is_billable(row: StoredRow) -> bool:
    """Whether anybody owes anything for it: a client and a price are set, and it is in use."""
    return is_priced(row) and has_client(row) and row.status in _IN_USE and row.removed_at is None


def billable(columns: Columns) -> Condition:
    """`is_billable` in SQL."""
    used = exactly(columns["status"]).in_(_IN_USE)
    return sa.and_(priced(columns), client_known(columns), used, _STATE.removed_at.is_(None))


def payment_day(row: StoredRow) -> date | None:
    """The calendar day of the next payment."""
    value: date | datetime | None = row.next_payment_date
    return value.date() if isinstance(value, datetime) else value


def days_to_payment(row: StoredRow, today: date) -> int | None:
    """Days until the next payment, negative when it is late; None when nothing is owed."""
    day = payment_day(row)
    return (day - today).days if day is not None and is_billable(row) else None


def is_overdue(row: StoredRow, today: date) -> bool:
    """Whether a client who must pay has not."""
    days = days_to_payment(row, today)
    return is_billable(row) and (row.status == "overdue" or (days is not None and days < 0))


def overdue(columns: Columns, today: date) -> Condition:
    """`is_overdue` in SQL."""
    late = sa.func.coalesce(pays_before(columns, today), sa.false())
    return sa.and_(billable(columns), sa.or_(exactly(columns["status"]) == "overdue", late))


def is_due(row: StoredRow, today: date) -> bool:
    """Whether the payment is today or within a week."""
    days = days_to_payment(row, today)
    return days is not None and 0 <= days < _WEEK


def due(columns: Columns, today: date) -> Condition:
    """`is_due` in SQL."""
    return sa.and_(billable(columns), sa.not_(pays_before(columns, today)), pays_before(columns, today + timedelta(days=_WEEK)))


def is_problem(row: StoredRow) -> bool:
    """Whether something is broken on Timeweb's side."""
    gone = row.missing_since is not None or row.removed_at is not None
    return row.status != "closed" and (gone or row.timeweb_status in PROBLEM_STATUSES)


def problem(columns: Columns) -> Condition:
    """`is_problem` in SQL."""
    gone = sa.or_(_STATE.missing_since.is_not(None), _STATE.removed_at.is_not(None))
    broken = exactly(columns["timeweb_status"]).in_(sorted(PROBLEM_STATUSES))
    return sa.and_(exactly(columns["status"]) != "closed", sa.or_(gone, broken))


def pays_before(columns: Columns, day: date) -> Condition:
    """Whether the next payment is before a day."""
    column = columns["next_payment_date"]
    if getattr(column.type, "timezone", False):
        earlier: Condition = columns.shown("next_payment_date") < as_midnight(day)
        return earlier
    return calendar_day(column) < day


def exactly(column: Any) -> Any:
    """A text of a row as it is compared here: an Enum by its word, none as nothing."""
    text = sa.cast(column, sa.String()) if isinstance(column.type, sa.Enum) else column
    return exact_text(sa.func.coalesce(text, ""))
