"""Words for codes: statuses, faults of a run, columns. What is not listed here is shown as it came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from crm_adapter.text.messages import failure_text


class Badge(NamedTuple):
    """A status as shape, word and colour, so that no one of the three is needed to understand it."""

    shape: str
    word: str
    tone: str


STATUSES: Final = {
    "active": Badge("●", "Активен", "good"),
    "overdue": Badge("▲", "Просрочен", "bad"),
    "suspended": Badge("■", "Приостановлен", "warn"),
    "closed": Badge("○", "Закрыт", "idle"),
}

_TIMEWEB: Final = {
    "on": Badge("●", "работает", "good"),
    "off": Badge("■", "выключен", "warn"),
    "no_paid": Badge("▲", "не оплачен", "bad"),
    "blocked": Badge("▲", "заблокирован", "bad"),
    "permanent_blocked": Badge("▲", "заблокирован навсегда", "bad"),
    "removed": Badge("✕", "удалён", "bad"),
    "removing": Badge("◌", "удаляется", "idle"),
    "installing": Badge("◌", "устанавливается", "idle"),
    "software_install": Badge("◌", "установка ПО", "idle"),
    "reinstalling": Badge("◌", "переустанавливается", "idle"),
    "turning_on": Badge("◌", "включается", "idle"),
    "starting": Badge("◌", "запускается", "idle"),
    "turning_off": Badge("◌", "выключается", "idle"),
    "hard_turning_off": Badge("◌", "принудительно выключается", "idle"),
    "rebooting": Badge("◌", "перезагружается", "idle"),
    "hard_rebooting": Badge("◌", "принудительно перезагружается", "idle"),
    "cloning": Badge("◌", "клонируется", "idle"),
    "transfer": Badge("◌", "переносится", "idle"),
    "configuring": Badge("◌", "настраивается", "idle"),
    "reset_password": Badge("◌", "сброс пароля", "idle"),
}

PERIODS: Final = {"monthly": "в месяц", "quarterly": "в квартал", "yearly": "в год"}

COST_SOURCES: Final = {
    "services_cost": "из списка услуг Timeweb",
    "preset": "по цене тарифа, приблизительно",
    "manual": "указана вручную",
    "unknown": "неизвестна",
}

SERVICE_TYPES: Final = {
    "server": "Сервер без записи в CRM",
    "dedicated_server": "Выделенный сервер",
    "database": "База данных",
    "balancer": "Балансировщик",
    "s3": "Хранилище S3",
    "s3_outgoing_traffic": "Исходящий трафик S3",
    "k8s": "Кластер Kubernetes",
    "mail": "Почта",
    "image": "Образ",
    "floating_ip": "IP-адрес",
    "floating_ip_with_ddos_guard": "IP-адрес с защитой от DDoS",
    "app_frontend": "Приложение (фронтенд)",
    "app_backend": "Приложение (бэкенд)",
    "network_drive": "Сетевой диск",
    "additional_drive": "Дополнительный диск",
    "container_registry": "Реестр контейнеров",
    "router": "Роутер",
    "vmware": "VMware",
    "backup": "Резервная копия",
    "domain": "Домен",
    "license": "Лицензия",
    "difference": "Разница с финансами аккаунта",
}
"""Types of paid services that have a word of ours; all others are shown as Timeweb calls them."""

RUN_STATUSES: Final = {
    "success": "успешно",
    "partial": "частично",
    "failed": "ошибка",
    "skipped": "пропущена",
    "running": "выполняется",
    "interrupted": "прервана",
    "crashed": "сбой",
}

UNKNOWN_CLIENT: Final = "Не указан"
"""What the host's column says where there is no client."""

COLUMNS: Final = {
    "created": "Создан",
    "removed": "Удалён в Timeweb",
    "restored": "Снова найден в Timeweb",
    "linked": "Связан с Timeweb",
    "unlinked": "Отвязан от Timeweb",
    "missing": "Не найден в списке Timeweb",
    "project_id": "Проект",
    "client_id": "Клиент №",
    "client_name": "Имя клиента",
    "client_company": "Компания",
    "client_telegram_id": "Telegram",
    "server_name": "Сервер",
    "configuration": "Конфигурация",
    "ip_address": "IP-адрес",
    "cost_price": "Себестоимость",
    "client_price": "Цена для клиента",
    "service_fee": "Обслуживание",
    "balance": "Баланс",
    "start_date": "Дата начала",
    "next_payment_date": "Дата следующего платежа",
    "payment_period": "Период оплаты",
    "status": "Статус",
    "timeweb_id": "ID в Timeweb",
    "timeweb_status": "Статус в Timeweb",
    "timeweb_preset_id": "Тариф Timeweb",
    "timeweb_data": "Данные Timeweb",
    "auto_sync": "Автосинхронизация",
    "last_sync_at": "Синхронизирован",
    "notes": "Заметки",
    "account": "Аккаунт",
    "owner": "Чья услуга",
    "gone": "Услуги больше нет",
    "returned": "Услуга снова есть",
    "name": "Название",
    "cost_net": "Себестоимость",
    "cost_gross": "Цена до скидки",
    "cost_source": "Откуда себестоимость",
    "deleted": "Строка удалена",
}


def switched(on: bool) -> str:
    """The state of a switch."""
    return "включена" if on else "выключена"


def status(code: str) -> Badge:
    """The CRM's status."""
    return STATUSES.get(code, Badge("◇", code or "—", "idle"))


def timeweb_status(code: str | None) -> Badge | None:
    """Timeweb's status; an unknown one as it came, None when there is none."""
    return _TIMEWEB.get(code, Badge("◇", code, "idle")) if code else None


def service_type(kind: str) -> str:
    """What kind of service it is."""
    return SERVICE_TYPES.get(kind, kind)


def service_owner(server_name: str | None, client_name: str | None) -> str:
    """Whose a service is: «сервер web-1, Анна Белова», «Анна Белова», or nothing."""
    parts = [f"сервер {server_name}"] if server_name is not None else []
    return ", ".join([*parts, *([client_name] if client_name else [])])


def panel_url(timeweb_id: int) -> str:
    """Where Timeweb's own panel shows a server: reported by public clients, unverified; Timeweb documents no such address."""
    return f"https://timeweb.cloud/my/servers/{timeweb_id}"


def owner(text: str) -> str:
    """Whose a service is, as the change log has it: `server:12` or `client:Анна Белова`."""
    kind, _, which = text.partition(":")
    return f"сервер, запись № {which}" if kind == "server" else which


def project(number: int | None, names: Mapping[int, str]) -> str:
    """A project by its name, by its number where the host has no name for it, «—» for none."""
    return "—" if number is None else names.get(number, f"№ {number}")


def failure(code: str | None, message: str | None = None) -> str:
    """What people read about a fault; `message` is a sentence that already says it better."""
    return message or (failure_text(code) if code else "")
