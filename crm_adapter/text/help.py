"""What `timeweb-crm --help` says, in Russian and in English, and the few words of its library in Russian. Loads nothing."""

from __future__ import annotations

import os
import re
from typing import Final, Literal

_TEXTS: Final[dict[str, tuple[str, str]]] = {
    "app": (
        "Серверы Timeweb Cloud в CRM: импорт, синхронизация, страница «Хостинг».",
        "Timeweb Cloud servers in a CRM: import, synchronisation, the page of servers.",
    ),
    "codes": (
        "Коды возврата: 0 — готово, 1 — с ошибками, 2 — неверная команда, 3 — синхронизация уже идёт, 130 и 143 — прервано.",
        "Exit codes: 0 done, 1 with errors, 2 wrong command, 3 a sync is running already, 130 and 143 interrupted.",
    ),
    "wrong": ("Неверная команда", "Wrong command"),
    "see_help": ("Справка: timeweb-crm --help", "Help: timeweb-crm --help"),
    "json": ("Один JSON-документ в stdout, журнал в stderr.", "One JSON document on stdout, the log on stderr."),
    "database": ("База данных вместо HOSTING_DATABASE_URL.", "The database instead of HOSTING_DATABASE_URL."),
    "all": ("Все строки, а не только с автосинхронизацией.", "All rows, not only those that are synchronised by themselves."),
    "no_import": ("Не создавать строки для новых серверов.", "Create no rows for new servers."),
    "verbose": ("Подробный журнал в stderr.", "A detailed log on stderr."),
    "demo": (
        "Показать всё на выдуманном аккаунте из 23 серверов, без токена и без интернета.",
        "Show everything with a made-up account of 23 servers, without a token and without the internet.",
    ),
    "demo_database": ("Файл SQLite.", "A file of SQLite."),
    "migrate": (
        "Подготовить базу данных; повторный запуск ничего не меняет.",
        "Prepare the database; a second run changes nothing.",
    ),
    "table": ("Таблица CRM вместо hosting_servers.", "The table of the CRM instead of hosting_servers."),
    "downgrade": (
        "Вернуть прежний вид таблицы и убрать наши.",
        "Give the table its former shape and remove the adapter's own.",
    ),
    "yes": ("Не спрашивать перед --downgrade.", "Do not ask before --downgrade."),
    "plan": (
        "Показать, что сделала бы синхронизация, ничего не записывая.",
        "Show what a sync would do, writing nothing.",
    ),
    "sync": ("Синхронизировать серверы с Timeweb.", "Synchronise the servers with Timeweb."),
    "if_stale": ("Только если данным больше N секунд.", "Only if the data is older than N seconds."),
    "import": ("Импортировать серверы Timeweb по ID.", "Import servers of Timeweb by their ids."),
    "ids": ("ID серверов в Timeweb.", "Ids of servers at Timeweb."),
    "dry_run": ("Ничего не записывать.", "Write nothing."),
    "servers": ("Показать серверы из базы данных.", "Show the servers of the database."),
    "services": (
        "Показать платные услуги, которые не серверы: чьи они и сколько стоят.",
        "Show paid services that are no servers: whose they are and what they cost.",
    ),
    "search_services": ("Название, номер, клиент, сервер…", "Name, id, client, server…"),
    "service_type": (
        "Тип, как в Timeweb: database, s3, floating_ip…",
        "The type as Timeweb calls it: database, s3, floating_ip…",
    ),
    "service_client": ("Услуги одного клиента, по точному имени.", "Services of one client, by the exact name."),
    "unowned": ("Только ничьи.", "Nobody's only."),
    "search": ("Имя, IP, клиент…", "Name, IP, client…"),
    "runs": ("Показать историю синхронизаций.", "Show the history of syncs."),
    "limit": ("Сколько последних запусков.", "How many of the last runs."),
    "doctor": (
        "Проверить токен, права, базу данных, миграции, блокировку, запуски, часы и Redis.",
        "Check token, rights, database, migrations, lease, runs, clock and Redis.",
    ),
    "serve": ("Открыть страницу «Хостинг» на этом компьютере.", "Serve the page on this machine."),
    "host": (
        "Только адрес этой машины: своей авторизации у страницы нет.",
        "An address of this machine only: the page has no login of its own.",
    ),
    "port": ("Порт, 0 — любой свободный.", "The port, 0 for any that is free."),
    "serve_demo": ("С выдуманным аккаунтом Timeweb.", "With a made-up account of Timeweb."),
    "jobs": (
        "Синхронизация, уведомления и напоминания в том же процессе.",
        "Syncs, notifications and reminders in the same process.",
    ),
    "no_link": (
        "Пускать без ссылки: когда перед страницей уже есть авторизация.",
        "Let people in without the link: where a login stands before the page already.",
    ),
    "notify": (
        "Напомнить об оплатах и отправить уведомления (HOSTING_NOTIFY_URLS); для cron.",
        "Remind of payments and send notifications (HOSTING_NOTIFY_URLS); for cron.",
    ),
    "prune": (
        "Удалить запуски и отправленные уведомления старше HOSTING_KEEP_DAYS дней; для cron.",
        "Delete runs and notifications that were sent, older than HOSTING_KEEP_DAYS days; for cron.",
    ),
    "worker": (
        "Работать по расписанию без очереди: синхронизация, напоминания, уведомления, уборка. Журнал — JSON в stderr.",
        "Work by a schedule without a queue: syncs, reminders, notifications, pruning. The log is JSON on stderr.",
    ),
    "interval": ("Секунд между обходами.", "Seconds between two rounds."),
}
"""Name -> Russian, English."""

_LIBRARY: Final = {
    "Show this message and exit.": "Показать эту справку и выйти.",
    "Install completion for the current shell.": "Включить дополнение команд в этой оболочке.",
    "Show completion for the current shell, to copy it or customize the installation.": "Показать сценарий дополнения команд.",
    "Usage:": "Использование:",
    "Options:": "Параметры:",
    "Commands:": "Команды:",
    "Arguments:": "Аргументы:",
    "[OPTIONS]": "[ПАРАМЕТРЫ]",
    "COMMAND [ARGS]...": "КОМАНДА [АРГУМЕНТЫ]...",
    "[required]": "[обязательно]",
    "[default: ": "[по умолчанию: ",
    "Missing argument": "Не указан аргумент",
    "Missing option": "Не указан параметр",
    "Missing command.": "Не указана команда.",
    "No such command": "Нет команды",
    "No such option": "Нет параметра",
    "Possible options:": "Есть:",
    "Did you mean": "Возможно,",
    "Invalid value for": "Неверное значение",
    "Got unexpected extra argument(s)": "Лишнее:",
    "Got unexpected extra arguments": "Лишнее:",
    "Got unexpected extra argument": "Лишнее:",
    "requires an argument.": "— нужно значение.",
    "does not take a value.": "— значения не бывает.",
    "Option '": "Параметр '",
    "Input should be a valid integer, unable to parse string as an integer": "нужно целое число",
    "Input should be greater than or equal to": "нужно не меньше",
    "Input should be less than or equal to": "нужно не больше",
    "is not in the range": "не в границах",
    "is not a valid integer.": "— не целое число.",
}
"""What the library of the command line says by itself."""

Language = Literal["ru", "en"]


def language() -> Language:
    """`HOSTING_LANG`, else that of the locale; Russian unless one of them says English."""
    wanted = (os.environ.get(name, "") for name in ("HOSTING_LANG", "LC_ALL", "LC_MESSAGES", "LANG"))
    first = next((text for text in wanted if text), "")
    return "en" if first.lower().partition(".")[0].partition("_")[0] == "en" else "ru"


def said(name: str) -> str:
    """The text of that name in the language of the person."""
    return _TEXTS[name][language() == "en"]


def in_russian(text: str) -> str:
    """The words of the library in Russian; its help keeps them in lines that may be broken between two words."""
    if language() == "en":
        return text
    for english, russian in _LIBRARY.items():
        text = re.sub(r"\s+".join(map(re.escape, english.split(" "))), russian, text)
    return text


ROUBLES: Final = "руб."
"""Where an encoding has no sign for them."""
INTERRUPTED: Final = "Прервано"


def wrong_command(why: str) -> str:
    """What the library of the command line says."""
    return f"{said('wrong')}: {in_russian(why)}"


def no_extra(extra: str) -> str:
    """A command without the packages that it needs."""
    return f"Не установлен набор [{extra}]. Установите его: pip install 'timeweb-sdk[{extra}]'"
