"""What `timeweb-crm doctor` finds, and what to do about it. In Russian."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from crm_adapter.text.formats import UNKNOWN, count

TOKEN: Final = "Токен"
ADDRESS: Final = "Адрес API"
ADDRESS_HINT: Final = "Так и задумано для эмулятора; иначе уберите TIMEWEB_BASE_URL"
NEW_TOKEN: Final = "Создайте новый токен в панели Timeweb Cloud и замените прежний"
GRANT_SERVERS: Final = "Дайте токену доступ к облачным серверам"
CHECK_NETWORK: Final = "Проверьте сеть и TIMEWEB_BASE_URL"
WITHOUT_COSTS: Final = "Без неё себестоимость берётся по тарифу"
WITHOUT_FINANCES: Final = "Без них не видны баланс и скидка"
GRANTED: Final = "есть"

CLOCK: Final = "Часы"
CLOCK_UNKNOWN: Final = "Timeweb не сообщил время"
CLOCK_RIGHT: Final = "идут верно"
SET_CLOCK: Final = "Включите синхронизацию времени (NTP)"

DATABASE: Final = "База данных"
CHECK_DATABASE: Final = "Проверьте HOSTING_DATABASE_URL и доступ к серверу"
WRITING: Final = "Запись"
WRITABLE: Final = "возможна"
MIGRATIONS: Final = "Миграции"
OF_THE_HOST: Final = "таблицы на месте, историю ведёт CRM"

LEASE: Final = "Блокировка"
LEASE_FREE: Final = "свободна"
OUTBOX: Final = "Уведомления"
CHECK_SINKS: Final = "Проверьте HOSTING_NOTIFY_URLS"
LAST_RUN: Final = "Последний запуск"
NO_RUNS: Final = "синхронизаций ещё не было"

OWN_PACE: Final = "лимит запросов у каждого процесса свой"
NO_REDIS: Final = f"не используется: {OWN_PACE}"
SEVERAL_ACCOUNTS: Final = (
    "Аккаунтов несколько, а блокируют адрес: если процессов больше одного, задайте TIMEWEB_REDIS_URL, "
    "и все они будут держать один темп (TIMEWEB_ADDRESS_RATE)"
)
NO_EXTRA: Final = "нет набора [redis]"
ANSWERS: Final = "отвечает"


def token_of(account: str) -> str:
    """The token of one account."""
    return f"{TOKEN} «{account}»"


def costs_of(account: str) -> str:
    """Its right to the cost list."""
    return f"Права «{account}»: стоимость услуг"


def finances_of(account: str) -> str:
    """Its right to the finances."""
    return f"Права «{account}»: финансы"


def works(servers: int | None) -> str:
    """A token that is valid."""
    return "действует" if servers is None else f"действует, в аккаунте {count(servers, 'server')}"


def silent(why: object) -> str:
    """Timeweb does not answer."""
    return f"Timeweb не отвечает: {why}"


def denied(why: object) -> str:
    """A right that the token lacks."""
    return f"недоступно: {why}"


def clock_off(seconds: int) -> str:
    """Clocks that disagree."""
    return f"расходятся с часами Timeweb на {count(seconds, 'second')}"


def lacks(missing: str) -> str:
    """A database that is not prepared."""
    return f"нет {missing}"


def newest(revision: str) -> str:
    """A database that is."""
    return f"версия {revision}, последняя"


def outdated(revision: str, head: str) -> str:
    """One of an older version."""
    return f"версия {revision}, нужна {head}"


def busy(held: Iterable[tuple[str, object]]) -> str:
    """Accounts that are being synchronised, each with its run."""
    return "идёт синхронизация: " + ", ".join(f"«{account}» (запуск {run or UNKNOWN})" for account, run in held)


def account(name: str) -> str:
    """Whose data it is."""
    return f"Аккаунт «{name}»"


def data_of(ago: str, reason: str, retry_at: str) -> str:
    """How old an account's data is, why, and when it is tried again."""
    text = f"последние данные: {ago}" + (f"; {reason}" if reason else "")
    return text + (f"; следующая попытка после {retry_at}" if retry_at else "")


def waiting(waiting: int, dead: int) -> str:
    """Messages on their way, and those that nobody got."""
    return f"ждут отправки: {waiting}, не доставлены: {dead}"


def redis_silent(why: str) -> str:
    """A Redis that does not answer."""
    return f"не отвечает ({why}): {OWN_PACE}"
