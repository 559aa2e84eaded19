"""What people look at: rows, totals, changes, runs. Reads only, never Timeweb."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Final, cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from crm_adapter.db.columns import Columns
from crm_adapter.db.rows import StoredRow, read_rows
from crm_adapter.db.tables import AccountState, SyncLease, SyncRun
from crm_adapter.money import percent
from crm_adapter.payload import as_dict
from crm_adapter.results import RunInfo, Totals
from crm_adapter.servers.conditions import is_live, is_overdue, is_unpriced
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


def read_totals(session: Session, columns: Columns, today: date | None = None, filters: Filters | None = None) -> Totals:
    """See `crm_adapter.totals`; with `filters` of what they show, without the costs that belong to no server."""
    return read_sums(session, columns, today or columns.today(), filters)[0]


def read_sums(session: Session, columns: Columns, today: date, filters: Filters | None = None) -> tuple[Totals, int]:
    """The totals of what `filters` show, and how many accounts there are; two statements."""
    wanted = conditions_of(session, columns, filters, today) if filters is not None else []
    rows = read_rows(session, columns, *wanted, names=SUMMED, state_names=SUMMED_STATE)
    accounts = account_money(session)
    summed = [(None, balance, hours) for _, balance, hours in accounts] if wanted else accounts
    return replace(sum_up(rows, summed, today), services_included=not wanted), len(accounts)


def account_money(session: Session) -> list[tuple[Decimal | None, Decimal | None, int | None]]:
    """Other costs, balance and hours left of each account; a balance in another currency is none to add up."""
    state = AccountState
    found = session.execute(select(state.other_costs, state.balance, state.hours_left, state.currency))
    return [(other, balance if currency in {None, "RUB"} else None, hours) for other, balance, hours, currency in found]


def sum_up(
    rows: Iterable[StoredRow], accounts: Iterable[tuple[Decimal | None, Decimal | None, int | None]], today: date
) -> Totals:
    """Totals of rows that are neither closed nor removed; pure."""
    live = [row for row in rows if is_live(row)]
    profit = add_up(row.profit_amount for row in live)
    late = [row for row in live if is_overdue(row, today)]
    without_price = [row for row in live if is_unpriced(row)]
    accounts = list(accounts)
    income, cost = add_up(row.income_month for row in live), add_up(row.cost_price for row in live)
    other = add_up(other for other, _, _ in accounts)
    hours = [hours_left for _, _, hours_left in accounts if hours_left is not None]
    return Totals(
        servers=len(live),
        active_servers=sum(row.status == "active" for row in live),
        income_month=income,
        cost_month=cost,
        profit_month=profit,
        profit_percent=percent(profit, add_up(row.income_month for row in live if row.profit_amount is not None)),
        priced_count=sum(row.profit_amount is not None for row in live),
        unpriced_count=len(without_price),
        unpriced_cost=add_up(row.cost_price for row in without_price),
        unknown_cost_count=sum(row.cost_price is None for row in live),
        overdue_count=len(late),
        overdue_sum=add_up(row.total_price for row in late) or Decimal("0.00"),
        other_costs=other,
        balance=add_up(balance for _, balance, _ in accounts),
        hours_left=min(hours, default=None),
        result_month=result(income, cost, other),
        uncosted_income=add_up(row.income_month for row in live if row.cost_price is None),
    )


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
