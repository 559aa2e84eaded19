"""What is said of services that are no servers, in Russian."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from crm_adapter.text.formats import count
from crm_adapter.text.labels import COLUMNS

TITLE: Final = "Услуги"
CLIENTS: Final = "Клиенты"
HEADERS: Final = {
    "name": "Услуга",
    "type": "Тип",
    "project": "Проект Timeweb",
    "owner": "Чья",
    "cost": COLUMNS["cost_price"],
    "seen": "Впервые",
    "": "История",
}
"""Above the table: what it is sorted by -> caption."""
VIEWS: Final = {"": "Все", "nobody": "Ничьи", "servers": "У серверов", "clients": "У клиентов", "gone": "Пропали"}
"""Quick filter -> caption."""
BULK: Final = {
    "proposed": "Отдать, кому предложено",
    "client": "Отдать клиенту…",
    "server": "Отдать серверу…",
    "nobody": "Сделать ничьими",
}
"""What can be done to services that are ticked -> caption."""
TICK_A_SERVICE: Final = "Отметьте хотя бы одну услугу"
NO_PROPOSALS: Final = "Ни для одной из отмеченных услуг нет предложения"
_MOST: Final = 3
"""Services that a message names."""
CSV_HEADERS: Final = (
    "ID",
    "Услуга",
    "Тип",
    "Тип в Timeweb",
    "ID в Timeweb",
    "Проект Timeweb",
    COLUMNS["account"],
    COLUMNS["server_name"],
    COLUMNS["client_name"],
    f"{COLUMNS['cost_price']}, ₽/мес",
    "До скидки, ₽/мес",
    "Состав",
    "Впервые",
    "Пропала",
)
MONTHS_HEADERS: Final = ("Месяц", "Доход, ₽", "Серверы, ₽", "Услуги, ₽", "Результат, ₽", "Маржа серверов с ценой, ₽")
COSTS_HEADERS: Final = ("Месяц", COLUMNS["account"], *CSV_HEADERS[2:4], "Услуга", "ID в Timeweb", *CSV_HEADERS[8:10])
ONE_OWNER: Final = "Укажите server_id или client_name, но не оба"


def address_of(server: str) -> str:
    """Why an address may be a server's."""
    return f"адрес сервера «{server}»"


def beside_server(server: str) -> str:
    """Why a service of a project may be a server's."""
    return f"в том же проекте Timeweb, что и сервер «{server}»"


def beside_servers_of(client: str) -> str:
    """Why a service of a project may be a client's."""
    return f"в том же проекте Timeweb, что и все серверы клиента «{client}»"


def no_such_server(text: str) -> str:
    """A server that is not in the CRM, or of which there are several."""
    return f"Сервера «{text}» в CRM нет, или таких несколько: укажите номер записи" if text else "Укажите имя или номер сервера"


def given(done: int, refused: Mapping[int, str]) -> str:
    """What became of services that were given away."""
    message = f"Изменено: {count(done, 'service')}"
    if refused:
        told = [f"№ {service_id}: {text}" for service_id, text in refused.items()]
        message += f". Не изменено: {len(refused)} ({'; '.join(told[:_MOST])}{'…' if len(told) > _MOST else ''})"
    return message
