"""What the page says from code: titles, headings, buttons, answers to clicks. What templates say stands in them. In Russian."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from crm_adapter.text.formats import UNKNOWN, count, money
from crm_adapter.text.labels import COLUMNS, PERIODS, switched
from crm_adapter.text.messages import NOT_CONFIGURED

TITLE: Final = "Хостинг"
HISTORY: Final = "История"
DYNAMICS: Final = "Динамика"
PAYMENTS: Final = "Платежи"
GROUPINGS: Final = {"client": "По клиентам", "project": "По проектам"}
NO_PROJECT: Final = "Без проекта"
UNDELIVERED: Final = "Недоставленные уведомления"
IMPORT: Final = "Импорт из Timeweb"
LINK: Final = "Связать с Timeweb"
EDIT: Final = "Изменить сервер"
ADD: Final = "Добавить сервер"
SUBMIT_EDIT: Final = "Сохранить"
SUBMIT_ADD: Final = "Добавить"

HEADERS: Final = {
    "name": COLUMNS["server_name"],
    "status": COLUMNS["status"],
    "configuration": COLUMNS["configuration"],
    "ip": COLUMNS["ip_address"],
    "client": COLUMNS["client_name"],
    "project": COLUMNS["project_id"],
    "cost": COLUMNS["cost_price"],
    "price": COLUMNS["client_price"],
    "margin": "Маржа",
    "date": COLUMNS["next_payment_date"],
    "": "Действия",
}
"""Above the table: what it is sorted by -> caption."""
CSV_HEADERS: Final = (
    "ID",
    COLUMNS["server_name"],
    COLUMNS["status"],
    COLUMNS["timeweb_status"],
    COLUMNS["configuration"],
    COLUMNS["ip_address"],
    COLUMNS["client_name"],
    COLUMNS["client_company"],
    COLUMNS["project_id"],
    COLUMNS["account"],
    f"{COLUMNS['cost_price']}, ₽/мес",
    "Источник себестоимости",
    f"{COLUMNS['client_price']}, ₽",
    f"{COLUMNS['service_fee']}, ₽",
    COLUMNS["payment_period"],
    "Маржа, ₽/мес",
    "Маржа, %",
    COLUMNS["start_date"],
    COLUMNS["next_payment_date"],
    "Timeweb ID",
    COLUMNS["last_sync_at"],
    COLUMNS["notes"],
)
VIEWS: Final = {
    "": "Все",
    "problems": "Проблемы",
    "overdue": "Просрочены",
    "week": "На этой неделе",
    "unpriced": "Без цены",
    "loss": "В минус",
    "removed": "Удалены",
}
"""Quick filter -> caption."""
BULK: Final = {
    "paid": "Оплачено",
    "client": "Имя клиента…",
    "project": "Проект №…",
    "sync": "Синхронизировать",
    "auto": "Включить автосинхронизацию",
    "no_auto": "Выключить автосинхронизацию",
    "close": "Закрыть",
}
"""What can be done to rows that are ticked -> caption."""
HINTS: Final = {
    "cost_price": "₽ в месяц",
    "client_price": "₽ за период",
    "service_fee": "₽ за период",
    "client_telegram_id": "номер",
}
"""Beside the caption of an input."""
SUMS: Final = {"income": "Доход", "cost": COLUMNS["cost_price"], "services": "Услуги", "result": "Результат"}
"""The bars of the chart."""
HEADINGS: Final = {403: "Нет доступа", 404: "Не найдено", 503: "Временно недоступно"}
"""Above an error, by its status."""
FAILED: Final = "Не получилось"

SYNC: Final = "синхронизация"
"""Who wrote what a run wrote."""
UNNAMED: Final = "не указан"
"""A person of whom the host told no name."""

ALREADY_PAID: Final = "Оплату уже отметили, дата показана новая"
PAID: Final = "Оплата отмечена"
TICK_A_ROW: Final = "Отметьте хотя бы одну строку"
TICK_A_SERVER: Final = "Отметьте хотя бы один сервер"
CHOOSE_A_SERVER: Final = "Выберите сервер"
NOTHING_TO_UNDO: Final = "Отменять нечего"
CHANGED_SINCE: Final = "Отменить нельзя: строку с тех пор изменили"
NO_SUCH_ACTION: Final = "Такого действия нет"
NO_SUCH_FILE: Final = "Такого файла нет"
OPEN_BY_LINK: Final = "Откройте страницу по ссылке, которую напечатала команда timeweb-crm serve"
NEVER_LOADED: Final = "Данные Timeweb ещё не загружены"
SHOWN_FROM_DATABASE: Final = f"{NOT_CONFIGURED}. Задайте переменную TIMEWEB_API_TOKEN; таблица показана из базы данных."
SEND_AGAIN: Final = "Посмотреть и отправить ещё раз"
FASTER: Final = "Пока вы редактировали, строку изменили. Проверьте значение и сохраните ещё раз."
_MOST: Final = 3
"""Rows and servers that a message names."""


def edit_heading(name: str) -> str:
    """Above the form of a row."""
    return f"Изменить: {name}"[:80]


def every(period: str) -> str:
    """«раз в месяц»."""
    return f"раз {PERIODS[period]}"


def auto_sync(on: bool) -> str:
    """What a click on the switch did."""
    return f"{COLUMNS['auto_sync']} {switched(on)}"


def changed(done: int, refused: Mapping[int, str]) -> str:
    """What became of several rows: «Изменено: 5 строк. Не изменено: 1 (№ 7: …)»."""
    return f"Изменено: {count(done, 'row')}{_but(refused)}"


def synchronised(rows: int, moved: int, refused: Mapping[int, str]) -> str:
    """What became of rows that were synchronised together."""
    return f"Синхронизировано: {count(rows, 'row')}, обновлено {moved}{_but(refused)}"


def undone(back: int, kept: int) -> str:
    """What was taken back."""
    return f"Отменено: {count(back, 'row')}" + (f", изменены с тех пор и оставлены: {kept}" if kept else "")


def faster(who: str | None, column: str, value: str) -> str:
    """A version conflict, told kindly: who changed what, and that nothing typed is lost."""
    return (
        f"Пока вы редактировали, строку изменил {who or 'другой пользователь'}: {column.lower()} — {value or UNKNOWN}. "
        "Ваше значение осталось в поле: проверьте и сохраните ещё раз."
    )


def imported(number: int) -> str:
    """All went well."""
    return f"Импортировано: {count(number, 'server')}"


def imported_one(name: str, *, linked: bool) -> str:
    """One server of several of which some did not go well."""
    return f"{name}: {'связан' if linked else 'импортирован'}"


def not_imported(server_id: int, error: str) -> str:
    """One that did not."""
    return f"Сервер {server_id}: {error}"


def requeued(number: int) -> str:
    """Messages that are sent again."""
    return f"Снова в очереди: {count(number, 'notification')}"


def updated(moment: str, ago: str) -> str:
    """«Обновлено 23.11.2026 15:04 (5 минут назад)»."""
    return f"Обновлено {moment} ({ago})"


def funds(balance: Decimal | None, hours_left: int | None) -> str:
    """«баланс 7 378,30 ₽, хватит на 18 дн.»."""
    text = f"баланс {money(balance)}"
    if hours_left is None:
        return text
    days = hours_left // 24
    return text + (f", хватит на {days} дн." if days else ", хватит меньше чем на день")


def unprocessed(number: int, errors: Sequence[tuple[object, str]]) -> str:
    """Servers that failed, the first of them with their reasons."""
    return f"Не удалось обработать: {count(number, 'server')}. {_first([f'{name}: {error}' for name, error in errors])}"


def undelivered(number: int) -> str:
    """Messages that nobody got."""
    return f"Не доставлено уведомлений: {number}. Проверьте HOSTING_NOTIFY_URLS."


def of_account(account: str, text: str) -> str:
    """A notice where there are several accounts."""
    return f"Аккаунт «{account}»: {text}"


def _but(refused: Mapping[int, str]) -> str:
    if not refused:
        return ""
    return f". Не изменено: {len(refused)} ({_first([f'№ {row_id}: {text}' for row_id, text in refused.items()])})"


def _first(items: Sequence[str]) -> str:
    return "; ".join(items[:_MOST]) + ("…" if len(items) > _MOST else "")
