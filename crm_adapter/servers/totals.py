"""What people look at: rows, totals, changes, runs. Reads only, never Timeweb."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any, Final, cast

import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.orm import Session

from crm_adapter.db.columns import Columns
from crm_adapter.db.rows import SINGLE_IS_COARSE, StoredRow, is_unlinked, joined, read_rows, row_of
from crm_adapter.db.tables import AccountState, SyncLease, SyncRun, TimewebServerState
from crm_adapter.money import LEAST_AMOUNT, MONTHS, percent
from crm_adapter.payload import as_dict
from crm_adapter.results import RunInfo, Totals
from crm_adapter.servers.conditions import exactly, is_live, is_overdue, is_unpriced, live, overdue
from crm_adapter.servers.listing import Filters, conditions_of

SUMMED: Final = (
    "status",
    "client_price",
    "service_fee",
    "payment_period",
    "cost_price",
    "client_name",
    "client_id",
    "next_payment_date",
)
"""The columns that the sums are made of."""
SUMMED_STATE: Final = ("cost_source", "removed_at")
_AMOUNTS: Final = ("client_price", "service_fee", "cost_price")
_STATE: Final = TimewebServerState.__table__.c


@dataclass(frozen=True, slots=True)
class Alike:
    """Rows that count in the sums (neither closed nor removed) and are alike in all that is summed."""

    row: StoredRow
    """One of them, as far as it is summed."""
    count: int = 1
    overdue: bool = False


def read_totals(session: Session, columns: Columns, today: date | None = None, filters: Filters | None = None) -> Totals:
    """See `crm_adapter.totals`; with `filters` of what they show, without the costs that belong to no server."""
    return read_sums(session, columns, today or columns.today(), filters)[0]


def read_sums(session: Session, columns: Columns, today: date, filters: Filters | None = None) -> tuple[Totals, int]:
    """The totals of what `filters` show, and how many accounts there are; three statements."""
    wanted = conditions_of(session, columns, filters, today) if filters is not None else []
    groups = read_alike(session, columns, today, *wanted)
    accounts = account_money(session)
    summed = [(None, balance, hours) for _, balance, hours in accounts] if wanted else accounts
    return replace(sum_alike(groups, summed), services_included=not wanted), len(accounts)


def read_alike(session: Session, columns: Columns, today: date, *conditions: Any) -> list[Alike]:
    """The rows to sum up. The database counts those that are alike, money is worked out here: there are few prices."""
    cost = sa.func.abs(sa.func.coalesce(columns["cost_price"], 0))
    # Of these it takes more than the columns to know what they cost: see `db/rows`.
    nothing = sa.and_(is_unlinked(columns), _STATE.server_id.is_not(None), cost < float(LEAST_AMOUNT))
    odd = sa.or_(cost >= SINGLE_IS_COARSE, nothing)
    counted = (*conditions, live(columns))
    period: Any = sa.case({name: name for name in MONTHS}, value=exactly(columns["payment_period"]), else_="")
    alike = (
        sa.select(
            *columns.select(*_AMOUNTS),
            period.label("payment_period"),
            sa.case((exactly(columns["status"]) == "active", "active"), else_="").label("status"),
            _STATE.cost_source.label("state_cost_source"),
            overdue(columns, today).label("overdue"),
        )
        .select_from(joined(columns))
        .where(*columns.scope, *counted, sa.not_(odd))
        .subquery()
    )
    found = session.execute(sa.select(*alike.c, sa.func.count().label("alike")).group_by(*alike.c)).mappings()
    groups = [Alike(_typical(record), record["alike"], bool(record["overdue"])) for record in found]
    rows = read_rows(session, columns, *counted, odd)
    return groups + [Alike(row, overdue=is_overdue(row, today)) for row in rows]


def _typical(record: Any) -> StoredRow:
    source = record["state_cost_source"]
    return row_of({**record, "id": 0, "timeweb_id": None, "state_server_id": None if source is None else 0})


def account_money(session: Session) -> list[tuple[Decimal | None, Decimal | None, int | None]]:
    """Other costs, balance and hours left of each account; a balance in another currency is none to add up."""
    state = AccountState
    found = session.execute(select(state.other_costs, state.balance, state.hours_left, state.currency))
    return [(other, balance if currency in {None, "RUB"} else None, hours) for other, balance, hours, currency in found]


def sum_up(
    rows: Iterable[StoredRow], accounts: Iterable[tuple[Decimal | None, Decimal | None, int | None]], today: date
) -> Totals:
    """Totals of the rows that are neither closed nor removed; pure."""
    return sum_alike([Alike(row, overdue=is_overdue(row, today)) for row in rows if is_live(row)], accounts)


def sum_alike(groups: Iterable[Alike], accounts: Iterable[tuple[Decimal | None, Decimal | None, int | None]]) -> Totals:
    """Totals of rows that the database has counted; pure."""
    groups, accounts = list(groups), list(accounts)
    late = [group for group in groups if group.overdue]
    without_price = [group for group in groups if is_unpriced(group.row)]
    margins = [group for group in groups if group.row.profit_amount is not None]
    uncosted = [group for group in groups if group.row.cost_price is None]
    profit = total(margins, lambda row: row.profit_amount)
    income, cost = total(groups, lambda row: row.income_month), total(groups, lambda row: row.cost_price)
    other = add_up(other for other, _, _ in accounts)
    hours = [hours_left for _, _, hours_left in accounts if hours_left is not None]
    return Totals(
        servers=_count(groups),
        active_servers=_count(group for group in groups if group.row.status == "active"),
        income_month=income,
        cost_month=cost,
        profit_month=profit,
        profit_percent=percent(profit, total(margins, lambda row: row.income_month)),
        priced_count=_count(margins),
        unpriced_count=_count(without_price),
        unpriced_cost=total(without_price, lambda row: row.cost_price),
        unknown_cost_count=_count(uncosted),
        overdue_count=_count(late),
        overdue_sum=total(late, lambda row: row.total_price) or Decimal("0.00"),
        other_costs=other,
        balance=add_up(balance for _, balance, _ in accounts),
        hours_left=min(hours, default=None),
        result_month=result(income, cost, other),
        uncosted_income=total(uncosted, lambda row: row.income_month),
    )


def total(groups: Iterable[Alike], amount: Callable[[StoredRow], Decimal | None]) -> Decimal | None:
    """The sum of what is known of an amount; None where nothing is."""
    amounts = ((amount(group.row), group.count) for group in groups)
    return add_up(None if one is None else one * count for one, count in amounts)


def _count(groups: Iterable[Alike]) -> int:
    return sum(group.count for group in groups)


def result(income: Decimal | None, *costs: Decimal | None) -> Decimal | None:
    """What is left of the income after all costs that are known; None while nothing is earned that is known."""
    return None if income is None else income - (add_up(costs) or Decimal("0.00"))


def add_up(values: Iterable[Decimal | None]) -> Decimal | None:
    """The sum of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known, Decimal("0.00")) if known else None


def read_runs(session: Session, run_id: int | None = None, *, limit: int) -> list[RunInfo]:
    """The newest runs, or the one of that id; in one statement, in two while one of them works."""
    statement = select(SyncRun).order_by(SyncRun.id.desc()).limit(limit)
    if run_id is not None:
        statement = statement.where(SyncRun.id == run_id)
    found = list(session.scalars(statement))
    progress: dict[int, tuple[int, int]] = {}
    if working := [run.id for run in found if run.report is None]:
        leases = select(SyncLease.run_id, SyncLease.progress, SyncLease.total).where(SyncLease.run_id.in_(working))
        for held, done, total in session.execute(leases):
            before = progress.get(cast(int, held), (0, 0))
            progress[cast(int, held)] = (before[0] + done, before[1] + total)
    return [_run_info(run, progress.get(run.id, (0, 0))) for run in found]


def _run_info(run: SyncRun, progress: tuple[int, int]) -> RunInfo:
    report = as_dict(json.loads(run.report)) if run.report else None
    if report is not None:
        progress = (report["total_processed"], report["total_processed"])
    return RunInfo(
        run.id,
        run.kind,
        run.actor,
        run.status,
        run.error_code,
        run.started_at,
        run.finished_at,
        progress[0],
        progress[1] or None,
        report,
    )
