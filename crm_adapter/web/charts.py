"""«Динамика»: income, cost and margin at the end of each month, and where their bars stand."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from babel.dates import format_date

from crm_adapter.ledger.months import month_sums, read_service_months
from crm_adapter.servers.months import known_months, read_ledger
from crm_adapter.servers.totals import add_up, result
from crm_adapter.text.formats import money, number
from crm_adapter.text.page import SUMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date
    from decimal import Decimal
    from zoneinfo import ZoneInfo

    from sqlalchemy.orm import Session

    from crm_adapter.db.columns import Columns
    from crm_adapter.servers.months import MonthSum

_COLOURS: Final = {"income": "#2f7fe0", "cost": "#d08a1d", "services": "#8a63c9", "result": "#2f9d57"}
_WIDTH: Final = 860
_HEIGHT: Final = 380
_LEFT: Final = 90
_RIGHT: Final = 15
_TOP: Final = 15
_BOTTOM: Final = 65


@dataclass(frozen=True, slots=True)
class Month:
    """Sums at the end of a month (today for the current one), RUB per month; None where nothing is known."""

    caption: str
    income: Decimal | None
    cost: Decimal | None
    margin: Decimal | None
    """Of the servers with a price and a known cost."""
    services: Decimal | None = None
    """What services cost beside servers; None before the first run that kept them."""

    @property
    def result(self) -> Decimal | None:
        """What servers and services leave, as far as they are known."""
        return result(self.income, self.cost, self.services)


def margin_of_all_months(session: Session, columns: Columns, today: date, zone: ZoneInfo) -> Decimal | None:
    """What was earned in the months of which anything is known, RUB; None where nothing is known of any."""
    known = known_months(session, today)
    if not known:
        return None
    return add_up(month.margin for month in read_ledger(session, columns, today, zone, count=known).sums())


def months(session: Session, columns: Columns, today: date, zone: ZoneInfo) -> list[Month]:
    """The last twelve months, oldest first, without those in which there was nothing."""
    history = read_service_months(session, columns, today, zone)
    return captioned(read_ledger(session, columns, today, zone).sums(), month_sums(history.months()))


def captioned(sums: Iterable[MonthSum], services: Mapping[date, Decimal]) -> list[Month]:
    """Sums, newest first, as the chart has them."""
    return [
        Month(caption(each.start), each.income, each.cost, each.margin, services.get(each.start))
        for each in reversed(list(sums))
        if each.cost is not None or each.income is not None or each.start in services
    ]


def caption(month: date) -> str:
    """A month as people read it: «нояб. 26»."""
    return format_date(month, "LLL yy", locale="ru")


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
    series: dict[str, str] = field(default_factory=lambda: {SUMS[key]: colour for key, colour in _COLOURS.items()})
    """Name -> colour."""
    width: int = _WIDTH
    height: int = _HEIGHT
    left: int = _LEFT
    right: int = _WIDTH - _RIGHT


def lay_out(series: Sequence[Month]) -> Chart:
    """Place four bars for each month, between guides at round amounts."""
    groups = [
        [("income", month.income), ("cost", month.cost), ("services", month.services), ("result", month.result)]
        for month in series
    ]
    amounts = [float(amount) for group in groups for _, amount in group if amount is not None]
    step = _round_step(max(amounts, default=0) - min(amounts, default=0))
    lowest = math.floor(min(0, *amounts, 0) / step) * step
    highest = max(math.ceil(max(0, *amounts, 0) / step) * step, lowest + step)

    def y(amount: float) -> float:
        return round(_TOP + (highest - amount) / (highest - lowest) * (_HEIGHT - _TOP - _BOTTOM), 1)

    slot = (_WIDTH - _LEFT - _RIGHT) / max(len(series), 1)
    bar_width = slot * 0.195
    bars = [
        Bar(
            round(_LEFT + slot * position + slot * 0.11 + bar_width * place, 1),
            min(y(float(amount)), y(0)),
            round(abs(y(float(amount)) - y(0)), 1),
            _COLOURS[name],
            f"{month.caption}, {SUMS[name].lower()}: {money(amount)}",
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
