"""Rows seen together: what each client and project earns, and which payments a month brings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from crm_adapter.db.rows import StoredRow, read_rows
from crm_adapter.money import MONTHS, add_months
from crm_adapter.servers.conditions import billable, is_billable, is_overdue, payment_day, pays_before
from crm_adapter.servers.listing import Filters, conditions_of, projects
from crm_adapter.servers.totals import By, Key, Sides, add_up, read_sides, sum_sides
from crm_adapter.text.labels import UNKNOWN_CLIENT, project
from crm_adapter.text.page import NO_PROJECT

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from crm_adapter.db.columns import Columns
    from crm_adapter.results import Totals

_PAID: Final = (
    "status",
    "client_price",
    "service_fee",
    "payment_period",
    "client_name",
    "client_id",
    "next_payment_date",
    "server_name",
)
_PAID_STATE: Final = ("removed_at", "payment_anchor_day")
YEARS: Final = 10
"""How far a calendar looks in either direction: no payment date is further away."""


@dataclass(frozen=True, slots=True)
class Group:
    """What the live rows of one client or project earn together; `key` is the name, or the number, None for none."""

    key: Key
    name: str
    totals: Totals


@dataclass(frozen=True, slots=True)
class Payment:
    """What a client is to pay on one day, in RUB: one server, for one period."""

    day: date
    row: StoredRow
    amount: Decimal
    is_late: bool


@dataclass(frozen=True, slots=True)
class Month:
    """The payments of a month by day, and those from before it that nobody has made."""

    first: date
    days: Mapping[date, list[Payment]]
    earlier: list[Payment]

    @property
    def total(self) -> Decimal:
        """All that is expected in the month itself."""
        return add_up(payment.amount for payments in self.days.values() for payment in payments) or Decimal("0.00")

    @property
    def owed(self) -> Decimal:
        """All that is late from before the month."""
        return add_up(payment.amount for payment in self.earlier) or Decimal("0.00")


@dataclass(frozen=True, slots=True)
class Grouping:
    """What the sums by client or project are made of."""

    by: By
    sides: Sides
    names: Mapping[int, str]
    """Of projects."""

    def groups(self) -> list[Group]:
        """The greatest income first; pure, and long where there are many."""
        found = [Group(key, self._name(key), _of_servers(sides)) for key, sides in self.sides.by_key().items()]
        return sorted(found, key=lambda group: (-(group.totals.income_month or 0), group.name))

    def together(self) -> Totals:
        """The sums of all groups."""
        return _of_servers(self.sides)

    def _name(self, key: Key) -> str:
        if key is None:
            return NO_PROJECT if self.by == "project" else UNKNOWN_CLIENT
        return project(key, self.names) if isinstance(key, int) else key


def read_grouping(session: Session, columns: Columns, filters: Filters, today: date, by: By) -> Grouping:
    """What `filters` show, by client or project; three statements at most."""
    names = projects(session, columns, named_only=True) if by == "project" else {}
    conditions = conditions_of(session, columns, filters, today)
    return Grouping(by, read_sides(session, columns, today, *conditions, by=by), names)


def _of_servers(sides: Sides) -> Totals:
    return replace(sum_sides(sides, ()), services_included=False)


def read_payers(session: Session, columns: Columns, filters: Filters, today: date, first: date) -> list[StoredRow]:
    """Rows of what `filters` show that pay in the month of `first`, or should have before it; one statement."""
    conditions = conditions_of(session, columns, filters, today)
    wanted = (*conditions, billable(columns), pays_before(columns, add_months(first.replace(day=1), 1)))
    return read_rows(session, columns, *wanted, names=_PAID, state_names=_PAID_STATE)


def month_of(rows: Iterable[StoredRow], today: date, first: date) -> Month:
    """A row pays on its next date and every period after it; what is late is owed once, however long it is late; pure."""
    end, days, earlier = add_months(first, 1), defaultdict[date, list[Payment]](list), list[Payment]()
    for row in rows:
        due = payment_day(row)
        amount = row.total_price
        if due is None or amount is None or not is_billable(row):
            continue
        if due < first and is_overdue(row, today):
            earlier.append(Payment(due, row, amount, is_late=True))
        step = MONTHS.get(row.payment_period, 1)
        anchor = row.state.payment_anchor_day if row.state else None
        if anchor is None or add_months(due, 0, anchor) != due:
            anchor = due.day
        ahead = max(0, -(-((first.year - due.year) * 12 + first.month - due.month) // step))
        day = add_months(due, ahead * step, anchor) if ahead else due
        # Before today only the payment itself can stand, never one that would follow it.
        if first <= day < end and (day == due or day >= today):
            days[day].append(Payment(day, row, amount, is_late=day == due and is_overdue(row, today)))
    for payments in days.values():
        payments.sort(key=lambda payment: -payment.amount)
    return Month(first, dict(sorted(days.items())), sorted(earlier, key=lambda payment: payment.day))


def weeks(first: date) -> list[list[date]]:
    """The weeks of a month from Monday on, each of seven days, the first and the last with days of its neighbours."""
    start = first - timedelta(days=first.weekday())
    last = add_months(first, 1) - timedelta(days=1)
    return [[start + timedelta(days=7 * week + day) for day in range(7)] for week in range((last - start).days // 7 + 1)]
