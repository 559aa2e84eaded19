"""Income, cost and margin at the ends of months, worked out backwards from today by the change log.

A month that is over does not change any more: `store_month_ends` writes its sums down, and the log is read for the months
after it alone. Of the log only the first change of a field of a row in a month says what was there before the month.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final, cast

import sqlalchemy as sa

from crm_adapter.db.dialects import begin_write, in_turns, insert_ignore
from crm_adapter.db.rows import State, StoredRow, read_rows
from crm_adapter.db.tables import ChangeLog, MonthEnd
from crm_adapter.money import add_months, money_or_none
from crm_adapter.servers.conditions import is_live
from crm_adapter.servers.totals import Sides, add_up, read_sides

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from sqlalchemy.orm import Session

    from crm_adapter.db.columns import Columns

YEAR: Final = 12
_LONGEST: Final = 240
"""Months; a clock that was wrong must not make a history of centuries."""
FIELDS: Final = ("cost_price", "client_price", "service_fee", "payment_period", "status", "removed", "restored", "created")
"""The changes that move the sums."""
_STATE: Final = ("cost_source", "removed_at")


@dataclass(frozen=True, slots=True)
class MonthSum:
    """Sums at the end of the month that begins at `start` (today for the current one), RUB per month; None: unknown."""

    start: date
    income: Decimal | None = None
    cost: Decimal | None = None
    margin: Decimal | None = None


@dataclass(frozen=True, slots=True)
class FirstChange:
    """The first change of a field of a row (or of a service) in a month: what was there before the month."""

    subject: int
    field: str
    old: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the sums are worked out from."""

    starts: Sequence[date]
    """The first days of the months, newest first."""
    stored: Mapping[date, MonthSum]
    now: Sides | None
    """The rows of this month, where no other is to be worked out."""
    rows: Sequence[StoredRow]
    """The rows as they are, where some month before this one is."""
    undo: Mapping[int, Sequence[FirstChange]]
    """Place of a month in `starts` -> its changes, oldest first."""
    zone: ZoneInfo

    @property
    def margin(self) -> Decimal | None:
        """What was earned in all of the months, RUB."""
        return add_up(month.margin for month in self.sums())

    def sums(self) -> list[MonthSum]:
        """The months, newest first; pure, and long where nothing is stored."""
        rows = {row.id: row for row in self.rows}
        found: list[MonthSum] = []
        wanting = len(self.starts) - sum(start in self.stored for start in self.starts)
        for place, start in enumerate(self.starts):
            if start in self.stored:
                found.append(self.stored[start])
            else:
                found.append(_sum(start, rows.values()) if self.now is None else _sum_now(start, self.now))
                wanting -= 1
            if wanting:
                _undo(rows, self.undo.get(place, ()), midnight(start, self.zone))
        return found


def read_ledger(session: Session, columns: Columns, today: date, zone: ZoneInfo, *, count: int = YEAR) -> Ledger:
    """Read the rows, the months that are stored, and what the log knows of the others; three statements."""
    first = date(today.year, today.month, 1)
    starts = [add_months(first, -back) for back in range(count)]
    ends = session.execute(
        sa.select(MonthEnd.month, MonthEnd.income, MonthEnd.cost, MonthEnd.margin).where(
            MonthEnd.month >= starts[-1], MonthEnd.month < first
        )
    )
    stored = {month: MonthSum(month, income, cost, margin) for month, income, cost, margin in ends}
    oldest = max(place for place, start in enumerate(starts) if start not in stored)
    if oldest == 0:
        return Ledger(starts, stored, read_sides(session, columns, today), [], {}, zone)
    # The state that the oldest wanted month ended with is there once everything after it is undone.
    undo = first_changes(session, [midnight(start, zone) for start in starts[:oldest]])
    rows = read_rows(session, columns, names=FIELDS, state_names=_STATE)
    return Ledger(starts, stored, None, rows, undo, zone)


def known_months(session: Session, today: date) -> int:
    """How many months back anything is known, this one included; 0 where nothing is."""
    begins = [
        session.scalar(sa.select(sa.func.min(MonthEnd.month))),
        session.scalar(sa.select(sa.func.min(ChangeLog.at))),
    ]
    known = [(today.year - begin.year) * 12 + today.month - begin.month + 1 for begin in begins if begin is not None]
    return min(max(known, default=0), _LONGEST)


def store_month_ends(session: Session, columns: Columns, today: date, zone: ZoneInfo) -> int:
    """Write down the months that are over and not stored yet; returns how many."""
    last = add_months(date(today.year, today.month, 1), -1)
    if session.get(MonthEnd, last) is not None:
        return 0
    begin_write(session)
    ledger = read_ledger(session, columns, today, zone, count=max(YEAR, known_months(session, today)))
    missing = [start for start in ledger.starts[1:] if start not in ledger.stored]
    if missing:
        sums = {month.start: month for month in ledger.sums()}
        records = [
            {"month": start, "income": sums[start].income, "cost": sums[start].cost, "margin": sums[start].margin}
            for start in missing
        ]
        session.execute(insert_ignore(session, cast(sa.Table, MonthEnd.__table__)), records)
    return len(missing)


def as_amount(value: object) -> Decimal | None:
    """A column's or the log's amount; the log keeps JSON."""
    try:
        return money_or_none(value.strip('"') if isinstance(value, str) else value)
    except InvalidOperation:
        return None


def first_changes(
    session: Session, starts: Sequence[datetime], fields: Sequence[str] = FIELDS, subject: Any = ChangeLog.server_id
) -> dict[int, list[FirstChange]]:
    """Place of a month in `starts` (newest first) -> the first change of each field of each subject in it, oldest first."""
    if not starts:
        return {}
    place: Any = sa.case(*((ChangeLog.at >= start, position) for position, start in enumerate(starts)))
    told = (
        sa.select(ChangeLog.id, subject.label("subject"), ChangeLog.field, place.label("place"))
        .where(ChangeLog.at >= starts[-1], ChangeLog.field.in_(fields), subject.is_not(None))
        .subquery()
    )
    firsts = (
        sa.select(sa.func.min(told.c.id).label("id"), told.c.place)
        .group_by(told.c.subject, told.c.field, told.c.place)
        .subquery()
    )
    query = (
        sa.select(firsts.c.place, subject, ChangeLog.field, ChangeLog.old, ChangeLog.at)
        .join(firsts, ChangeLog.id == firsts.c.id)
        .order_by(ChangeLog.id)
    )
    found: dict[int, list[FirstChange]] = {}
    for position, number, field, old, at in session.execute(query, execution_options=in_turns(session)):
        found.setdefault(position, []).append(FirstChange(number, field, old, at))
    return found


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """When a day begins, as the log has its instants: naive UTC."""
    return datetime.combine(day, time(), zone).astimezone(UTC).replace(tzinfo=None)


def _undo(rows: dict[int, StoredRow], changes: Sequence[FirstChange], instant: datetime) -> None:
    """Take back what happened in a month that began at `instant`."""
    for change in reversed(changes):
        row = rows.get(change.subject)
        if row is None:
            continue
        if change.field == "created":
            del rows[change.subject]
        else:
            rows[change.subject] = _before(row, change)
    born = ((key, _instant(row.created_at)) for key, row in rows.items())
    for key in [key for key, moment in born if moment is not None and moment >= instant]:
        del rows[key]


def _before(row: StoredRow, change: FirstChange) -> StoredRow:
    """The row without one of its changes."""
    state = row.state or State(timeweb_id=row.timeweb_id)
    match change.field:
        case "removed":
            return replace(row, state=replace(state, removed_at=None))
        case "restored":
            return replace(row, state=replace(state, removed_at=change.at))
        case "status":
            return replace(row, status=change.old or "")
        case "payment_period":
            return replace(row, payment_period=change.old or "")
        case "cost_price":
            return replace(row, cost_price=as_amount(change.old))
        case "client_price":
            return replace(row, client_price=as_amount(change.old) or None)
        case _:
            return replace(row, service_fee=as_amount(change.old))


def _instant(moment: datetime | None) -> datetime | None:
    """A host's moment as the log has its own: naive UTC."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment is not None and moment.tzinfo else moment


def _sum(start: date, rows: Iterable[StoredRow]) -> MonthSum:
    live = [row for row in rows if is_live(row)]
    return MonthSum(
        start,
        income=add_up(row.income_month for row in live),
        cost=add_up(row.cost_price for row in live),
        margin=add_up(row.profit_amount for row in live),
    )


def _sum_now(start: date, sides: Sides) -> MonthSum:
    return MonthSum(start, sides.income, sides.cost, sides.margin)
