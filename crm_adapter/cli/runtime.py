"""What commands work with: settings, the database and the clients of Timeweb, opened late and closed for sure."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import migrations
from crm_adapter.cli.output import FAILED, CommandError
from crm_adapter.db.columns import INTEGRATION
from crm_adapter.db.dialects import is_read_only
from crm_adapter.errors import NotConfigured
from crm_adapter.settings import Settings, SettingsError, load_settings
from crm_adapter.text.messages import NOT_CONFIGURED
from crm_adapter.wiring import build_clients, open_engine
from timeweb_sdk import Timeweb
from timeweb_sdk.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Generator

HOW_TO_SET_TOKEN = (
    "Создайте токен в панели Timeweb Cloud (раздел «API и Terraform») и задайте его переменной окружения\n"
    "    export TIMEWEB_API_TOKEN=…\n"
    'или строкой TIMEWEB_API_TOKEN=… в файле .env. Несколько аккаунтов: TIMEWEB_API_TOKENS=\'{"имя": "токен"}\'.'
)


READ_ONLY = "database_read_only"
READ_ONLY_TEXT = "База данных отвечает, но доступна только для чтения"
READ_ONLY_HINT = "Укажите в HOSTING_DATABASE_URL основной сервер, а не реплику, и роль с правом записи"


def settings_of(database_url: str | None = None) -> Settings:
    """The configuration; `database_url` overrides that of the environment. Wrong values end the command."""
    try:
        return read_settings(database_url)
    except SettingsError as error:
        raise CommandError("configuration", f"Ошибка настройки. {error.russian}") from error


def read_settings(database_url: str | None = None) -> Settings:
    """The same with the error of `crm_adapter.settings`: long-lived commands read the settings again and again."""
    return load_settings({"hosting_database_url": database_url} if database_url else None)


def engine_of(settings: Settings) -> sa.Engine:
    """An engine for `HOSTING_DATABASE_URL`; a missing driver names its extra."""
    try:
        return open_engine(settings)
    except ConfigurationError as error:
        raise CommandError("missing_extra", f"Нет драйвера базы данных. {error}") from error


@contextmanager
def database(settings: Settings, *, migrated: bool = True) -> Generator[sessionmaker[Session]]:
    """A sessionmaker on the configured database, with the schema checked first."""
    engine = engine_of(settings)
    try:
        if migrated and (missing := missing_schema(engine)):
            raise CommandError(
                "not_migrated", f"База данных не подготовлена: нет {missing}.", hint="Выполните: timeweb-crm migrate"
            )
        yield sessionmaker(engine)
    finally:
        engine.dispose()


def missing_schema(engine: sa.Engine) -> str:
    """The first thing that the adapter needs and the database lacks; empty when all is there."""
    inspector = sa.inspect(engine)
    for table in (migrations.HOSTING_TABLE, "timeweb_sync_run"):
        if not inspector.has_table(table):
            return f"таблицы {table}"
    present = {column["name"] for column in inspector.get_columns(migrations.HOSTING_TABLE)}
    return next((f"колонки {migrations.HOSTING_TABLE}.{name}" for name in INTEGRATION if name not in present), "")


@contextmanager
def clients(settings: Settings) -> Generator[dict[str, Timeweb]]:
    """Account -> client, at a pace that Timeweb never punishes; read-only, because the adapter changes nothing there."""
    if not settings.is_configured:
        raise CommandError("not_configured", NOT_CONFIGURED, hint=HOW_TO_SET_TOKEN)
    with ExitStack() as stack:
        yield {name: stack.enter_context(client) for name, client in build_clients(settings, Timeweb).items()}


def explanation(error: Exception) -> CommandError | None:
    """What went wrong outside our hands, in words instead of a traceback; None for a defect of ours."""
    match error:
        case NotConfigured():
            return CommandError("not_configured", NOT_CONFIGURED, hint=HOW_TO_SET_TOKEN)
        case migrations.DuplicateTimewebIds():
            rows = "; ".join(f"{key} — строки {', '.join(map(str, ids))}" for key, ids in error.duplicates.items())
            message = f"В таблице {error.table} повторяется timeweb_id: {rows}. Ничего не изменено."
            hint = "Оставьте каждый timeweb_id только в одной строке и повторите команду."
            return CommandError("duplicate_timeweb_id", message, hint=hint)
        case migrations.MigrationError():
            return CommandError("migration", f"Миграция невозможна: {error}")
        case ConfigurationError():
            return CommandError("configuration", f"Ошибка настройки. {error}")
        case DBAPIError():
            reason = str(error.orig).strip().partition("\n")[0]
            if is_read_only(error):
                return CommandError(READ_ONLY, f"{READ_ONLY_TEXT}: {reason}", hint=READ_ONLY_HINT, exit_code=FAILED)
            code = "database_unavailable" if isinstance(error, OperationalError | InterfaceError) else "database_error"
            return CommandError(code, f"База данных не отвечает: {reason}", exit_code=FAILED)
        case _:
            return None
