"""What people read, in Russian.  Nothing here repeats text of the API, which may echo secrets."""

from __future__ import annotations

from datetime import datetime
from typing import Final

try:
    from babel import Locale
    from babel.numbers import format_decimal
except ImportError as exc:  # pragma: no cover - exercised in a bare environment
    raise ImportError("crm_adapter needs the extra [crm]: pip install 'timeweb-sdk[crm]'") from exc

NOT_CONFIGURED: Final = "Timeweb API token не настроен"
ALREADY_IMPORTED: Final = "Сервер уже импортирован"
NOT_FOUND: Final = "Сервер не найден в Timeweb"

_RU: Final = Locale("ru")
_FAULTS: Final = {
    "unauthorized": "Токен недействителен или истёк",
    "forbidden": "У токена нет прав на эту операцию, или доступ с этого адреса запрещён",
    "upstream_unavailable": "Timeweb не отвечает",
    "bad_response": "Timeweb вернул нечитаемый ответ",
    "cost_unavailable": "Стоимость недоступна: у токена нет прав на финансы",
    "cost_unreconciled": "Сумма стоимости услуг не сходится ни с ценой, ни со списанием; скидка взята прежняя",
    "foreign_currency": "Аккаунт ведётся не в рублях; себестоимость его серверов неизвестна",
    "finances_unavailable": "Баланс недоступен",
    "presets_unavailable": "Тарифы недоступны: приблизительная стоимость не рассчитана",
    "incomplete_listing": "Список серверов получен не полностью; пропавшие серверы не отмечены",
    "account_mismatch": "Токен принадлежит другому аккаунту Timeweb; ничего не записано",
    "duplicate_account": "Этот аккаунт Timeweb уже подключён под другим именем",
    "identity_unknown": "Не удалось определить аккаунт Timeweb",
    "already_running": "Синхронизация уже выполняется",
    "interrupted": "Синхронизация прервана",
    "crashed": "Синхронизация оборвалась",
    "lease_lost": "Синхронизацию продолжил другой процесс",
    "not_configured": NOT_CONFIGURED,
    "not_found": NOT_FOUND,
    "already_imported": ALREADY_IMPORTED,
    "conflict": "Подходят несколько записей CRM; свяжите сервер вручную",
    "hidden": "Запись этого сервера в CRM удалена или скрыта",
    "not_linked": "Запись не связана с сервером Timeweb",
    "row_not_found": "Запись не найдена",
    "server_missing": "Timeweb не знает сервера с таким номером",
    "server_unreadable": "Не удалось разобрать данные сервера",
    "database_rejected": "База данных не приняла данные сервера",
    "version_conflict": "Запись уже изменил другой пользователь",
    "other_account": "Сервер числится за другим аккаунтом Timeweb",
    "read_only": "Клиент Timeweb не может выполнить запрос",
}


def plural(count: int, one: str, few: str, many: str) -> str:
    """``1 сервер``, ``2 сервера``, ``5 серверов``."""
    form = {"one": one, "few": few}.get(_RU.plural_form(count), many)
    return f"{format_decimal(count, locale=_RU)} {form}"


def servers(count: int) -> str:
    """How many servers, in words."""
    return plural(count, "сервер", "сервера", "серверов")


def amount(value: object) -> str:
    """Money as Russians write it: ``7 378,30 ₽``; an unknown one is «—»."""
    return "—" if value is None else f"{format_decimal(value, format='#,##0.00', locale=_RU)} ₽"  # type: ignore[arg-type]


def failure_text(code: str, *, retry_after: float | None = None, fresh_until: datetime | None = None) -> str:
    """The sentence for an error code."""
    if code == "rate_limited":
        return f"Превышен лимит, повтор через {max(1, round(retry_after or 60))} с"
    text = _FAULTS.get(code, "Неизвестная ошибка")
    if code == "upstream_unavailable" and fresh_until is not None:
        return f"{text}, данные на {fresh_until:%H:%M}"
    return text


def suspicious(listed: int, known: int, candidates: int) -> str:
    """The alert of the mass-disappearance guard."""
    return (
        f"Timeweb вернул {servers(listed)} вместо {format_decimal(known, locale=_RU)}, пропало {candidates}. "
        "Ничего не удалено. Проверьте токен"
    )


def sync_done(created: int, updated: int, unchanged: int, errors: int) -> str:
    """The toast after a sync: «Синхронизация завершена: обновлено 3, без изменений 20»."""
    parts = [f"создано {created}"] if created else []
    parts += [f"обновлено {updated}", f"без изменений {unchanged}"]
    if errors:
        parts.append(plural(errors, "ошибка", "ошибки", "ошибок"))
    return f"Синхронизация завершена: {', '.join(parts)}"
