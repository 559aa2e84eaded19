"""Why a value or an action of a person is refused, in Russian. The name of the column stands before it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Final

from crm_adapter.text.messages import ALREADY_IMPORTED

AMOUNT: Final = "сумма записана неверно; пример: 1 234,50"
NEGATIVE: Final = "сумма не может быть отрицательной"
DAY: Final = "дата записана неверно; пример: 31.12.2026"
NO_DAY: Final = "дата не указана"
MOMENT: Final = "время записано неверно; пример: 2026-12-31T10:00:00"
CHARACTERS: Final = "текст содержит недопустимые символы"
EMPTY: Final = "не может быть пустым"
NO_NUMBER: Final = "ожидается целое число"
TOO_LARGE_A_NUMBER: Final = "число слишком велико"
NO_FLAG: Final = "ожидается да или нет"
LINKED_ALREADY: Final = "Запись уже связана с другим сервером"
TOO_LARGE_A_BODY: Final = "Запрос слишком большой: больше 1 МБ. Разделите его на части"
UNREADABLE_BODY: Final = "Тело запроса не читается"
NO_SUCH_RUN: Final = "Такого запуска нет"


def longer_than(limit: int) -> str:
    """A text that its column cannot hold."""
    return f"не больше {limit} символов"


def none_of(allowed: Iterable[str]) -> str:
    """A word that is not among those that there are."""
    return f"допустимо: {', '.join(allowed)}"


def too_far(day: date) -> str:
    """A slip of the finger in the year."""
    return f"{day:%d.%m.%Y} дальше десяти лет от сегодняшнего дня; проверьте год"


def no_day_after(day: date) -> str:
    """The calendar ends."""
    return f"после {day:%d.%m.%Y} дат нет, исправьте её"


def kept_by_timeweb(columns: Iterable[str]) -> str:
    """Columns of a linked row that people do not edit."""
    return f"{', '.join(columns)}: ведёт Timeweb"


def no_server_number(number: int) -> str:
    """An id that Timeweb gives to nobody."""
    return f"{number} не может быть номером сервера Timeweb"


def taken_by(row_id: int) -> str:
    """The server has a row."""
    return f"{ALREADY_IMPORTED}: запись № {row_id}"


def no_row_to_link(row_id: int) -> str:
    """The row that somebody chose for a server."""
    return f"Запись № {row_id} не найдена или уже связана с другим сервером"


def unknown_parameters(unknown: Iterable[str], known: Iterable[str]) -> str:
    """Of a query string."""
    return f"неизвестный параметр {', '.join(unknown)[:200]}; есть: {', '.join(known)}"


def number_taken(row_id: int) -> str:
    """A row that was removed cannot come back under its number."""
    return f"Номер {row_id} занят другой записью"
