"""What an event of the outbox says to people, in one line; in the order of a digest: what is broken first. In Russian."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from crm_adapter.text import labels
from crm_adapter.text.formats import count, money
from crm_adapter.text.messages import SAME_IP, failure_text

LINES: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "suspicious_disappearance": lambda e: f"⚠ {e.get('text')}",
    "sync_failed": lambda e: f"⚠ Синхронизация не удалась ({e.get('account')}): {failure_text(str(e.get('code')))}",
    "balance_low": lambda e: (
        f"⚠ Баланс {money(e.get('balance'))} ({e.get('account')}), хватит на {_hours(e.get('hours_left'))}"
    ),
    "status_problem": lambda e: f"⚠ {e.get('name')}: {_status(e.get('status'))}",
    "removed": lambda e: f"⚠ {e.get('name')}: сервер удалён в Timeweb",
    "margin_negative": lambda e: f"⚠ {e.get('name')}: убыток {money(_positive(e.get('margin')))} в месяц",
    "payment_overdue": lambda e: (
        f"⚠ {e.get('name')} ({e.get('client')}): оплата {money(e.get('amount'))} просрочена с {e.get('date')}"
    ),
    "balance_week": lambda e: (
        f"Баланс {money(e.get('balance'))} ({e.get('account')}), при нынешних расходах хватит на {_days(e.get('hours_left'))}"
    ),
    "payment_due": lambda e: f"{e.get('name')} ({e.get('client')}): оплата {money(e.get('amount'))} {_when(e)}",
    "service_unowned": lambda e: f"{_service(e)}: {money(e.get('cost'))} в месяц, и услуга ничья",
    "service_cost_changed": lambda e: f"{_service(e)}: {money(e.get('old'))} → {money(e.get('new'))} в месяц",
    "cost_changed": lambda e: f"{e.get('name')}: себестоимость {money(e.get('old'))} → {money(e.get('new'))}",
    "config_changed": lambda e: f"{e.get('name')}: конфигурация {e.get('old')} → {e.get('new')}",
    "ip_changed": lambda e: f"{e.get('name')}: IP-адрес {e.get('old')} → {e.get('new')}",
    "status_recovered": lambda e: f"{e.get('name')}: снова работает",
    "moved": lambda e: f"{e.get('name')}: переехал в аккаунт {e.get('account')}",
    "restored": lambda e: f"{e.get('name')}: сервер снова есть в Timeweb",
    "sync_recovered": lambda e: f"Синхронизация восстановлена ({e.get('account')})",
    "linked": lambda e: f"{e.get('name')}: связан с сервером «{e.get('server')}» ({SAME_IP})",
    "imported": lambda e: f"Новый сервер {e.get('name')}: {e.get('configuration')}, {money(e.get('cost'))} в месяц",
    "service_new": lambda e: f"Новая услуга {_service(e)}: {money(e.get('cost'))} в месяц",
    "service_gone": lambda e: f"{_service(e)}: услуги больше нет, было {money(e.get('cost'))} в месяц",
    "discovered": lambda e: f"В Timeweb есть сервер {e.get('name')}, которого нет в CRM",
}


def title(total: int) -> str:
    """Above a digest."""
    return f"Хостинг: {count(total, 'event')}"


def more(rest: int) -> str:
    """Below one that has no room for all."""
    return f"и ещё {rest}"


def _hours(value: object) -> str:
    hours = int(value) if isinstance(value, int | float) else 0
    return count(hours, "hour")


def _days(hours: object) -> str:
    """Whole days, as people count what is left."""
    return count(int(hours) // 24 if isinstance(hours, int | float) else 0, "day")


def _service(event: Mapping[str, Any]) -> str:
    """A service by its name and what it is; one without a name is called by what it is already."""
    name, kind = str(event.get("name")), labels.service_type(str(event.get("type")))
    return name if name.startswith(kind) else f"{name} ({kind})"


def _status(value: object) -> str:
    badge = labels.timeweb_status(str(value))
    return badge.word if badge else str(value)


def _positive(value: Any) -> Any:
    return abs(value) if isinstance(value, int | float) else value


def _when(event: Mapping[str, Any]) -> str:
    days = event.get("days")
    if days == 0:
        return "сегодня"
    if days == 1:
        return "завтра"
    return f"через {count(int(days or 0), 'day')}, {event.get('date')}"
