"""What people look at: rows, totals, changes, runs. Reads only, never Timeweb."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any, Final, Literal, cast

import sqlalchemy as sa
from sqlalchemy import select
from sqlalchemy.orm import Session

from crm_adapter.db.columns import Columns
from crm_adapter.db.dialects import as_words, exact_text, in_turns
from crm_adapter.db.rows import SINGLE_IS_COARSE, StoredRow, each_row, is_unlinked, joined, row_of
from crm_adapter.db.tables import AccountState, SyncLease, SyncRun, TimewebServerState
from crm_adapter.money import LEAST_AMOUNT, MONTHS, known_cost, margin, percent
from crm_adapter.payload import as_dict
from crm_adapter.results import RunInfo, Totals
from crm_adapter.servers.conditions import client_known, exactly, has_client, is_live, is_overdue, live, overdue, unpriced
from crm_adapter.servers.listing import Filters, conditions_of
from crm_adapter.steps import work_out

_PRICES: Final = ("client_price", "service_fee")
_STATE: Final = TimewebServerState.__table__.c


By = Literal["client", "project"]
Key = str | int | None
"""A client's name or the number of a project; None for rows of none."""


@dataclass(frozen=True, slots=True)
class Earning:
    """Rows that count in the sums (neither closed nor removed) and earn the same."""

    income: Decimal | None
    """RUB per month."""
    price: Decimal | None
    """RUB per payment period."""
    is_active: bool
    is_overdue: bool
    is_costed: bool
    """Whether their cost is known."""
    count: int = 1
    key: Key = None


@dataclass(frozen=True, slots=True)
class Spending:
    """Rows that count in the sums and cost the same."""

    cost: Decimal | None
    """RUB per month."""
    is_earning: bool
    """Whether their income is known."""
    count: int = 1
    key: Key = None


@dataclass(frozen=True, slots=True)
class Sides:
    """Rows to sum up, once by what they earn and once by what they cost: there are few of either, but many pairs."""

    earnings: Sequence[Earning]
    spendings: Sequence[Spending]

    @property
    def income(self) -> Decimal | None:
        """What all of them earn."""
        return _sum((each.income, each.count) for each in self.earnings)

    @property
    def cost(self) -> Decimal | None:
        """What all of them cost."""
        return _sum((each.cost, each.count) for each in self.spendings)

    @property
    def costed_income(self) -> Decimal | None:
        """What those earn whose cost is known."""
        return _sum((each.income, each.count) for each in self.earnings if each.is_costed)

    @property
    def margin(self) -> Decimal | None:
        """The sum of the margins that are known."""
        cost = _sum((each.cost, each.count) for each in self.spendings if each.is_earning)
        return margin(self.costed_income, cost)

    def by_key(self) -> dict[Key, Sides]:
        """Each client's, or each project's."""
        found: dict[Key, tuple[list[Earning], list[Spending]]] = {}
        for earning in self.earnings:
            found.setdefault(earning.key, ([], []))[0].append(earning)
        for spending in self.spendings:
            found.setdefault(spending.key, ([], []))[1].append(spending)
        return {key: Sides(*sides) for key, sides in found.items()}


@dataclass(frozen=True, slots=True)
class Sums:
    """What totals are made of."""

    sides: Sides
    accounts: Sequence[tuple[Decimal | None, Decimal | None, int | None]]
    is_narrowed: bool
    """Whether only some rows count, so that the costs that belong to no server do not."""

    def totals(self) -> Totals:
        """All of it added up; pure, and long where few rows are alike."""
        counted = [(None, balance, hours) for _, balance, hours in self.accounts] if self.is_narrowed else self.accounts
        return replace(sum_sides(self.sides, counted), services_included=not self.is_narrowed)


def read_totals(session: Session, columns: Columns, today: date | None = None, filters: Filters | None = None) -> Totals:
    """See `crm_adapter.totals`; with `filters` of what they show, without the costs that belong to no server."""
    return read_sums(session, columns, today, filters).totals()


async def sum_up(columns: Columns, today: date | None) -> Totals:
    """See `crm_adapter.totals`."""
    return await work_out(lambda session: read_sums(session, columns, today), Sums.totals)


def read_sums(session: Session, columns: Columns, today: date | None = None, filters: Filters | None = None) -> Sums:
    """What `filters` show; three statements."""
    today = today or columns.today()
    wanted = conditions_of(session, columns, filters, today) if filters is not None else []
    return Sums(read_sides(session, columns, today, *wanted), account_money(session), bool(wanted))


def read_sides(session: Session, columns: Columns, today: date, *conditions: Any, by: By | None = None) -> Sides:
    """The rows to sum up. The database counts those that are alike, money is worked out here."""
    amount = sa.func.abs(sa.func.coalesce(columns["cost_price"], 0))
    nothing = amount < float(LEAST_AMOUNT)
    # Of these it takes more than the columns to know what they cost: see `db/rows`.
    odd = sa.or_(amount >= SINGLE_IS_COARSE, sa.and_(is_unlinked(columns), _STATE.server_id.is_not(None), nothing))
    counted = (*conditions, live(columns))
    sourced = sa.and_(columns["cost_price"].is_not(None), sa.func.coalesce(_STATE.cost_source, "unknown") != "unknown")
    earned = {
        "payment_period": sa.case({name: name for name in MONTHS}, value=exactly(columns["payment_period"]), else_=""),
        "status": sa.case((exactly(columns["status"]) == "active", "active"), else_=""),
        "is_overdue": overdue(columns, today),
        "is_costed": sa.or_(sa.not_(nothing), sourced),
    }
    spent = {"cost_source": _STATE.cost_source, "is_earning": sa.not_(unpriced(columns))}
    keys = {} if by is None else {"key": _key(columns, by)}
    alike = (
        sa.select(
            *columns.select(*_PRICES, "cost_price"),
            *(column.label(name) for name, column in {**earned, **spent, **keys}.items()),
        )
        .select_from(joined(columns))
        .where(*columns.scope, *counted, sa.not_(odd))
        .cte("alike")
    )

    def side(*names: str) -> sa.Select[Any]:
        """Rows by these columns, with nothing in those of the other side."""
        shown = [
            column if column.name in names else sa.type_coerce(sa.null(), column.type).label(column.name) for column in alike.c
        ]
        return sa.select(*shown, sa.func.count().label("count")).group_by(*(alike.c[name] for name in names))

    prices = [name for name in _PRICES if name in columns]
    both = sa.union_all(side(*prices, *earned, *keys), side("cost_price", *spent, *keys))
    earnings, spendings = list[Earning](), list[Spending]()
    for record in session.execute(both, execution_options=in_turns(session)).mappings():
        key = _words(record["key"]) if keys else None
        if record["payment_period"] is None:
            cost = known_cost(record["cost_price"], record["cost_source"])
            spendings.append(Spending(cost, bool(record["is_earning"]), record["count"], key))
        else:
            row = row_of({**record, "id": 0, "timeweb_id": None, "cost_price": None})
            earnings.append(_earning(row, bool(record["is_overdue"]), bool(record["is_costed"]), record["count"], key))
    rest = sides_of(each_row(session, columns, *counted, odd), today, by)
    return Sides([*earnings, *rest.earnings], [*spendings, *rest.spendings])


def sides_of(rows: Iterable[StoredRow], today: date, by: By | None = None) -> Sides:
    """Rows that are neither closed nor removed, each on both sides; pure."""
    earnings, spendings = list[Earning](), list[Spending]()
    for row in rows:
        if is_live(row):
            key = None if by is None else _key_of(row, by)
            earnings.append(_earning(row, is_overdue(row, today), row.cost_price is not None, 1, key))
            spendings.append(Spending(row.cost_price, row.income_month is not None, 1, key))
    return Sides(earnings, spendings)


def _earning(row: StoredRow, late: bool, costed: bool, count: int, key: Key) -> Earning:
    return Earning(row.income_month, row.total_price, row.status == "active", late, costed, count, key)


def _key(columns: Columns, by: By) -> sa.ColumnElement[Any]:
    if by == "client":
        return sa.case((client_known(columns), exact_text(sa.func.coalesce(columns["client_name"], ""))), else_=None)
    return columns["project_id"] if "project_id" in columns else sa.null()


def _key_of(row: StoredRow, by: By) -> Key:
    """`_key` of a row that is here."""
    return row.project_id if by == "project" else row.client_name if has_client(row) else None


def _words(key: Any) -> Key:
    return as_words(key) if isinstance(key, bytes) else key


def account_money(session: Session) -> list[tuple[Decimal | None, Decimal | None, int | None]]:
    """Other costs, balance and hours left of each account; a balance in another currency is none to add up."""
    state = AccountState
    found = session.execute(select(state.other_costs, state.balance, state.hours_left, state.currency))
    return [(other, balance if currency in {None, "RUB"} else None, hours) for other, balance, hours, currency in found]


def sum_sides(sides: Sides, accounts: Iterable[tuple[Decimal | None, Decimal | None, int | None]]) -> Totals:
    """Totals of rows that the database has counted; pure."""
    accounts = list(accounts)
    earnings, income, cost = sides.earnings, sides.income, sides.cost
    late = [each for each in earnings if each.is_overdue]
    margins = [each for each in earnings if each.income is not None and each.is_costed]
    profit = sides.margin
    other = add_up(other for other, _, _ in accounts)
    hours = [hours_left for _, _, hours_left in accounts if hours_left is not None]
    return Totals(
        servers=_count(earnings),
        active_servers=_count(each for each in earnings if each.is_active),
        income_month=income,
        cost_month=cost,
        profit_month=profit,
        profit_percent=percent(profit, sides.costed_income),
        priced_count=_count(margins),
        unpriced_count=_count(each for each in earnings if each.income is None),
        unpriced_cost=_sum((each.cost, each.count) for each in sides.spendings if not each.is_earning),
        unknown_cost_count=_count(each for each in sides.spendings if each.cost is None),
        overdue_count=_count(late),
        overdue_sum=_sum((each.price, each.count) for each in late) or Decimal("0.00"),
        other_costs=other,
        balance=add_up(balance for _, balance, _ in accounts),
        hours_left=min(hours, default=None),
        result_month=result(income, cost, other),
        uncosted_income=_sum((each.income, each.count) for each in earnings if not each.is_costed),
    )


def _sum(amounts: Iterable[tuple[Decimal | None, int]]) -> Decimal | None:
    """The sum of what is known, so many times; None where nothing is."""
    return add_up(None if amount is None else amount * count for amount, count in amounts)


def _count(alike: Iterable[Earning | Spending]) -> int:
    return sum(each.count for each in alike)


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
        is_whole = report.get("unchanged_count") is not None
        progress = (report["total_processed"], report["total_processed"] if is_whole else 0)
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
