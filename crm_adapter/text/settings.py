"""What is wrong with a setting, for the log (English) and for whoever types the command (Russian). No secret is repeated."""

from __future__ import annotations

from typing import Final, NamedTuple


class Words(NamedTuple):
    """One sentence in both languages."""

    english: str
    russian: str


NO_TEXT: Final = Words("must be a string", "ожидается строка")
TOKEN: Final = Words(
    "the token holds spaces or non-ASCII characters; copy it again from the Timeweb Cloud panel",
    "токен содержит пробелы или недопустимые символы; скопируйте его из панели Timeweb Cloud ещё раз",
)
TOKENS: Final = Words(
    'must be a JSON object of account name and token, such as {"main": "…"}',
    'ожидается JSON-объект «имя аккаунта: токен», например {"main": "…"}',
)
EMPTY_TOKEN: Final = Words("an account name or a token is empty", "имя аккаунта или токен пусты")
DATABASE: Final = Words(
    "not a database URL; write it as sqlite:///hosting.sqlite3 or postgresql://user:password@host:5432/name, "
    "and special characters of the password percent-encoded",
    "это не адрес базы данных; пример: sqlite:///hosting.sqlite3 или postgresql://user:password@host:5432/name; "
    "особые символы пароля записываются через %",
)
ADDRESSES: Final = Words("not a valid JSON list of addresses", "некорректный JSON-список адресов")
REDIS: Final = Words("must start with redis://, rediss:// or unix://", "адрес начинается с redis://, rediss:// или unix://")
ENCODING: Final = Words("not in UTF-8; save it as UTF-8", "сохраните файл в кодировке UTF-8")


def account_name(limit: int) -> Words:
    """A name that the table of accounts cannot hold."""
    return Words(
        f"an account name has more than {limit} characters or unprintable ones",
        f"имя аккаунта длиннее {limit} символов или содержит непечатаемые",
    )


def no_database(backend: str, known: str) -> Words:
    """A database that we do not know."""
    return Words(f"{backend!r} is not supported; use one of {known}", f"СУБД «{backend}» не поддерживается; подходят {known}")


def prepare_threshold(name: str, value: object) -> Words:
    """A query parameter of psycopg."""
    return Words(
        f"{name}={value} is neither none (prepare nothing, for PgBouncer) nor a count from 1",
        f"{name}={value} — укажите none (не готовить запросы, для PgBouncer) или число от 1",
    )


def zone(value: str) -> Words:
    """No name of the time zone database."""
    return Words(
        f"{value!r} is not an IANA time zone such as Europe/Moscow", f"«{value}» — не часовой пояс; пример: Europe/Moscow"
    )


def base_url(shown: str) -> Words:
    """Where the API would be; shown without a password."""
    return Words(
        f"{shown!r} is not an http(s) address; write it as https://api.timeweb.cloud",
        f"«{shown}» — не адрес http(s); пример: https://api.timeweb.cloud",
    )


def unencrypted(shown: str) -> Words:
    """The same without TLS."""
    return Words(
        f"{shown!r} would send the token unencrypted; give https, or set TIMEWEB_ALLOW_HTTP=1 where the way is yours",
        f"«{shown}» — токен ушёл бы без шифрования; нужен https, а если путь туда только ваш — TIMEWEB_ALLOW_HTTP=1",
    )


def unreadable(reason: str) -> Words:
    """A file that the system does not let us read."""
    return Words(f"cannot be read ({reason}); allow it", f"файл не читается ({reason}); дайте право на чтение")


def two_sources(env_file: str) -> Words:
    """A file that would send somebody else's token to its own address."""
    return Words(
        f"stands in {env_file}, but the token in the environment: the file would send your token to an address of its "
        "own. Put both in the file, or both in the environment",
        f"задан в {env_file}, а токен — в переменной окружения: файл отправил бы ваш токен по своему адресу. "
        "Задайте оба в файле или оба в окружении",
    )
