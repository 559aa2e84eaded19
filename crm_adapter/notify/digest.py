"""The text of a digest, in Russian: what is broken first, at most 20 lines and 4,096 UTF-16 units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from crm_adapter.results import OutboxEvent
from crm_adapter.text.messages import amount, failure_text, plural

MAX_LINES: Final = 20
#: Telegram's limit for one message, in UTF-16 units.
MAX_CHARACTERS: Final = 4096
_MAX_LINE: Final = 300

_STATUS_WORDS: Final = {
    "off": "выключен",
    "no_paid": "не оплачен",
    "blocked": "заблокирован",
    "permanent_blocked": "заблокирован навсегда",
}

_LINES: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "suspicious_disappearance": lambda e: f"⚠ {e.get('text')}",
    "sync_failed": lambda e: f"⚠ Синхронизация не удалась ({e.get('account')}): {failure_text(str(e.get('code')))}",
    "balance_low": lambda e: (
        f"⚠ Баланс {amount(e.get('balance'))} ({e.get('account')}), хватит на {_hours(e.get('hours_left'))}"
    ),
    "status_problem": lambda e: f"⚠ {e.get('name')}: {_status(e.get('status'))}",
    "removed": lambda e: f"⚠ {e.get('name')}: сервер удалён в Timeweb",
    "margin_negative": lambda e: f"⚠ {e.get('name')}: убыток {amount(_positive(e.get('margin')))} в месяц",
    "payment_overdue": lambda e: (
        f"⚠ {e.get('name')} ({e.get('client')}): оплата {amount(e.get('amount'))} просрочена с {e.get('date')}"
    ),
    "payment_due": lambda e: f"{e.get('name')} ({e.get('client')}): оплата {amount(e.get('amount'))} {_when(e)}",
    "cost_changed": lambda e: f"{e.get('name')}: себестоимость {amount(e.get('old'))} → {amount(e.get('new'))}",
    "config_changed": lambda e: f"{e.get('name')}: конфигурация {e.get('old')} → {e.get('new')}",
    "ip_changed": lambda e: f"{e.get('name')}: IP-адрес {e.get('old')} → {e.get('new')}",
    "status_recovered": lambda e: f"{e.get('name')}: снова работает",
    "restored": lambda e: f"{e.get('name')}: сервер снова есть в Timeweb",
    "sync_recovered": lambda e: f"Синхронизация восстановлена ({e.get('account')})",
    "linked": lambda e: f"{e.get('name')}: связан с сервером «{e.get('server')}» (совпал IP)",
    "imported": lambda e: f"Новый сервер {e.get('name')}: {e.get('configuration')}, {amount(e.get('cost'))} в месяц",
    "discovered": lambda e: f"В Timeweb есть сервер {e.get('name')}, которого нет в CRM",
}
_ORDER: Final = {kind: position for position, kind in enumerate(_LINES)}


def line(event: OutboxEvent) -> str:
    """One event in one line without control characters."""
    write = _LINES.get(event.kind)
    text = write(event.payload) if write else f"{event.payload.get('name') or event.kind}"
    text = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return text if len(text) <= _MAX_LINE else f"{text[: _MAX_LINE - 1]}…"


def digest(events: Sequence[OutboxEvent]) -> tuple[str, str]:
    """Title and text; what does not fit is counted: «и ещё 3»."""
    ordered = sorted(events, key=lambda event: (_ORDER.get(event.kind, len(_ORDER)), event.id))
    title = f"Хостинг: {plural(len(ordered), 'событие', 'события', 'событий')}"
    lines = [line(event) for event in ordered[:MAX_LINES]]
    # Telegram counts UTF-16 units, and the title stands above the text.
    while len(lines) > 1 and _length(title, lines, len(ordered)) > MAX_CHARACTERS:
        lines.pop()
    return title, _text(lines, len(ordered))


def _text(lines: Sequence[str], total: int) -> str:
    rest = total - len(lines)
    return "\n".join([*lines, f"и ещё {rest}"] if rest else lines)


def _length(title: str, lines: Sequence[str], total: int) -> int:
    return len(f"{title}\n\n{_text(lines, total)}".encode("utf-16-le")) // 2


def _hours(value: object) -> str:
    hours = int(value) if isinstance(value, int | float) else 0
    return plural(hours, "час", "часа", "часов")


def _status(value: object) -> str:
    return _STATUS_WORDS.get(str(value), str(value))


def _positive(value: object) -> object:
    return abs(value) if isinstance(value, int | float) else value


def _when(event: Mapping[str, Any]) -> str:
    days = event.get("days")
    if days == 0:
        return "сегодня"
    if days == 1:
        return "завтра"
    return f"через {plural(int(days or 0), 'день', 'дня', 'дней')}, {event.get('date')}"
