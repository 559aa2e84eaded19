"""«Динамика»: income, cost and margin at the end of each month, worked out backwards from today by the change log."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from babel.dates import format_date

from crm_adapter.db.rows import State, StoredRow, read_rows
from crm_adapter.db.tables import ChangeLog
from crm_adapter.money import add_months, money_or_none
from crm_adapter.servers.conditions import is_live
from crm_adapter.servers.totals import add_up, result
from crm_adapter.text.formats import money, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from zoneinfo import ZoneInfo

    from sqlalchemy.orm import Session

    from crm_adapter.db.columns import Columns

_MONTHS = 12
_SERIES: Final = {"Доход": "#2f7fe0", "Себестоимость": "#d08a1d", "Результат": "#2f9d57"}
_WIDTH: Final = 860
_HEIGHT: Final = 380
_LEFT: Final = 90
_RIGHT: Final = 15
_TOP: Final = 15
_BOTTOM: Final = 65
_FIELDS = ("cost_price", "client_price", "service_fee", "payment_period", "status", "removed", "restored", "created")


@dataclass(frozen=True, slots=True)
class Month:
    """Sums at the end of a month (today for the current one), RUB per month; None where nothing is known."""

    caption: str
    income: Decimal | None
    cost: Decimal | None
    margin: Decimal | None
    """Of the servers with a price and a known cost."""

    @property
    def result(self) -> Decimal | None:
        """What the servers leave; the log does not keep what else an account cost."""
        return result(self.income, self.cost)


def margin_of_all_months(session: Session, columns: Columns, today: date, zone: ZoneInfo) -> Decimal | None:
    """What was earned in the months that the change log knows, RUB; None where nothing is known of any."""
    begin = session.scalar(sa.select(sa.func.min(ChangeLog.at)))
    if begin is None:
        return None
    known = (today.year - begin.year) * 12 + today.month - begin.month + 1
    return add_up(month.margin for month in months(session, columns, today, zone, count=known))


def months(session: Session, columns: Columns, today: date, zone: ZoneInfo, *, count: int = _MONTHS) -> list[Month]:
    """The last twelve months, oldest first, without those in which there was no server."""
    rows = {row.id: row for row in read_rows(session, columns, names=_FIELDS)}
    first = date(today.year, today.month, 1)
    starts = [add_months(first, -back) for back in range(count)]
    log = _changes(session, datetime.combine(starts[-1], time(), zone))
    found: list[Month] = []
    for start in starts:
        # Every change after this month's end has been undone by now.
        if rows:
            found.append(_sum(start, rows.values()))
        _undo_until(rows, log, datetime.combine(start, time(), zone).astimezone(UTC).replace(tzinfo=None))
    return [month for month in reversed(found) if month.cost is not None or month.income is not None]


def _changes(session: Session, since: datetime) -> list[ChangeLog]:
    """Oldest first, so that the newest is popped from the end."""
    instant = since.astimezone(UTC).replace(tzinfo=None)
    query = sa.select(ChangeLog).where(ChangeLog.at >= instant, ChangeLog.field.in_(_FIELDS)).order_by(ChangeLog.id)
    return list(session.scalars(query))


def _undo_until(rows: dict[int, StoredRow], log: list[ChangeLog], instant: datetime) -> None:
    """Take back what happened at or after `instant`, the start of the month that was just summed up."""
    while log and log[-1].at >= instant:
        change = log.pop()
        row = rows.get(change.server_id)
        if row is None:
            continue
        if change.field == "created":
            del rows[change.server_id]
        else:
            rows[change.server_id] = _before(row, change)
    born = ((key, _instant(row.created_at)) for key, row in rows.items())
    for key in [key for key, moment in born if moment is not None and moment >= instant]:
        del rows[key]


def _before(row: StoredRow, change: ChangeLog) -> StoredRow:
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


def _sum(start: date, rows: Iterable[StoredRow]) -> Month:
    live = [row for row in rows if is_live(row)]
    caption = format_date(start, "LLL yy", locale="ru")
    return Month(
        caption,
        income=add_up(row.income_month for row in live),
        cost=add_up(row.cost_price for row in live),
        margin=add_up(row.profit_amount for row in live),
    )


def as_amount(value: object) -> Decimal | None:
    """A column's or the log's amount; the log keeps JSON."""
    try:
        return money_or_none(value.strip('"') if isinstance(value, str) else value)
    except InvalidOperation:
        return None


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of the chart in pixels, with what it says when it is pointed at."""

    x: float
    y: float
    height: float
    colour: str
    text: str


@dataclass(frozen=True, slots=True)
class Label:
    """A word or an amount along an axis; at `x` or at `y`."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """What `dynamics.svg` draws: pixels, so that the template does no sums."""

    bars: list[Bar]
    bar_width: float
    guides: list[Label]
    captions: list[Label]
    zero: float
    series: dict[str, str] = field(default_factory=lambda: dict(_SERIES))
    """Name -> colour."""
    width: int = _WIDTH
    height: int = _HEIGHT
    left: int = _LEFT
    right: int = _WIDTH - _RIGHT


def lay_out(series: Sequence[Month]) -> Chart:
    """Place three bars for each month, between guides at round amounts."""
    groups = [[("Доход", month.income), ("Себестоимость", month.cost), ("Результат", month.result)] for month in series]
    amounts = [float(amount) for group in groups for _, amount in group if amount is not None]
    step = _round_step(max(amounts, default=0) - min(amounts, default=0))
    lowest = math.floor(min(0, *amounts, 0) / step) * step
    highest = max(math.ceil(max(0, *amounts, 0) / step) * step, lowest + step)

    def y(amount: float) -> float:
        return round(_TOP + (highest - amount) / (highest - lowest) * (_HEIGHT - _TOP - _BOTTOM), 1)

    slot = (_WIDTH - _LEFT - _RIGHT) / max(len(series), 1)
    bar_width = slot * 0.26
    bars = [
        Bar(
            round(_LEFT + slot * position + slot * 0.11 + bar_width * place, 1),
            min(y(float(amount)), y(0)),
            round(abs(y(float(amount)) - y(0)), 1),
            _SERIES[name],
            f"{month.caption}, {name.lower()}: {money(amount)}",
        )
        for position, (month, group) in enumerate(zip(series, groups, strict=True))
        for place, (name, amount) in enumerate(group)
        if amount is not None
    ]
    count = round((highest - lowest) / step)
    guides = [Label(y(lowest + step * place), f"{number(round(lowest + step * place))} ₽") for place in range(count + 1)]
    captions = [Label(round(_LEFT + slot * (position + 0.5), 1), month.caption) for position, month in enumerate(series)]
    return Chart(bars, round(bar_width, 1), guides, captions, y(0))


def _round_step(span: float) -> float:
    """1, 2 or 5 times a power of ten, so that four to ten guides cover the span."""
    rough = max(span, 4.0) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
