"""Configuration from the environment and `.env`: what it says when it is wrong, and what it never says."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest

from crm_adapter.settings import Settings, SettingsError, load_settings

TOKEN = "eyJhbGciOi.token-of-the-studio.c2ln"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [*Settings.model_fields, "timeweb_cloud_token"]:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def test_nothing_set_is_a_working_configuration() -> None:
    settings = load_settings()
    assert not settings.is_configured
    assert settings.database_url.render_as_string() == "sqlite:///hosting.sqlite3"
    assert settings.async_database_url.drivername == "sqlite+aiosqlite"
    assert (settings.hosting_tz, settings.timeweb_sync_stale_after) == ("Europe/Moscow", 300)
    assert (settings.timeweb_auto_import, settings.timeweb_link_policy) == (True, "ip")


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text(f"TIMEWEB_API_TOKEN={TOKEN}\nHOSTING_TZ=Asia/Omsk\nUNRELATED=1\n", "utf-8")
    monkeypatch.setenv("HOSTING_TZ", "Asia/Tomsk")
    settings = load_settings()
    assert settings.tokens["default"].get_secret_value() == TOKEN
    assert settings.zone.key == "Asia/Tomsk"


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TIMEWEB_API_TOKEN", "TIMEWEB_API_TOKENS", "HOSTING_DATABASE_URL", "TIMEWEB_SYNC_STALE_AFTER"):
        monkeypatch.setenv(name, "")
    assert not load_settings().is_configured


def test_several_accounts_stand_beside_the_single_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMEWEB_API_TOKEN", TOKEN)
    monkeypatch.setenv("TIMEWEB_API_TOKENS", '{"shop": "second-token", "old": "third-token"}')
    assert list(load_settings().tokens) == ["default", "shop", "old"]


def test_a_change_of_the_file_is_seen_without_a_restart() -> None:
    Path(".env").write_text("TIMEWEB_API_TOKEN=first-token\n", "utf-8")
    assert load_settings().tokens["default"].get_secret_value() == "first-token"
    Path(".env").write_text("TIMEWEB_API_TOKEN=second-token\n", "utf-8")
    assert load_settings().tokens["default"].get_secret_value() == "second-token"


@pytest.mark.parametrize(
    ("url", "sync_driver", "async_driver"),
    [
        ("sqlite:///x.sqlite3", "sqlite", "sqlite+aiosqlite"),
        ("postgresql://u:p@example.com/crm", "postgresql+psycopg", "postgresql+psycopg"),
        ("mysql://u:p@example.com/crm", "mysql+pymysql", "mysql+asyncmy"),
        ("mariadb+asyncmy://u:p@example.com/crm", "mariadb+pymysql", "mariadb+asyncmy"),
        ("postgresql+psycopg2://u:p@example.com/crm", "postgresql+psycopg2", "postgresql+psycopg"),
        ("postgresql+asyncpg://u:p@example.com/crm", "postgresql+psycopg", "postgresql+asyncpg"),
        ("mysql+aiomysql://u:p@example.com/crm", "mysql+pymysql", "mysql+aiomysql"),
        ("mysql+mysqldb://u:p@example.com/crm", "mysql+mysqldb", "mysql+asyncmy"),
        ("sqlite+aiosqlite:///x.sqlite3", "sqlite", "sqlite+aiosqlite"),
    ],
)
def test_drivers_follow_from_the_database(url: str, sync_driver: str, async_driver: str) -> None:
    settings = load_settings({"hosting_database_url": url})
    assert settings.database_url.drivername == sync_driver
    assert settings.async_database_url.drivername == async_driver


def test_notify_urls_come_as_words_or_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = ["tgram://1:a/2,3", "mailto://u:p@example.com"]
    for text in (
        '["tgram://1:a/2,3", "mailto://u:p@example.com"]',
        "tgram://1:a/2,3, mailto://u:p@example.com",
        "\n".join(expected),
    ):
        monkeypatch.setenv("HOSTING_NOTIFY_URLS", text)
        assert [url.get_secret_value() for url in load_settings().hosting_notify_urls] == expected


def test_no_secret_shows() -> None:
    settings = load_settings(
        {
            "timeweb_api_token": TOKEN,
            "timeweb_api_tokens": {"shop": "token-of-the-shop"},
            "hosting_database_url": "postgresql://crm:db-password@example.com/crm?sslpassword=key-password",
            "hosting_notify_urls": "tgram://bot-secret/1",
            "timeweb_redis_url": "redis://:redis-password@example.com/0",
        }
    )
    for text in (
        repr(settings),
        str(settings),
        settings.shown_database_url,
        settings.model_dump_json(exclude={"hosting_database_url"}),
    ):
        for secret in (TOKEN, "token-of-the-shop", "db-password", "key-password", "bot-secret", "redis-password"):
            assert secret not in text


@pytest.mark.parametrize(
    ("variable", "value", "english", "russian"),
    [
        ("TIMEWEB_API_TOKENS", '{"shop": ', "JSON object", "JSON-объект"),
        ("TIMEWEB_API_TOKENS", '["a"]', "JSON object", "JSON-объект"),
        ("TIMEWEB_API_TOKENS", '{"shop": ""}', "empty", "пусты"),
        ("TIMEWEB_API_TOKEN", "two words", "spaces", "пробелы"),
        ("TIMEWEB_BASE_URL", "ftp://example.com", "'ftp://example.com' is not", "«ftp://example.com» — не адрес"),
        ("TIMEWEB_BASE_URL", "https://u:secret@example.com", "'https://example.com' is not", "«https://example.com» — не"),
        ("TIMEWEB_BASE_URL", "https://:secret@example.com", "'https://example.com' is not", "«https://example.com» — не"),
        ("TIMEWEB_BASE_URL", "https:u:secret@example.com", "'example.com' is not", "«example.com» — не"),
        ("TIMEWEB_BASE_URL", "https://u:secret%40example.com", "'https://example.com' is not", "«https://example.com» — не"),
        ("TIMEWEB_BASE_URL", "http://example.com", "TIMEWEB_ALLOW_HTTP=1", "TIMEWEB_ALLOW_HTTP=1"),
        ("TIMEWEB_BASE_URL", "http://two words", "is not an http(s)", "не адрес http(s)"),
        ("TIMEWEB_BASE_URL", "http://127.0.0.1:port", "is not an http(s)", "не адрес http(s)"),
        ("TIMEWEB_API_TOKENS", f'{{"{"a" * 101}": "b"}}', "more than 100", "длиннее 100"),
        ("TIMEWEB_API_TOKENS", '{"a\\u0000b": "b"}', "unprintable", "непечатаемые"),
        ("HOSTING_DATABASE_URL", "postgresql://crm:secret/crm", "percent-encoded", "через %"),
        ("HOSTING_DATABASE_URL", "oracle://example.com", "'oracle' is not supported", "«oracle» не поддерживается"),
        ("HOSTING_DATABASE_URL", "crm.db", "not a database URL", "не адрес базы"),
        ("HOSTING_TZ", "Moscow", "'Moscow' is not an IANA", "«Moscow» — не часовой"),
        ("TIMEWEB_SYNC_STALE_AFTER", "soon", "integer", "целое число"),
        ("TIMEWEB_SYNC_STALE_AFTER", "0", "greater than or equal to 1", "не меньше 1"),
        ("TIMEWEB_AUTO_IMPORT", "maybe", "boolean", "true или false"),
        ("TIMEWEB_LINK_POLICY", "name", "'ip', 'suggest' or 'off'", "'ip', 'suggest' или 'off'"),
        ("HOSTING_NOTIFY_URLS", "[oops", "JSON list", "JSON-список"),
        ("HOSTING_NOTIFY_URLS", '["a://b", 1]', "JSON list", "JSON-список"),
        ("TIMEWEB_REDIS_URL", "http://example.com", "redis://", "redis://"),
    ],
)
def test_a_wrong_value_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, english: str, russian: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert [problem.variable for problem in caught.value.problems] == [variable]
    assert english in str(caught.value)
    assert russian in caught.value.russian
    assert "secret" not in str(caught.value) + caught.value.russian
    assert str(pickle.loads(pickle.dumps(copy.copy(caught.value)))) == str(caught.value)


def test_all_problems_are_told_at_once_and_no_secret_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIMEWEB_API_TOKEN", "secret one")
    monkeypatch.setenv("TIMEWEB_API_TOKENS", "secret-two")
    monkeypatch.setenv("TIMEWEB_REDIS_URL", "secret-three")
    monkeypatch.setenv("HOSTING_TZ", "Moscow")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert len(caught.value.problems) == 4
    assert "secret" not in str(caught.value) + repr(caught.value) + caught.value.russian
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("content", ["# привет".encode("cp1251"), "TIMEWEB_API_TOKEN=x".encode("utf-16")])
def test_a_file_in_another_encoding_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / ".env"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match="save it as UTF-8"):
        load_settings(env_file=str(file))


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_file", refused)  # the superuser, as whom tests may run, reads everything
    with pytest.raises(SettingsError, match=r"cannot be read \(Permission denied\)"):
        load_settings(env_file=str(tmp_path / ".env"))


@pytest.mark.parametrize(
    ("in_shell", "in_file", "refused"),
    [
        ("TIMEWEB_API_TOKEN", "TIMEWEB_BASE_URL", True),
        ("TIMEWEB_CLOUD_TOKEN", "TIMEWEB_BASE_URL", True),
        ("TIMEWEB_API_TOKENS", "timeweb_base_url", True),
        ("TIMEWEB_BASE_URL", "TIMEWEB_API_TOKEN", False),
        ("TIMEWEB_BASE_URL TIMEWEB_API_TOKEN", "TIMEWEB_BASE_URL", False),
        ("", "TIMEWEB_API_TOKEN TIMEWEB_BASE_URL", False),
        ("TIMEWEB_API_TOKEN TIMEWEB_BASE_URL", "", False),
    ],
)
def test_a_folder_does_not_decide_where_the_token_of_the_shell_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_shell: str, in_file: str, refused: bool
) -> None:
    values = {"TIMEWEB_BASE_URL": "https://example.com", "TIMEWEB_API_TOKENS": '{"shop": "token-of-the-shop"}'}
    for name in in_shell.split():
        monkeypatch.setenv(name, values.get(name, TOKEN))
    path = tmp_path / ".env"
    path.write_text("".join(f"{name}='{values.get(name.upper(), TOKEN)}'\n" for name in in_file.split()))
    if refused:
        with pytest.raises(SettingsError, match="both in the file, or both in the environment") as raised:
            load_settings(env_file=str(path))
        assert "оба в окружении" in raised.value.russian
    else:
        assert load_settings(env_file=str(path)).is_configured
