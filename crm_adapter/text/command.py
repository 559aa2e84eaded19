"""What `timeweb-crm` prints: outcomes, tables, errors with what to do next. Its help is in `help`. In Russian."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from crm_adapter.text.formats import UNKNOWN, count, money
from crm_adapter.text.labels import COLUMNS, failure

# Errors, and what to do next

HOW_TO_SET_TOKEN: Final = (
    "Создайте токен в панели Timeweb Cloud (раздел «API и Terraform») и задайте его переменной окружения\n"
    "    export TIMEWEB_API_TOKEN=…\n"
    'или строкой TIMEWEB_API_TOKEN=… в файле .env. Несколько аккаунтов: TIMEWEB_API_TOKENS=\'{"имя": "токен"}\'.'
)
READ_ONLY: Final = "База данных отвечает, но доступна только для чтения"
READ_ONLY_HINT: Final = "Укажите в HOSTING_DATABASE_URL основной сервер, а не реплику, и роль с правом записи"
MIGRATE: Final = "Выполните: timeweb-crm migrate"
SYNC: Final = "Выполните: timeweb-crm sync"
ONE_ROW_EACH: Final = "Оставьте каждый timeweb_id только в одной строке и повторите команду."
DROPS_TABLES: Final = "--downgrade удаляет таблицы интеграции вместе с журналом"
DROPS_TABLES_HINT: Final = "Повторите с --yes, если журнал изменений и связи с Timeweb больше не нужны"
DROP_TABLES: Final = "Удалить таблицы интеграции вместе с журналом изменений и связями?"
NO_SINKS: Final = "Адреса для уведомлений не заданы."
NO_SINKS_HINT: Final = "Задайте HOSTING_NOTIFY_URLS, например tgram://<токен бота>/<чат>"
LOOPBACK_HINT: Final = "Используйте 127.0.0.1 или встройте страницу в CRM: create_hosting_router(..., dependencies=[...])"
ANOTHER_PORT: Final = "Выберите другой: --port 0"
DEMO_FILE_HINT: Final = "Базу по адресу из HOSTING_DATABASE_URL заполняют timeweb-crm migrate и timeweb-crm sync."


def misconfigured(why: object) -> str:
    """A setting that cannot be used."""
    return f"Ошибка настройки. {why}"


def no_driver(why: object) -> str:
    """A database without its driver."""
    return f"Нет драйвера базы данных. {why}"


def no_table(name: str) -> str:
    """What a database lacks."""
    return f"таблицы {name}"


def no_column(name: str) -> str:
    """The same of a table."""
    return f"колонки {name}"


def not_migrated(missing: str) -> str:
    """A database that is not prepared; `missing` is of the two above."""
    return f"База данных не подготовлена: нет {missing}."


def duplicates(table: str, found: Mapping[int, Sequence[object]]) -> str:
    """Numbers of Timeweb that several rows have."""
    rows = "; ".join(f"{key} — строки {', '.join(map(str, ids))}" for key, ids in found.items())
    return f"В таблице {table} повторяется timeweb_id: {rows}. Ничего не изменено."


def cannot_migrate(why: object) -> str:
    """A table that cannot be changed."""
    return f"Миграция невозможна: {why}"


def database_gone(reason: str) -> str:
    """A database that does not answer, or answers with an error."""
    return f"База данных не отвечает: {reason}"


def not_loopback(host: str) -> str:
    """An address that others can reach."""
    return f"Адрес {host} доступен не только с этого компьютера, а своей авторизации у страницы нет."


def port_taken(port: int, reason: object) -> str:
    """Somebody else listens there."""
    return f"Порт {port} занят: {reason}"


def demo_needs_a_file(scheme: str) -> str:
    """An address where a file is wanted; only its scheme, because the rest may hold a password."""
    return f"--database {scheme}://…: у демонстрации своя база, нужен путь к файлу SQLite"


# Outcomes

ASKING: Final = "Запрос к Timeweb"
SYNCING: Final = "Синхронизация с Timeweb"
IMPORTING: Final = "Импорт из Timeweb"
CHECKING: Final = "Проверка"
DEMONSTRATING: Final = "Импорт и синхронизация"
NOTHING_WRITTEN: Final = "Ничего не записано."
NO_RUNS: Final = "Синхронизаций ещё не было"
STOP: Final = "Остановить: Ctrl+C"
MIGRATED_ALREADY: Final = "База данных уже в нужном виде"


def dropped(table: str, columns: Iterable[str]) -> str:
    """After `migrate --downgrade`."""
    return f"Из таблицы {table} удалены колонки: {', '.join(columns)}"


def created(table: str) -> str:
    """After `migrate` of an empty database."""
    return f"Создана таблица {table} и таблицы интеграции"


def added(table: str, columns: int) -> str:
    """After `migrate` of a CRM's own."""
    return f"В таблицу {table} добавлено колонок: {columns}; таблицы интеграции созданы"


def imported_one(server_id: int, name: str, *, linked: bool) -> str:
    """One server that got a row."""
    return f"{server_id}: {'связан' if linked else 'импортирован'} «{name}»"


def imported(number: int, errors: int) -> str:
    """All of an import."""
    return f"Импортировано: {number}, ошибок: {errors}"


def notified(reminders: int, messages: int, failed: int) -> str:
    """After `notify`."""
    return f"Напоминаний: {reminders}, отправлено сообщений: {messages}, не отправлено событий: {failed}"


def pruned(runs: int, events: int, changes: int) -> str:
    """After `prune`."""
    return f"Удалено запусков: {runs}, событий: {events}, изменений: {changes}"


def attention(text: str) -> str:
    """What is no error and yet matters."""
    return f"Внимание: {text}"


def page_at(url: str) -> str:
    """Where `serve` serves."""
    return f"Страница «Хостинг»: {url}"


# Tables and reports

SERVERS: Final = (
    "ID",
    COLUMNS["server_name"],
    COLUMNS["status"],
    COLUMNS["configuration"],
    COLUMNS["ip_address"],
    COLUMNS["cost_price"],
)
SERVICES: Final = ("ID", "Услуга", "Тип", COLUMNS["account"], "Чья", COLUMNS["cost_price"])
RUNS: Final = ("Запуск", "Начало", "Конец", "Итог", "Кто", "Создано", "Обновлено", "Без изменений", "Ошибок")
PLAN: Final = ("Действие", COLUMNS["server_name"], "Timeweb ID", "ID в CRM", "Изменения")
ACTIONS: Final = {
    "create": "создать",
    "update": "обновить",
    "unchanged": "без изменений",
    "link": "связать",
    "restore": "вернуть",
    "remove": "отметить удалённым",
    "missing": "не найден",
    "skip": "пропустить",
    "error": "ошибка",
}
NOBODYS: Final = "ничья"
REMOVED: Final = "удалён в Timeweb"
_OUTCOMES: Final = {
    "success": "Синхронизация завершена",
    "partial": "Синхронизация завершена частично",
    "failed": "Синхронизация не удалась",
    "skipped": "Синхронизация не нужна: данные свежие",
    "running": "Синхронизация уже выполняется",
}
_ALSO: Final = {"linked": "связано", "missing": "не найдено", "restored": "вернулось", "skipped": "пропущено"}


def sums(
    income: Decimal | None,
    cost: Decimal | None,
    other: Decimal | None,
    result: Decimal | None,
    margin: Decimal | None,
    priced: int,
) -> str:
    """Below the servers: the same sums as on the page, RUB per month."""
    costs = f"себестоимость {money(cost)}" + (f" - прочие расходы {money(other)}" if other else "")
    whose = f"маржа {money(margin)} по {count(priced, 'server_dative')} с ценой"
    return f"Доход {money(income)} - {costs} = результат {money(result)} в месяц, в том числе {whose}"


def services(number: int, cost: Decimal | None, nobodys: int, nobodys_cost: Decimal | None) -> str:
    """Below the services."""
    rest = f", из них ничьих {nobodys} на {money(nobodys_cost)}" if nobodys else ""
    return f"{count(number, 'service').capitalize()} на {money(cost)} в месяц{rest}"


def report(document: Mapping[str, Any], *, planned: bool) -> list[str]:
    """A sync report as sentences; `planned` of one that was not carried out."""
    status = str(document["status"])
    head = "План синхронизации" if planned and status == "success" else _OUTCOMES.get(status, status)
    words = ("создать", "обновить", "оставить без изменений") if planned else ("создано", "обновлено", "без изменений")
    numbers = (document[f"{name}_count"] for name in ("created", "updated", "unchanged"))
    told = ", ".join(f"{word} {number}" for word, number in zip(words, numbers, strict=True))
    lines = [f"{head}: {told} (запросов к Timeweb: {document['api_calls']})"]
    if counted := [f"{word} {document[f'{key}_count']}" for key, word in _ALSO.items() if document[f"{key}_count"]]:
        lines.append("Кроме того: " + ", ".join(counted))
    for account in document.get("accounts", ()):
        if account["error_code"]:
            lines.append(f"Аккаунт {account['account']}: {failure(account['error_code'], account['message'])}")
    if document["error_code"] and len(lines) == 1:
        lines.append(failure(document["error_code"]))
    lines += [attention(failure(warning["code"], warning["message"])) for warning in document["warnings"]]
    if document["error_count"]:
        lines.append(f"{count(document['error_count'], 'error').capitalize()}:")
        lines += [
            f"  {error['server_name'] or error['server_id'] or UNKNOWN}: {error['error']}" for error in document["errors"]
        ]
    return lines


# The demonstration

CLIENTS: Final = (
    ("Анна Белова", "Студия Берег", 12),
    ("Пётр Лебедев", None, -3),
    ("Ирина Котова", "Кофейня Зерно", 3),
    ("Олег Савин", "Автосервис Мотор", 21),
    ("Мария Орлова", None, 17),
    ("Денис Фомин", "Окна и свет", 9),
    ("Елена Зуева", "Клиника Линия", 26),
    ("Артём Гусев", None, 14),
    ("Ольга Носова", "Бюро переводов", 19),
    ("Кирилл Панов", "Склад 24", 24),
    ("Нина Громова", "Пекарня Колос", 11),
    ("Роман Жуков", None, 28),
    ("Вера Седова", "Школа танцев", 16),
    ("Игорь Мельник", "Юрист рядом", 23),
    ("Дарья Климова", "Цветы у дома", 8),
)
"""Client, company, days until the next payment; all of it is made up."""
FIRST: Final = "1. Импорт"
SECOND: Final = "2. Повторная синхронизация"
OPEN_PAGE: Final = "Открыть страницу «Хостинг»:"
YOUR_ACCOUNT: Final = "Работать со своим аккаунтом:"


def demo_database(path: str) -> str:
    """Where its rows are."""
    return f"База данных: {path}"


def made_up(servers: int) -> str:
    """Below the table."""
    return f"{count(servers, 'server')}. Статусы, цены и адреса выдуманы."


def then(program: str) -> str:
    """What comes after the token."""
    return f"Затем: {program} migrate, {program} sync, {program} serve"
