"""Rows seen together: what each client and project earns, and which payments a month brings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal

from crm_adapter.db.rows import StoredRow, read_rows
from crm_adapter.money import MONTHS, add_months
from crm_adapter.servers.conditions import has_client, is_billable, is_live, is_overdue, payment_day
from crm_adapter.servers.listing import Filters, conditions_of, projects
from crm_adapter.servers.totals import SUMMED, SUMMED_STATE, add_up, sum_up
from crm_adapter.text.labels import UNKNOWN_CLIENT, project
from crm_adapter.text.page import NO_PROJECT

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from crm_adapter.db.columns import Columns
    from crm_adapter.results import Totals

By = Literal["client", "project"]
YEARS: Final = 10
"""How far a calendar looks in either direction: no payment date is further away."""


@dataclass(frozen=True, slots=True)
class Group:
    """What the live rows of one client or project earn together; `key` is the name, or the number, None for none."""

    key: str | int | None
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


def read_groups(session: Session, columns: Columns, filters: Filters, today: date, by: By) -> tuple[list[Group], Totals]:
    """Sums of what `filters` show by client or project, the greatest income first, and of all; two statements at most."""
    names = projects(session, columns, named_only=True) if by == "project" else {}
    rows = [row for row in _rows(session, columns, filters, today) if is_live(row)]
    found: defaultdict[str | int | None, list[StoredRow]] = defaultdict(list)
    for row in rows:
        key = row.project_id if by == "project" else row.client_name if has_client(row) else None
        found[key].append(row)
    nobody = NO_PROJECT if by == "project" else UNKNOWN_CLIENT
    groups = [
        Group(key, nobody if key is None else project(key, names) if isinstance(key, int) else key, _of_servers(some, today))
        for key, some in found.items()
    ]
    return sorted(groups, key=lambda group: (-(group.totals.income_month or 0), group.name)), _of_servers(rows, today)


def _of_servers(rows: Iterable[StoredRow], today: date) -> Totals:
    return replace(sum_up(rows, (), today), services_included=False)


def read_month(session: Session, columns: Columns, filters: Filters, today: date, first: date) -> Month:
    """The payments that the month of `first` brings, from what `filters` show; one statement."""
    return month_of(_rows(session, columns, filters, today), today, first.replace(day=1))


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


def _rows(session: Session, columns: Columns, filters: Filters, today: date) -> list[StoredRow]:
    conditions = conditions_of(session, columns, filters, today)
    names = (*SUMMED, "server_name", "project_id")
    return read_rows(session, columns, *conditions, names=names, state_names=(*SUMMED_STATE, "payment_anchor_day"))
