"""What people type, checked and turned into column values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from crm_adapter.db.columns import CALENDAR
from crm_adapter.errors import UnknownColumn
from crm_adapter.money import MONTHS, as_midnight, money_or_none
from crm_adapter.payload import as_int
from crm_adapter.text import refusals
from crm_adapter.text.labels import UNKNOWN_CLIENT

if TYPE_CHECKING:
    from crm_adapter.db.columns import Columns

STATUSES: Final = ("active", "overdue", "suspended", "closed")


_FAR: Final = timedelta(days=3653)
"""What is further away than ten years is a slip of the finger: a year of two digits, a wrong century."""


class Invalid(ValueError):
    """A value that a column cannot take; the text is for the person who typed it."""


def parse_money(value: object) -> Decimal | None:
    """`1 234,50`, `1234.5`, a number; None and blank are None."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, str):
        value = value.replace("\u00a0", "").replace("\u202f", "").replace(" ", "").replace("₽", "").replace(",", ".")
    amount = money_or_none(value)
    if amount is None:
        raise Invalid(refusals.AMOUNT)
    return amount


def parse_day(value: object) -> date:
    """A date, a datetime, or text as 31.12.2026 or 2026-12-31."""
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    for form in ("%Y-%m-%d", "%d.%m.%Y"):
        try:
            return datetime.strptime(str(value).strip()[:10], form).date()  # noqa: DTZ007 - a calendar date has no zone
        except ValueError:
            continue
    raise Invalid(refusals.DAY)


def _amount(value: object) -> Decimal:
    amount = parse_money(value)
    if amount is not None and amount < 0:
        raise Invalid(refusals.NEGATIVE)
    return amount if amount is not None else Decimal(0)


def _any_amount(value: object) -> Decimal:
    return parse_money(value) or Decimal(0)


def _clean(value: object) -> str:
    """Text without NUL; a lone surrogate is refused, because no database takes it."""
    text = "" if value is None else str(value).replace("\x00", "").strip()
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise Invalid(refusals.CHARACTERS)
    return text


def _moment(value: object) -> datetime | None:
    """A UTC instant: a datetime, or text as ISO 8601 (`2026-12-31T10:00:00+03:00`); blank is None."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        raise Invalid(refusals.MOMENT) from None


def _text(limit: int, *, required: bool = False, empty: str | None = None) -> Callable[[object], str | None]:
    def check(value: object) -> str | None:
        text = _clean(value)
        if len(text) > limit:
            raise Invalid(refusals.longer_than(limit))
        if not text and required and empty is None:
            raise Invalid(refusals.EMPTY)
        return text or empty

    return check


def _number(value: object) -> int | None:
    if value is None or value == "":
        return None
    number = as_int(value)
    if number is None:
        raise Invalid(refusals.NO_NUMBER)
    return number


def _choice(*allowed: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        if value not in allowed:
            raise Invalid(refusals.none_of(allowed))
        return str(value)

    return check


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).strip().lower() in {"1", "true", "on", "yes"}:
        return True
    if str(value).strip().lower() in {"0", "false", "off", "no", ""}:
        return False
    raise Invalid(refusals.NO_FLAG)


def _midnight(value: object) -> datetime:
    return as_midnight(parse_day(value))


EDITABLE: Final[Mapping[str, Callable[[object], Any]]] = {
    "project_id": _number,
    "client_id": _number,
    "client_name": _text(255, required=True, empty=UNKNOWN_CLIENT),
    "client_company": _text(255),
    "client_telegram_id": _number,
    "server_name": _text(255, required=True),
    "configuration": _text(10_000),
    "ip_address": _text(50),
    "cost_price": _amount,
    "client_price": _amount,
    "service_fee": _amount,
    "balance": _any_amount,
    "balance_last_updated": _moment,
    "start_date": _midnight,
    "next_payment_date": _midnight,
    "payment_period": _choice(*MONTHS),
    "status": _choice(*STATUSES),
    "auto_sync": _flag,
    "notes": _text(60_000),
}
"""Columns that people edit, each with its check."""


def require_known(names: Iterable[str]) -> None:
    """Raise `UnknownColumn` for names that are no columns which people edit: no person can have typed them."""
    if unknown := tuple(name for name in names if name not in EDITABLE):
        raise UnknownColumn(unknown, tuple(EDITABLE))


def check_values(columns: Columns, values: Mapping[str, Any]) -> dict[str, Any]:
    """Check every value; raises `Invalid` that names the column, `UnknownColumn` for a name that is none."""
    require_known(values)
    checked: dict[str, Any] = {}
    for name, value in values.items():
        try:
            checked[name] = EDITABLE[name](value)
            if name in CALENDAR and abs(checked[name].date() - columns.today()) > _FAR:
                raise Invalid(refusals.too_far(checked[name]))
            if EDITABLE[name] is _number and checked[name] is not None and not columns.holds(name, checked[name]):
                raise Invalid(refusals.TOO_LARGE_A_NUMBER)
        except Invalid as error:
            raise Invalid(f"{name}: {error}") from None
    return checked
