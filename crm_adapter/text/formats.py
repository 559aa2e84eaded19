"""What people read and type: Russian money, dates and plurals, through Babel."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

try:
    from babel import Locale
    from babel.dates import format_date, format_datetime, format_timedelta
    from babel.numbers import format_currency, format_decimal, format_percent
except ImportError as error:  # pragma: no cover - exercised in a bare environment
    raise ImportError("crm_adapter needs the extra [crm]: pip install 'timeweb-sdk[crm]'") from error

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

UNKNOWN = "—"
"""Stands wherever a number is not known, so that nobody takes it for zero."""

_ACTING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_LOCALE = Locale.parse("ru")

_NOUNS = {
    "server": ("сервер", "сервера", "серверов"),
    "server_dative": ("серверу", "серверам", "серверам"),
    "server_genitive": ("сервера", "серверов", "серверов"),
    "service": ("услуга", "услуги", "услуг"),
    "row": ("строка", "строки", "строк"),
    "notification": ("уведомление", "уведомления", "уведомлений"),
    "error": ("ошибка", "ошибки", "ошибок"),
    "day": ("день", "дня", "дней"),
    "second": ("секунду", "секунды", "секунд"),
    "hour": ("час", "часа", "часов"),
    "change": ("изменение", "изменения", "изменений"),
    "event": ("событие", "события", "событий"),
}
"""Russian nouns after a number: one, few, many."""


def plural(amount: int, noun: str) -> str:
    """Return the form of `noun` that follows `amount`: `plural(23, "server")` is «сервера»."""
    one, few, many = _NOUNS[noun]
    return {"one": one, "few": few}.get(_LOCALE.plural_form(abs(amount)), many)


def count(amount: int, noun: str) -> str:
    """Return the number with its noun: «1 200 серверов»."""
    return f"{number(amount)} {plural(amount, noun)}"


def number(value: int) -> str:
    """Return a number with its thousands apart: «1 200»."""
    return _signed(format_decimal(value, locale=_LOCALE))


def money(amount: Decimal | float | str | None, currency: str = "RUB") -> str:
    """Return an amount with its currency sign, «—» when it is not known."""
    if amount is None:
        return UNKNOWN
    return _signed(format_currency(Decimal(str(amount)), currency, locale=_LOCALE))


def percent(share: Decimal | None) -> str:
    """Return a share of one hundred with one decimal place: `Decimal("47.31")` is «47,3 %»."""
    if share is None:
        return UNKNOWN
    return _signed(format_percent(share / 100, format="#,##0.0\u00a0%", locale=_LOCALE))


def day(value: date | datetime | None) -> str:
    """Return a calendar date as 23.11.2026; the date itself, never shifted between zones."""
    return UNKNOWN if value is None else format_date(value, "dd.MM.yyyy", locale=_LOCALE)


def month(value: date) -> str:
    """Return a month as «декабрь 2026»."""
    return format_date(value, "LLLL yyyy", locale=_LOCALE)


def instant(value: datetime | None, zone: ZoneInfo, pattern: str = "dd.MM.yyyy HH:mm") -> str:
    """Return a UTC instant (naive or aware) as people in `zone` read it."""
    return UNKNOWN if value is None else format_datetime(_aware(value), pattern, tzinfo=zone, locale=_LOCALE)


def ago(value: datetime | None, now: datetime) -> str:
    """Return how long before `now` a UTC instant was: «5 минут назад»."""
    if value is None:
        return "ещё ни разу"
    elapsed = max(_aware(now) - _aware(value), timedelta())
    if elapsed < timedelta(minutes=1):
        return "только что"
    return format_timedelta(-elapsed, add_direction=True, threshold=1.2, locale=_LOCALE)


def visible(text: str) -> str:
    """Names are data: what would act on the page or the terminal (control characters, direction overrides) shows as a box."""
    return text if text.isprintable() else _ACTING.sub("\ufffd", text)


def _signed(text: str) -> str:
    """A minus is as wide as a digit, and no line ends behind it as behind a hyphen."""
    return text.replace("-", "\u2212")


def _aware(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value
