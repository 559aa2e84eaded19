"""What people look at: rows, totals, changes, runs.  Reads only, never Timeweb."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from crm_adapter.db.columns import Columns
from crm_adapter.db.tables import AccountState, ChangeLog, SyncLease, SyncRun, TimewebServerState
from crm_adapter.money import known_cost, margin, money_or_none, monthly_income, percent
from crm_adapter.payload import as_dict
from crm_adapter.results import Change, RunInfo, Totals

_STATE = (
    "account", "project_id", "location", "ip_all", "cost_gross", "cost_source", "cost_stale", "cost_components", "currency",
    "missing_since", "removed_at", "edit_version", "payment_anchor_day",
)  # fmt: skip


def server_rows(session: Session, columns: Columns, *conditions: Any) -> list[dict[str, Any]]:
    """Rows by logical name with our state under ``state_*``; ``timeweb_data`` stays in the database."""
    names = [name for name in columns.by_name if name != "timeweb_data"]
    state = TimewebServerState.__table__
    same = (state.c.server_id == columns["id"]) & (
        (state.c.timeweb_id == columns["timeweb_id"]) | (state.c.timeweb_id.is_(None) & columns["timeweb_id"].is_(None))
    )
    statement = (
        select(*columns.select(*names), *(state.c[name].label(f"state_{name}") for name in _STATE))
        .select_from(columns.table.outerjoin(state, same))
        .where(*columns.scope, *conditions)
        .order_by(columns["id"])
    )
    return [dict(record) for record in session.execute(statement).mappings()]


def read_server(session: Session, columns: Columns, crm_id: int) -> dict[str, Any] | None:
    """One row, None when there is none."""
    return next(iter(server_rows(session, columns, columns["id"] == crm_id)), None)


def cost_of(row: Mapping[str, Any]) -> Decimal | None:
    """The cost of a row of :func:`server_rows`, None when unknown."""
    return known_cost(row["cost_price"], row["state_cost_source"])


def read_totals(session: Session, columns: Columns, today: date | None = None) -> Totals:
    """See `crm_adapter.totals`."""
    return sum_up(server_rows(session, columns), account_money(session), today or columns.today())


def account_money(session: Session) -> list[tuple[Decimal | None, Decimal | None, int | None]]:
    """Other costs, balance and hours left of each account; a balance in another currency is none to add up."""
    state = AccountState
    found = session.execute(select(state.other_costs, state.balance, state.hours_left, state.currency))
    return [(other, balance if currency in {None, "RUB"} else None, hours) for other, balance, hours, currency in found]


def sum_up(
    rows: Iterable[Mapping[str, Any]], accounts: Iterable[tuple[Decimal | None, Decimal | None, int | None]], today: date
) -> Totals:
    """Totals of rows that are neither closed nor removed; pure."""
    live = [row for row in rows if row["status"] != "closed" and row["state_removed_at"] is None]
    incomes = [monthly_income(row["client_price"], row.get("service_fee"), row["payment_period"]) for row in live]
    costs = [cost_of(row) for row in live]
    margins = [margin(income, cost) for income, cost in zip(incomes, costs, strict=True)]
    income_of_margins = _total(income for income, gain in zip(incomes, margins, strict=True) if gain is not None)
    profit = _total(margins)
    overdue = [row for row in live if is_overdue(row, today)]
    accounts = list(accounts)
    hours = [hours_left for _, _, hours_left in accounts if hours_left is not None]
    return Totals(
        servers=len(live),
        active_servers=sum(row["status"] == "active" for row in live),
        income_month=_total(incomes),
        cost_month=_total(costs),
        profit_month=profit,
        profit_percent=percent(profit, income_of_margins),
        priced_count=sum(gain is not None for gain in margins),
        unpriced_count=sum(income is None for income in incomes),
        unpriced_cost=_total(cost for income, cost in zip(incomes, costs, strict=True) if income is None),
        unknown_cost_count=sum(cost is None for cost in costs),
        overdue_count=len(overdue),
        overdue_sum=_total(due_amount(row) for row in overdue) or Decimal("0.00"),
        other_costs=_total(other for other, _, _ in accounts),
        balance=_total(balance for _, balance, _ in accounts),
        hours_left=min(hours, default=None),
    )


def _total(values: Iterable[Decimal | None]) -> Decimal | None:
    known = [value for value in values if value is not None]
    return sum(known, Decimal("0.00")) if known else None


def has_client_and_price(row: Mapping[str, Any]) -> bool:
    """An imported row is in no reminder and no overdue count until it has both."""
    named = (row["client_name"] or "").strip() not in {"", "Не указан"}
    return (named or row.get("client_id") is not None) and bool(money_or_none(row["client_price"]))


def payment_day(row: Mapping[str, Any]) -> date | None:
    """The calendar date of the next payment."""
    value: date | datetime | None = row["next_payment_date"]
    return value.date() if isinstance(value, datetime) else value


def is_overdue(row: Mapping[str, Any], today: date) -> bool:
    """Whether a client who must pay has not."""
    day = payment_day(row)
    return (
        has_client_and_price(row)
        and row["status"] in {"active", "overdue"}
        and (row["status"] == "overdue" or (day is not None and day < today))
    )


def due_amount(row: Mapping[str, Any]) -> Decimal:
    """What one payment is: price and fee of the whole period."""
    return (money_or_none(row["client_price"]) or Decimal(0)) + (money_or_none(row.get("service_fee")) or Decimal(0))


def read_changes(session: Session, crm_id: int | None = None, *, run_id: int | None = None, limit: int) -> list[Change]:
    """See `crm_adapter.changes`."""
    statement = select(ChangeLog).order_by(ChangeLog.id.desc()).limit(limit)
    if crm_id is not None:
        statement = statement.where(ChangeLog.server_id == crm_id)
    if run_id is not None:
        statement = statement.where(ChangeLog.run_id == run_id)
    names = Change.__dataclass_fields__
    return [Change(**{name: getattr(entry, name) for name in names}) for entry in session.scalars(statement)]


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
