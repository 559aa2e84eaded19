"""Sentences that people read, in Russian. Nothing here repeats text of the API, which may echo secrets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from crm_adapter.text.formats import count, number

NOT_CONFIGURED: Final = "Timeweb API token не настроен"
NEW_TOKEN: Final = (
    "Создайте новый токен в панели Timeweb Cloud (раздел «API и Terraform») и замените им прежний в TIMEWEB_API_TOKEN."
)
"""What to do about a token that is refused."""
ALREADY_IMPORTED: Final = "Сервер уже импортирован"
NOT_FOUND: Final = "Сервер не найден в Timeweb"
ALREADY_RUNNING: Final = "Синхронизация уже выполняется"
DATABASE_UNAVAILABLE: Final = "База данных недоступна. Попробуйте ещё раз через минуту."
CROSS_ORIGIN: Final = "Запрос с другого сайта отклонён"
STILL_RUNNING: Final = "Синхронизация продолжается"
SAME_IP: Final = "совпал IP"
SAME_NAME: Final = "совпало имя"
"""Why a row may be a server."""
AS_OF: Final = "данные на"
ZERO_NOTE: Final = "0 стоит и там, где значение неизвестно: себестоимость, цена или дата не заданы"
"""What a reply with `numbers="zero"` hides."""
TOLD_BY_THE_LOG: Final = "Отчёт составлен по журналу изменений; что стало с остальными серверами, неизвестно"
"""Of a run that could not write its own."""
CRASHED: Final = "Предыдущая синхронизация прервалась. Записанное сохранено, запустите её ещё раз."

DONE: Final = {
    "saved": "Сохранено",
    "added": "Сервер добавлен",
    "paid": "Оплата отмечена, дата следующего платежа перенесена",
    "linked": "Сервер связан с Timeweb",
    "unlinked": "Сервер отвязан от Timeweb",
    "synced": "Сервер синхронизирован",
    "started": "Синхронизация запущена",
    "already_running": ALREADY_RUNNING,
    "imported": "Серверы импортированы",
    "row_removed": "Строка удалена",
    "undone": "Изменения отменены",
    "unchanged": "Изменений нет",
    "removed": "Сервер удалён",
    "project_linked": "Сервер привязан к проекту",
    "project_unlinked": "Сервер отвязан от проекта",
    "requeued": "Уведомления снова в очереди, они уйдут при следующей отправке",
}
"""What a person is told after an action."""

_FAILURES: Final = {
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
    "already_running": ALREADY_RUNNING,
    "interrupted": "Синхронизация прервана",
    "crashed": "Синхронизация оборвалась",
    "lease_lost": "Синхронизацию продолжил другой процесс",
    "not_configured": NOT_CONFIGURED,
    "not_found": NOT_FOUND,
    "already_imported": ALREADY_IMPORTED,
    "conflict": "Подходят несколько записей CRM; свяжите сервер вручную",
    "hidden": "Запись этого сервера в CRM удалена или скрыта",
    "linked": "Запись связана с сервером Timeweb: закройте её или сначала отвяжите",
    "not_linked": "Запись не связана с сервером Timeweb",
    "row_not_found": "Запись не найдена",
    "server_missing": "Timeweb не знает сервера с таким номером",
    "server_unreadable": "Не удалось разобрать данные сервера",
    "database_rejected": "База данных не приняла данные сервера",
    "service_not_found": "Услуга не найдена",
    "service_taken": "Услугу уже отдал кому-то другой пользователь",
    "no_client_name": "Укажите имя клиента, до 255 знаков",
    "row_busy": "Запись занята другой программой; попробуйте ещё раз позже",
    "version_conflict": "Запись уже изменил другой пользователь",
    "other_account": "Сервер числится за другим аккаунтом Timeweb",
    "read_only": "Клиент Timeweb не может выполнить запрос",
}


def failure_text(code: str, *, retry_after: float | None = None, fresh_until: datetime | None = None) -> str:
    """The sentence for an error code."""
    if code == "rate_limited":
        return f"Превышен лимит, повтор через {max(1, round(retry_after or 60))} с"
    text = _FAILURES.get(code, "Неизвестная ошибка")
    if code == "upstream_unavailable" and fresh_until is not None:
        return as_of(text, f"{fresh_until:%H:%M}")
    return text


def as_of(text: str, moment: str) -> str:
    """A failure, and how old what is shown is."""
    return f"{text}, {AS_OF} {moment}"


def sequence_behind(table: str, column: str) -> str:
    """PostgreSQL gives out a number that is in use: rows were written with numbers of their own."""
    sequence = f"pg_get_serial_sequence('{table}', '{column}')"
    return (
        f"База данных выдала занятый {column}: последовательность таблицы {table} отстала. "
        f"Выполните: SELECT setval({sequence}, (SELECT max({column}) FROM {table}))"
    )


def suspicious(listed: int, known: int, candidates: int) -> str:
    """The alert of the mass-disappearance guard."""
    return (
        f"Timeweb вернул {count(listed, 'server')} вместо {number(known)}, пропало {candidates}. "
        "Ничего не удалено. Проверьте токен"
    )


def suspicious_services(listed: int, known: int, missing: int) -> str:
    """The same for services that cost money."""
    return (
        f"Timeweb вернул {count(listed, 'service')} вместо {number(known)}, пропало {missing}. "
        "Ни одна услуга не отмечена пропавшей"
    )


def similar(name: str, row_name: str, reason: str) -> str:
    """A row that may be the server, and by what: «web-1: похоже на «old» (совпал IP)»."""
    return f"{name}: похоже на «{row_name}» ({reason})"


def run_outcome(report: Mapping[str, Any]) -> str:
    """What a toast says about a run that is over: «Синхронизация завершена: обновлено 3, без изменений 20»."""
    if report["status"] == "failed":
        reasons = [str(account["message"]) for account in report.get("accounts", ()) if account.get("message")]
        return "; ".join(reasons) or failure_text(report.get("error_code") or "")
    created, updated, unchanged, errors = (
        int(report.get(f"{name}_count", 0)) for name in ("created", "updated", "unchanged", "error")
    )
    parts = [f"создано {created}"] if created else []
    parts += [f"обновлено {updated}", f"без изменений {unchanged}"]
    if errors:
        parts.append(count(errors, "error"))
    return f"Синхронизация завершена: {', '.join(parts)}"


def cut_short(done: Mapping[str, int]) -> str:
    """What an account's part of a run had written when its process died."""
    words = {
        "created": "создано",
        "updated": "обновлено",
        "linked": "связано",
        "restored": "вернулось",
        "missing": "отмечено удалёнными",
    }
    told = ", ".join(f"{word} {done[name]}" for name, word in words.items() if done.get(name))
    return f"{_FAILURES['crashed']}; {f'записано: {told}' if told else 'ничего не записано'}, остальное неизвестно"


def without(hidden: int) -> str:
    """What a sum of the head leaves out."""
    return f"Прибыль без учёта тех, у кого не задана цена или неизвестна себестоимость: {count(hidden, 'server')}"


def foreign_host(host: str) -> str:
    """Where the token goes, for people who may not know."""
    return f"токен отправляется на {host}, это не Timeweb"
