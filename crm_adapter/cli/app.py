"""The commands of `timeweb-crm`."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crm_adapter import blocking, migrations
from crm_adapter.cli import demo as demo_command, doctor as doctor_command, tables
from crm_adapter.cli.output import BUSY, DONE, FAILED, USAGE, CommandError, Output, tolerate_encodings
from crm_adapter.cli.runtime import clients, database as open_database, engine_of, explained, read_settings, settings_of
from crm_adapter.db.mapper import validate_mapping
from crm_adapter.db.tables import HostingServer
from crm_adapter.interruption import exit_code, signals
from crm_adapter.money import local_today
from crm_adapter.results import SyncReport
from crm_adapter.servers.listing import Filters, list_rows
from crm_adapter.servers.totals import read_totals
from crm_adapter.text.formats import count

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from sqlalchemy.orm import Session, sessionmaker

    from crm_adapter.db.rows import StoredRow
    from crm_adapter.results import Totals
    from crm_adapter.settings import Settings
    from timeweb_sdk import Timeweb

_INTERRUPTED = 130

app = typer.Typer(
    name="timeweb-crm",
    help="Серверы Timeweb Cloud в CRM: импорт, синхронизация, страница «Хостинг».",
    epilog="Коды возврата: 0 — готово, 1 — готово с ошибками, 2 — неверная команда или настройка, "
    "3 — синхронизация уже выполняется, 130 и 143 — прервано.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Один JSON-документ в stdout, журнал в stderr.")]
Database = Annotated[str | None, typer.Option("--database", metavar="URL", help="База данных вместо HOSTING_DATABASE_URL.")]
AllRows = Annotated[bool, typer.Option("--all", help="Все строки, а не только с автосинхронизацией.")]
NoImport = Annotated[bool, typer.Option("--no-import", help="Не создавать строки для новых серверов.")]


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; nothing but a defect of ours leaves as a traceback."""
    tolerate_encodings()
    output = Output(as_json="--json" in arguments)
    try:
        with signals(), explained():
            code = app(args=arguments, prog_name="timeweb-crm", standalone_mode=False)
    except CommandError as error:
        output.error(error)
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        code = exit_code() or _INTERRUPTED
    except Exception as error:
        # Usage errors of typer; its class moved between versions, its method did not.
        describe = getattr(error, "format_message", None)
        if describe is None:
            raise
        hint = "Справка: timeweb-crm --help"
        output.error(CommandError("usage", f"Неверная команда: {describe()}", hint=hint))
        return USAGE
    # Typer keeps Ctrl+C to itself and returns what a shell calls it; SIGTERM has a number of its own.
    if code in {_INTERRUPTED, exit_code()}:
        code = exit_code() or _INTERRUPTED
        output.error(CommandError("interrupted", "Прервано"))
    return int(code or DONE)


@app.callback()
def options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Подробный журнал в stderr.")] = False,
) -> None:
    """Серверы Timeweb Cloud в CRM: импорт, синхронизация, страница «Хостинг»."""
    Output(as_json=False).logs(verbose=verbose)


@app.command()
def demo(
    database: Annotated[str, typer.Option("--database", metavar="PATH", help="Файл SQLite.")] = "timeweb-demo.sqlite3",
    as_json: Json = False,
) -> int:
    """Показать всё на выдуманном аккаунте из 23 серверов, без токена и без интернета."""
    return demo_command.run(database, Output(as_json=as_json))


@app.command()
def migrate(
    database: Database = None,
    table: Annotated[str, typer.Option(help="Таблица CRM.")] = migrations.HOSTING_TABLE,
    downgrade: Annotated[bool, typer.Option("--downgrade", help="Вернуть прежний вид таблицы и убрать наши.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Не спрашивать перед --downgrade.")] = False,
    as_json: Json = False,
) -> int:
    """Подготовить базу данных; повторный запуск ничего не меняет."""
    if downgrade and not yes:
        if as_json or not sys.stdin.isatty():
            hint = "Повторите с --yes, если журнал изменений и связи с Timeweb больше не нужны"
            raise CommandError("confirmation", "--downgrade удаляет таблицы интеграции вместе с журналом", hint=hint)
        typer.confirm("Удалить таблицы интеграции вместе с журналом изменений и связями?", abort=True)
    engine = engine_of(settings_of(database))
    try:
        report = (migrations.downgrade if downgrade else migrations.upgrade)(engine, table=table)
    finally:
        engine.dispose()
    if report.dropped_columns:
        line = f"Из таблицы {table} удалены колонки: {', '.join(report.dropped_columns)}"
    elif not report.changed:
        line = "База данных уже в нужном виде"
    elif report.created_table:
        line = f"Создана таблица {table} и таблицы интеграции"
    else:
        line = f"В таблицу {table} добавлено колонок: {len(report.added_columns)}; таблицы интеграции созданы"
    Output(as_json=as_json).result({"success": True, **report.to_dict()}, line)
    return DONE


@app.command()
def plan(all_rows: AllRows = False, no_import: NoImport = False, database: Database = None, as_json: Json = False) -> int:
    """Показать, что сделала бы синхронизация, ничего не записывая."""
    output, settings = Output(as_json=as_json), settings_of(database)
    with _open(settings) as (db, timeweb), output.progress("Запрос к Timeweb"):
        planned = blocking.plan(
            db,
            timeweb,
            only_auto=not all_rows,
            import_new=_import_new(settings, no_import),
            link_policy=settings.timeweb_link_policy,
        )
    document = planned.to_dict()
    lines = [tables.plan_table(planned.servers)] if any(server.action != "unchanged" for server in planned.servers) else []
    output.result(document, *lines, *tables.report_lines(document["report"], planned=True), "Ничего не записано.")
    return _exit_code(document["report"])


@app.command()
def sync(
    if_stale: Annotated[
        int | None, typer.Option("--if-stale", metavar="N", min=1, help="Только если данным больше N секунд.")
    ] = None,
    all_rows: AllRows = False,
    no_import: NoImport = False,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Синхронизировать серверы с Timeweb."""
    output, settings = Output(as_json=as_json), settings_of(database)
    with _open(settings) as (db, timeweb), output.progress("Синхронизация с Timeweb") as progress:

        def start(leases: Mapping[str, str] | None = None) -> SyncReport:
            return blocking.sync_all(
                db,
                timeweb,
                only_auto=not all_rows,
                import_new=_import_new(settings, no_import),
                actor="cli",
                link_policy=settings.timeweb_link_policy,
                leases=leases,
                on_progress=progress,
            )

        document = start().to_dict() if if_stale is None else _when_stale(db, timeweb, if_stale, start)
    output.result(document, *tables.report_lines(document))
    return _exit_code(document)


def _when_stale(db: Any, timeweb: Any, seconds: int, start: Any) -> dict[str, Any]:
    """Sync in this process when `ensure_fresh` says so; else a report of zeros that tells why not."""
    reports: list[SyncReport] = []
    freshness = blocking.ensure_fresh(db, timeweb, max_age=seconds, runner=lambda leases: reports.append(start(leases)))
    if reports:
        report = reports[0]
    elif freshness.status == "running":
        report = SyncReport(freshness.run_id, "running", "already_running")
    else:
        report = SyncReport(None, "skipped")
    return {**report.to_dict(), "freshness": freshness.status}


@app.command("import")
def import_(
    server_ids: Annotated[list[int], typer.Argument(metavar="ID…", help="ID серверов в Timeweb.", min=1)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Ничего не записывать.")] = False,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Импортировать серверы Timeweb по ID."""
    output, settings = Output(as_json=as_json), settings_of(database)
    with _open(settings) as (db, timeweb), output.progress("Импорт из Timeweb"):
        result = blocking.import_servers(
            db, timeweb, server_ids, link=settings.timeweb_link_policy, actor="cli", dry_run=dry_run
        )
    lines = [f"{item.server_id}: {'связан' if item.linked else 'импортирован'} «{item.name}»" for item in result.imported]
    lines += [f"{item.server_id}: {item.error}" for item in result.errors]
    output.result(result.to_dict(), *lines, f"Импортировано: {result.imported_count}, ошибок: {result.error_count}")
    return FAILED if result.error_count else DONE


@app.command()
def servers(
    search: Annotated[str, typer.Option("--search", help="Имя, IP, клиент…")] = "",
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Показать серверы из базы данных."""
    settings = settings_of(database)
    rows, sums = _rows(settings, search)
    document = {"servers": [row.to_dict() for row in rows], "total": len(rows), "totals": sums.to_dict()}
    output = Output(as_json=as_json)
    output.result(document, tables.servers_table(rows), count(len(rows), "server"), tables.totals_line(sums))
    return DONE


@app.command()
def runs(
    limit: Annotated[int, typer.Option("--limit", min=1, help="Сколько последних запусков.")] = 20,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Показать историю синхронизаций."""
    settings = settings_of(database)
    with open_database(settings) as db:
        found = blocking.runs(db, limit=limit)
    lines = [tables.runs_table(found, settings.zone)] if found else ["Синхронизаций ещё не было"]
    Output(as_json=as_json).result({"runs": [item.to_dict() for item in found]}, *lines)
    return DONE


@app.command()
def doctor(database: Database = None, as_json: Json = False) -> int:
    """Проверить токен, права, базу данных, миграции, блокировку, запуски, часы и Redis."""
    output = Output(as_json=as_json)
    with output.progress("Проверка"):
        checks = doctor_command.examine(settings_of(database))
    output.result(doctor_command.document(checks), *doctor_command.lines(checks))
    return FAILED if any(check.state == "bad" for check in checks) else DONE


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Только адрес этой машины: своей авторизации у страницы нет.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Порт, 0 — любой свободный.")] = 8100,
    demo: Annotated[bool, typer.Option("--demo", help="С выдуманным аккаунтом Timeweb.")] = False,
    jobs: Annotated[bool, typer.Option("--jobs", help="Синхронизация, уведомления и напоминания в том же процессе.")] = False,
    no_link: Annotated[
        bool, typer.Option("--no-link", help="Пускать без ссылки: когда перед страницей уже есть авторизация.")
    ] = False,
    database: Database = None,
    as_json: Json = False,
) -> int:
    """Открыть страницу «Хостинг» на этом компьютере."""
    from crm_adapter.cli import serve as serve_command

    output = Output(as_json=as_json)
    if not demo:
        reload = partial(read_settings, database)
        return serve_command.run(settings_of(database), host, port, output, reload=reload, jobs=jobs, link=not no_link)
    with demo_command.account(database or "timeweb-demo.sqlite3") as settings:
        demo_command.prepare(settings)
        return serve_command.run(settings, host, port, output, jobs=jobs, link=not no_link)


@app.command()
def notify(database: Database = None, as_json: Json = False) -> int:
    """Напомнить об оплатах и отправить уведомления (HOSTING_NOTIFY_URLS); для cron."""
    from crm_adapter.cli import jobs

    return jobs.notify(settings_of(database), Output(as_json=as_json))


@app.command()
def prune(database: Database = None, as_json: Json = False) -> int:
    """Удалить запуски и отправленные уведомления старше HOSTING_KEEP_DAYS дней; для cron."""
    from crm_adapter.cli import jobs

    return jobs.prune(settings_of(database), Output(as_json=as_json))


@app.command()
def worker(
    interval: Annotated[float, typer.Option(min=1, help="Секунд между обходами.")] = 60,
    database: Database = None,
) -> int:
    """Работать по расписанию без очереди: синхронизация, напоминания, уведомления, уборка. Журнал — JSON в stderr."""
    from crm_adapter.cli import jobs

    return jobs.worker(settings_of(database), partial(read_settings, database), interval)


@contextmanager
def _open(settings: Settings) -> Generator[tuple[sessionmaker[Session], dict[str, Timeweb]]]:
    """The database and the clients together; a missing token is told before anything is opened."""
    with clients(settings) as timeweb, open_database(settings) as db:
        yield db, timeweb


def _rows(settings: Settings, search: str) -> tuple[Sequence[StoredRow], Totals]:
    columns, filters, today = validate_mapping(HostingServer), Filters(search=search, size=0), local_today(settings.hosting_tz)
    with open_database(settings) as db, db() as session:
        found = list_rows(session, columns, filters, today=today)
        return found.rows, read_totals(session, columns, today, filters)


def _import_new(settings: Settings, no_import: bool) -> bool:
    return settings.timeweb_auto_import and not no_import


def _exit_code(report: Mapping[str, Any]) -> int:
    if report["status"] == "running":
        return BUSY
    return FAILED if report["error_count"] or report["status"] in {"failed", "partial"} else DONE
