"""Money, periods and calendar dates. RUB, `Decimal`, half up to 0.01; unknown is None and never 0."""

from __future__ import annotations

import calendar
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Final
from zoneinfo import ZoneInfo

from crm_adapter.payload import as_decimal

MONTHS: Final = {"monthly": 1, "quarterly": 3, "yearly": 12}
"""Months of a payment period."""
_CENT: Final = Decimal("0.01")
LEAST_AMOUNT: Final = Decimal("0.005")
"""Half a kopeck: less is nothing when it is rounded."""
TOO_MUCH: Final = Decimal(10) ** 10
"""From here on a number is no amount."""


def to_money(value: Decimal | float | int | str) -> Decimal:
    """Quantise to 0.01 RUB, half up; a float goes through its shortest text so that 0.285 means 0.285."""
    return Decimal(str(value)).quantize(_CENT, ROUND_HALF_UP)


def exact_or_none(value: object) -> Decimal | None:
    """An amount as it came, or None for what is no finite number below 10 billion; to be rounded once, at the end."""
    number = as_decimal(value)
    return number if number is not None and abs(number) < TOO_MUCH else None


def money_or_none(value: object) -> Decimal | None:
    """A quantised amount, or None for what is no finite number below 10 billion."""
    number = exact_or_none(value)
    return None if number is None else to_money(number)


def known_cost(amount: object, source: str | None) -> Decimal | None:
    """A row's cost in RUB per month, None where nobody knows it.

    The host's column is NOT NULL, so an unknown cost is stored as 0 there; `source` (`cost_source`, None where there
    is no state of ours) tells it from a 0 that is a price. Any other amount is one: somebody typed it past us.
    """
    cost = money_or_none(amount)
    return cost if cost or source not in {None, "unknown"} else None


def monthly_income(client_price: object, service_fee: object, period: str | None) -> Decimal | None:
    """What the client pays per month; None when no price is set (0, or less than half a kopeck) or the period is unknown."""
    price, months = money_or_none(client_price), MONTHS.get(period or "")
    if price is None or price <= 0 or months is None:
        return None
    return to_money((price + (money_or_none(service_fee) or 0)) / months)


def is_jump(old: Decimal, new: Decimal) -> bool:
    """Whether a cost per month has changed so much that people are told: by 10 % or by 100 RUB."""
    difference = abs(new - old)
    return difference > 0 and (difference >= 100 or difference * 10 >= old)


def margin(income: Decimal | None, cost: Decimal | None) -> Decimal | None:
    """Income minus cost per month; None when either is unknown."""
    return None if income is None or cost is None else to_money(income - cost)


def percent(part: Decimal | None, whole: Decimal | None) -> Decimal | None:
    """Part of whole in percent with one decimal."""
    if part is None or not whole:
        return None
    return (part / whole * 100).quantize(Decimal("0.1"), ROUND_HALF_UP)


def local_today(zone: str = "Europe/Moscow", now: datetime | None = None) -> date:
    """The calendar date in `zone`; `now` is an aware instant."""
    return (now or datetime.now(ZoneInfo("UTC"))).astimezone(ZoneInfo(zone)).date()


def as_midnight(day: date) -> datetime:
    """A calendar date as the host stores it: naive midnight."""
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001 - calendar dates have no zone


def add_months(day: date, months: int, anchor_day: int | None = None) -> date:
    """Move by months; the day is `anchor_day` where the month has it, else the month's last (31.01 -> 28.02 -> 31.03)."""
    index = day.year * 12 + day.month - 1 + months
    year, month = index // 12, index % 12 + 1
    return date(year, month, min(anchor_day or day.day, calendar.monthrange(year, month)[1]))


def next_payment(day: date, period: str | None, anchor_day: int | None = None) -> date:
    """The payment date after `day`; an unknown period counts as monthly."""
    return add_months(day, MONTHS.get(period or "", 1), anchor_day)
