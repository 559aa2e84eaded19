"""What is said of services that are no servers, in Russian."""

from __future__ import annotations

from typing import Final

from crm_adapter.text.labels import COLUMNS

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
