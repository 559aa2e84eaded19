"""«Динамика»: income, cost and margin at the end of each month, worked out backwards from today by the change log."""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from babel.dates import format_date

from crm_adapter.db.tables import ChangeLog
from crm_adapter.money import add_months, margin, money_or_none, monthly_income
from crm_adapter.servers.totals import cost_of, server_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from zoneinfo import ZoneInfo

    from sqlalchemy.orm import Session

    from crm_adapter.db.columns import Columns

_MONTHS = 12
_FIELDS = ("cost_price", "client_price", "service_fee", "payment_period", "status", "removed", "restored", "created")


@dataclass(frozen=True, slots=True)
class Month:
    """Sums at the end of a month (today for the current one), RUB per month; None where nothing is known."""

    caption: str
    income: Decimal | None
    cost: Decimal | None
    margin: Decimal | None


def months(session: Session, columns: Columns, today: date, zone: ZoneInfo) -> list[Month]:
    """The last twelve months, oldest first, without those in which there was no server."""
    rows: dict[int, dict[str, Any]] = {
        row["id"]: {**row, "cost_price": cost_of(row), "created_at": _instant(row.get("created_at"))}
        for row in server_rows(session, columns)
    }
    first = date(today.year, today.month, 1)
    starts = [add_months(first, -back) for back in range(_MONTHS)]
    log = _changes(session, datetime.combine(starts[-1], time(), zone))
    found: list[Month] = []
    for start in starts:
        # Every change after this month's end has been undone by now.
        if rows:
            found.append(_sum(start, rows))
        _undo_until(rows, log, datetime.combine(start, time(), zone).astimezone(UTC).replace(tzinfo=None))
    return [month for month in reversed(found) if month.cost is not None or month.income is not None]


def _changes(session: Session, since: datetime) -> list[ChangeLog]:
    """Oldest first, so that the newest is popped from the end."""
    instant = since.astimezone(UTC).replace(tzinfo=None)
    query = sa.select(ChangeLog).where(ChangeLog.at >= instant, ChangeLog.field.in_(_FIELDS)).order_by(ChangeLog.id)
    return list(session.scalars(query))


def _undo_until(rows: dict[int, dict[str, Any]], log: list[ChangeLog], instant: datetime) -> None:
    """Take back what happened at or after `instant`, the start of the month that was just summed up."""
    while log and log[-1].at >= instant:
        change = log.pop()
        row = rows.get(change.server_id)
        if row is None:
            continue
        match change.field:
            case "created":
                del rows[change.server_id]
            case "removed":
                row["state_removed_at"] = None
            case "restored":
                row["state_removed_at"] = change.at
            case field:
                row[field] = change.old
    for key in [key for key, row in rows.items() if row["created_at"] is not None and row["created_at"] >= instant]:
        del rows[key]


def _instant(moment: datetime | None) -> datetime | None:
    """A host's moment as the log has its own: naive UTC."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment is not None and moment.tzinfo else moment


def _sum(start: date, rows: Mapping[int, Mapping[str, Any]]) -> Month:
    live = [row for row in rows.values() if row["status"] != "closed" and row["state_removed_at"] is None]
    incomes = [
        monthly_income(as_amount(row["client_price"]), as_amount(row.get("service_fee")), row["payment_period"]) for row in live
    ]
    costs = [as_amount(row["cost_price"]) for row in live]
    margins = [margin(income, cost) for income, cost in zip(incomes, costs, strict=True)]
    caption = format_date(start, "LLL yy", locale="ru")
    return Month(caption, _total(incomes), _total(costs), _total(margins))


def _total(values: Sequence[Decimal | None]) -> Decimal | None:
    known = [value for value in values if value is not None]
    return sum(known, Decimal(0)) if known else None


def as_amount(value: object) -> Decimal | None:
    """A column's or the log's amount; the log keeps JSON."""
    try:
        return money_or_none(value.strip('"') if isinstance(value, str) else value)
    except InvalidOperation:
        return None


def draw(series: Sequence[Month]) -> bytes:
    """The chart as SVG, without scripts and without anything from outside."""
    pygal, Style = _pygal()
    style = Style(
        background="transparent",
        plot_background="transparent",
        foreground="#6b7686",
        foreground_strong="#6b7686",
        foreground_subtle="#6b7686",
        guide_stroke_color="#8a94a3",
        major_guide_stroke_color="#8a94a3",
        guide_stroke_dasharray="1,5",
        major_guide_stroke_dasharray="1,5",
        opacity=".85",
        opacity_hover="1",
        colors=("#2f7fe0", "#d08a1d", "#2f9d57"),
        font_family="system-ui, sans-serif",
        label_font_size=12,
        major_label_font_size=12,
        legend_font_size=13,
    )
    chart: Any = pygal.Bar(
        style=style,
        width=860,
        height=380,
        js=(),
        show_legend=True,
        legend_at_bottom=True,
        legend_at_bottom_columns=3,
        value_formatter=_roubles,
        no_data_text="Данных пока нет",
        pretty_print=False,
        disable_xml_declaration=False,
        show_minor_y_labels=True,
        margin=10,
    )
    chart.add_xml_filter(_without_scripts)
    chart.x_labels = [month.caption for month in series]
    by_name: dict[str, list[Decimal | None]] = defaultdict(list)
    for month in series:
        for name, value in (("Доход", month.income), ("Себестоимость", month.cost), ("Маржа", month.margin)):
            by_name[name].append(value)
    for name, values in by_name.items():
        chart.add(name, [None if value is None else float(value) for value in values])
    drawn: bytes = chart.render()
    return drawn


def _roubles(amount: float) -> str:
    return f"{amount:,.0f} ₽".replace(",", "\u00a0")


def _pygal() -> tuple[Any, Any]:
    """Pygal without the import hook for its map plugins, which makes every later import of the host warn."""
    import pygal
    from pygal.style import Style

    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != "pygal"]
    return pygal, Style


def _without_scripts(root: Any) -> Any:
    """Pygal adds a script with its settings even when there are no scripts to set up."""
    for parent in list(root.iter()):
        for child in [child for child in parent if str(child.tag).endswith("script")]:
            parent.remove(child)
    return root
