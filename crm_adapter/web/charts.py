"""«Динамика»: income, cost and margin at the end of each month, and where their bars stand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from babel.dates import format_date

from crm_adapter.ledger.months import read_service_sums
from crm_adapter.servers.months import known_months, read_ledger
from crm_adapter.servers.totals import result
from crm_adapter.text.formats import money, number
from crm_adapter.text.page import SUMS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from decimal import Decimal
    from zoneinfo import ZoneInfo

    from sqlalchemy.orm import Session

    from crm_adapter.db.columns import Columns
    from crm_adapter.ledger.months import Sums
    from crm_adapter.servers.months import Ledger
    from crm_adapter.web.context import Hosting

_COLOURS: Final = {"income": "#2f7fe0", "cost": "#d08a1d", "services": "#8a63c9", "result": "#2f9d57"}
WIDE: Final = 860
NARROW: Final = 350
"""As wide as a dialog on a phone, so that letters are drawn there as large as they are."""
_PLOT: Final = 300
_LEFT: Final = 90
_RIGHT: Final = 15
_TOP: Final = 15
_CAPTIONS: Final = 40
_LINE: Final = 25
_CAPTION: Final = 56
"""What the name of a month takes along the axis."""
_NAME: Final = 120
"""What the name of a colour takes."""


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


def read_all_months(session: Session, columns: Columns, today: date, zone: ZoneInfo) -> Ledger | None:
    """The months of which anything is known; None where nothing is known of any."""
    known = known_months(session, today)
    return read_ledger(session, columns, today, zone, count=known) if known else None


def months(session: Session, columns: Columns, today: date, zone: ZoneInfo) -> list[Month]:
    """The last twelve months, oldest first, without those in which there was nothing."""
    return _captioned(*_read(session, columns, today, zone))


async def read_months(hosting: Hosting) -> list[Month]:
    """The same of an installation; a long history is summed up beside the loop."""
    columns, today, zone = hosting.crm.columns, hosting.today(), hosting.zone_info
    return await hosting.crm.work_out(lambda session: _read(session, columns, today, zone), lambda found: _captioned(*found))


def _read(session: Session, columns: Columns, today: date, zone: ZoneInfo) -> tuple[Ledger, Sums]:
    return read_ledger(session, columns, today, zone), read_service_sums(session, columns, today, zone)


def _captioned(ledger: Ledger, sums: Sums) -> list[Month]:
    services = sums.by_month()
    return [
        Month(caption(each.start), each.income, each.cost, each.margin, services.get(each.start))
        for each in reversed(list(ledger.sums()))
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
class Key:
    """What a colour means, and where that is said."""

    x: int
    y: int
    name: str
    colour: str


@dataclass(frozen=True, slots=True)
class Chart:
    """What `dynamics.svg` draws: pixels, so that the template does no sums."""

    bars: list[Bar]
    bar_width: float
    guides: list[Label]
    captions: list[Label]
    zero: float
    legend: list[Key]
    width: int
    height: int
    left: int = _LEFT
    caption_at: int = _TOP + _PLOT + 23

    @property
    def right(self) -> int:
        """Where the guides end."""
        return self.width - _RIGHT


def lay_out(series: Sequence[Month], width: int = WIDE) -> Chart:
    """Place four bars for each month, between guides at round amounts."""
    groups = [
        [("income", month.income), ("cost", month.cost), ("services", month.services), ("result", month.result)]
        for month in series
    ]
    # Bars begin at 0, so it is always in sight.
    amounts = [0.0, *(float(amount) for group in groups for _, amount in group if amount is not None)]
    step = _round_step(max(amounts) - min(amounts))
    lowest = math.floor(min(amounts) / step) * step
    highest = max(math.ceil(max(amounts) / step) * step, lowest + step)

    def y(amount: float) -> float:
        return round(_TOP + (highest - amount) / (highest - lowest) * _PLOT, 1)

    plot = width - _LEFT - _RIGHT
    slot = plot / max(len(series), 1)
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
    # Where not every month has room for its name the newest has, and every so many before it.
    captions = [
        Label(round(_LEFT + slot * (position + 0.5), 1), month.caption)
        for position, month in enumerate(series)
        if (len(series) - 1 - position) % math.ceil(_CAPTION / slot) == 0
    ]
    legend, height = _legend(plot)
    return Chart(bars, round(bar_width, 1), guides, captions, y(0), legend, width, height)


def _legend(plot: int) -> tuple[list[Key], int]:
    """The names of the colours below the chart in as many lines as they need, and how high all of it is."""
    across = min(len(_COLOURS), plot // _NAME)
    top = _TOP + _PLOT + _CAPTIONS
    keys = [
        Key(_LEFT + place % across * (plot // across), top + place // across * _LINE, SUMS[name], colour)
        for place, (name, colour) in enumerate(_COLOURS.items())
    ]
    return keys, keys[-1].y + _LINE


def _round_step(span: float) -> float:
    """1, 2 or 5 times a power of ten, so that four to ten guides cover the span."""
    rough = max(span, 4.0) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
