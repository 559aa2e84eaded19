"""What commands work with: settings, the database and the clients of Timeweb, opened late and closed for sure."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter.cli import absent_extra
from crm_adapter.cli.output import FAILED, CommandError
from crm_adapter.db.columns import INTEGRATION
from crm_adapter.db.dialects import is_read_only
from crm_adapter.db.tables import HostingServer
from crm_adapter.errors import DuplicateTimewebIds, MigrationError, NotConfigured
from crm_adapter.settings import Settings, SettingsError, load_settings
from crm_adapter.text import command as words
from crm_adapter.text.help import no_extra
from crm_adapter.text.messages import NOT_CONFIGURED
from crm_adapter.wiring import build_clients, open_engine
from timeweb_sdk import Timeweb
from timeweb_sdk.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Generator

READ_ONLY = "database_read_only"


def settings_of(database_url: str | None = None) -> Settings:
    """The configuration; `database_url` overrides that of the environment. Wrong values end the command."""
    try:
        return read_settings(database_url)
    except SettingsError as error:
        raise CommandError("configuration", words.misconfigured(error.russian)) from error


def read_settings(database_url: str | None = None) -> Settings:
    """The same with the error of `crm_adapter.settings`: long-lived commands read the settings again and again."""
    return load_settings({"hosting_database_url": database_url} if database_url else None)


def engine_of(settings: Settings) -> sa.Engine:
    """An engine for `HOSTING_DATABASE_URL`; a missing driver names its extra."""
    try:
        return open_engine(settings)
    except ConfigurationError as error:
        extra = absent_extra(error)
        raise CommandError("missing_extra", words.no_driver(no_extra(extra) if extra else error)) from error


@contextmanager
def database(settings: Settings, *, migrated: bool = True) -> Generator[sessionmaker[Session]]:
    """A sessionmaker on the configured database, with the schema checked first."""
    engine = engine_of(settings)
    try:
        if migrated and (missing := missing_schema(engine)):
            raise CommandError("not_migrated", words.not_migrated(missing), hint=words.MIGRATE)
        yield sessionmaker(engine)
    finally:
        engine.dispose()


def missing_schema(engine: sa.Engine) -> str:
    """The first thing that the adapter needs and the database lacks; empty when all is there."""
    inspector, own = sa.inspect(engine), HostingServer.__tablename__
    for table in (own, "timeweb_sync_run"):
        if not inspector.has_table(table):
            return words.no_table(table)
    present = {column["name"] for column in inspector.get_columns(own)}
    return next((words.no_column(f"{own}.{name}") for name in INTEGRATION if name not in present), "")


@contextmanager
def clients(settings: Settings) -> Generator[dict[str, Timeweb]]:
    """Account -> client, at a pace that Timeweb never punishes; read-only, because the adapter changes nothing there."""
    if not settings.is_configured:
        raise CommandError("not_configured", NOT_CONFIGURED, hint=words.HOW_TO_SET_TOKEN)
    with ExitStack() as stack:
        yield {name: stack.enter_context(client) for name, client in build_clients(settings, Timeweb).items()}


def explanation(error: Exception) -> CommandError | None:
    """What went wrong outside our hands, in words instead of a traceback; None for a defect of ours."""
    match error:
        case NotConfigured():
            return CommandError("not_configured", NOT_CONFIGURED, hint=words.HOW_TO_SET_TOKEN)
        case DuplicateTimewebIds():
            message = words.duplicates(error.table, error.duplicates)
            return CommandError("duplicate_timeweb_id", message, hint=words.ONE_ROW_EACH)
        case MigrationError():
            return CommandError("migration", words.cannot_migrate(error))
        case ConfigurationError():
            return CommandError("configuration", words.misconfigured(error))
        case DBAPIError():
            reason = str(error.orig).strip().partition("\n")[0]
            if is_read_only(error):
                return CommandError(READ_ONLY, f"{words.READ_ONLY}: {reason}", hint=words.READ_ONLY_HINT, exit_code=FAILED)
            code = "database_unavailable" if isinstance(error, OperationalError | InterfaceError) else "database_error"
            return CommandError(code, words.database_gone(reason), exit_code=FAILED)
        case _:
            return None
